"""One child as its supervisor sees it: its process, its end of the line, and the jobs it has been given."""

import math
from pathlib import Path
from time import monotonic

from msgspec import Struct

from ramify.inlet import Inlet
from ramify.model import Claim, Failure, JobId, Value
from ramify.system import HAS_PACKETS
from ramify.tasks import Tasks
from ramify.worker import pipe, stream
from ramify.worker.call import Advance, Began, Report, Said, make_call
from ramify.worker.child import Child
from ramify.worker.process import Death, Process, fork, kill_groups, spawn


class Flight(Struct, gc=False, eq=False):
    """A claimed job on its way through a child. `expected` is how long it should take, `since` when it was
    claimed; `results` fill its arguments; `url` is where it ends by itself, if it does; `began` is when it did, if it
    is a coroutine with a time limit; `percent` and `status` are the last that it told."""

    claim: Claim
    awaits: bool
    alone: bool
    expected: float = 0.0
    since: float = 0.0
    results: dict[JobId, Value] = {}
    url: str | None = None
    number: int = 0
    began: float = math.inf
    percent: int | None = None
    status: str | None = None
    cancelled: float | None = None
    hand: "Hand | None" = None


class Doom(Struct, frozen=True):
    """Why a child was killed: the call it was for (0: none of them), and that one's failure if it is to blame."""

    number: int
    why: str
    failure: Failure | None = None


class Hand:
    """A child that runs jobs."""

    def __init__(self, process: Process, end: pipe.SupervisorEnd | stream.SupervisorEnd) -> None:
        self.process, self.end = process, end
        self.flights: dict[int, Flight] = {}
        self.load = 0.0
        self.functions = self.coroutines = 0
        self.reserved: Flight | None = None
        self.doom: Doom | None = None
        self.born = monotonic()
        self.proven = False
        self._number = 0
        self._emptied = 0

    def send(self, flight: Flight) -> bool:
        """Send a job to the child; return False if there is no room."""
        number = self._number + 1
        if not self.end.send(make_call(number, flight.claim, flight.results, flight.url)):
            return False
        self._number = flight.number = number
        flight.hand = self
        self.flights[number] = flight
        if flight.awaits:
            self.coroutines += 1
        else:
            self.functions += 1
            self.load += flight.expected
        return True

    def collect(self, advances: list[tuple[Flight, Advance | Said]]) -> list[tuple[Flight, Report]]:
        """Return the jobs that the child has reported on; add to `advances` how far others are and what they said.

        A child that says what makes no sense (a job wrote into its pipe) is killed.
        """
        reports: list[tuple[Flight, Report]] = []
        try:
            for message in self.end.read():
                if isinstance(message, Report):
                    reports.append((self._remove(message.number), message))
                elif (flight := self.flights.get(message.number)) is None:
                    continue
                elif isinstance(message, Began):
                    flight.began = monotonic()
                else:
                    advances.append((flight, message))
        except (ValueError, KeyError):
            self.process.kill()
        self.proven = self.proven or bool(reports)
        return reports

    def take_back(self) -> list[Flight]:
        """Return the jobs that the child had not begun; it will not begin them any more."""
        return [self._remove(call.number) for call in self.end.take_back()]

    def take_back_behind(self, now: float, long: float) -> list[Flight]:
        """Return the unstarted jobs if the one that runs has taken longer than `long` already."""
        number, began = self.end.board.running()
        if now - began < long or number == self._emptied or number not in self.flights:
            return []
        self._emptied = number
        return self.take_back()

    def runs_long(self, now: float, long: float) -> bool:
        """Tell whether the function that runs has taken longer than `long` already."""
        number, began = self.end.board.running()
        return now - began >= long and number in self.flights

    def running(self) -> tuple[Flight, float] | None:
        """Return the job whose function runs in the main thread, and since when."""
        number, began = self.end.board.running()
        flight = self.flights.get(number)
        return None if flight is None else (flight, began)

    def kill(self, doom: Doom) -> None:
        """Kill the child's process group; the first reason counts."""
        self.doom = self.doom or doom
        self.process.kill()
        kill_groups(self.end.board.groups())

    def reap(self, wait: bool = False) -> Death | None:
        """Return how the child died, None while it lives. Call `kill` first if you `wait`."""
        death = self.process.reap(wait)
        if death is not None:
            kill_groups(self.end.board.groups())  # programs may outlive the child that started them
            self.end.hear_out()
        return death

    def sources(self) -> list[int | Inlet]:
        """Return what can be read when the child has something to say or is dead."""
        watch = self.process.watch
        return [self.end.source()] if watch is None else [self.end.source(), watch]

    def close(self) -> None:
        """Let go of a dead child."""
        self.process.close()
        self.end.close()

    def _remove(self, number: int) -> Flight:
        flight = self.flights.pop(number)
        flight.hand = None
        if flight.awaits:
            self.coroutines -= 1
        else:
            self.functions -= 1
            self.load = self.load - flight.expected if self.functions else 0.0
        return flight


def start(directory: Path, name: str, tasks: Tasks, fresh: bool) -> Hand:
    """Start a child: a fork of this process, or a `fresh` Python that imports the tasks itself."""
    if not HAS_PACKETS:
        return _start_fresh(stream.SupervisorEnd(directory, name), tasks)
    end = pipe.SupervisorEnd(directory, name)
    if fresh:
        return _start_fresh(end, tasks)

    def serve() -> None:
        Child(pipe.ChildEnd(end.inbox, end.outbox, end.board), tasks, directory, end.output).serve()

    process = fork(serve, end.keeps())
    end.started()
    return Hand(process, end)


def _start_fresh(end: pipe.SupervisorEnd | stream.SupervisorEnd, tasks: Tasks) -> Hand:
    keeps = end.keeps()
    process = spawn([*end.words(keeps), *tasks.modules], keeps)
    end.started()
    return Hand(process, end)
