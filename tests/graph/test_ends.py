"""How a job ends whose edges are all settled."""

from itertools import permutations, product

import pytest

from ramify.graph.ends import TABLE, decide_end
from ramify.model import ENDED, UNDONE, Edge, Kind, State, When, is_good


def child(number: int, verdict: State) -> Edge:
    """Return an edge from a child."""
    return Edge("job", number, f"child {number}", Kind.CHILD, verdict=verdict)


def after(number: int, verdict: State, when: When = When.DONE) -> Edge:
    """Return an edge that asks for an end."""
    return Edge("job", -1 - number, f"after {number}", Kind.AFTER, when, verdict=verdict)


def test_without_bad_edges() -> None:
    """A job that nothing is wrong with is done, and nobody is the cause."""
    assert decide_end([]) == (State.DONE, None)


@pytest.mark.parametrize("end", sorted(UNDONE))
def test_an_end_that_was_not_asked_for_skips(end: State) -> None:
    """A job is skipped if one it comes after did not end as it asks, however its children ended."""
    assert decide_end([child(0, State.FAILED), after(0, end)]) == (State.SKIPPED, "after 0")


@pytest.mark.parametrize("end", sorted(UNDONE))
def test_a_child_hands_its_end_on(end: State) -> None:
    """A job whose children are done but one ends as that one did."""
    assert (end, "child 0") == decide_end([child(0, end)])


def test_the_worst_child_decides() -> None:
    """Failed goes before cancelled, and cancelled before skipped, wherever they stand."""
    for ends in permutations([State.SKIPPED, State.FAILED, State.CANCELLED]):
        edges = [child(number, end) for number, end in enumerate(ends)]
        assert (State.FAILED, f"child {ends.index(State.FAILED)}") == decide_end(edges)
        edges = [edge for edge in edges if edge.verdict is not State.FAILED]
        assert (State.CANCELLED, f"child {ends.index(State.CANCELLED)}") == decide_end(edges)


def test_the_first_of_equals_is_the_cause() -> None:
    """Among several bad edges of one kind, the first in the order of the array, or of `after`, is named."""
    assert decide_end([child(2, State.FAILED), child(1, State.FAILED)])[1] == "child 1"
    assert decide_end([after(1, State.FAILED), after(0, State.FAILED)])[1] == "after 0"


def test_every_end_is_reached() -> None:
    """Any set of bad edges ends the job, by somebody."""
    for kind, verdict in product(Kind, UNDONE):
        edge = Edge("job", 0, "before", kind, verdict=verdict)
        end, cause = decide_end([edge])
        assert (end in ENDED, cause) == (True, "before")


def test_the_table_covers_every_bad_edge() -> None:
    """The table of the documentation has a line for each kind of bad edge, and none twice."""
    kinds = [(kind, verdict) for _, kind, verdict, _ in TABLE]

    assert len(kinds) == len(set(kinds))
    assert {(Kind.AFTER, None), *((Kind.CHILD, end) for end in UNDONE)} == set(kinds)


@pytest.mark.parametrize(
    ("when", "good"), [(When.DONE, {State.DONE}), (When.ENDED, ENDED), (When.FAILED, {State.FAILED})]
)
def test_which_ends_are_good(when: When, good: set[State]) -> None:
    """An `after` edge gets the end it asks for; a child's is good if the child is done."""
    assert good == {end for end in ENDED if is_good(Kind.AFTER, when, end)}
    assert {State.DONE} == {end for end in ENDED if is_good(Kind.CHILD, when, end)}
