"""Exceptions as text: what a job's failure says, short enough to store and without our own frames."""

import os
import traceback
from types import TracebackType
from typing import Final

from ramify.errors import Fail
from ramify.model import Failure

MAX_MESSAGE: Final = 2_000
MAX_TRACEBACK: Final = 16_000
_HERE: Final = os.path.dirname(os.path.abspath(__file__))
_CONTEXT: Final = os.path.join(os.path.dirname(_HERE), "context.py")


def explain(error: BaseException, kind: str) -> Failure:
    """Return the failure that this exception means, with the user's part of the traceback."""
    text = ""
    if kind == "error" and not isinstance(error, Fail):
        text = _clip_middle("".join(_format(error)))
    return Failure(kind, _clip(_message(error)), names_of(error)[0], text)


def names_of(error: BaseException) -> list[str]:
    """Return the names of the exception's class and its bases, with their modules and without."""
    names: list[str] = []
    for cls in type(error).__mro__[:-1]:
        own = [cls.__qualname__, f"{cls.__module__}.{cls.__qualname__}"]
        names += own if cls.__module__ == "builtins" else own[::-1]
    return [_clip(name) for name in names]


def _message(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001 -- still the user's code: an exception that cannot say what it is
        return f"{type(error).__name__} (its message could not be made)"


def _format(error: BaseException) -> list[str]:
    try:
        return traceback.format_exception(type(error), error, _user_part(error.__traceback__))
    except BaseException:  # noqa: BLE001 -- as above
        return []


def _user_part(frames: TracebackType | None) -> TracebackType | None:
    """Skip the frames of the runner, which come first."""
    part = frames
    while part is not None and _is_ours(part.tb_frame.f_code.co_filename):
        part = part.tb_next
    return part


def _is_ours(filename: str) -> bool:
    return filename.startswith(_HERE) or filename == _CONTEXT


def _clip(text: str, size: int = MAX_MESSAGE) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= size else f"{text[: size - 1]}…"


def _clip_middle(text: str) -> str:
    """Keep the beginning and, above all, the end."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= MAX_TRACEBACK:
        return text
    head = MAX_TRACEBACK // 4
    return f"{text[:head]}\n… {len(text) - MAX_TRACEBACK:,} characters left out …\n{text[-(MAX_TRACEBACK - head) :]}"
