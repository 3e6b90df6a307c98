"""What a job needs: which earlier jobs satisfy it, which one is made if there is none, and marks to find them by.

A mark stands for a task and some arguments by name and value. A job bears one for every set of argument names that a
known need asks of its task, so that matching by a subset of arguments is one look-up.
"""

import hashlib
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from ramify.codec import decode, encode
from ramify.declared import Declaration, Given, Need, Parameter
from ramify.errors import BadNode, BadValue

OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Wanted(Struct):
    """A job that is needed: how it is found, how it is called if it is made, and what is missing for that."""

    task: str
    values: dict[str, Any]
    within: float
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    missing: list[str] = []

    @property
    def mark(self) -> str:
        """What an earlier job must bear to be used."""
        return make_mark("need", self.task, self.values)


def make_mark(kind: str, task: str, values: object) -> str:
    """Return the mark of a task and some arguments: the same for the same values, in whatever order they are."""
    text = task.encode() + b"\n" + _encode(_whole(values))
    return f"{kind}/{hashlib.sha256(text).hexdigest()[:32]}"


def _whole(value: Any) -> Any:
    """Return a JSON value in which a number has one form: 2.0 is 2."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(inner) for inner in value]
    return value


def marks_for(task: str, asked: Iterable[Sequence[str]], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the marks of a job for the sets of names that are asked of its task, as far as its values are known."""
    return tuple(
        make_mark("need", task, {name: values[name] for name in names})
        for names in asked
        if all(name in values for name in names)
    )


def collect_asked(needs: Iterable[Need]) -> dict[str, set[tuple[str, ...]]]:
    """Return the sets of argument names that these needs ask, by task."""
    asked: dict[str, set[tuple[str, ...]]] = {}
    for need in needs:
        asked.setdefault(need.task, set()).add(tuple(sorted(given.name for given in need.given)))
    return asked


def resolve(needs: Iterable[Need], own: Mapping[str, Any], find: Callable[[str], Declaration | None]) -> list[Wanted]:
    """Return what a job with these arguments needs; what another need of it satisfies as well is left out.

    Raise `BadNode` with a sentence if that cannot be said.
    """
    wanted: list[Wanted] = []
    for need in needs:
        declaration = find(need.task)
        if declaration is None:
            raise BadNode(f"it needs {need.task}, which is neither served by its worker nor deployed")
        values = {given.name: _evaluate(given, own) for given in need.given}
        each = Wanted(need.task, values, need.within)
        each.args, each.kwargs, each.missing = complete(declaration, values)
        wanted.append(each)
    return [each for place, each in enumerate(wanted) if not _is_satisfied(each, place, wanted)]


def _is_satisfied(each: Wanted, place: int, wanted: Sequence[Wanted]) -> bool:
    """Tell whether any job that satisfies another one of these satisfies this; of two alike the first one stays."""
    others = [(at, other) for at, other in enumerate(wanted) if at != place and other.task == each.task]
    return any(_covers(other, each) and (at < place or not _covers(each, other)) for at, other in others)


def _covers(one: Wanted, other: Wanted) -> bool:
    return one.within <= other.within and other.values.items() <= one.values.items()


def _evaluate(given: Given, own: Mapping[str, Any]) -> Any:
    if given.same is None:
        return given.value
    if given.name not in own:
        raise BadNode(f"it has no argument {given.name!r} that `same` could stand for")
    value = own[given.name]
    for sign, operand in given.same:
        try:
            value = OPERATORS[sign](value, operand)
        except (TypeError, ArithmeticError, ValueError) as error:
            raise BadNode(
                f"argument {given.name!r} of what it needs: {value!r:.80} {sign} {operand!r}: {error}"
            ) from None
    try:
        return _whole(decode(encode(value)))
    except BadValue as error:
        raise BadNode(f"argument {given.name!r} of what it needs: {error}") from None


def complete(declaration: Declaration, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any], list[str]]:
    """Return how a needed job is called: what the need gives, else the defaults, else the first allowed value; and
    which required arguments are missing.
    """
    args, kwargs, missing = list[Any](), dict(values), list[str]()
    left_out: list[Parameter] = []
    for parameter in declaration.parameters:
        name = parameter.name
        if name not in kwargs and parameter.required:
            if parameter.allowed:
                kwargs[name] = parameter.allowed[0]
            elif parameter.type == "None":
                kwargs[name] = None
            else:
                missing.append(name)
        if parameter.kind != "position":
            continue
        if name in kwargs:  # what goes by position needs all before it
            missing += [each.name for each in left_out if not each.required and each.default is msgspec.UNSET]
            args += [*(each.default for each in left_out), kwargs.pop(name)]
            left_out = []
        else:
            left_out.append(parameter)
    return args, kwargs, missing


def say_impossible(task: str, need: str, missing: Sequence[str]) -> str:
    """Return why a need can never be created, and the remedy."""
    names = ", ".join(f"`{name}`" for name in missing)
    return (
        f"{task} → {need} cannot be created automatically: required {names} has no value; "
        "name it in needs(…), or give it a default"
    )


def find_loops(needs: Mapping[str, Iterable[Need]]) -> list[list[str]]:
    """Return the tasks that need themselves in the end, each loop once, as the tasks on the way."""
    loops: list[list[str]] = []
    over: set[str] = set()
    for start in sorted(needs):
        path: list[str] = []
        todo: list[tuple[str, bool]] = [(start, False)]
        while todo:
            task, leaves = todo.pop()
            if leaves:
                over.add(path.pop())
            elif task in path:
                loops.append([*path[path.index(task) :], task])
            elif task not in over:
                path.append(task)
                todo.append((task, True))
                todo += [(other, False) for other in sorted({need.task for need in needs.get(task, ())}, reverse=True)]
    return loops
