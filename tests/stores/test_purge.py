"""Purging: a tree that is over is forgotten, and nothing that anyone still needs."""

import pytest

from ramify.errors import NotFound
from ramify.model import State, Unless, Verb
from tests.stores.kit import Desk, leaf, tree


def test_a_tree_that_is_over_is_forgotten(desk: Desk) -> None:
    """Of a purged tree nothing remains."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b")), leaf("c"), marks=("red",)), request="r")
    desk.work()

    moved = desk.move(Verb.PURGE, "top")

    snapshot = desk.store.snapshot()
    assert (moved, snapshot.rows, snapshot.edges, snapshot.results, snapshot.work) == (1, [], [], {}, [])
    assert desk.add(leaf("again"), request="r") == {}


def test_a_tree_with_an_unfinished_job_stays(desk: Desk) -> None:
    """Nothing is forgotten of a tree that is not over, whatever its root says."""
    desk.add(tree("top", leaf("a")))
    desk.claim()
    desk.move(Verb.CANCEL, "top")

    assert (desk.move(Verb.PURGE, "top"), len(desk.rows())) == (0, 2)


def test_only_roots_are_purged(desk: Desk) -> None:
    """A part of a tree is not forgotten alone."""
    desk.add(tree("top", leaf("a")))
    desk.work()

    assert (desk.move(Verb.PURGE, "a"), len(desk.rows())) == (0, 2)


@pytest.mark.parametrize("end", [State.FAILED, State.CANCELLED])
def test_a_tree_that_others_may_need_again_stays(desk: Desk, end: State) -> None:
    """What a job of another tree came after is kept, with its result, as long as that one is unfinished or retried."""
    desk.add(leaf("first"))
    desk.add(leaf("second", desk.ref("first")))
    desk.run("first")

    while_it_waits = desk.move(Verb.PURGE, "first")
    desk.run("second", state=end)
    while_it_may_be_retried = desk.move(Verb.PURGE, "first")
    desk.move(Verb.PURGE, "second")

    assert (while_it_waits, while_it_may_be_retried, desk.move(Verb.PURGE, "first")) == (0, 0, 1)
    assert desk.rows() == []


def test_a_tree_that_only_what_is_done_came_after_is_forgotten(desk: Desk) -> None:
    """What is done never runs again, whatever becomes of its tree, so it needs nobody any more."""
    desk.add(tree("first", leaf("a")))
    desk.add(tree("second", leaf("b", desk.ref("first")), leaf("c")))
    desk.add(tree("third", leaf("d").options(after=desk.ref("second"), when="ended")))
    desk.work(fail=["c"])

    moved = desk.move(Verb.PURGE, "first")
    desk.move(Verb.RETRY, "second")
    desk.check()

    assert (moved, desk.work(), desk.states().keys()) == (1, ["c", "second"], {"b", "c", "second", "d", "third"})
    assert desk.move(Verb.PURGE, "second") == 1


def test_a_tree_stays_while_others_come_after_a_part_of_it(desk: Desk) -> None:
    """Only edges from a root are looked at, so what came after a part keeps the whole until it is gone itself."""
    desk.add(tree("first", leaf("a")))
    desk.add(leaf("second", desk.ref("a")))
    desk.work()

    before = desk.move(Verb.PURGE, "first")
    desk.move(Verb.PURGE, "second")

    assert (before, desk.move(Verb.PURGE, "first"), desk.rows()) == (0, 1, [])


def test_a_tree_that_is_a_child_of_another_one_stays(desk: Desk) -> None:
    """A job that took the place of one alike is part of that tree's result, until that is gone."""
    desk.add(leaf("first", marks=("red",)))
    desk.add(tree("top", leaf("second", unless=Unless("red")), leaf("b")))
    desk.work()

    before = desk.move(Verb.PURGE, "first")
    desk.check()
    desk.move(Verb.PURGE, "top")

    assert (before, desk.move(Verb.PURGE, "first"), desk.rows()) == (0, 1, [])


def test_what_is_being_purged_can_not_be_waited_for(desk: Desk) -> None:
    """An edge from a job of a tree that is going is refused."""
    desk.add(tree("top", leaf("a"), leaf("b"), leaf("c")))
    desk.work()
    desk.start(Verb.PURGE, "top")

    with pytest.raises(NotFound):
        desk.add(leaf("late").options(after=desk.ref("a")))

    desk.drain()
    assert desk.rows() == []


def test_what_is_being_purged_is_not_found_by_its_mark(desk: Desk) -> None:
    """A job that would stand for a new one does not, once its tree is going: the new one is added."""
    desk.add(tree("top", leaf("old", marks=("red",)), leaf("b"), leaf("c")))
    desk.work()
    desk.start(Verb.PURGE, "top")

    aliases = desk.add(tree("new top", leaf("new", unless=Unless("red", 60.0))))
    desk.drain()

    assert ({}, {"new", "new top"}) == (aliases, desk.states().keys())


def test_what_is_being_purged_is_left_alone(desk: Desk) -> None:
    """A tree that is going cannot be retried, held or cancelled any more."""
    desk.add(tree("top", leaf("a"), leaf("b"), leaf("c")))
    desk.work(fail=["a"])
    desk.start(Verb.PURGE, "top")

    moved = [desk.start(verb, "a", "top") for verb in (Verb.RETRY, Verb.CANCEL, Verb.HOLD, Verb.RELEASE)]
    desk.drain()

    assert (moved, desk.rows()) == ([0, 0, 0, 0], [])


def test_a_retry_that_came_first_saves_the_tree(desk: Desk) -> None:
    """A purge that is reached after a retry in another tree has opened this one forgets nothing."""
    desk.add(leaf("other"))
    desk.add(tree("top", leaf("a").options(after=desk.ref("other"))))
    desk.work(fail=["other"])
    desk.start(Verb.RETRY, "other")
    desk.start(Verb.PURGE, "top")

    desk.drain()

    assert desk.states() == {"other": "ready", "a": "waiting", "top": "waiting"}
    desk.work()
    assert {"done"} == set(desk.states().values())


def test_a_purge_takes_what_was_still_to_be_done(desk: Desk) -> None:
    """A cancel that was on its way through a tree is gone with it."""
    desk.add(tree("top", *[tree(f"g{number}", leaf(f"a{number}")) for number in range(4)]))
    desk.work(fail=["a1"])
    desk.start(Verb.CANCEL, "top")
    desk.start(Verb.PURGE, "top")

    desk.drain()

    snapshot = desk.store.snapshot()
    assert (snapshot.rows, snapshot.edges, snapshot.work) == ([], [], [])


def test_a_job_that_ended_cancelled_and_blocks_nobody_is_forgotten(desk: Desk) -> None:
    """A cancelled tree is over like any other."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.move(Verb.CANCEL, "top")

    assert (desk.move(Verb.PURGE, "top"), desk.rows()) == (1, [])
