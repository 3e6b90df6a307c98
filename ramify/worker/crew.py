"""The children of a worker and the jobs that were claimed for them: who runs what, what comes back, who died.

It knows no store. What it learns about jobs it hands on as outcomes and reports; `loop.py` brings claims and takes
those away.
"""

import math
import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from time import monotonic
from typing import Final

from ramify.errors import CannotStart
from ramify.inlet import Inlet
from ramify.model import Back, Claim, JobId, Line, Outcome, Progress, Row, Value
from ramify.system import CAN_FORK, Waiter
from ramify.tasks import Tasks
from ramify.worker.call import Advance, Report, Said
from ramify.worker.deal import AHEAD, LONG, count_room, deal, is_free, release
from ramify.worker.decide import is_suspect
from ramify.worker.guard import Guard, end
from ramify.worker.hand import Doom, Flight, Hand, start
from ramify.worker.limits import after_death, cancelled, enforce, next_times
from ramify.worker.pace import Pace
from ramify.worker.process import Death, Orphans, find_left

CANCEL_GRACE: Final = 5.0
"""Seconds that a job has to stop after it was cancelled, before its process is killed."""

PATIENCE: Final = 2.0
"""Seconds that a job which must run alone waits for an idle child, before it gets one of its own."""

LOOK_EVERY: Final = 1.0
"""Seconds between looks for processes that have lost the job which started them."""

STILL_BORN: Final = 6
"""That children die before they have run anything is no accident if it happens more often than so, in a row."""


