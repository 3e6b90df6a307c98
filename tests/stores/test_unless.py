"""Freshness and uniqueness: a row that is not added because an earlier job stands for it."""

from typing import Any

import pytest

from ramify.errors import NotFound, Taken
from ramify.graph.check import find_violations
from ramify.model import State, Unless, Verb, Which
from ramify.node import AnyNode
from tests.stores.kit import Clock, Desk, leaf, tree


def test_an_unfinished_job_with_the_mark_stands_for_the_new_one(desk: Desk) -> None:
    """As long as it has not ended, there is one job with a mark."""
    desk.add(leaf("first", marks=("red",)))

    aliases = desk.add(leaf("second", unless=Unless("red"), marks=("red",)))

    assert (aliases, desk.states()) == ({"second": "first"}, {"first": "ready"})


def test_a_job_that_has_ended_does_not_count_without_a_time(desk: Desk) -> None:
    """Uniqueness is among unfinished jobs."""
    desk.add(leaf("first", marks=("red",)))
    desk.work()

    assert desk.add(leaf("second", unless=Unless("red"), marks=("red",))) == {}


def test_a_job_done_in_time_is_used_again(desk: Desk, clock: Clock) -> None:
    """Freshness asks whether a job was done within so many seconds, by the store's clock."""
    desk.add(leaf("first", marks=("red",)))
    desk.work()

    clock.advance(60.0)
    fresh = desk.add(leaf("second", unless=Unless("red", 60.0)))
    clock.advance(0.1)
    stale = desk.add(leaf("third", unless=Unless("red", 60.0)))

    assert (fresh, stale) == ({"second": "first"}, {})


def test_a_job_that_was_not_done_is_never_fresh(desk: Desk) -> None:
    """What failed, was cancelled or skipped is done again."""
    desk.add(leaf("first", marks=("red",)))
    desk.run("first", state=State.FAILED)

    assert desk.add(leaf("second", unless=Unless("red", 60.0))) == {}


def test_the_latest_done_then_the_oldest_unfinished_is_used(desk: Desk, clock: Clock) -> None:
    """Of several jobs with the mark, the freshest is taken; if none is fresh, the one that should end first."""
    for name in ("one", "two"):
        desk.add(leaf(name, marks=("red",)))
        clock.advance(1.0)
        desk.work()
    desk.add(leaf("three", marks=("red",)))
    desk.add(leaf("four", marks=("red",)))

    done = desk.add(leaf("a", unless=Unless("red", 60.0)))
    clock.advance(60.1)

    assert (done, desk.add(leaf("b", unless=Unless("red", 60.0)))) == ({"a": "two"}, {"b": "three"})


def test_a_required_job_must_be_there(desk: Desk, clock: Clock) -> None:
    """A row that may only be replaced is never stored: without an earlier job the batch is refused, whole."""
    desk.add(leaf("first", marks=("red",)))
    found = desk.add(leaf("second", unless=Unless("red", required=True)))
    desk.run("first", state=State.FAILED)

    with pytest.raises(NotFound, match="no job of m:third with these arguments"):
        desk.add(tree("new", leaf("third", unless=Unless("red", 60.0, required=True)), leaf("other")))

    assert (found, desk.states()) == ({"second": "first"}, {"first": "failed"})


def test_a_report_that_needs_a_required_job_is_refused(desk: Desk) -> None:
    """The same for what a running job adds; it still runs, and may say how it ends."""
    desk.add(leaf("user"))
    desk.claim()

    reply = desk.exchange(desk.grown("user", desk.need("user", "first", Unless("red", required=True)), "run"))

    assert "bad" == reply.refused[desk.ids["user"]].kind
    assert desk.states() == {"user": "running"}


def test_a_need_is_a_tree_of_its_own(desk: Desk) -> None:
    """What a job needs stands beside its tree: a hold or cancel of who asked first does not reach it."""
    desk.add(tree("top", leaf("user")))
    desk.claim()
    desk.start(Verb.HOLD, "top")

    reply = desk.exchange(desk.grown("user", desk.need("user", "first", Unless("red")), "run"))
    desk.move(Verb.CANCEL, "top")

    assert reply.refused == {}
    assert (desk.state("first"), desk.state("user"), desk.row("first").tree) == (
        "ready",
        "cancelled",
        desk.ids["first"],
    )


