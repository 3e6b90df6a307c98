"""What ends a run that does not end by itself: time limits, and cancels that are not heeded; and what becomes of jobs
whose process has died.
"""

import random
from typing import Final

from ramify.model import Ended, Failure, Outcome, State
from ramify.worker.child import TIMEOUT_NAMES, timed_out
from ramify.worker.deal import LONG
from ramify.worker.decide import decide_crash, decide_failure, decide_interrupted
from ramify.worker.hand import Doom, Flight, Hand
from ramify.worker.process import Death

SLACK: Final = 1.0
"""A child times its coroutines itself; so much later it is taken to be stuck."""


def enforce(hand: Hand, now: float, grace: float) -> None:
    """Kill the child if one of its jobs has run too long."""
    for flight, began in _runs(hand):
        timeout = flight.claim.payload.policy.timeout
        if flight.cancelled is not None and now >= flight.cancelled + grace:
            hand.kill(Doom(flight.number, "another job in its process was cancelled"))
        elif timeout is not None and now >= began + timeout:
            hand.kill(Doom(flight.number, "another job in its process took too long", timed_out(timeout)))


def next_times(hand: Hand, now: float, grace: float) -> list[float]:
    """Return when this child must be looked at again, by the monotonic clock."""
    if hand.doom or not hand.flights:
        return []
    # While functions wait behind another, it must be seen in time that that one is long.
    times = [now + LONG] if hand.functions > 1 else []
    for flight, began in _runs(hand):
        timeout = flight.claim.payload.policy.timeout
        if timeout is not None:
            times.append(began + timeout)
        if flight.cancelled is not None:
            times.append(flight.cancelled + grace)
    if hand.functions and hand.running() is None:
        times.append(now + LONG)
    return times


def after_death(flight: Flight, doom: Doom | None, death: Death) -> Outcome:
    """Return what becomes of a job that had begun in a child that died."""
    if flight.cancelled is not None:
        return cancelled(flight)
    if doom is None:
        return decide_crash(flight.claim, str(death))
    if doom.number == flight.number and doom.failure is not None:
        return decide_failure(flight.claim, doom.failure, TIMEOUT_NAMES, random.random())
    return decide_interrupted(flight.claim, doom.why)


def cancelled(flight: Flight) -> Ended:
    """Return the end of a job that was cancelled while it was ours."""
    row = flight.claim.row
    return Ended(row.id, row.attempt, State.CANCELLED, failure=Failure("error", "it was cancelled"))


def _runs(hand: Hand) -> list[tuple[Flight, float]]:
    """Return what runs in the child and since when, as far as is known; what is not known may take for ever."""
    runs = [running] if (running := hand.running()) is not None else []
    if hand.coroutines:
        runs += [(flight, flight.began + SLACK) for flight in hand.flights.values() if flight.awaits]
    return runs
