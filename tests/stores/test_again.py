"""Giving back: a job that goes to the queue again, charged or not."""

from ramify.model import Charge, State, Verb
from tests.stores.kit import FAILURE, Clock, Desk, leaf, tree


def test_a_retried_job_waits_for_its_delay(desk: Desk, clock: Clock) -> None:
    """A job that is tried again is not claimed before its delay is over."""
    desk.add(leaf("a"))
    desk.claim()
    desk.exchange(desk.again("a", delay=5.0))
    early = desk.claim()
    clock.advance(5.0)

    assert (early, desk.claim()) == ([], ["a"])


def test_each_charge_is_counted_for_itself(desk: Desk) -> None:
    """Tries, crashes and losses are different counts; a job that was only given back is charged with nothing."""
    desk.add(leaf("a"))
    for charge in Charge:
        desk.claim()
        desk.exchange(desk.again("a", charge=charge))
    desk.claim()
    desk.exchange(desk.back("a"))

    row = desk.row("a")
    assert (row.tries, row.crashes, row.losses, row.attempt, row.state) == (1, 1, 1, 5, "ready")


def test_the_failure_of_a_try_can_be_read(desk: Desk) -> None:
    """While a job waits for another try, it shows why the last one failed."""
    desk.add(leaf("a"))
    desk.claim()
    desk.exchange(desk.again("a", delay=5.0))

    assert (desk.failure("a"), desk.state("a")) == (FAILURE, "ready")


def test_a_cancelled_job_is_not_tried_again(desk: Desk) -> None:
    """A job that was cancelled while it ran ends cancelled when it is given back."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim()
    desk.move(Verb.CANCEL, "top")

    desk.exchange(desk.again("a"), desk.back("b"))

    assert desk.states() == {"a": "cancelled", "b": "cancelled", "top": "cancelled"}


def test_a_job_given_back_is_claimed_again_at_once(desk: Desk) -> None:
    """The step that takes a job back may hand it out again, as a new attempt."""
    desk.add(leaf("a"))
    desk.claim()

    reply = desk.exchange(desk.back("a"), n=1)

    assert [claim.row.attempt for claim in reply.claims] == [2]


def test_a_charged_try_forgets_that_its_needs_were_met(desk: Desk) -> None:
    """Needs are resolved once in a try: a new try looks again, a job that was only given back does not."""
    desk.add(leaf("a"))
    desk.claim()
    desk.exchange(desk.grown("a", desk.needs("a"), then="run"))
    grown = [desk.row("a").grown]
    desk.claim()
    desk.exchange(desk.back("a"))
    grown.append(desk.row("a").grown)
    desk.claim()
    desk.exchange(desk.again("a"))
    grown.append(desk.row("a").grown)

    assert grown == [True, True, False]


def test_a_job_that_failed_for_good_dooms_what_waits_for_it(desk: Desk) -> None:
    """Retries end: then the failure travels."""
    desk.add(tree("top", leaf("a")))
    desk.claim()
    desk.exchange(desk.again("a"))
    desk.claim()
    desk.end("a", state=State.FAILED)
    desk.work()

    assert desk.states() == {"a": "failed", "top": "failed"}
