"""From nodes to a sketch: the same nodes numbered in post-order, with numbers for references and JSON for arguments.

A sketch needs no ids and no store, so a job can send one to its worker. A node that is only an argument (or only in
`after`) belongs under the first node that names it. Nothing here recurses: a chain of 10,000 groups is fine.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from ramify.codec import encode_arguments
from ramify.errors import BadNode, Cycle
from ramify.model import JobId, When
from ramify.node import PLAIN, AnyNode, Node, Options, Ref

Path = list[str | int]
Before = int | JobId
_SCALARS: Final = frozenset({int, str, float, bool, type(None)})


class Flat(Struct, gc=False):
    """One node of a sketch. Numbers are indexes into the sketch, texts are ids of stored jobs."""

    task: str | None
    args: bytes = b""
    how: Options = PLAIN
    parent: int = -1
    children: list[int] = []
    after: list[tuple[Before, When]] = []
    slots: list[tuple[Before, Path]] = []


def sketch(nodes: Sequence[AnyNode]) -> list[Flat]:
    """Return the nodes and all that they need, children before parents, the given ones in their order.

    Raise `BadNode` with the path to a mistake, `BadValue` if an argument is not JSON.
    """
    if len(nodes) == 1 and not nodes[0].children and not nodes[0].how.after:
        args, slots = _read_arguments(nodes[0])
        if not slots:  # a job by itself, as most are
            return [Flat(nodes[0].task, args, nodes[0].how)]
    return _Sketcher(nodes).run()


class _Sketcher:
    def __init__(self, nodes: Sequence[AnyNode]) -> None:
        self.tops = nodes
        self.slots: dict[int, tuple[bytes, list[tuple[Any, Path]]]] = {}
        self.placed: set[int] = set()
        self.parents: dict[int, AnyNode] = {}
        self.numbers: dict[int, int] = {}
        self.flats: list[Flat] = []
        self.ordered: list[AnyNode] = []

    def run(self) -> list[Flat]:
        self._explore()
        for top in self.tops:
            self._number(top)
        for flat, node in zip(self.flats, self.ordered, strict=True):
            self._connect(flat, node)
        return self.flats

    def _explore(self) -> None:
        """Find every node in reach, and which of them are somebody's child."""
        stack, seen = list(self.tops), set(map(id, self.tops))
        if len(seen) < len(self.tops):
            raise BadNode("the same node stands twice in what is added; make a copy of it, or add it once")
        others = frozenset(seen) if len(seen) > 1 else frozenset()
        self.placed |= seen
        while stack:
            node = stack.pop()
            self.placed.update(map(id, node.children))
            if again := next((child for child in node.children if id(child) in others), None):
                raise BadNode(f"{again!r} stands under {node!r} and beside it; add it in one of the two places")
            for other in (*node.children, *self._named(node)):
                if id(other) not in seen:
                    seen.add(id(other))
                    stack.append(other)

    def _named(self, node: AnyNode) -> list[AnyNode]:
        """Return the nodes that this one names in its arguments and in `after`."""
        if id(node) not in self.slots:
            self.slots[id(node)] = _read_arguments(node)
        named = [value for value, _ in self.slots[id(node)][1]] + [other for other, _ in node.how.after]
        return [other for other in named if isinstance(other, Node)]

    def _number(self, top: AnyNode) -> None:
        """Give numbers in post-order to everything under `top`; what is only named comes before who names it first."""
        if id(top) in self.numbers:
            return
        open_nodes: set[int] = set()
        stack = [(top, False)]
        while stack:
            node, finished = stack.pop()
            if id(node) in self.numbers:
                continue
            if finished:
                self.numbers[id(node)] = len(self.flats)
                self.ordered.append(node)
                self.flats.append(Flat(node.task, self.slots[id(node)][0], _without_nodes(node.how)))
                open_nodes.discard(id(node))
                continue
            if id(node) in open_nodes:
                raise Cycle(f"{node!r} waits for itself through its own children or arguments")
            open_nodes.add(id(node))
            stack.append((node, True))
            named = [other for other in self._named(node) if id(other) not in self.placed]
            for other in reversed((*node.children, *named)):
                if id(other) in self.numbers:
                    continue
                self.parents.setdefault(id(other), node)
                stack.append((other, False))

    def _connect(self, flat: Flat, node: AnyNode) -> None:
        parent = self.parents.get(id(node))
        flat.parent = -1 if parent is None else self.numbers[id(parent)]
        if node.children:
            flat.children = [self.numbers[id(child)] for child in node.children]
        if node.how.after:
            flat.after = [(self._before(other), when) for other, when in node.how.after]
        slots = self.slots[id(node)][1]
        if slots:
            flat.slots = [(self._before(value), path) for value, path in slots]

    def _before(self, other: AnyNode | Ref[Any]) -> Before:
        return other.id if isinstance(other, Ref) else self.numbers[id(other)]


def _without_nodes(how: Options) -> Options:
    return msgspec.structs.replace(how, after=()) if how.after else how


def _read_arguments(node: AnyNode) -> tuple[bytes, list[tuple[Any, Path]]]:
    """Return the arguments as JSON, and the nodes and jobs that stand in them with their paths."""
    if node.task is None:
        return b"", []
    args, kwargs = node.args, node.kwargs
    if not args and not kwargs:
        return b"[[],{}]", []
    text, blanks = encode_arguments(args, kwargs, f"arguments of {node.task}")
    if not blanks:
        return text, []
    found = _find_references(args, kwargs or {})
    if len(found) != blanks:
        raise BadNode(
            f"arguments of {node.task}: a node or job stands inside an object or set; "
            "pass it as an argument of its own, or in a list or dict"
        )
    return text, found


def _find_references(args: Sequence[Any], kwargs: Any) -> list[tuple[Any, Path]]:
    found: list[tuple[Any, Path]] = []
    stack: list[tuple[Path, Any]] = [(["kwargs"], kwargs), (["args"], args)]
    while stack:
        path, part = stack.pop()
        if isinstance(part, Node | Ref):
            found.append((part, path))
        elif isinstance(part, list | tuple):
            stack += [([*path, index], value) for index, value in enumerate(part) if type(value) not in _SCALARS][::-1]
        elif isinstance(part, dict):
            stack += [([*path, _spell(key)], value) for key, value in part.items() if type(value) not in _SCALARS][::-1]
    return found


def _spell(key: object) -> str:
    """Return a key as it stands in the JSON."""
    if type(key) is str:
        return key
    [text] = msgspec.to_builtins({key: None}, str_keys=True)
    return str(text)