class Crew:
    """The children, and the jobs that were claimed for them."""

    def __init__(
        self, tasks: Tasks, asynchronous: frozenset[str], directory: Path, size: int, fresh: bool, grace: float
    ) -> None:
        self.outcomes: list[tuple[Row, Outcome]] = []
        self.reports: list[tuple[Claim, Report, bool]] = []
        self.progress: dict[JobId, Progress] = {}
        self.lines: list[Line] = []
        self.shares_children = True
        """Whether units are those of this worker's children, so that a job of several keeps others free."""
        self.ending: Mapping[str, str] = {}
        """Where jobs end by themselves, by the tasks that ask for it."""
        self._tasks, self._asynchronous, self._directory = tasks, asynchronous, directory
        self._size, self._fresh, self._grace = size, fresh or not CAN_FORK, min(grace, CANCEL_GRACE)
        self._hands: list[Hand] = []
        self._flights: dict[JobId, Flight] = {}
        self._alone: dict[JobId, Flight] = {}
        self._pending: deque[Flight] = deque()
        self._pace = Pace(AHEAD)
        self._names = 0
        self._still_born = 0
        self._next_birth = 0.0
        end(find_left())
        self._orphans = Orphans()
        self._guard = Guard(directory)
        self._strays: set[int] = set()
        self._next_look = 0.0

    # What the loop asks

    def busy(self) -> bool:
        """Tell whether there are claimed jobs that have not been reported on."""
        return bool(self._flights)

    def jobs(self) -> Collection[JobId]:
        """Return the claimed jobs that have not been reported on."""
        return self._flights.keys()

    def room(self) -> tuple[int, int]:
        """Return how many more functions and coroutines the children could run."""
        functions, coroutines = count_room(self._hands, self._pending, self._pace.mean, monotonic())
        return functions, coroutines if self._asynchronous else 0

    def sources(self) -> list[int | Inlet]:
        """Return what can be read when a child has something to say or is dead."""
        watch = [] if self._guard.watch is None else [self._guard.watch]
        return [*watch, *(source for hand in self._hands for source in hand.sources())]

    def next_time(self) -> float:
        """Return by the monotonic clock when `check_time` has something to do, if nothing else happens."""
        now = monotonic()
        times = [self._next_birth] if len(self._hands) < self._wanted() else []
        times += [self._next_look] if self._flights else []
        times += [late for flight in self._alone.values() if (late := flight.since + PATIENCE) > now]
        for hand in self._hands:
            times += next_times(hand, now, self._grace)
        return min(times, default=math.inf)

    # What the loop brings

    def take(self, claims: Iterable[Claim], results: dict[JobId, Value]) -> None:
        """Accept claimed jobs, to be sent out by `dispatch`."""
        now = monotonic()
        for claim in claims:
            task = claim.row.lane.task
            alone = is_suspect(claim.row) or (self.shares_children and claim.row.lane.units > 1)
            flight = Flight(claim, task in self._asynchronous, alone, self._pace.expect(task), now)
            if claim.slots:
                flight.results = {edge.before: results[edge.before] for edge in claim.slots if edge.before in results}
            if self.ending and task is not None:
                flight.url = self.ending.get(task)
            self._flights[claim.row.id] = flight
            if alone:
                self._alone[claim.row.id] = flight
            self._pending.append(flight)

    def dispatch(self) -> None:
        """Send out what waits; give back what nobody here will soon begin."""
        if not self._pending:
            return
        now = monotonic()
        self._pending = deque(deal(self._pending, self._hands, now))
        if self._pending and not any(hand.flights and is_free(hand, now) for hand in self._hands):
            self._give_back([flight for flight in self._pending if not flight.alone])

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
            self._finish(flight, cancelled(flight))

    # What happens by itself

    def collect(self) -> None:
        """Read what the children have to say."""
        advances: list[tuple[Flight, Advance | Said]] = []
        for hand in self._hands:
            self._hear(hand, advances)
        self._note(advances)

    def _note(self, advances: list[tuple[Flight, Advance | Said]]) -> None:
        for flight, advance in advances:
            job = flight.claim.row.id
            if isinstance(advance, Said):
                self.lines += [Line(job, text, stream) for stream, text in advance.lines]
                continue
            flight.percent = flight.percent if advance.percent is None else advance.percent
            flight.status = flight.status if advance.status is None else advance.status
            self.progress[job] = Progress(job, flight.percent, flight.status)

    def _hear(self, hand: Hand, advances: list[tuple[Flight, Advance | Said]]) -> None:
        took: dict[str | None, list[float]] = {}
        flights, reports = self._flights, self.reports
        for flight, report in hand.collect(advances):
            claim = flight.claim
            row = claim.row
            del flights[row.id]
            if flight.alone:
                release(flight, self._hands)
                del self._alone[row.id]
            if not flight.awaits:
                took.setdefault(row.lane.task, []).append(report.seconds)
            reports.append((claim, report, flight.cancelled is not None))
        for task, seconds in took.items():
            self._pace.learn(task, sum(seconds) / len(seconds))

    def check_time(self) -> None:
        """Start children that are missing, bury the dead, end what runs too long, and free what waits behind it."""
        now = monotonic()
        for hand in self._hands:
            if hand.flights and not hand.doom:
                enforce(hand, now, self._grace)
                if len(hand.flights) > 1:
                    self._pending.extendleft(reversed(hand.take_back_behind(now, LONG)))
        dead = [(hand, death) for hand in self._hands if (death := hand.reap()) is not None]
        still_born = [death for hand, death in dead if self._bury(hand, death)]
        if still_born:
            self._delay_births(still_born[-1])
        elif dead:
            self._still_born = 0
        if dead:
            self._orphans.end(self._own())
        if self._next_look <= now:
            self._next_look = now + LOOK_EVERY
            self._look_for_strays()
        if not self._guard.lives():
            self._replace_guard()
        wanted = self._wanted()
        if len(self._hands) > wanted and (idle := [hand for hand in self._hands if not (hand.flights or hand.doom)]):
            idle[-1].kill(Doom(0, "it was one child too many"))
        while len(self._hands) < wanted and self._next_birth <= now:
            self._names += 1
            hand = start(self._directory, str(self._names), self._tasks, self._is_fresh())
            self._guard.add(hand.process.pid)
            self._hands.append(hand)

    def show_life(self) -> None:
        """Let the guard know that this process is neither frozen nor stuck."""
        self._guard.show_life()

    def _own(self) -> set[int]:
        return {self._guard.pid, *(hand.process.pid for hand in self._hands)}

    def _look_for_strays(self) -> None:
        """Tell the guard of processes that left the jobs which started them, lest they outlive us."""
        strays = self._orphans.find(self._own())
        for pid in strays - self._strays:
            self._guard.add(pid)
        for pid in self._strays - strays:
            self._guard.remove(pid)
        self._strays = strays

    def _replace_guard(self) -> None:
        self._guard.close()
        self._guard = Guard(self._directory)
        for pid in (*self._strays, *(hand.process.pid for hand in self._hands)):
            self._guard.add(pid)

    def _wanted(self) -> int:
        """Return how many children there should be: one more while a suspect waits too long for an idle one."""
        late = monotonic() - PATIENCE
        return self._size + any(
            flight.since <= late and flight.claim.row.lane.units <= 1 for flight in self._alone.values()
        )

    def _is_fresh(self) -> bool:
        """Tell whether a child must be a fresh Python: so asked, or because a fork could copy another thread's lock."""
        others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
        may_hold_locks = not all(isinstance(thread, Waiter) for thread in others)
        return self._fresh or (may_hold_locks and "__main__" not in self._tasks.modules)

    def _delay_births(self, death: Death) -> None:
        """Let the next children wait, longer each time. Those that died together count once: they had one reason."""
        self._still_born += 1
        if self._still_born > STILL_BORN:
            raise CannotStart(
                f"child processes die as they start, the last one with {death}; "
                f"see what it wrote, and whether a fresh Python can import {', '.join(self._tasks.modules)}"
            )
        self._next_birth = monotonic() + min(5.0, 0.05 * 2**self._still_born)

    def _bury(self, hand: Hand, death: Death) -> bool:
        """Take back what a dead child had, and end what it ran; return whether it had run nothing yet."""
        self._hands.remove(hand)
        self._guard.remove(hand.process.pid)
        advances: list[tuple[Flight, Advance | Said]] = []
        self._hear(hand, advances)
        self._note(advances)  # what it said last may tell why it died
        words, running = hand.end.last_words(), hand.running()
        if running is not None:
            self.lines += [Line(running[0].claim.row.id, text, stream) for stream, text in words]
        self._pending.extendleft(reversed(hand.take_back()))
        begun = list(hand.flights.values())
        for flight in begun:
            self._finish(flight, after_death(flight, hand.doom, death))
        hand.close()
        return not (hand.proven or hand.doom or begun)

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
            death = hand.reap(wait=True)
            if death is not None:
                self._bury(hand, death)

    def forget(self) -> None:
        """Kill every child and drop all jobs: they belong to another worker now."""
        self.kill("its worker lost them")
        self._flights.clear()
        self._alone.clear()
        self._pending.clear()
        self.outcomes.clear()
        self.reports.clear()
        self.progress.clear()
        self.lines.clear()

    def close(self) -> None:
        """Take leave of the children for good."""
        self._size = 0
        self._alone.clear()
        self.kill("its worker stops")
        self._guard.close()
        self._orphans.end(())
        self._orphans.close()

    def _give_back(self, flights: list[Flight]) -> None:
        for flight in flights:
            self._pending.remove(flight)
            row = flight.claim.row
            self._finish(flight, Back(row.id, row.attempt))

    def _finish(self, flight: Flight, outcome: Outcome) -> None:
        del self._flights[flight.claim.row.id]
        self._alone.pop(flight.claim.row.id, None)
        release(flight, self._hands)
        self.outcomes.append((flight.claim.row, outcome))
