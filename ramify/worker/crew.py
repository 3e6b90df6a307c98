"""The children of a worker: who gets which job, what is taken back, who has run too long, who died.

It knows no store. What it learns about jobs it hands on as outcomes and reports; `loop.py` brings claims and takes
those away.
"""

import math
import random
from collections import deque
from collections.abc import Collection, Iterable
from pathlib import Path
from time import monotonic
from typing import Final

from ramify.model import Back, Claim, Ended, Failure, JobId, Outcome, Progress, State, Value
from ramify.tasks import Tasks
from ramify.worker.call import Advance, Report
from ramify.worker.child import TIMEOUT_NAMES, timed_out
from ramify.worker.decide import decide_crash, decide_failure, decide_interrupted, is_suspect
from ramify.worker.hand import Doom, Flight, Hand, start
from ramify.worker.pace import Pace
from ramify.worker.pipe import HAS_PACKETS
from ramify.worker.process import CAN_FORK, Death, end_orphans

AHEAD: Final = 0.02
"""Seconds of work that a child is given ahead."""

MOST: Final = 400 if HAS_PACKETS else 1
LONG: Final = 0.05
"""A job that has run so long does not keep others waiting behind it."""

COROUTINES: Final = 100
SLACK: Final = 1.0
"""A child times its coroutines itself; so much later it is taken to be stuck."""


