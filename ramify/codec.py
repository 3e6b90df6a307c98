"""JSON for arguments and results, and back into the types that annotations name.

msgspec knows dataclasses, datetime, UUID, Decimal, Enum and bytes; paths are added here. What JSON would change in
silence (nan, infinity) or cannot hold is refused with the place where it stands.
"""

import contextlib
import functools
import inspect
import math
import pathlib
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ramify.errors import BadArguments, BadValue, TooLarge
from ramify.model import Value

MAX_BYTES: Final = 1024 * 1024
MAX_LEVELS: Final = 64
"""How many lists and dictionaries may stand in each other in one argument or result."""

_UNENCODABLE: Final = (TypeError, ValueError, OverflowError, RecursionError)
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_TOKEN: Final = re.compile(_STRING.pattern + rb"|[\[\]{}]|[^\s\[\]{},:\"]+")
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


class Blank:
    """What stands in arguments for a value that is known later; it is stored as null and filled in before the run."""

    __slots__ = ()


def _encode_other(value: object) -> object:
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, Blank):
        raise TypeError(f"{value!r} is work to be done, not a value")
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored as JSON")


def _decode_other(wanted: Any, value: object) -> object:
    if isinstance(wanted, type) and issubclass(wanted, pathlib.PurePath) and isinstance(value, str):
        return wanted(value)
    raise TypeError(f"a {wanted} cannot be read from JSON")


_encoder = msgspec.json.Encoder(enc_hook=_encode_other)
_decoder = msgspec.json.Decoder()


def encode(
    value: object, what: str = "value", encoder: msgspec.json.Encoder | None = None, levels: int = MAX_LEVELS
) -> bytes:
    """Return `value` as JSON. Raise `BadValue` naming the place in it, or if it has more than `levels` lists and
    dictionaries in each other, or `TooLarge` above 1 MiB.
    """
    try:
        text = (encoder or _encoder).encode(value)
    except RecursionError:
        raise _too_deep(what) from None
    except _UNENCODABLE as error:
        raise BadValue(f"{what}{_find_bad(value)}: {error}") from error
    # msgspec writes nan and infinity as null; only then is the slow search worth it.
    if b"null" in text and (place := _find(value, _is_odd_float)) is not None:
        raise BadValue(f"{what}{place}: nan and infinity have no form in JSON; store None or a string")
    if len(text) > MAX_BYTES:
        raise TooLarge(
            f"{what} takes {len(text):,} bytes as JSON, more than {MAX_BYTES:,}; store it in a file and pass its path"
        )
    if text.count(b"[") + text.count(b"{") > levels and _is_deeper(text, levels):
        raise _too_deep(what)
    return text


def _is_deeper(text: bytes, levels: int) -> bool:
    """Tell whether more than so many lists and dictionaries stand in each other."""
    brackets = _STRING.sub(b"", text).translate(_SQUARE, _NO_BRACKETS)
    for _ in range(levels):
        brackets = brackets.replace(b"[]", b"")  # the innermost ones, all at once
    return bool(brackets)


def _too_deep(what: str) -> BadValue:
    return BadValue(f"{what}: more than {MAX_LEVELS} lists and dictionaries in each other; keep the value flatter")


def encode_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, what: str) -> tuple[bytes, int]:
    """Return `[args, kwargs]` as JSON with null for every `Blank` in them, and how many there are."""
    blanks = 0

    def blank(value: object) -> object:
        nonlocal blanks
        if isinstance(value, Blank):
            blanks += 1
            return None
        return _encode_other(value)

    # The list of both, and the one that the argument stands in, are not the caller's.
    return encode((args, kwargs or {}), what, msgspec.json.Encoder(enc_hook=blank), MAX_LEVELS + 2), blanks


def encode_result(value: object) -> Value:
    """Return a function's result as it is stored; a tuple stays known as one."""
    return Value(encode(value, "result"), isinstance(value, tuple))


def decode(text: bytes) -> Any:
    """Return the plain value that `text` (JSON) holds. Raise `BadValue` if it is none, which only a forger stores."""
    try:
        return _decoder.decode(text)
    except RecursionError:  # as the result of many groups in each other
        return _decode_deep(text)
    except (ValueError, UnicodeDecodeError) as error:
        raise BadValue(f"what is stored is not JSON: {error}") from error


def _decode_deep(text: bytes) -> Any:
    """Decode without recursion: each scalar by itself, and each list and dictionary from its parts."""
    open_: list[tuple[bytes, list[Any]]] = [(b"", [])]
    try:
        for token in _TOKEN.findall(text):
            if token in (b"[", b"{"):
                open_.append((token, []))
            elif token in (b"]", b"}"):
                kind, parts = open_.pop()
                pairs = zip(parts[::2], parts[1::2], strict=True)
                open_[-1][1].append(parts if kind == b"[" else dict(pairs))
            else:
                open_[-1][1].append(_decoder.decode(token))
        [(_, [whole])] = open_
    except (ValueError, IndexError, TypeError) as error:
        raise BadValue("what is stored is not JSON, and nested deeply") from error
    return whole


def is_json(text: bytes) -> bool:
    """Tell whether a stored text can be decoded."""
    try:
        decode(text)
    except BadValue:
        return False
    return True


def restore(value: Any, annotation: Any, what: str = "value") -> Any:
    """Return a decoded value as the annotated type. Raise `BadArguments` if it does not fit."""
    if annotation is Any or annotation is object or type(value) is annotation:
        return value
    try:
        return msgspec.convert(value, annotation, dec_hook=_decode_other)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise BadArguments(f"{what}: {error}") from error


@functools.lru_cache(maxsize=4096)
def annotations(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the function's annotations as types; those that cannot be resolved here are left out.

    An annotation that is a value (`letter: ['A', 'B'] = 'A'`) says which values are allowed, not a type. Of a class
    that is a task the parameters are those of the constructor, and the result that of its `run`.
    """
    if isinstance(function, type):
        task: Any = function
        return {**annotations(task.__init__), "return": annotations(task.run).get("return", Any)}
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError, SyntaxError):
        hints = {}
        for name, hint in inspect.get_annotations(function).items():
            # One by one: a value among them is no type, and what only type checkers know leaves its argument plain.
            with contextlib.suppress(NameError, TypeError, AttributeError, SyntaxError):
                hints[name] = eval(hint, getattr(function, "__globals__", {})) if isinstance(hint, str) else hint
    return hints


def _is_odd_float(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _find_bad(value: object) -> str:
    def fails(part: object) -> bool:
        if isinstance(part, dict | list | tuple):
            return False
        try:
            _encoder.encode(part)
        except _UNENCODABLE:
            return True
        return False

    return _find(value, fails) or ""


def _find(value: object, matches: Callable[[object], bool]) -> str | None:
    """Return the path to the first part of `value` that matches, as `[2]['name']`; None if there is none."""
    parts: list[tuple[str, object]] = [("", value)]
    seen: set[int] = set()
    while parts:
        path, part = parts.pop()
        if matches(part):
            return path
        if id(part) in seen:
            continue
        if isinstance(part, dict):
            seen.add(id(part))
            parts += reversed([(f"{path}[{key!r}]", inner) for key, inner in part.items()])
        elif isinstance(part, list | tuple | set | frozenset):
            seen.add(id(part))
            parts += reversed([(f"{path}[{index}]", inner) for index, inner in enumerate(part)])
    return None
