"""Marks, what a need means for certain arguments, and loops among needs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ramify.declared import Declaration, Given, Need, Parameter
from ramify.errors import BadNode
from ramify.graph.need import collect_asked, complete, find_loops, make_mark, marks_for, resolve, say_impossible

FOO = Declaration(name="m:foo", parameters=(Parameter("path", required=True), Parameter("n", default=1)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def find(name: str) -> Declaration | None:
    """Return the one task there is."""
    return {"m:foo": FOO}.get(name)


def need(within: float = 60.0, **values: Any) -> Need:
    """Return a need of that task; a text `same` stands for `same`."""
    given = tuple(Given(k, same=()) if v == "same" else Given(k, v) for k, v in sorted(values.items()))
    return Need("m:foo", within, given)


def test_a_mark_is_of_values_in_any_order() -> None:
    """Equal values give equal marks, whatever order they are in and however a number is written."""
    marks = {make_mark("need", "m:f", {"a": 2, "b": [{"y": 1.0, "x": "ü"}]})}
    marks.add(make_mark("need", "m:f", {"b": [{"x": "ü", "y": 1}], "a": 2.0}))

    assert len(marks) == 1
    assert all(mark.startswith("need/") and len(mark) == 37 for mark in marks)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_marks_of_other_values_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two marks are equal if the values are, True and 1 being two things."""
    same = repr(sorted(one.items())) == repr(sorted(other.items()))

    if same:
        assert make_mark("need", "m:f", one) == make_mark("need", "m:f", other)
    elif one != other:
        assert make_mark("need", "m:f", one) != make_mark("need", "m:f", other)


def test_a_job_bears_a_mark_for_each_set_that_is_asked() -> None:
    """But not for one of which a value is not known."""
    asked = collect_asked([need(path="p"), need(path="q"), need(path="p", n=1), need(), need(unknown=1)])

    assert asked == {"m:foo": {("path",), ("n", "path"), (), ("unknown",)}}
    marks = marks_for("m:foo", sorted(asked["m:foo"]), {"path": "p", "n": 1})
    expected = [{}, {"path": "p", "n": 1}, {"path": "p"}]
    assert sorted(marks) == sorted(make_mark("need", "m:foo", values) for values in expected)


def test_what_another_need_satisfies_is_left_out() -> None:
    """A need that asks for less, or for longer ago, is met by the job of one that asks for more."""
    strict = need(30.0, path="p", n=2)

    def asked(*needs: Need) -> list[tuple[dict[str, Any], float]]:
        return [(each.values, each.within) for each in resolve(needs, {}, find)]

    assert asked(need(60.0, path="p"), strict) == [({"path": "p", "n": 2}, 30.0)]
    assert asked(strict, strict) == [({"path": "p", "n": 2}, 30.0)]
    assert len(asked(need(10.0, path="p"), strict)) == 2
    assert len(asked(need(60.0, path="q"), strict)) == 2
    assert len(asked(need(60.0, path=["unhashable"]), need(60.0, path=["unhashable"]))) == 1


def test_steps_of_same() -> None:
    """They are done one after the other; what is whole stays whole."""
    changed = Need("m:foo", 1.0, (Given("n", same=(("+", 1), ("*", 4), ("/", 2), ("-", 1))),))

    [wanted] = resolve([changed], {"n": 2}, find)

    assert (wanted.values, type(wanted.values["n"])) == ({"n": 5}, int)


@pytest.mark.parametrize(
    ("given", "own", "mistake"),
    [
        (Given("n", same=()), {}, "it has no argument 'n'"),
        (Given("n", same=(("/", 0),)), {"n": 1}, "argument 'n' of what it needs: 1 / 0: division by zero"),
        (Given("n", same=(("-", 1),)), {"n": "x"}, "argument 'n' of what it needs: 'x' - 1"),
        (Given("n", same=(("*", 1e308),)), {"n": 1e308}, "nan and infinity"),
    ],
)
def test_what_cannot_be_said(given: Given, own: dict[str, Any], mistake: str) -> None:
    """It comes out as a sentence."""
    with pytest.raises(BadNode, match=mistake):
        resolve([Need("m:foo", 1.0, (given,))], own, find)


def test_an_unknown_task() -> None:
    """A need of a task that nobody knows is a sentence, too."""
    with pytest.raises(BadNode, match="it needs m:bar, which is neither served by its worker nor deployed"):
        resolve([Need("m:bar")], {}, find)


def test_how_a_needed_job_is_called() -> None:
    """By what the need gives; without default by the first allowed value, or None if that is the type."""
    task = Declaration(
        name="m:bar",
        parameters=(
            Parameter("first", "position", required=True, allowed=("x", "y")),
            Parameter("second", required=True),
            Parameter("third", required=True, type="None"),
            Parameter("fourth", "name", default=4),
            Parameter("rest", "rest"),
        ),
    )

    assert complete(task, {"second": 2}) == (["x"], {"second": 2, "third": None}, [])
    assert complete(task, {"fourth": 5})[2] == ["second"]


def test_what_goes_by_position_keeps_its_place() -> None:
    """Defaults before an argument that is given are given too; one that is no JSON cannot be."""
    one, two = (Parameter(name, "position", default=n) for n, name in enumerate(("one", "two")))
    task = Declaration(name="m:f", parameters=(one, two, Parameter("three", "position", default=3)))

    assert complete(task, {"two": 5}) == ([0, 5], {}, [])
    assert complete(task, {}) == ([], {}, [])
    odd = replace(task, parameters=(Parameter("odd", "position"), two))
    assert complete(odd, {"two": 5})[2] == ["odd"]
    assert say_impossible("m:a", "m:bar", ["second"]).startswith(
        "m:a → m:bar cannot be created automatically: required `second` has no value; "
    )


def test_loops() -> None:
    """Each loop is found once, also one of a task with itself; a chain of any length is none."""
    needs = {"a": [Need("b")], "b": [Need("c"), Need("d")], "c": [Need("a")], "d": [Need("d")], "e": [Need("a")]}

    assert find_loops(needs) == [["a", "b", "c", "a"], ["d", "d"]]
    assert find_loops({str(n): [Need(str(n + 1))] for n in range(5000)}) == []