def test_a_retried_job_is_not_held_to_the_needs_of_its_last_try(desk: Desk) -> None:
    """Whose need failed is skipped; retried it runs again, to ask anew, though the need still is as it was."""
    desk.add(leaf("user"))
    desk.claim()
    desk.exchange(desk.grown("user", desk.need("user", "first", Unless("red")), "run"))
    desk.run("first", state=State.FAILED)
    desk.work()
    skipped = desk.state("user")

    desk.move(Verb.RETRY, "user")

    assert (skipped, desk.state("first"), desk.claim()) == ("skipped", "failed", ["user"])
    assert not desk.claims["user"].row.grown


def test_a_need_that_is_still_awaited_may_fail_after_a_retry(desk: Desk) -> None:
    """The same for a job that was cancelled while it waited for its need."""
    desk.add(leaf("user"))
    desk.claim()
    desk.exchange(desk.grown("user", desk.need("user", "first", Unless("red")), "run"))
    desk.move(Verb.CANCEL, "user")
    desk.move(Verb.RETRY, "user")
    waits = desk.state("user")

    desk.run("first", state=State.FAILED)

    assert (waits, desk.claim()) == ("waiting", ["user"])


def test_what_a_retried_need_made_skipped_comes_back(desk: Desk) -> None:
    """Who retries the need instead brings back all that were skipped because of it."""
    desk.add(leaf("user"))
    desk.claim()
    desk.exchange(desk.grown("user", desk.need("user", "first", Unless("red")), "run"))
    desk.run("first", state=State.FAILED)
    desk.work()

    desk.move(Verb.RETRY, "first")
    desk.run("first")

    assert desk.claim() == ["user"]


def test_marks_are_compared_whole(desk: Desk) -> None:
    """A job with several marks is found by each of them, and by no other."""
    desk.add(leaf("first", marks=("red", "green")))

    aliases = [desk.add(leaf(mark, unless=Unless(mark))) for mark in ("red", "green", "re", "blue")]

    assert aliases == [{"red": "first"}, {"green": "first"}, {}, {}]


def test_edges_out_of_a_replaced_row_start_at_the_job_that_stands_for_it(desk: Desk) -> None:
    """An alias out of a batch is waited for, and its result handed over; it stays in its own tree."""
    desk.add(tree("old", leaf("first", marks=("red",))))
    second = leaf("second", unless=Unless("red"))

    desk.add(tree("new", second, leaf("user", second)))

    [edge] = desk.store.edges([desk.ids["user"]])
    assert (desk.ids["first"], [["args", 0]]) == (edge.before, edge.slots)
    assert desk.row("old").tree == desk.row("first").tree
    assert desk.work() == ["first", "old", "user", "new"]


def test_an_alias_that_has_ended_counts_at_once(desk: Desk) -> None:
    """Who comes after a job that was done in time does not wait for it."""
    desk.add(leaf("first", marks=("red",)))
    desk.work()

    desk.add(tree("new", leaf("second", unless=Unless("red", 60.0))))

    assert desk.work() == ["new"]


def test_an_alias_may_be_the_last_of_an_array(desk: Desk) -> None:
    """What is added to the array later finds the job that stands there, as its previous one and as its barrier."""
    desk.add(leaf("first", marks=("red",)))
    desk.add(tree("new", leaf("a"), leaf("second", unless=Unless("red")).options(blocking=True)))
    desk.claim(tasks=frozenset({"m:a"}))

    reply = desk.exchange(desk.grown("a", desk.batch(leaf("next", previous=True), into="new")))

    assert reply.refused == {}
    assert (desk.ids["next"], desk.ids["first"]) == (desk.row("new").last, desk.row("new").barrier)
    assert [desk.ids["first"]] == [edge.before for edge in desk.store.edges([desk.ids["next"]])]


