"""What a function says of its parameters."""

import enum
from typing import Any, Literal

import pytest

from ramify import BadArguments, job
from ramify.declared import Parameter
from ramify.signature import bind, is_allowed, read_help, read_parameters
from tests.face.later import pick


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


def sample(
    a: int,
    /,
    b: Literal["x", None],
    *rest: str,
    c: Size = Size.SMALL,
    d: Literal["y"] | None = None,
    e: object = object,
    **others: Any,
) -> None: ...


def test_parameters() -> None:
    """Names, how they are given, types as text, values as JSON; a default that is no JSON is left out."""
    expected = [
        ("a", "position", True, "int", None),
        ("b", "any", True, "Literal['x', None]", ("x", None)),
        ("rest", "rest", False, "str", None),
        ("c", "name", False, "tests.face.test_signature.Size", (1, 2)),
        ("d", "name", False, "Optional[Literal['y']]", ("y", None)),
        ("e", "name", False, "object", None),
        ("others", "others", False, "Any", None),
    ]
    found = read_parameters(sample)

    assert expected == [
        (each.name, each.kind, each.required, each.type.replace("typing.", ""), each.allowed) for each in found
    ]
    assert [found[3].default, found[4].default] == [1, None]


def test_annotations_that_are_texts() -> None:
    """Each is read by itself, so that one which nobody knows at run time spoils no other."""
    letter, n, other = read_parameters(pick)

    assert (letter.allowed, n.type, other.type, n.help, other.help) == (
        ("A", "B"),
        "int",
        "Undefined",
        "how many there are",
        "whatever",
    )
    assert read_help(pick) == "Return what came."
    with pytest.raises(BadArguments, match="letter must be one of 'A','B', not 'C'"):
        job(pick, "C")  # type: ignore[arg-type]


def test_true_is_not_one() -> None:
    """A number is not allowed because True is, nor the other way round; an enum's member goes by its value."""
    assert [is_allowed(1, (True,)), is_allowed(True, (1,)), is_allowed(1.0, (1,)), is_allowed(Size.LARGE, (1, 2))] == [
        False,
        False,
        True,
        True,
    ]
    assert not is_allowed(object(), (1,))


PARAMETERS = (
    Parameter("a", "position", required=True),
    Parameter("b", required=True),
    Parameter("c", default=3),
    Parameter("rest", "rest"),
    Parameter("d", "name", default=4),
)


@pytest.mark.parametrize(
    ("args", "kwargs", "values", "missing"),
    [
        ([1, 2], {}, {"a": 1, "b": 2, "c": 3, "rest": [], "d": 4}, []),
        ([1], {"b": 2, "d": 5}, {"a": 1, "b": 2, "c": 3, "rest": [], "d": 5}, []),
        ([1, 2, 3, 4, 5], {}, {"a": 1, "b": 2, "c": 3, "rest": [4, 5], "d": 4}, []),
        ([], {"c": 7}, {"c": 7, "rest": [], "d": 4}, ["a", "b"]),
    ],
)
def test_arguments_by_name(args: list[Any], kwargs: dict[str, Any], values: dict[str, Any], missing: list[str]) -> None:
    """A call that is known by what was declared has its arguments by name, defaults included."""
    assert (values, missing) == bind("m:f", PARAMETERS, args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "mistake"),
    [
        ([1, 2], {"e": 1}, "m:f has no argument 'e'; there are a, b, c, d, rest"),
        ([1, 2], {"b": 1}, "m:f: argument 'b' is given twice"),
    ],
)
def test_arguments_that_do_not_fit(args: list[Any], kwargs: dict[str, Any], mistake: str) -> None:
    """The task and the argument are named."""
    with pytest.raises(BadArguments, match=mistake):
        bind("m:f", PARAMETERS, args, kwargs)
    with pytest.raises(BadArguments, match="m:f takes 1 arguments, not 2"):
        bind("m:f", PARAMETERS[:1], [1, 2], {})
