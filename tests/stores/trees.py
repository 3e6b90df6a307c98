"""Random trees for the state machine: every way of describing work that a store can tell apart."""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from ramify.model import JobId, Unless, When
from ramify.node import AnyNode, Node, Ref

TASKS = ("m:x", "m:y")
QUEUES = ("default", "a", "b")
MARKS = ("red", "green")
KEYS = (*MARKS, "unique/blue")
"""What an earlier job may stand for: a unique mark is borne only where that was asked."""
Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def forests(draw: Draw, stored: Sequence[JobId], gates: Sequence[JobId], most: int = 1) -> list[AnyNode]:
    """Return up to `most` trees that may wait for stored jobs and be held with gates."""
    grower = _Grower(draw, stored, gates)
    return [grower.grow(2, first=True) for _ in range(draw(st.integers(1, most)))]


class _Grower:
    def __init__(self, draw: Draw, stored: Sequence[JobId], gates: Sequence[JobId]) -> None:
        self.draw, self.stored, self.gates = draw, stored, gates
        self.made: list[AnyNode] = []

    def grow(self, depth: int, first: bool) -> AnyNode:
        """Return a node; it may name or share those made before it."""
        if not first and self.made and self.chance(10):
            return self.draw(st.sampled_from(self.made))
        width = self.draw(st.integers(0, 3)) if depth else 0
        children = tuple(self.grow(depth - 1, first=number == 0) for number in range(width))
        task = self.draw(st.sampled_from((*TASKS, None) if children else (*TASKS, *TASKS, None)))
        args = (self.pick(),) if task and self.chance(5) else ()
        node = self.dress(Node(task, args, None, tuple(dict.fromkeys(children))), first)
        self.made.append(node)
        return node

    def dress(self, node: AnyNode, first: bool) -> AnyNode:
        """Return the node with some options."""
        draw, raw = self.draw, {}
        options = set(draw(st.lists(st.sampled_from(OPTIONS), max_size=2)))
        for name in options & {"blocking", "barrier", "series", "fast"}:
            raw[name] = True
        if "previous" in options and node.task and not first:
            raw["previous"] = True
        if "hold" in options:
            raw["hold"] = draw(st.sampled_from([True, *self.gates]))
        if "delay" in options:
            raw["delay"] = draw(st.sampled_from([0.0, 5.0, 50.0]))
        if "priority" in options:
            raw["priority"] = draw(st.integers(-1, 1))
        if "queue" in options:
            raw["queue"] = draw(st.sampled_from(QUEUES))
        if "slot" in options:
            raw["slot"] = "only"
        if "units" in options:
            raw["units"] = draw(st.integers(0, 3))
        if "limit" in options:
            raw["limit"] = 20.0
        if "marks" in options:
            raw["marks"] = (draw(st.sampled_from(MARKS)),)
        if "after" in options:
            others = [self.pick() for _ in range(draw(st.integers(1, 2)))]
            raw["after"] = tuple((other, draw(st.sampled_from(list(When)))) for other in others if other is not None)
        if "unless" in options and not (node.children or node.args or raw.get("after") or raw.get("previous")):
            mark = draw(st.sampled_from(KEYS))
            raw |= {"unless": Unless(mark, draw(st.sampled_from([None, 10.0]))), "marks": (mark,)}
        return node.changed(**raw)

    def pick(self) -> AnyNode | Ref[Any] | None:
        """Return a node or a stored job to wait for; a new node if there is nothing else."""
        if self.made and (not self.stored or self.chance(2)):
            return self.draw(st.sampled_from(self.made))
        if self.stored and self.chance(2):
            return Ref(self.draw(st.sampled_from(self.stored)))
        node: AnyNode = Node("m:x")
        self.made.append(node)
        return node

    def chance(self, n: int) -> bool:
        """Return True once in `n` times."""
        return bool(self.draw(st.integers(1, n)) == n)


OPTIONS = (
    "blocking",
    "barrier",
    "series",
    "fast",
    "previous",
    "hold",
    "delay",
    "priority",
    "queue",
    "slot",
    "units",
    "limit",
    "marks",
    "after",
    "after",
    "unless",
)
