"""Adoption: a dead worker's jobs change their owner, and nothing else."""

import msgspec
import pytest

from ramify.errors import Lost
from ramify.model import Refusal
from ramify.stores.protocol import LEASE
from tests.stores.kit import Clock, Desk, leaf, tree


def test_a_live_session_keeps_its_jobs(desk: Desk, clock: Clock) -> None:
    """However long a job takes, it is left to a worker that beats."""
    desk.enter("other")
    desk.add(leaf("a"))
    desk.claim()
    for _ in range(10):
        clock.advance(LEASE - 1)
        desk.store.beat("s", [])

    assert desk.store.adopt("other", 10) == []


def test_a_silent_session_loses_its_jobs(desk: Desk, clock: Clock) -> None:
    """Once its lease has passed, a session's jobs can be adopted; only their owner changes."""
    desk.add(leaf("a"))
    desk.claim()
    before = desk.row("a")
    clock.advance(LEASE + 1)
    desk.enter("other")

    [claim] = desk.store.adopt("other", 10)

    assert msgspec.structs.replace(before, session="other") == claim.row == desk.row("a")


def test_a_session_that_left_loses_its_jobs_at_once(desk: Desk) -> None:
    """A worker that goes need not be waited for."""
    desk.enter("other")
    desk.add(leaf("a"))
    desk.claim()
    desk.store.leave("s")

    assert [desk.ids["a"]] == [claim.row.id for claim in desk.store.adopt("other", 10)]


def test_a_late_report_of_the_dead_is_refused(desk: Desk, clock: Clock) -> None:
    """After adoption only the new owner may report, with the same attempt."""
    desk.add(leaf("a"))
    desk.claim()
    outcome = desk.ended("a")
    clock.advance(LEASE + 1)
    desk.enter("other")
    desk.store.adopt("other", 10)

    with pytest.raises(Lost):
        desk.exchange(outcome)

    assert desk.state("a") == "running"
    assert desk.exchange(outcome, session="other").refused == {}
    assert desk.state("a") == "done"


def test_a_report_after_the_lease_but_before_adoption_counts(desk: Desk, clock: Clock) -> None:
    """Work is not thrown away as long as nobody else has taken it."""
    desk.add(leaf("a"))
    desk.claim()
    clock.advance(LEASE + 1)

    assert desk.exchange(desk.ended("a")).refused == {}


def test_jobs_are_adopted_in_order_and_at_most_n(desk: Desk, clock: Clock) -> None:
    """Several workers share what a dead one left; each job goes to one of them."""
    for name in "abc":
        desk.add(leaf(name))
    desk.claim()
    clock.advance(LEASE + 1)
    desk.enter("one")
    desk.enter("two")

    first = [desk.labels[claim.row.id] for claim in desk.store.adopt("one", 2)]
    second = [desk.labels[claim.row.id] for claim in desk.store.adopt("two", 2)]

    assert (first, second) == (["a", "b"], ["c"])


def test_who_adopts_is_alive(desk: Desk, clock: Clock) -> None:
    """A worker that was asleep for longer than its lease does not bury itself when it looks for the dead."""
    desk.enter("other")
    desk.add(leaf("a"))
    desk.claim()
    clock.advance(LEASE + 1)

    adopted = desk.store.adopt("other", 10)
    reply = desk.exchange(desk.ended("a"), session="other")

    assert (len(adopted), reply.refused) == (1, {})


def test_a_dead_session_cannot_adopt(desk: Desk) -> None:
    """Who was declared dead has to open a new session."""
    desk.store.leave("s")

    with pytest.raises(Lost):
        desk.store.adopt("s", 10)


def test_adopted_ends_are_ended_by_the_adopter(desk: Desk, clock: Clock) -> None:
    """A group that a dead worker had claimed to end is ended by the next one."""
    desk.add(tree("top", leaf("a")))
    desk.run("a")
    desk.claim()
    clock.advance(LEASE + 1)
    desk.enter("other")
    [claim] = desk.store.adopt("other", 10)
    desk.claims["top"] = claim

    desk.end("top", session="other")

    assert desk.state("top") == "done"


def test_an_adopted_job_is_refused_to_the_old_attempt_only(desk: Desk, clock: Clock) -> None:
    """The adopter gives a lost job back, charged with a loss, and the next claim is a new attempt."""
    desk.add(leaf("a"))
    desk.claim()
    old = desk.ended("a")
    clock.advance(LEASE + 1)
    desk.enter("other")
    [claim] = desk.store.adopt("other", 10)
    desk.claims["a"] = claim
    desk.exchange(desk.again("a", charge="loss"), session="other")
    desk.claim(session="other")

    reply = desk.exchange(old, session="other")

    assert {desk.ids["a"]: Refusal("lost")} == reply.refused
    assert (desk.row("a").losses, desk.row("a").attempt) == (1, 2)