def test_an_alias_may_be_the_last_that_was_added(desk: Desk) -> None:
    """The same for an array that a running job extends."""
    desk.add(leaf("first", marks=("red",)))
    desk.add(leaf("a"))
    desk.claim(tasks=frozenset({"m:a"}))

    desk.exchange(desk.grown("a", desk.batch(leaf("second", unless=Unless("red")).options(blocking=True), into="a")))

    assert 2 * (desk.ids["first"],) == (desk.row("a").last, desk.row("a").barrier)


def test_a_replaced_root_is_the_job_that_stands_for_it(desk: Desk) -> None:
    """A whole batch may come down to an earlier job; a request remembers that."""
    desk.add(leaf("first", marks=("red",)))

    assert desk.add(leaf("second", unless=Unless("red")), request="r") == {"second": "first"}
    assert desk.add(leaf("third", unless=Unless("red")), request="r") == {"third": "first"}
    assert desk.states() == {"first": "ready"}


def test_two_children_may_stand_for_one_job(desk: Desk) -> None:
    """The same earlier job may take several places in an array."""
    desk.add(leaf("first", marks=("red",)))
    desk.add(tree("new", leaf("b", unless=Unless("red")), leaf("c", unless=Unless("red"))))
    desk.run("first", state=State.FAILED)
    desk.work()
    failed = desk.state("new")

    desk.move(Verb.RETRY, "first")
    desk.work()

    assert (failed, desk.state("new")) == ("failed", "done")


def test_a_cancel_does_not_reach_an_alias(desk: Desk) -> None:
    """The job that stands for a replaced one belongs to another tree, and lives on."""
    desk.add(tree("old", leaf("first", marks=("red",))))
    desk.add(tree("new", leaf("second", unless=Unless("red")), leaf("b")))

    desk.move(Verb.CANCEL, "new")

    assert desk.states() == {"first": "ready", "old": "waiting", "b": "cancelled", "new": "cancelled"}


def unique(label: str, key: str = "k", **options: Any) -> AnyNode:
    """Describe a job of which there is one at a time."""
    return leaf(label, marks=(f"unique/{key}",), unless=Unless(f"unique/{key}"), **options)


def test_of_two_alike_in_one_batch_the_first_stands_for_the_second(desk: Desk) -> None:
    """It is as if they had come one after the other: what comes after the second waits for the first."""
    second = unique("second")

    aliases = desk.add(tree("top", tree("one", unique("first")), tree("two", second), leaf("user", second)))
    later = desk.add(unique("third"))

    assert (aliases, later) == ({"second": "first"}, {"third": "first"})
    assert 2 * [desk.ids["first"]] == [edge.before for edge in desk.store.edges([desk.ids["two"], desk.ids["user"]])]
    order = desk.work()
    assert ("first", {"one", "two", "user"}, "top") == (order[0], set(order[1:4]), order[4])


def test_two_alike_in_one_batch_go_by_what_was_done(desk: Desk) -> None:
    """Each is looked for with its own time: the one that takes an old result is none that stands for the next one."""
    desk.add(unique("old"))
    desk.work()

    fresh = leaf("fresh", marks=("unique/k",), unless=Unless("unique/k", 60.0))
    aliases = desk.add(tree("top", fresh, unique("new"), unique("newer")))

    assert aliases == {"fresh": "old", "newer": "new"}
    assert desk.work() == ["new", "top"]


def test_two_alike_that_a_job_adds_are_one(desk: Desk) -> None:
    """The same for what a running job adds, under itself and beside itself."""
    desk.add(tree("top", leaf("a")))
    desk.claim()

    under = desk.batch(unique("first"), unique("second"), into="a")
    reply = desk.exchange(desk.grown("a", under, beside=desk.batch(unique("third"), into="top")))

    assert (reply.refused, desk.states().keys()) == ({}, {"top", "a", "first"})
    assert (2, desk.ids["first"]) == (desk.row("a").size, desk.row("a").last)
    assert desk.work() == ["first", "a", "top"]


