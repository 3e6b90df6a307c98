"""Lengths of time as people write them ("6h", "1h 30m", seconds, a timedelta), and times (a date, seconds since 1970).

Both have bounds, so that whoever adds them, compares them or writes them as dates cannot fail.
"""

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from ramify.errors import BadNode

_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
LONGEST: Final = 1000 * 365.25 * 86400.0
"""Seconds of the longest span: a thousand years."""

FIRST: Final = datetime(1, 1, 1, tzinfo=UTC).timestamp()
LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
"""The first and the last time that is one: later ones have more digits than a date."""

_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(min|[smhdw])\s*")


def read_span(name: str, value: object, least: float = -math.inf) -> float:
    """Return a length of time in seconds. Raise `BadNode` that names it if it is none, or less than `least`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, str):
        seconds = _read_text(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or _is_odd(seconds):
        raise BadNode(f"{name} is a number of seconds, not {value!r}; or a text as '90s', '6h' or '1d 12h'")
    if not -LONGEST <= seconds <= LONGEST:
        raise BadNode(f"{name} is longer than a thousand years; leave it out if it is to be without end")
    if seconds < least:
        raise BadNode(f"{name} is at least {least:g} seconds, not {seconds:g}")
    return float(seconds)


def is_span(value: object) -> bool:
    """Tell whether this is a length of time, and no date."""
    return isinstance(value, timedelta) or (isinstance(value, str) and _read_text(value) is not None)


def read_time(name: str, value: object) -> float:
    """Return a time in seconds since 1970. Raise `BadNode` that names it if it is none of the years 1 to 9999."""
    when = value
    try:
        if isinstance(when, str):
            when = datetime.fromisoformat(when)
        if isinstance(when, datetime):
            when = when.timestamp()
        elif isinstance(when, date):
            when = datetime.combine(when, time()).timestamp()
    except (ValueError, OverflowError, OSError):
        when = None
    if isinstance(when, bool) or not isinstance(when, int | float) or not FIRST <= when <= LAST:
        given = "this number" if isinstance(value, int) else repr(value)
        raise BadNode(
            f"{name} is a date of the years 1 to 9999, as '2030-01-31T08:00:00', or seconds since 1970, not {given}"
        )
    return float(when)


def spell_time(seconds: float) -> str:
    """Return a time as a date, whatever number it is."""
    when = datetime.fromtimestamp(min(max(FIRST, seconds), LAST), UTC)
    return f"{when.replace(tzinfo=None).isoformat(' ', 'seconds')} UTC"


def read_typed(name: str, text: str, least: float = -math.inf) -> float:
    """Return a length of time that was typed, as `read_span` does; a bare number is seconds here."""
    try:
        seconds = float(text)
    except ValueError:
        return read_span(name, text.strip(), least)
    return read_span(name, seconds, least)


def _is_odd(number: object) -> bool:
    return isinstance(number, float) and not math.isfinite(number)


def _read_text(text: str) -> float | None:
    seconds, at = 0.0, 0
    while part := _PART.match(text, at):
        seconds, at = seconds + float(part[1]) * _UNITS[part[2]], part.end()
    return seconds if at and at == len(text) else None
