"""What people type: lengths of time, and names that are nearly right."""

import difflib
import math
import re
from collections.abc import Iterable
from typing import Final

import typer

SECONDS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
LENGTH: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|m|min|h|d|)")


def read_duration(text: str) -> float:
    """Return a length of time in seconds: `90`, `90s`, `1.5m`, `2h`, `1d`."""
    found = LENGTH.fullmatch(text.strip().lower())
    if found is None or not math.isfinite(seconds := float(found[1]) * SECONDS[found[2]]):
        raise typer.BadParameter(f"{text!r} is not a length of time; write 90, 90s, 5m, 2h or 1d")
    return seconds


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` if something known is nearly called so, else nothing."""
    close = difflib.get_close_matches(name, list(map(str, known)), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
