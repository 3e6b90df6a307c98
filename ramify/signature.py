"""What a function says of its parameters: which there are, what they take, what they are for."""

import enum
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from ramify.codec import annotations, decode, encode
from ramify.declared import Parameter
from ramify.errors import BadArguments, BadValue

_KINDS: Final[dict[Any, Any]] = {
    inspect.Parameter.POSITIONAL_ONLY: "position",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "any",
    inspect.Parameter.VAR_POSITIONAL: "rest",
    inspect.Parameter.KEYWORD_ONLY: "name",
    inspect.Parameter.VAR_KEYWORD: "others",
}
_HELP: Final = re.compile(r"^\s*:param\s+(?:\w+\s+)?(\w+):\s*(.*(?:\n\s+(?!:)\S.*)*)", re.MULTILINE)


@functools.lru_cache(maxsize=4096)
def read_parameters(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """Return the parameters of a function as JSON has them; none if the function does not tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ()
    hints = annotations(function)
    helps = {name: " ".join(text.split()) for name, text in _HELP.findall(_read_doc(function))}
    return tuple(
        _read_parameter(parameter, hints.get(name, parameter.annotation), helps.get(name, ""))  # as written, at worst
        for name, parameter in signature.parameters.items()
    )


def read_help(function: Callable[..., object]) -> str:
    """Return what the docstring says before it comes to the parameters."""
    return re.split(r"^\s*:\w+", _read_doc(function), maxsplit=1, flags=re.MULTILINE)[0].strip()


def _read_doc(function: Callable[..., object]) -> str:
    return inspect.cleandoc(function.__doc__ or "")  # its own, not that of the class that a class is made from


def _read_parameter(parameter: inspect.Parameter, hint: Any, text: str) -> Parameter:
    kind, default = _KINDS[parameter.kind], parameter.default
    bare = default is parameter.empty
    return Parameter(
        parameter.name,
        kind,
        required=bare and kind not in ("rest", "others"),
        type="" if hint is parameter.empty else _spell(hint),
        allowed=_read_allowed(hint),
        default=msgspec.UNSET if bare else _as_json(default),
        help=text,
    )


def _read_allowed(hint: Any) -> tuple[Any, ...] | None:
    """Return the values that an annotation allows: those in a list, a `Literal`, or an `Enum`; None if it is a type."""
    if isinstance(hint, list | tuple | set | frozenset):
        return tuple(map(_as_json, hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return tuple(map(_as_json, hint))
    if typing.get_origin(hint) is typing.Literal:
        return tuple(map(_as_json, typing.get_args(hint)))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [(None,) if part is type(None) else _read_allowed(part) for part in typing.get_args(hint)]
        if all(part is not None for part in parts):
            return tuple(value for part in parts for value in part or ())
    return None


def _spell(hint: Any) -> str:
    if isinstance(hint, str):
        return hint
    return "None" if hint in (None, type(None)) else inspect.formatannotation(hint)


def _as_json(value: object) -> Any:
    """Return a value as JSON brings it back; unset if JSON cannot hold it."""
    try:
        return decode(encode(value))
    except BadValue:
        return msgspec.UNSET


def is_allowed(value: object, allowed: Iterable[Any]) -> bool:
    """Tell whether a value is one of those that a parameter allows."""
    given = _as_json(value)
    return any(given == each and isinstance(given, bool) == isinstance(each, bool) for each in allowed)


def check_values(task: str, parameters: Iterable[Parameter], values: Mapping[str, object]) -> None:
    """Raise `BadArguments` for the first value that its parameter does not allow."""
    for parameter in parameters:
        if parameter.allowed is not None and parameter.name in values:
            value = values[parameter.name]
            if not is_allowed(value, parameter.allowed):
                allowed = ",".join(map(repr, parameter.allowed))
                raise BadArguments(f"{task}: {parameter.name} must be one of {allowed}, not {value!r:.80}")


def bind(
    task: str, parameters: Iterable[Parameter], args: Iterable[Any], kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments of a call by name, defaults included, and the required ones that are missing.

    Raise `BadArguments` for too many, unknown or repeated ones.
    """
    values: dict[str, Any] = {}
    left, missing = list(args), []
    names, open_ended = set[str](), False
    for parameter in parameters:
        names.add(parameter.name)
        if parameter.kind in ("position", "any") and left:
            values[parameter.name] = left.pop(0)
            if parameter.name in kwargs and parameter.kind == "any":
                raise BadArguments(f"{task}: argument {parameter.name!r} is given twice")
        elif parameter.kind == "rest":
            values[parameter.name], left = left, []
        elif parameter.kind == "others":
            open_ended = True
        elif parameter.name in kwargs and parameter.kind != "position":
            values[parameter.name] = kwargs[parameter.name]
        elif parameter.required:
            missing.append(parameter.name)
        elif parameter.default is not msgspec.UNSET:
            values[parameter.name] = parameter.default
    if left:
        raise BadArguments(f"{task} takes {len(names)} arguments, not {len(names) + len(left)}")
    unknown = [name for name in kwargs if name not in names]
    if unknown and not open_ended:
        raise BadArguments(f"{task} has no argument {unknown[0]!r}; there are {', '.join(sorted(names)) or 'none'}")
    return values | {name: kwargs[name] for name in unknown}, missing
