"""Project dictionaries: trees of work as plain data, from a program, a file, or the result of a job that adds jobs.

A node has `jobs`, or `func` with its arguments, or both: then `func` runs after them. Nothing is decided here: a
dictionary becomes the same nodes that `job` and `group` make. Nothing recurses either: 10,000 levels are fine.
"""

import difflib
import json
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

import msgspec
from msgspec import Struct

from ramify.build import ALL, fan_out, group
from ramify.declared import Declaration
from ramify.errors import BadArguments, BadNode, BadTask
from ramify.model import Retry
from ramify.node import AnyNode, Node
from ramify.signature import read_parameters
from ramify.span import read_span
from ramify.task import Call, Function, check_arguments, look_up

OPTIONS: Final = frozenset(
    {
        "at",
        "barrier",
        "blocking",
        "delay",
        "fail",
        "hold",
        "label",
        "priority",
        "queue",
        "repeatable",
        "retry",
        "slot",
        "start_before",
        "timeout",
        "unique",
        "units",
    }
)
OF_ALL: Final = frozenset({"barrier", "blocking", "fail", "hold", "label"})
"""Options that the group gets, and not each of its jobs, where "ALL" makes several of one dictionary."""

KEYS: Final = frozenset({"jobs", "func", "args", "kwargs", "previousJobArgs", *OPTIONS})
PROJECT_KEYS: Final = frozenset({"sleepTime", "maxLoop", "loop"})
WRITTEN_BACK: Final = frozenset({"id", "status", "result", "error"})
"""What a snapshot of a project says of its nodes; it may be submitted again as it is."""

Find: TypeAlias = Callable[[str], Declaration | None]


def find_nothing(task: str) -> None:
    """Know no task but those that are imported."""


class _Open(Struct):
    """A dictionary whose `jobs` are being read."""

    document: Mapping[str, Any]
    array: list[object]
    nodes: list[AnyNode]


class _StrictRetry(Retry, frozen=True, forbid_unknown_fields=True):
    """A `Retry` as a document spells it."""


def read(document: object, find: Find = find_nothing) -> AnyNode:
    """Return the node that a project dictionary describes. Raise `BadNode` with the path to the first mistake.

    `find` returns what a task that is not imported here was deployed as.
    """
    return _Reader("", find=find).read(document)


def read_added(value: object) -> list[AnyNode]:
    """Return the nodes that `addJobs` describes: a list is several, a dictionary is one."""
    if isinstance(value, list | tuple):
        return list(_Reader("", "addJobs").read({"jobs": value}).children)
    return [_Reader("addJobs").read(value)]


def load(path: Path) -> dict[str, Any]:
    """Return the project dictionary in a `.json` or `.toml` file. Raise `BadNode` if the file holds none.

    These files know no tuples: give several arguments as `kwargs`.
    """
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text, object_pairs_hook=_read_pairs)
    except (ValueError, RecursionError) as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise BadNode(f"{path}: not {kind}: {error}") from error
    if not isinstance(document, dict):
        raise BadNode(f"{path}: a project is an object with 'jobs', not a {type(document).__name__}")
    return document


