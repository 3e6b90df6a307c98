"""From nodes to a sketch: numbers in post-order, arguments as JSON, references with their places."""

import enum
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from ramify.codec import decode
from ramify.errors import BadNode, BadValue, Cycle
from ramify.graph.sketch import Flat, sketch
from ramify.model import When
from ramify.node import Node, Ref
from tests.graph.kit import chain, leaf, tree

STORED = "0000000000000000000000000z"


class Colour(enum.Enum):
    """Something that is a key in a dictionary."""

    RED = "red"


@dataclass
class Box:
    """Something that hides a node."""

    content: object


def labels(flats: list[Flat]) -> list[str | None]:
    """Return the labels in order of numbers."""
    return [flat.how.label for flat in flats]


def test_children_come_before_parents() -> None:
    """Nodes are numbered in post-order, children in their order."""
    flats = sketch([tree("top", tree("left", leaf("a"), leaf("b")), leaf("c"))])

    assert labels(flats) == ["a", "b", "left", "c", "top"]
    assert [flat.parent for flat in flats] == [2, 2, 4, 4, -1]
    assert [flat.children for flat in flats] == [[], [], [0, 1], [], [2, 3]]


def test_several_nodes() -> None:
    """Nodes given together keep their order, and none has a parent."""
    flats = sketch([leaf("a"), tree("b", leaf("c")), leaf("d")])

    assert labels(flats) == ["a", "c", "b", "d"]
    assert [flat.parent for flat in flats] == [-1, 2, -1, -1]


def test_one_job_by_itself() -> None:
    """A job that names no other is one flat."""
    assert [Flat("m:f", b"[[1],{}]", leaf("f").how)] == sketch([leaf("f", 1, task="m:f")])


def test_what_is_only_named_belongs_to_who_names_it_first() -> None:
    """An argument, or a node of `after`, that stands nowhere comes before its first user, under it."""
    shared = leaf("shared")

    flats = sketch([tree("top", leaf("a", shared, after=leaf("before")), leaf("b", shared))])

    assert labels(flats) == ["shared", "before", "a", "b", "top"]
    assert [flat.parent for flat in flats] == [2, 2, 4, 4, -1]
    assert flats[2].after == [(1, When.DONE)]
    assert [(0, ["args", 0])] == flats[2].slots == flats[3].slots


def test_what_is_named_and_placed_stays_where_it_is_placed() -> None:
    """Naming a child of some group does not move it, whichever comes first."""
    late = leaf("late")

    flats = sketch([tree("top", leaf("early", late), tree("home", late))])

    assert labels(flats) == ["early", "late", "home", "top"]
    assert [flat.parent for flat in flats] == [3, 2, 3, -1]


def test_shared_node_is_one() -> None:
    """A node in two groups, or twice in one, is one job."""
    shared = leaf("shared")

    flats = sketch([tree("top", tree("a", shared, shared), tree("b", shared))])

    assert labels(flats) == ["shared", "a", "b", "top"]
    assert [flat.children for flat in flats] == [[], [0, 0], [0], [1, 2]]


def test_equal_nodes_are_two() -> None:
    """Two nodes are two jobs, however alike they are."""
    assert len(sketch([tree("top", leaf("a"), leaf("a"))])) == 3


def test_references_at_any_depth() -> None:
    """A node or job inside lists, tuples and dictionaries becomes null, and its place is kept."""
    node, job = leaf("x"), Ref[Any](STORED)

    [_, flat] = sketch([Node("m:f", ([1, (node,)], {"a": [job]}), {"key": {"b": node}})])

    assert decode(flat.args) == [[[1, [None]], {"a": [None]}], {"key": {"b": None}}]
    places = [(0, ["args", 0, 1, 0]), (STORED, ["args", 1, "a", 0]), (0, ["kwargs", "key", "b"])]
    assert sorted(places, key=str) == sorted(flat.slots, key=str)


@pytest.mark.parametrize(
    "key",
    ["plain", 1, 1.5, Colour.RED, uuid.UUID(int=5), datetime(2020, 1, 2, 3, 4)],
    ids=lambda key: type(key).__name__,
)
def test_place_is_spelt_as_the_json_spells_it(key: object) -> None:
    """A reference under a key that is no text is found under what JSON makes of that key."""
    flat = sketch([leaf("f", OrderedDict({key: leaf("x")}))])[-1]

    [(_, [_, _, spelt])] = flat.slots
    assert [[{spelt: None}], {}] == decode(flat.args)


@pytest.mark.parametrize(
    "hide", [Box, lambda node: {node}, lambda node: frozenset([node])], ids=["object", "set", "fs"]
)
def test_reference_that_cannot_be_filled_in_is_refused(hide: Any) -> None:
    """A node inside an object or set is a mistake; the message says where it may stand."""
    with pytest.raises(BadNode, match=r"arguments of m:f: .* in a list or dict"):
        sketch([tree("top", leaf("f", hide(leaf("x"))))])


@pytest.mark.parametrize(
    ("value", "place"), [([1, object()], r"\[0\]\[0\]\[1\]"), ({"a": float("nan")}, r"\[0\]\[0\]\['a'\]")]
)
def test_argument_that_is_no_json_is_refused(value: object, place: str) -> None:
    """What cannot be stored is refused with the task and the place."""
    with pytest.raises(BadValue, match=f"arguments of m:f{place}"):
        sketch([leaf("f", value)])


def test_node_under_itself_is_refused() -> None:
    """A node that was made its own descendant is a cycle."""
    inner = tree("inner", leaf("a"))
    outer = tree("outer", inner)
    inner.children = (outer,)

    with pytest.raises(Cycle, match="group of 1"):
        sketch([outer])


def test_same_node_given_twice_is_refused() -> None:
    """What is added stands in one place of the array; a node given twice would get lost once."""
    node = leaf("a")

    with pytest.raises(BadNode, match="twice"):
        sketch([node, node])


def test_node_given_beside_its_own_group_is_refused() -> None:
    """What is added stands either in the array or under one of its nodes."""
    node = leaf("a")

    with pytest.raises(BadNode, match="<node m:a> stands under <group of 1> and beside it"):
        sketch([tree("b", node), node])


@pytest.mark.parametrize(
    "link",
    [tree, leaf, lambda label, node: leaf(label, after=node), lambda label, node: leaf(label, [[node]])],
    ids=["groups", "arguments", "after", "lists"],
)
def test_depth(link: Any) -> None:
    """A chain of 10,000 nodes is sketched, however it is linked."""
    flats = sketch([chain(10_000, link)])

    assert [str(number) for number in range(10_000)] == labels(flats)