def test_what_stands_for_another_in_its_batch_may_be_cancelled_and_retried(desk: Desk) -> None:
    """It belongs to its own part of the tree; the other part ends as if it were a shared child."""
    desk.add(tree("top", tree("one", unique("first")), tree("two", unique("second"))))

    desk.move(Verb.CANCEL, "one")
    desk.work()
    cancelled = desk.states()
    desk.move(Verb.RETRY, "top")
    desk.work()

    assert {"first": "cancelled", "one": "cancelled", "two": "cancelled", "top": "cancelled"} == cancelled
    assert set(desk.states().values()) == {"done"}


def test_a_job_that_another_stands_for_is_not_retried(desk: Desk) -> None:
    """There is one unfinished job with a unique mark; the other one may be retried when that has ended."""
    desk.add(unique("first"))
    desk.run("first", state=State.FAILED)
    desk.add(unique("second"), unique("other", "k2"))

    with pytest.raises(Taken, match=f"^job {desk.ids['second']} with the same unique key has not ended"):
        desk.move(Verb.RETRY, "first")
    refused = desk.states()
    desk.check()
    desk.work()

    assert (refused["first"], desk.move(Verb.RETRY, "first"), desk.work()) == ("failed", 1, ["first"])


def test_of_two_alike_one_is_retried(desk: Desk) -> None:
    """Who retries all that failed gets the first of those that must not be there twice."""
    for label in ("first", "second", "third"):
        desk.add(unique(label))
        desk.run(label, state=State.FAILED)

    moved = desk.move(Verb.RETRY, "first", "second", "third")

    assert (moved, desk.states()) == (1, {"first": "ready", "second": "failed", "third": "failed"})


def test_a_tree_comes_back_without_what_another_job_stands_for(desk: Desk) -> None:
    """The retry of a tree brings back the others, and it ends as before because of the one that is left."""
    desk.add(tree("top", unique("first"), leaf("a")))
    desk.work(fail=["first", "a"])
    desk.add(unique("second").options(hold=True))

    moved = desk.move(Verb.RETRY, "top")

    assert (moved, desk.work()) == (1, ["a", "top"])
    assert desk.states() == {"first": "failed", "a": "done", "top": "failed", "second": "held"}


def test_a_parent_that_another_job_stands_for_is_cancelled_by_the_retry_of_its_child(desk: Desk) -> None:
    """The child runs again; its parent does not come back beside the job that has its key."""
    desk.add(unique("first"))
    desk.claim()
    desk.exchange(desk.grown("first", desk.batch(leaf("child"), into="first")))
    desk.work(fail=["child"])
    desk.add(unique("second").options(hold=True))

    moved = desk.move(Verb.RETRY, "child")
    desk.work()

    assert (moved, desk.states()) == (1, {"first": "cancelled", "child": "done", "second": "held"})


def test_a_need_is_added_beside_a_unique_job_that_does_not_satisfy_it(desk: Desk) -> None:
    """What a need asks for is made whatever its own key says; then it goes without that key."""
    desk.add(unique("first").options(hold=True))
    desk.add(leaf("user"))
    desk.claim()
    need = desk.need("user", "needed", Unless("need/1"))
    need.marks[desk.ids["needed"]] = ["need/1", "unique/k"]

    reply = desk.exchange(desk.grown("user", need, "run"))
    aliases = desk.add(unique("second"))

    assert (reply.refused, aliases, desk.state("needed")) == ({}, {"second": "first"}, "ready")


def test_two_unfinished_jobs_with_a_unique_mark_are_found(desk: Desk) -> None:
    """A store that says so was damaged: the doctor names both."""
    batch = desk.batch(leaf("first"), leaf("second"))
    batch.marks = {desk.ids[label]: ["unique/k"] for label in ("first", "second")}
    desk.store.add(batch)
    wrong = find_violations(desk.store.snapshot())
    desk.store.move(Which(), Verb.CANCEL)

    first, second = desk.ids["first"], desk.ids["second"]
    assert wrong == [f"job {second}: is ready, and so is {first}, which bears the same unique mark"]
