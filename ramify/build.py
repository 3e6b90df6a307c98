"""Describe work: `job` is one call of a function, `group` and `series` put nodes under one.

What a node means is decided in `graph/`, its options are read in `node.py`. The many faces of `job` say one thing: an
argument is a value, or the node or job that will return one of that type.
"""

import itertools
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Concatenate, Final, Literal, ParamSpec, TypeAlias, TypeVar, overload

from ramify.command import check
from ramify.declared import Parameter
from ramify.errors import BadNode, BadTask
from ramify.node import AnyNode, Node, Ref
from ramify.proc import Proc
from ramify.signature import read_parameters
from ramify.task import check_arguments, look_up

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
    node = Node[Any](call.name, args, kwargs or None, (), call.how, call.function)
    nodes = fan_out(node, call.fan_out, read_parameters(call.function)) if call.function and call.fan_out else [node]
    if kwargs or call.choices or not call.least <= len(args) <= call.most:
        for each in nodes:
            check_arguments(call, each.args, each.kwargs or {})
    return node if nodes == [node] else group(*nodes)


def shell(
    command: str | Sequence[str], *, progress: str | None = None, directory: str | PurePath | None = None
) -> Node[int]:
    """Describe a job that is only a command, and fails unless its exit status is 0; see `current().exec`.

    Only workers that are given the module `ramify.programs` run commands. Raise `BadNode` if it is none.
    """
    given = {"progress": progress, "directory": None if directory is None else str(directory)}
    return Node(RUN, (check(command),), {name: value for name, value in given.items() if value is not None} or None)


def fan_out(node: AnyNode, names: Collection[str], parameters: Sequence[Parameter]) -> list[AnyNode]:
    """Return the calls that one with "ALL" for parameters of these names stands for, one for each combination of the
    values that they allow; the node itself if there is none. `parameters` are all those of its task.
    """
    kwargs = dict(node.kwargs or {})
    places = {
        each.name: place for place, each in enumerate(parameters[: len(node.args)]) if each.kind in ("position", "any")
    }
    values = {name: node.args[place] for name, place in places.items()} | kwargs
    spread = [each for each in parameters if each.name in names and each.allowed and _is_all(values.get(each.name))]
    if not spread:
        return [node]
    nodes: list[AnyNode] = []
    for picked in itertools.product(*(each.allowed or () for each in spread)):
        args, named = list(node.args), dict(kwargs)
        for each, value in zip(spread, picked, strict=True):
            if each.name in places:
                args[places[each.name]] = value
            else:
                named[each.name] = value
        nodes.append(Node(node.task, tuple(args), named or None, (), node.how, node.function))
    return nodes


def _is_all(value: object) -> bool:
    return type(value) is str and value == ALL


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
