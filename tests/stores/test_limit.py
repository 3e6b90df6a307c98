"""Limits: how many jobs run at once, for a task, a queue, a slot name, and all."""

import os

import pytest

from ramify.model import Rule, Session, Verb
from tests.stores.kit import Clock, Desk, leaf, tree


@pytest.mark.parametrize("name", ["all", "queue:q", "task:m:t", "slot:s"])
def test_a_limit_holds_at_every_instant(desk: Desk, name: str) -> None:
    """No more jobs run than a limit allows, and as one ends the same step starts the next."""
    desk.store.limit(name, Rule(2))
    for label in "abcd":
        desk.add(leaf(label, task="m:t", queue="q", slot="s"))

    first = desk.claim(queues=["q"])
    second = desk.claim(queues=["q"])
    reply = desk.exchange(desk.ended("a"), n=9, queues=("q",))

    assert (["a", "b"], [], [desk.ids["c"]]) == (first, second, [claim.row.id for claim in reply.claims])


def test_others_are_not_touched_by_a_limit(desk: Desk) -> None:
    """A limit concerns what it names."""
    desk.store.limit("task:m:a", Rule(0))
    desk.add(leaf("a"))
    desk.add(leaf("b"))

    assert desk.claim() == ["b"]


def test_zero_suspends_and_none_lifts(desk: Desk) -> None:
    """A limit of zero lets nothing start; removing it lets everything start."""
    desk.add(leaf("a"))
    desk.store.limit("all", Rule(0))
    before = desk.claim()

    desk.store.limit("all", None)

    assert (before, desk.claim()) == ([], ["a"])


def test_lowering_a_limit_stops_starts_and_kills_nothing(desk: Desk) -> None:
    """What runs goes on; nothing starts before fewer run than the limit."""
    for label in "abcd":
        desk.add(leaf(label))
    desk.claim(n=3)
    desk.store.limit("all", Rule(1))

    desk.end("a", "b")
    full = desk.claim()
    desk.end("c")

    assert (full, desk.claim()) == ([], ["d"])


def test_ends_take_no_slot(desk: Desk) -> None:
    """A job that is only to be ended is claimed whatever the limits, and counts against none."""
    desk.store.limit("all", Rule(1))
    desk.add(tree("done group"))
    desk.add(leaf("a"))
    desk.add(leaf("b"))

    assert desk.claim() == ["done group", "a"]
    assert desk.claim() == []


def test_a_slot_cannot_leak(desk: Desk) -> None:
    """Whatever way a job stops running, its slot is free again."""
    desk.store.limit("all", Rule(1))
    desk.enter("other")
    for label in "abcd":
        desk.add(leaf(label))
    desk.claim()
    desk.exchange(desk.back("a"))
    desk.claim()
    desk.exchange(desk.grown("a", desk.batch(leaf("child"), into="a")))
    desk.claim()
    desk.move(Verb.CANCEL, "child")
    desk.exchange(desk.again("child"))
    desk.claim(ends=0)
    desk.store.leave("s")
    [claim] = desk.store.adopt("other", 1)
    desk.claims["b"] = claim
    desk.exchange(desk.back("b"), session="other")

    assert desk.claim(session="other", ends=0) == ["b"]


def test_limits_can_be_read(desk: Desk) -> None:
    """The limits in force are part of what a store says of itself."""
    desk.store.limit("all", Rule(5))
    desk.store.limit("queue:a", Rule(0))
    desk.store.limit("all", Rule(7))
    desk.store.limit("task:m:a", None)

    assert {"all": Rule(7), "queue:a": Rule(0)} == desk.store.info().limits


def test_the_best_jobs_get_the_last_slots(desk: Desk) -> None:
    """A limit over several lanes admits jobs in the order of claims, not lane by lane."""
    desk.store.limit("all", Rule(2))
    desk.add(leaf("low").options(priority=-1))
    desk.add(leaf("plain"))
    desk.add(leaf("high").options(priority=1))

    assert desk.claim() == ["high", "plain"]


def test_lanes_without_room_are_not_scanned(desk: Desk) -> None:
    """A full task does not hide what another one has ready behind it."""
    desk.store.limit("task:m:h", Rule(0))
    desk.add(tree("heavy", *[leaf(f"h{number}", task="m:h") for number in range(1000)]))
    desk.add(leaf("light"))

    assert desk.claim(n=1) == ["light"]


def test_a_limit_survives_opening_the_store_again(desk: Desk) -> None:
    """A limit is kept in the store, and what runs counts, whoever looks."""
    desk.store.limit("all", Rule(1))
    desk.add(leaf("a"))
    desk.add(leaf("b"))
    desk.claim()
    desk.reopen()

    assert desk.claim() == []


def test_a_suspension_leaves_the_limit_alone(desk: Desk) -> None:
    """What is suspended beside its limit has that limit again when it goes on."""
    desk.store.limit("queue:q", Rule(1))
    desk.store.limit("suspended:queue:q", Rule(0))
    for label in "ab":
        desk.add(leaf(label, queue="q"))
    suspended = desk.claim(queues=["q"])

    desk.store.limit("suspended:queue:q", None)

    assert (suspended, desk.claim(queues=["q"])) == ([], ["a"])
    assert {"queue:q": Rule(1)} == desk.store.info().limits


