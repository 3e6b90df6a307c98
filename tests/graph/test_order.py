"""Edges that others imply are left out, and nothing else is."""

from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ramify.node import Ref
from tests.graph.kit import Arrow, Plan, leaf, series, tree

STORED = "0000000000000000000000000z"


def test_implied_edge_is_dropped() -> None:
    """Whoever waits for b, which waits for a, need not wait for a."""
    a = leaf("a")
    b = leaf("b", after=a)

    plan = Plan(tree("top", a, b, leaf("c", after=[a, b])))

    assert {("a", "b"), ("b", "c")} == plan.waits().keys()


def test_edge_implied_by_a_long_chain_is_dropped() -> None:
    """However many jobs lie between."""
    nodes = [leaf(str(number)) for number in range(50)]

    plan = Plan(series("top", *nodes, leaf("last", after=nodes[0])))

    assert {"49"} == plan.before("last")


def test_edge_that_a_result_travels_on_is_kept() -> None:
    """What hands over a result is never dropped."""
    a = leaf("a")
    b = leaf("b", after=a)

    plan = Plan(tree("top", a, b, leaf("c", a, after=b)))

    assert {"a", "b"} == plan.before("c")


def test_edge_with_another_end_is_kept() -> None:
    """Waiting for a to end in any way is not implied by waiting for b, which is skipped if a fails."""
    a = leaf("a")
    b = leaf("b", after=a)

    plan = Plan(tree("top", a, b, leaf("c", after=a, when="ended").options(after=b)))

    assert plan.waits() == {("a", "c"): "ended", ("b", "c"): "done", ("a", "b"): "done"}


def test_edge_around_one_with_another_end_is_kept() -> None:
    """That b runs after a failed says nothing of a's being done."""
    a = leaf("a")
    b = leaf("b", after=a, when="ended")

    plan = Plan(tree("top", a, b, leaf("c", after=[a, b])))

    assert {"a", "b"} == plan.before("c")


def test_edges_from_stored_jobs_are_kept() -> None:
    """What a stored job waits for is not looked at."""
    b = leaf("b", after=Ref(STORED))

    plan = Plan(tree("top", b, leaf("c", after=[Ref(STORED), b])))

    assert {STORED, "b"} == plan.before("c")


def test_child_edges_are_kept() -> None:
    """A group has an edge from each child, whatever the children wait for."""
    plan = Plan(series("top", leaf("a"), leaf("b"), leaf("c")))

    assert plan.children("top") == ["a", "b", "c"]


@st.composite
def orders(draw: Any) -> tuple[list[tuple[int, int, str]], set[tuple[int, int]]]:
    """Return edges among up to 7 jobs, with the end each asks for, and which of them carry a result."""
    pairs = draw(st.lists(st.sampled_from(list(combinations(range(7), 2))), unique=True))
    edges = [(a, b, draw(st.sampled_from(["done", "done", "done", "ended", "failed"]))) for a, b in pairs]
    return edges, {(a, b) for a, b, when in edges if when == "done" and draw(st.integers(0, 4)) == 0}


@settings(max_examples=60)
@given(orders(), st.permutations(range(7)))
def test_what_is_left_says_the_same(
    order: tuple[list[tuple[int, int, str]], set[tuple[int, int]]], stands: list[int]
) -> None:
    """The edges that are left imply exactly those that were asked for, and no plain one is implied by others."""
    edges, carrying = order
    nodes = [leaf(str(number)) for number in range(7)]
    for a, b, when in edges:
        node = nodes[b]
        if (a, b) in carrying:
            node.args = (*node.args, nodes[a])
        else:
            node.how = node.options(after=nodes[a], when=when).how

    plan = Plan(tree("top", *[nodes[number] for number in stands]))

    asked = {(str(a), str(b)): when for a, b, when in edges}
    assert closure(asked) == closure(plan.waits())
    assert plan.waits().items() <= asked.items()
    for arrow in asked.keys() - plan.waits().keys():
        assert asked[arrow] == "done"
    plain = {(a, b): "done" for a, b in strict(plan.waits()) if (int(a), int(b)) not in carrying}
    for arrow in plain:
        assert arrow not in closure({other: "done" for other in plain if other != arrow})


def strict(waits: dict[Arrow, str]) -> set[Arrow]:
    """Return the edges that ask for `done`."""
    return {arrow for arrow, when in waits.items() if when == "done"}


def closure(waits: dict[Arrow, str]) -> set[Arrow]:
    """Return all pairs that chains of `done` edges connect."""
    found = strict(waits)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found
