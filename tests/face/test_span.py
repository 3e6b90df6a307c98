"""Lengths of time."""

from datetime import timedelta

import pytest

from ramify.errors import BadNode
from ramify.span import read_span, read_typed


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(5, 5.0), (0.5, 0.5), ("90s", 90.0), ("6h", 21600.0), ("1d 12h", 129600.0), ("1h30m", 5400.0), ("1.5 min", 90.0)],
)
def test_spans(written: object, seconds: float) -> None:
    """Seconds, or numbers with their units, one after the other."""
    assert read_span("within", written) == seconds == read_span("within", timedelta(seconds=seconds))


@pytest.mark.parametrize("written", ["", "6", "h", "6 hours", "6h ago", "-6h", None, True, float("inf")])
def test_what_is_no_span(written: object) -> None:
    """It is refused by the name of what it was for."""
    with pytest.raises(BadNode, match="within is a number of seconds, not"):
        read_span("within", written)


@pytest.mark.parametrize(("typed", "seconds"), [("90", 90.0), (" 1.5 ", 1.5), ("90s", 90.0), (" 1d 12h ", 129600.0)])
def test_what_is_typed(typed: str, seconds: float) -> None:
    """On a command line, in the environment and in a file a bare number is seconds."""
    assert read_typed("--delay", typed) == seconds


@pytest.mark.parametrize(
    ("typed", "mistake"),
    [("-5", "--delay is at least 0 seconds, not -5"), ("nan", "not nan;"), ("1e400", "not inf;"), ("5x", "not '5x'")],
)
def test_what_is_typed_wrong(typed: str, mistake: str) -> None:
    """The mistake is named for what it is: -5 is a number of seconds, and too few."""
    with pytest.raises(BadNode, match=mistake):
        read_typed("--delay", typed, 0)
