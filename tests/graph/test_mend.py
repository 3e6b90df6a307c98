"""What can be put right follows from the facts alone, and what does not is left as it is."""

import pytest

from ramify.checkup import Mending
from ramify.graph.check import find_violations
from ramify.graph.mend import find_mending
from ramify.model import State, Verb, Work
from tests.graph.test_check import change, change_edge, desk, lose_row
from tests.stores.kit import Desk

__all__ = ["desk"]


def test_a_sound_store_is_left_alone(desk: Desk) -> None:
    """Nothing is to be done, whatever is under way."""
    assert find_mending(desk.store.snapshot()) == Mending()
    for verb, label in [(Verb.RETRY, "old"), (Verb.CANCEL, "new"), (Verb.RELEASE, "held"), (Verb.PURGE, "old")]:
        desk.start(verb, label)
        assert find_mending(desk.store.snapshot()) == Mending()
        while desk.store.drain():
            assert find_mending(desk.store.snapshot()) == Mending()


@pytest.mark.parametrize(
    ("label", "columns"),
    [
        ("new", {"waits": 7}),
        ("old", {"bads": 1}),
        ("n3", {"state": State.WAITING}),
        ("new", {"state": State.READY}),
        ("n2", {"session": "nobody"}),
        ("n2", {"session": None}),
        ("new", {"size": 9}),
        ("new", {"last": "nobody"}),
        ("n3", {"ended": 1.0}),
    ],
)
def test_columns_follow_from_the_facts(desk: Desk, label: str, columns: dict[str, object]) -> None:
    """A row that says something else than its edges and its session is as it should be again."""
    snapshot = desk.store.snapshot()
    change(label, **columns)(snapshot, desk.ids)

    mending = find_mending(snapshot)

    mended = {before.id: after for before, after in mending.rows}
    snapshot.rows = [mended.get(row.id, row) for row in snapshot.rows]
    assert list(mended) == [desk.ids[label]]
    assert find_violations(snapshot) == []


def test_what_was_not_told_is_told_again(desk: Desk) -> None:
    """An edge that an end has not reached gets it from the worklist, which passes over those that have it."""
    snapshot = desk.store.snapshot()
    change_edge("n1", "new", verdict=None)(snapshot, desk.ids)
    change("new", waits=3)(snapshot, desk.ids)

    assert find_mending(snapshot) == Mending(work=[Work(desk.ids["n1"], Verb.SPREAD)])


def test_counters_of_what_is_gone_are_left(desk: Desk) -> None:
    """Nobody knows how a job would have ended whose row is lost, so what waits for it goes on waiting."""
    snapshot = desk.store.snapshot()
    lose_row("n3")(snapshot, desk.ids)

    assert [before.id for before, _ in find_mending(snapshot).rows] == []