class Crew:
    """The children, and the jobs that were claimed for them."""

    def __init__(
        self, tasks: Tasks, asynchronous: frozenset[str], directory: Path, size: int, fresh: bool, grace: float
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.reports: list[tuple[Claim, Report, bool]] = []
        self.progress: dict[JobId, Progress] = {}
        self._tasks, self._asynchronous, self._directory = tasks, asynchronous, directory
        self._size, self._fresh, self._grace = size, fresh or not CAN_FORK, grace
        self._hands: list[Hand] = []
        self._flights: dict[JobId, Flight] = {}
        self._pending: deque[Flight] = deque()
        self._pace = Pace(AHEAD)
        self._names = 0
        self._still_born = 0
        self._next_birth = 0.0

    # What the loop asks

    def busy(self) -> bool:
        """Tell whether there are claimed jobs that have not been reported on."""
        return bool(self._flights)

    def jobs(self) -> Collection[JobId]:
        """Return the claimed jobs that have not been reported on."""
        return self._flights.keys()

    def room(self) -> tuple[int, int]:
        """Return how many more functions and coroutines the children could run."""
        now = monotonic()
        free = self._free(now)
        mean = self._pace.mean
        functions = sum(
            max(not hand.functions, min(MOST - hand.functions, int((AHEAD - hand.load) / mean))) for hand in free
        )
        coroutines = sum(COROUTINES - hand.coroutines for hand in free) if self._asynchronous else 0
        waiting = sum(flight.awaits for flight in self._pending)
        return max(0, functions - len(self._pending) + waiting), max(0, coroutines - waiting)

    def filenos(self) -> list[int]:
        """Return what can be read when a child has something to say or is dead."""
        return [number for hand in self._hands for number in hand.filenos()]

    def next_time(self) -> float:
        """Return by the monotonic clock when `check_time` has something to do, if nothing else happens."""
        now = monotonic()
        times = [self._next_birth] if len(self._hands) < self._size else []
        for hand in self._hands:
            if hand.doom or not hand.flights:
                continue
            if (found := hand.running()) is not None:
                flight, began = found
                times += _deadlines(flight, began, self._grace)
                if len(hand.flights) > 1 and now - began < LONG:
                    times.append(began + LONG)
            elif hand.functions:
                times.append(now + LONG)
            for flight in hand.flights.values() if hand.coroutines else ():
                times += _deadlines(flight, flight.sent + SLACK, self._grace) if flight.awaits else ()
        return min(times, default=math.inf)

    # What the loop brings

    def take(self, claims: Iterable[Claim], results: dict[JobId, Value]) -> None:
        """Accept claimed jobs, to be sent out by `dispatch`."""
        for claim in claims:
            task = claim.row.lane.task
            flight = Flight(claim, task in self._asynchronous, is_suspect(claim.row), self._pace.expect(task))
            if claim.slots:
                flight.results = {edge.before: results[edge.before] for edge in claim.slots if edge.before in results}
            self._flights[claim.row.id] = flight
            self._pending.append(flight)

    def dispatch(self) -> None:
        """Send what waits to the children that have least to do; give back what nobody here will soon begin."""
        if not self._pending:
            return
        now = monotonic()
        waiting, self._pending = self._pending, deque()
        functions: list[Flight] = []
        for flight in waiting:
            if flight.alone:
                placed = self._place_alone(flight)
            elif flight.awaits:
                placed = self._place_coroutine(flight, self._free(now))
            else:
                functions.append(flight)
                continue
            if not placed:
                self._pending.append(flight)
        free = self._free(now)
        self._pending.extend(_deal(functions, free) if functions else ())
        if self._pending and not any(hand.flights for hand in free):
            self._give_back([flight for flight in self._pending if not flight.alone])

    def _free(self, now: float) -> list[Hand]:
        """Return the children that may be given more."""
        return [hand for hand in self._hands if not (hand.doom or hand.reserved or hand.runs_long(now, LONG))]

    def _place_coroutine(self, flight: Flight, free: list[Hand]) -> bool:
        open_ = [hand for hand in free if hand.coroutines < COROUTINES]
        return bool(open_) and min(open_, key=lambda hand: hand.coroutines).send(flight)

    def _place_alone(self, flight: Flight) -> bool:
        """Send a suspect to a child that has nothing else; without one, keep a child free for it."""
        alive = [hand for hand in self._hands if not hand.doom]
        for hand in alive:
            if not hand.flights and hand.send(flight):
                hand.reserved = True
                return True
        if alive and not any(hand.reserved for hand in alive):
            min(alive, key=lambda hand: len(hand.flights)).reserved = True
        return False

    def cancel(self, jobs: Iterable[JobId]) -> None:
        """Tell these jobs to stop; those that have not begun end at once."""
        touched: dict[int, Hand] = {}
        for job in jobs:
            flight = self._flights.get(job)
            if flight is None or flight.cancelled is not None:
                continue
            flight.cancelled = monotonic()
            if flight.hand is not None:
                flight.hand.end.board.cancel(flight.number)
                touched[id(flight.hand)] = flight.hand
        for hand in touched.values():
            self._pending.extendleft(reversed(hand.take_back()))
        for flight in [flight for flight in self._pending if flight.cancelled is not None]:
            self._pending.remove(flight)
            self._finish(flight, _cancelled(flight))

    # What happens by itself

    def collect(self) -> None:
        """Read what the children have to say."""
        advances: list[tuple[Flight, Advance]] = []
        for hand in self._hands:
            self._hear(hand, advances)
        for flight, advance in advances:
            job = flight.claim.row.id
            old = self.progress.get(job, Progress(job))
            percent = old.percent if advance.percent is None else advance.percent
            self.progress[job] = Progress(job, percent, old.status if advance.status is None else advance.status)

    def _hear(self, hand: Hand, advances: list[tuple[Flight, Advance]]) -> None:
        took: dict[str | None, list[float]] = {}
        flights, reports = self._flights, self.reports
        for flight, report in hand.collect(advances):
            claim = flight.claim
            row = claim.row
            del flights[row.id]
            if not flight.awaits:
                took.setdefault(row.lane.task, []).append(report.seconds)
            reports.append((claim, report, flight.cancelled is not None))
        for task, seconds in took.items():
            self._pace.learn(task, sum(seconds) / len(seconds))
        if hand.reserved and not hand.flights:
            hand.reserved = False

    def check_time(self) -> None:
        """Start children that are missing, bury the dead, end what runs too long, and free what waits behind it."""
        now = monotonic()
        for hand in self._hands:
            if hand.flights and not hand.doom:
                self._check_limits(hand, now)
                if len(hand.flights) > 1:
                    self._pending.extendleft(reversed(hand.take_back_behind(now, LONG)))
        dead = [(hand, death) for hand in self._hands if (death := hand.reap()) is not None]
        for hand, death in dead:
            self._bury(hand, death)
        if dead:
            end_orphans({hand.process.pid for hand in self._hands})
        while len(self._hands) < self._size and self._next_birth <= now:
            self._names += 1
            self._hands.append(start(self._directory, str(self._names), self._tasks, self._fresh))

    def _check_limits(self, hand: Hand, now: float) -> None:
        found = hand.running()
        if found is not None:
            self._check_limit(hand, *found, now)
        for flight in list(hand.flights.values()) if hand.coroutines else ():
            if flight.awaits:
                self._check_limit(hand, flight, flight.sent + SLACK, now)

    def _check_limit(self, hand: Hand, flight: Flight, began: float, now: float) -> None:
        timeout = flight.claim.payload.policy.timeout
        if flight.cancelled is not None and now >= flight.cancelled + self._grace:
            hand.kill(Doom(flight.number, "another job in its process was cancelled", State.CANCELLED))
        elif timeout is not None and now >= began + timeout:
            hand.kill(Doom(flight.number, "another job in its process took too long", None, timed_out(timeout)))

    def _bury(self, hand: Hand, death: Death) -> None:
        self._hands.remove(hand)
        advances: list[tuple[Flight, Advance]] = []
        self._hear(hand, advances)
        self._pending.extendleft(reversed(hand.take_back()))
        begun = list(hand.flights.values())
        for flight in begun:
            self._finish(flight, _after_death(flight, hand.doom, death))
        hand.close()
        if hand.proven or hand.doom or begun:
            self._still_born = 0
        else:
            self._still_born += 1
            self._next_birth = monotonic() + min(5.0, 0.05 * 2**self._still_born)

    # The end

    def give_back(self) -> None:
        """Give back all that has not begun."""
        for hand in self._hands:
            self._pending.extendleft(reversed(hand.take_back()))
        self._give_back(list(self._pending))

    def kill(self, why: str) -> None:
        """Kill every child and wait until they are dead; what ran there may run again."""
        for hand in self._hands:
            hand.kill(Doom(0, why))
        for hand in list(self._hands):
            death = hand.process.reap(wait=True)
            if death is not None:
                self._bury(hand, death)

    def forget(self) -> None:
        """Kill every child and drop all jobs: they belong to another worker now."""
        self.kill("its worker lost them")
        self._flights.clear()
        self._pending.clear()
        self.outcomes.clear()
        self.reports.clear()
        self.progress.clear()

    def close(self) -> None:
        """Take leave of the children for good."""
        self._size = 0
        self.kill("its worker stops")
        end_orphans(())

    def _give_back(self, flights: list[Flight]) -> None:
        for flight in flights:
            self._pending.remove(flight)
            row = flight.claim.row
            self._finish(flight, Back(row.id, row.attempt))

    def _finish(self, flight: Flight, outcome: Outcome) -> None:
        del self._flights[flight.claim.row.id]
        self.outcomes.append(outcome)


def _deal(flights: list[Flight], hands: list[Hand]) -> list[Flight]:
    """Give each child its share of the work, one child after the other; return what found no room.

    Dealt out in turn, each job would wake a child that has just gone to sleep.
    """
    hands = sorted(hands, key=lambda hand: hand.load)
    work = sum([flight.expected for flight in flights]) + sum([hand.load for hand in hands])
    share = min(AHEAD, work / len(hands)) if hands else 0.0
    at = 0
    for hand in hands:
        while at < len(flights) and (not hand.functions or (hand.load < share and hand.functions < MOST)):
            if not hand.send(flights[at]):
                break
            at += 1
    return flights[at:]


def _deadlines(flight: Flight, began: float, grace: float) -> list[float]:
    timeout = flight.claim.payload.policy.timeout
    times = [] if timeout is None else [began + timeout]
    return times if flight.cancelled is None else [*times, flight.cancelled + grace]


def _cancelled(flight: Flight) -> Ended:
    row = flight.claim.row
    return Ended(row.id, row.attempt, State.CANCELLED, failure=Failure("error", "it was cancelled"))


def _after_death(flight: Flight, doom: Doom | None, death: Death) -> Outcome:
    """Return what becomes of a job that had begun in a child that died."""
    if flight.cancelled is not None:
        return _cancelled(flight)
    if doom is None:
        return decide_crash(flight.claim, str(death))
    if doom.number == flight.number and doom.failure is not None:
        return decide_failure(flight.claim, doom.failure, TIMEOUT_NAMES, random.random())
    return decide_interrupted(flight.claim, doom.why)