def test_a_limit_may_end_by_itself(desk: Desk) -> None:
    """A limit with a time counts until then, and is listed with it."""
    desk.store.limit("suspended:all", Rule(0, desk.clock() + 60.0))
    desk.add(leaf("a"))
    before = desk.claim()
    desk.clock.advance(60.0)

    assert (before, desk.claim()) == ([], ["a"])
    assert [1_000_060.0] == [rule.until for rule in desk.store.info().limits.values()]


def test_a_dead_session_is_seen_before_anybody_declares_it_dead(desk: Desk) -> None:
    """Who only looks learns that a lease is over."""
    desk.enter("s")
    alive = desk.store.info().lost
    desk.clock.advance(60.0)

    assert ([], [session.id for session in desk.store.info().sessions]) == (alive, desk.store.info().lost)


def test_a_limit_set_by_hand_goes_before_a_declared_one(desk: Desk) -> None:
    """What a task declares holds until somebody says otherwise, more or less; lifting that brings it back."""
    for label in "abcdef":
        desk.add(leaf(label, task="m:t"))
    desk.store.limit("declared:task:m:t", Rule(1))
    declared = desk.claim()
    desk.store.limit("task:m:t", Rule(3))
    by_hand = desk.claim()
    desk.end(*declared, *by_hand)

    desk.store.limit("task:m:t", None)

    assert (declared, by_hand, desk.claim()) == (["a"], ["b", "c"], ["d"])


def test_a_suspension_leaves_limits_as_they_are(desk: Desk) -> None:
    """What is suspended does not start; when it goes on, it goes on under its limits."""
    for label in "abc":
        desk.add(leaf(label, task="m:t"))
    desk.store.limit("declared:task:m:t", Rule(1))
    desk.store.limit("queue:default", Rule(2))
    desk.store.limit("suspended:task:m:t", Rule(0))
    suspended = desk.claim()

    desk.store.limit("suspended:task:m:t", None)

    assert (suspended, desk.claim()) == ([], ["a"])


def test_a_limit_on_a_host(desk: Desk) -> None:
    """It counts what runs in all sessions of the host, and no others."""
    for session, host in (("one", "x"), ("two", "x"), ("three", "y")):
        desk.store.enter(Session(session, host, os.getpid()))
    desk.store.limit("host:x", Rule(2))
    for label in "abcde":
        desk.add(leaf(label))

    first = desk.claim(1, "one", host="x")
    second = desk.claim(session="two", host="x")
    third = desk.claim(session="three", host="y")

    assert (first, second, third) == (["a"], ["b"], ["c", "d", "e"])


def test_units_of_a_host(desk: Desk) -> None:
    """All workers of a host share its units; a smaller job passes one for which there are too few."""
    for session, host in (("one", "x"), ("two", "x"), ("three", "y")):
        desk.store.enter(Session(session, host, os.getpid()))
    desk.add(leaf("a", units=6))
    desk.add(leaf("large", units=5))
    desk.add(leaf("small", units=3))
    desk.add(leaf("tiny", units=0))

    first = desk.claim(1, "one", host="x", units=10)
    second = desk.claim(session="two", host="x", units=10)
    third = desk.claim(session="three", host="y", units=10)

    assert (first, second, third) == (["a"], ["small", "tiny"], ["large"])


def test_a_large_job_is_not_starved_by_small_ones(desk: Desk) -> None:
    """Who passes a large job uses no more than that leaves: when what ran before it has ended, it starts."""
    desk.store.enter(Session("one", "x", os.getpid()))
    for label in "ab":
        desk.add(leaf(label, units=4))
    desk.add(leaf("large", units=7))
    for n in range(20):
        desk.add(leaf(f"small {n:02}", units=2))

    running = [desk.claim(session="one", host="x", units=10)]
    for label in ("a", "small 00", "b"):
        desk.end(label, session="one")
        running.append(desk.claim(session="one", host="x", units=10))

    assert running == [["a", "b", "small 00"], [], ["small 01"], ["large"]]


def test_a_job_larger_than_the_host_is_left_to_others(desk: Desk) -> None:
    """A job that needs more units than a host has never starts there, and holds nobody up."""
    desk.store.enter(Session("one", "x", os.getpid()))
    desk.add(leaf("huge", units=11))
    desk.add(leaf("a", units=10))

    assert desk.claim(session="one", host="x", units=10) == ["a"]


def test_units_are_free_when_a_dead_worker_s_jobs_are_reported(desk: Desk, clock: Clock) -> None:
    """What a dead session ran takes its units until it is adopted, and reported; nothing leaks."""
    desk.store.enter(Session("one", "x", os.getpid()))
    desk.add(leaf("a", units=10))
    desk.add(leaf("b", units=10))
    desk.claim(session="one", host="x", units=10)
    clock.advance(31.0)
    desk.store.enter(Session("two", "x", os.getpid()))
    full = desk.claim(session="two", host="x", units=10)

    [claim] = desk.store.adopt("two", 9)
    desk.claims["a"] = claim
    desk.end("a", session="two")

    assert (full, desk.claim(session="two", host="x", units=10)) == ([], ["b"])
