"""Describe work: `job` is one call of a function, `group` and `series` put nodes under one.

What a node means is decided in `graph/`, its options are read in `node.py`. The many faces of `job` say one thing: an
argument is a value, or the node or job that will return one of that type.
"""

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Concatenate, Final, Literal, ParamSpec, TypeAlias, TypeVar, overload

from ramify.command import check
from ramify.declared import Parameter
from ramify.errors import BadArguments, BadNode, BadTask
from ramify.node import AnyNode, Node, Ref
from ramify.proc import Proc
from ramify.task import Call, check_arguments, look_up

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
RUN: Final = "ramify.programs:run"
Given: TypeAlias = A | Node[A] | Ref[A]

ALL: Final = "ALL"
"""As argument of a task with `fan_out`: one job for each value that the parameter allows."""


@overload
def job(fn: Node[T], /) -> Node[T]: ...
@overload
def job(
    fn: Callable[P, Proc[T]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[P, Awaitable[T]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[P, T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[list[A], P], T],
    a: Sequence[Node[A]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, P], Awaitable[T]],
    a: Given[A],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, P], T],
    a: Given[A],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, B, P], Awaitable[T]],
    a: Given[A],
    b: Given[B],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, B, P], T],
    a: Given[A],
    b: Given[B],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, B, C, P], Awaitable[T]],
    a: Given[A],
    b: Given[B],
    c: Given[C],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, B, C, P], T],
    a: Given[A],
    b: Given[B],
    c: Given[C],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, B, C, D, P], Awaitable[T]],
    a: Given[A],
    b: Given[B],
    c: Given[C],
    d: Given[D],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, B, C, D, P], T],
    a: Given[A],
    b: Given[B],
    c: Given[C],
    d: Given[D],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, B, C, D, E, P], Awaitable[T]],
    a: Given[A],
    b: Given[B],
    c: Given[C],
    d: Given[D],
    e: Given[E],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(
    fn: Callable[Concatenate[A, B, C, D, E, P], T],
    a: Given[A],
    b: Given[B],
    c: Given[C],
    d: Given[D],
    e: Given[E],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Node[T]: ...
@overload
def job(fn: str, /, *args: object, **kwargs: object) -> Node[Any]: ...
def job(fn: Callable[..., Any] | AnyNode | str, /, *args: Any, **kwargs: Any) -> Node[Any]:
    """Describe one call of a function, or one run of a `JobProc` class.

    A node or job as argument means: run after it, and hand over its result.
    A text names the function as "module:function"; if it is not imported here, what was deployed of it is asked when
    the job is stored. Raise `BadTask` if no worker could find the function, `BadArguments` if the arguments do not fit.
    What is a node already, as `shell("…")` is, is returned as it is.
    """
    if isinstance(fn, Node):
        if args or kwargs:
            raise BadNode(f"arguments go with a function; {fn!r} has its own")
        return fn
    try:
        call = look_up(fn)
    except TypeError:  # not hashable, so certainly not a function
        raise BadTask(f"{fn!r} is not a function with a name") from None
    if call.fan_out and any(type(value) is str and value == ALL for value in (*args, *kwargs.values())):
        return _fan_out(call, args, kwargs)
    if kwargs or call.choices or not call.least <= len(args) <= call.most:
        check_arguments(call, args, kwargs)
    return Node(call.name, args, kwargs or None, (), call.how, call.function)


def shell(
    command: str | Sequence[str], *, progress: str | None = None, directory: str | PurePath | None = None
) -> Node[int]:
    """Describe a job that is only a command, and fails unless its exit status is 0; see `current().exec`.

    Only workers that are given the module `ramify.programs` run commands. Raise `BadNode` if it is none.
    """
    given = {"progress": progress, "directory": None if directory is None else str(directory)}
    return Node(RUN, (check(command),), {name: value for name, value in given.items() if value is not None} or None)


def spread(
    fan_out: Sequence[str], choices: Iterable[Parameter], values: Mapping[str, object]
) -> list[dict[str, object]]:
    """Return what to put in place of "ALL" in these arguments: one dictionary for each combination of values."""
    allowed = {each.name: each.allowed or () for each in choices}
    names = [name for name in fan_out if name in allowed and type(values.get(name)) is str and values[name] == ALL]
    return [dict(zip(names, picked, strict=True)) for picked in itertools.product(*(allowed[name] for name in names))]


def _fan_out(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Node[Any]:
    assert call.signature is not None
    try:
        bound = call.signature.bind(*args, **kwargs)
    except TypeError as error:
        raise BadArguments(f"{call.name}{call.signature}: {error}") from None
    nodes = []
    picks = spread(call.fan_out, call.choices, bound.arguments)
    for picked in picks:
        bound.arguments |= picked
        check_arguments(call, bound.args, bound.kwargs)
        nodes.append(Node[Any](call.name, bound.args, bound.kwargs or None, (), call.how, call.function))
    return group(*nodes) if picks != [{}] else nodes[0]


@overload
def group(
    *nodes: Node[T],
    body: None = None,
    fail: Literal["finish", "fast"] = "finish",
    timeout: float | timedelta | None = None,
    label: str | None = None,
) -> Node[list[T]]: ...
@overload
def group(
    *nodes: AnyNode,
    body: Node[B],
    fail: Literal["finish", "fast"] = "finish",
    timeout: float | timedelta | None = None,
    label: str | None = None,
) -> Node[B]: ...
def group(
    *nodes: AnyNode,
    body: AnyNode | None = None,
    fail: Literal["finish", "fast"] = "finish",
    timeout: float | timedelta | None = None,
    label: str | None = None,
) -> AnyNode:
    """Put nodes under one, whose result is the list of theirs, or what `body` returns, which runs after them all.

    One that fails lets the others finish, or with `fail="fast"` has them cancelled. `timeout` is seconds for the whole.
    """
    children = _check_nodes(nodes)
    if body is None:
        return Node(children=children).options(fail=fail, timeout=timeout, label=label)
    _check_nodes([body])
    if body.task is None or body.children:
        raise BadNode(f"the body of a group is one call, as body=job(function), not {body!r}")
    whole = Node(body.task, body.args, body.kwargs, children, body.how, body.function)
    return whole.options(fail=fail, timeout=timeout, label=label)


def series(*nodes: Node[T]) -> Node[list[T]]:
    """Put nodes under one, as `group` does; each runs after the one before is done."""
    return Node[list[T]](children=_check_nodes(nodes)).changed(series=True)


def _check_nodes(nodes: Sequence[object]) -> tuple[AnyNode, ...]:
    for node in nodes:
        if isinstance(node, Ref):
            raise BadNode(f"job {node.id} is stored already; pass it as an argument, or name it with options(after=…)")
        if isinstance(node, list | tuple):
            raise BadNode("a list of nodes is spread: group(*nodes)")
        if not isinstance(node, Node):
            raise BadNode(f"{node!r} is not a node; make one with job(function, …)")
    return tuple(node for node in nodes if isinstance(node, Node))
