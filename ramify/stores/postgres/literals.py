"""Arrays as PostgreSQL reads them: one text for a whole column, which costs a fraction of the driver's own arrays."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

_ODD: Final = re.compile(r'([\\"])')


def names(values: Iterable[str]) -> str:
    """Return an array of ids, verbs and the like, which need no quotes."""
    return "{" + ",".join(values) + "}"


def maybe_names(values: Iterable[str | None]) -> str:
    """Return an array of ids where some are missing."""
    return "{" + ",".join(["NULL" if value is None else value for value in values]) + "}"


def numbers(values: Iterable[float | None]) -> str:
    """Return an array of numbers or truth values."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def blobs(values: Iterable[bytes | None]) -> str:
    """Return an array of bytes."""
    return "{" + ",".join(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Return an array of any texts."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[tuple[Any, ...]]:
    """Return the columns of rows, also if there are no rows."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _quoted(value: str) -> str:
    # PostgreSQL's texts hold every character but this one.
    return '"' + _ODD.sub(r"\\\1", value).replace("\0", "\ufffd") + '"'
