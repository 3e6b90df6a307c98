"""Lengths of time as people write them: "6h", "1h 30m", seconds, or a timedelta."""

import math
import re
from datetime import timedelta
from typing import Final

from ramify.errors import BadNode

_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(min|[smhdw])\s*")


def read_span(name: str, value: object, least: float = -math.inf) -> float:
    """Return a length of time in seconds. Raise `BadNode` that names it if it is none, or less than `least`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, str):
        seconds = _read_text(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise BadNode(f"{name} is a number of seconds, not {value!r}; or a text as '90s', '6h' or '1d 12h'")
    if seconds < least:
        raise BadNode(f"{name} is at least {least:g} seconds, not {seconds:g}")
    return float(seconds)


def read_typed(name: str, text: str, least: float = -math.inf) -> float:
    """Return a length of time that was typed, as `read_span` does; a bare number is seconds here."""
    try:
        seconds = float(text)
    except ValueError:
        return read_span(name, text.strip(), least)
    return read_span(name, seconds, least)


def _read_text(text: str) -> float | None:
    seconds, at = 0.0, 0
    while part := _PART.match(text, at):
        seconds, at = seconds + float(part[1]) * _UNITS[part[2]], part.end()
    return seconds if at and at == len(text) else None
