"""How deep a value may be, and what is read whatever its depth."""

import json
from typing import Any

import pytest

from ramify import BadNode, BadValue, Job, Ramify, job
from ramify.codec import decode, encode
from tests.face.tasks import double


def nest(levels: int) -> Any:
    """Return so many lists and dictionaries in each other, with brackets in their keys."""
    value: Any = 1
    for level in range(levels):
        value = {'a["{': 0, "b": value} if level % 2 else [0, value, "]\\"]
    return value


@pytest.mark.parametrize("levels", [1, 2, 3, 63, 64])
def test_64_levels_fit(levels: int) -> None:
    """However many lists stand beside each other."""
    assert decode(encode(nest(levels))) == nest(levels)
    assert encode([[[]]] * 1000)
    assert encode("[" * 1000)


@pytest.mark.parametrize("levels", [65, 66, 940, 1200, 100_000])
def test_more_levels_are_refused(levels: int) -> None:
    """As a value, and by the name of the task whose argument it is."""
    with pytest.raises(BadValue, match="result: more than 64 lists and dictionaries in each other"):
        encode(nest(levels), "result")


def test_arguments_have_as_many_levels_as_results(app: Ramify) -> None:
    """One deeper is refused, and the message names the task."""
    assert app.enqueue("m:f", nest(64), more=nest(64)).state == "ready"
    with pytest.raises(BadValue, match="arguments of m:f: more than 64 lists"):
        app.enqueue("m:f", nest(65))
    with pytest.raises(BadValue, match="arguments of m:f: more than 64 lists"):
        app.enqueue({"func": "m:f", "kwargs": {"x": nest(65)}})


@pytest.mark.parametrize("levels", [100, 3000])
def test_what_is_stored_is_read_at_any_depth(levels: int) -> None:
    """Nothing recurses, and what is no JSON is none at any depth."""
    inner = {"a[": [1.5, None, '\\"[', True], "b": {}}
    value = decode(b"[" * levels + json.dumps(inner).encode() + b"]" * levels)
    for _ in range(levels):
        [value] = value

    assert value == inner
    for wrong in (b"[" * levels, b"[" * levels + b"x" + b"]" * levels, b"]" * levels, b"[" * levels + b"{1}"):
        with pytest.raises(BadValue, match="what is stored is not JSON"):
            decode(wrong)


def test_a_timeout_passes(app: Ramify) -> None:
    """One that is no number would never do so."""
    held: Job[int] = app.enqueue(job(double, 1).options(hold=True))
    with pytest.raises(BadNode, match="timeout is a number of seconds, not nan"):
        held.result(timeout=float("nan"))
