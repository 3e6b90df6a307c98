"""What people type: lengths of time, and names that are nearly right."""

import difflib
from collections.abc import Iterable

from ramify.span import read_typed


def read_seconds(option: str, text: str | None) -> float | None:
    """Return a length of time in seconds: `90`, `90s`, `5m`, `1d 12h`. Raise `BadNode` naming the option."""
    return None if text is None else read_typed(option, text, 0)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` if something known is nearly called so, else nothing."""
    close = difflib.get_close_matches(name, list(map(str, known)), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
