"""Walks over stored edges: what would make jobs wait for each other is found, with the path."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramify.errors import Cycle
from ramify.graph.walk import check_no_cycle, name_loop


class Edges:
    """Stored successors, and how often they were asked for."""

    def __init__(self, later: Mapping[str, list[str]]) -> None:
        self.later, self.asked = later, list[list[str]]()

    def __call__(self, ids: list[str]) -> dict[str, list[str]]:
        self.asked.append(ids)
        return {id: self.later.get(id, []) for id in ids}


def test_no_loop() -> None:
    """An edge from a job that does not wait for the other one is fine."""
    check_no_cycle("a", ["x"], Edges({"a": ["b"], "x": ["a"]}))


def test_a_job_cannot_wait_for_itself() -> None:
    """The shortest loop is one job."""
    with pytest.raises(Cycle, match="these would wait for each other: a → a"):
        check_no_cycle("a", ["a"], Edges({}))


def test_loop_is_named() -> None:
    """The message names the jobs in the order in which they would wait."""
    edges = Edges({"a": ["b", "c"], "c": ["d"]})

    with pytest.raises(Cycle, match="these would wait for each other: d → a → c → d"):
        check_no_cycle("a", ["x", "d"], edges)


def test_each_job_is_asked_for_once() -> None:
    """Jobs that many paths lead to are walked once, a level at a time."""
    later = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["e"]}

    check_no_cycle("a", ["x"], edges := Edges(later))

    assert edges.asked == [["a"], ["b", "c"], ["d"], ["e"]]


def test_nothing_to_look_for() -> None:
    """Without predecessors nothing is read."""
    check_no_cycle("a", [], edges := Edges({"a": ["b"]}))

    assert edges.asked == []


def test_depth() -> None:
    """A chain of 10,000 jobs is walked, and its message stays readable."""
    edges = Edges({str(number): [str(number + 1)] for number in range(10_000)})

    with pytest.raises(Cycle, match=r"10000 → 0 → 1 → 2 → 3 → \(9992 more\) → ") as refused:
        check_no_cycle("0", ["10000"], edges)

    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("length", [1, 9, 10, 11])
def test_short_loops_are_named_in_full(length: int) -> None:
    """Only the middle of a loop of more than ten is left out."""
    loop = name_loop(range(length), str)

    assert (length > 10) == ("more" in loop)
    assert loop.startswith("0") and loop.endswith(str(length - 1))


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7))), st.sets(st.integers(0, 7), min_size=1))
def test_a_loop_is_found_if_and_only_if_there_is_one(pairs: list[tuple[int, int]], befores: set[int]) -> None:
    """Additions are refused exactly when one of the predecessors can be reached."""
    later: dict[str, list[str]] = {}
    for before, after in pairs:
        later.setdefault(str(before), []).append(str(after))
    reached = {"0"}
    while more := {after for id in reached for after in later.get(id, ())} - reached:
        reached |= more

    try:
        check_no_cycle("0", map(str, befores), Edges(later))
        found = False
    except Cycle:
        found = True

    assert (bool(reached & set(map(str, befores)))) == found