class _Reader:
    """Builds nodes from the leaves up. `name` is what mistakes call the root, `array` what they call its `jobs`."""

    def __init__(self, name: str, array: str = "jobs", find: Find = find_nothing) -> None:
        self.name, self.array, self.find = name, array, find
        self.stack: list[_Open] = []
        self.above: set[int] = set()

    def read(self, document: object) -> AnyNode:
        self._enter(document)
        while True:
            top = self.stack[-1]
            if len(top.nodes) < len(top.array):
                self._enter(top.array[len(top.nodes)])
                continue
            self.stack.pop()
            self.above.discard(id(top.document))
            node = self._build(top)
            if not self.stack:
                return node
            self.stack[-1].nodes.append(node)

    def _enter(self, document: object) -> None:
        if not isinstance(document, Mapping):
            self._refuse(f"a job is a dictionary with 'func' or 'jobs', not {document!r:.80}")
        if id(document) in self.above:
            self._refuse("contains itself")
        array = document.get("jobs")
        if array is None:
            array = []
        elif not isinstance(array, list | tuple):
            self._refuse(f"'jobs' is a list, not {array!r:.80}")
        self._check_keys(document)
        self.above.add(id(document))
        self.stack.append(_Open(document, list(array), []))

    def _check_keys(self, document: Mapping[str, Any]) -> None:
        known = KEYS if self.stack else KEYS | PROJECT_KEYS
        for key in document:
            if key in known or key in WRITTEN_BACK:
                continue
            if key in PROJECT_KEYS:
                self._refuse(f"{key!r} belongs to the project as a whole, not to a job in it")
            near = difflib.get_close_matches(str(key), known, 1)
            self._refuse(f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        if document.get("func") is None and document.get("jobs") is None:
            self._refuse("neither 'func' nor 'jobs'")
        if not isinstance(document.get("previousJobArgs", False), bool):
            self._refuse(f"'previousJobArgs' is true or false, not {document['previousJobArgs']!r}")

    def _build(self, top: _Open) -> AnyNode:
        document, children = top.document, tuple(top.nodes)
        try:
            call = None if document.get("func") is None else look_up(_check_function(document["func"]))
            if call is None:
                return _mark(_with_options(self._group(document, children), document, OPTIONS), document)
            nodes = self._calls(document, call, children)
            if len(nodes) == 1:
                return _mark(_with_options(nodes[0], document, OPTIONS), document)
            each = [_mark(_with_options(node, document, OPTIONS - OF_ALL), document) for node in nodes]
            return _mark(_with_options(group(*each), document, OF_ALL), document)
        except (BadNode, BadTask, BadArguments, TypeError, ValueError) as error:
            self._refuse(str(error), error)

    def _calls(self, document: Mapping[str, Any], call: Call, children: tuple[AnyNode, ...]) -> list[AnyNode]:
        """Return the call that a dictionary describes, or those that "ALL" in its arguments makes of it."""
        kwargs = document.get("kwargs") or {}
        if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
            raise BadNode(f"'kwargs' is a dictionary of argument names, not {kwargs!r:.80}")
        args = document.get("args", ())
        args = args if isinstance(args, tuple) else (args,)
        if document.get("previousJobArgs"):
            if "args" in document:
                where = self._path()
                warnings.warn(f"{where}: 'args' is ignored beside 'previousJobArgs'", UserWarning, stacklevel=6)
            args = ()
        node = Node[Any](call.name, args, dict(kwargs) or None, children, call.how, call.function)
        nodes = self._fan_out(node, call)
        if children and nodes != [node]:
            raise BadNode("'ALL' makes several jobs, which cannot share 'jobs' of their own; put those before it")
        if not document.get("previousJobArgs"):
            for each in nodes:
                check_arguments(call, each.args, each.kwargs or {})
        return nodes

    def _fan_out(self, node: AnyNode, call: Call) -> list[AnyNode]:
        if call.function is not None:
            return fan_out(node, call.fan_out, read_parameters(call.function)) if call.fan_out else [node]
        if ALL not in (*node.args, *(node.kwargs or {}).values()):
            return [node]
        task = self.find(call.name)
        return fan_out(node, task.fan_out, task.parameters) if task else [node]

    def _group(self, document: Mapping[str, Any], children: tuple[AnyNode, ...]) -> AnyNode:
        if stray := sorted({"args", "kwargs"} & document.keys()):
            raise BadNode(f"{stray[0]!r} without a 'func' to give it to")
        return Node(children=children)

    def _refuse(self, mistake: str, cause: Exception | None = None) -> NoReturn:
        raise BadNode(f"{self._path()}: {mistake}") from cause

    def _path(self) -> str:
        """Return where the reader is. Only when asked: the paths of a deep tree together take the square of memory."""
        steps = [f"jobs[{len(top.nodes)}]" for top in self.stack]
        if steps:
            steps[0] = f"{self.array}[{len(self.stack[0].nodes)}]"
        return ".".join([self.name, *steps] if self.name else steps) or "the project"


def _mark(node: AnyNode, document: Mapping[str, Any]) -> AnyNode:
    """Note where a node comes from: what its job returns may then add jobs."""
    policy = msgspec.structs.replace(node.how.policy, project=True)
    return node.changed(policy=policy, previous=bool(document.get("previousJobArgs")))


def _with_options(node: AnyNode, document: Mapping[str, Any], names: Collection[str]) -> AnyNode:
    given = {name: document[name] for name in names if document.get(name) is not None}
    if isinstance(given.get("retry"), Mapping):
        given["retry"] = Retry(**msgspec.structs.asdict(msgspec.convert(given["retry"], _StrictRetry)))
    if given:
        node = node.options(**given)
    if "maxLoop" in document or "sleepTime" in document:
        turns, pause = document.get("maxLoop", 600), document.get("sleepTime", 1)
        if not all(isinstance(number, int | float) and number >= 0 for number in (turns, pause)):
            raise BadNode(f"'maxLoop' and 'sleepTime' are numbers, not {turns!r} and {pause!r}")
        node = node.changed(limit=read_span("'maxLoop' times 'sleepTime'", turns * pause))
    return node


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of a file. TOML refuses by itself what stands there twice."""
    document = dict(pairs)
    if len(document) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise BadNode(f"{twice!r} stands twice in one object")
    return document


def _check_function(function: object) -> Function | str:
    if not callable(function) and not isinstance(function, str):
        raise BadNode(f"'func' is a function or 'module:function', not {function!r:.80}")
    return function
