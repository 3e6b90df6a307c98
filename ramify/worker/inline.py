"""Jobs run in this process, without children: for tests, notebooks and cron.

What a run becomes is decided as in a worker. Time limits are not kept: nothing here can end the caller's own process.
"""

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from ramify.deploy import declare_limits
from ramify.errors import Lost, StoreDown
from ramify.lines import Lines
from ramify.model import Back, Claim, Line, Progress, Want
from ramify.stores.protocol import Store
from ramify.system import clock
from ramify.tasks import Tasks
from ramify.worker.call import Report, make_call
from ramify.worker.decide import decide_interrupted
from ramify.worker.desk import Desk
from ramify.worker.ending import find_ending
from ramify.worker.output import listening
from ramify.worker.run import PLAN, Runner

BEAT: Final = 1.0
"""Shorter than a worker's: a cancel is heard by nothing else while a job runs."""
_log = logging.getLogger("ramify.worker")


def run_one(store: Store, tasks: Tasks, queues: Sequence[str] = ("default",), units: int | None = None) -> bool:
    """Run the next job in this process; return whether there was one. `units` are this host's."""
    with Inline(store, tasks, queues, units) as inline:
        claim = inline.claim()
        if claim is None:
            return False
        inline.execute(claim)
        return True


def run_until_empty(store: Store, tasks: Tasks, queues: Sequence[str] = ("default",), units: int | None = None) -> int:
    """Run jobs in this process until none is left that could run here; return how many ran.

    It waits for the retries of what it ran, not for jobs that others scheduled for later. `units` are this host's.
    """
    ran = 0
    with Inline(store, tasks, queues, units) as inline:
        while True:
            claim = inline.claim()
            if claim is not None:
                inline.execute(claim)
                ran += 1
            elif not inline.wait_for_retry():
                return ran


def adopt(store: Store) -> int:
    """Give the jobs of workers that died back to their queues; return how many. Workers do this by themselves."""
    with Inline(store, Tasks()) as inline:
        return inline.adopt()


class Inline:
    """A session in which this process claims jobs and runs them itself; a thread keeps its lease."""

    def __init__(
        self, store: Store, tasks: Tasks, queues: Sequence[str] = ("default",), units: int | None = None
    ) -> None:
        declare_limits(store, tasks)
        self._desk = Desk(store, tuple(queues), tasks, lambda: self._running)
        known = tasks.names() | {PLAN}
        self._want = Want(1, tuple(queues), known, host=socket.gethostname(), units=units, sure=True)
        self._runner = Runner(tasks, lambda number: self._is_cancelled(), self._advance, self._say)
        self._ending = find_ending(store, tasks)
        self._running: list[str] = []
        self._told = Progress("")
        self._lease = Lease(self._desk, self._runner.tell)
        self._listening = ExitStack()

    def __enter__(self) -> Self:
        self._desk.open()
        self._lease.start()
        self._listening.enter_context(listening())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listening.close()
        self._lease.stop()
        self._runner.close()
        self._desk.close()

    def adopt(self) -> int:
        """Take over the jobs of workers that died, to report them when this session ends; return how many."""
        with self._lease.lock:
            return self._desk.adopt()

    def claim(self) -> Claim | None:
        """Take the next job, after ending whatever only has to be ended; None if there is none."""
        with self._lease.lock:
            self._desk.adopt()
            while True:
                self._desk.exchange(self._want)
                if self._desk.claims:
                    return self._desk.claims.pop()
                if not self._desk.has_work():
                    return None

    def execute(self, claim: Claim) -> Report:
        """Run a job that `claim` returned and report how it went. An interrupt from the keyboard gives it back."""
        job = claim.row.id
        self._running = [job]
        results, self._desk.results = self._desk.results, {}
        report = self._runner.run(make_call(1, claim, results, self._ending.get(claim.row.lane.task or "")))
        interrupted = "KeyboardInterrupt" in report.names[:1]
        with self._lease.lock:
            # A job shorter than the pause between beats has told how far it came, too.
            self._lease.tell()
            cancelled = self._is_cancelled()
            self._running = []
            if interrupted:
                self._desk.add(decide_interrupted(claim, "the keyboard interrupted it"))
            else:
                self._desk.report([(claim, report, cancelled)])
            self._settle()
        if interrupted:
            raise KeyboardInterrupt
        return report

    def give_back(self, claim: Claim) -> None:
        """Let another worker have a claimed job that was not executed."""
        with self._lease.lock:
            self._desk.add(Back(claim.row.id, claim.row.attempt))
            self._settle()

    def _settle(self) -> None:
        """Exchange until what was reported is taken: additions to an array may have to be planned again."""
        while self._desk.has_outcomes():
            self._desk.exchange(Want(n=0, ends=0))

    def wait_for_retry(self) -> bool:
        """Sleep until the next retry of what ran here; return False if there is none."""
        due_in = self._desk.due_in
        if due_in is None or clock() + due_in > self._desk.patience:
            return False
        self._desk.store.wait(None, due_in)
        return True

    def _is_cancelled(self) -> bool:
        return any(job in self._desk.cancels for job in self._running)

    def _advance(self, number: int, percent: int | None, status: str | None) -> None:
        [job] = self._running
        old = self._told if self._told.job == job else Progress(job)
        percent = old.percent if percent is None else percent
        self._told = self._lease.progress[job] = Progress(job, percent, old.status if status is None else status)

    def _say(self, number: int, lines: Lines) -> None:
        [job] = self._running
        self._lease.say([Line(job, text, stream) for stream, text in lines])


class Lease:
    """A thread that renews a session's lease while a job runs in this process. Hold `lock` to use the session."""

    def __init__(self, desk: Desk, look: Callable[[], None]) -> None:
        self.lock = threading.RLock()
        self.progress: dict[str, Progress] = {}
        self._desk, self._look = desk, look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing."""
        self._stop.set()
        self._thread.join()

    def say(self, lines: Sequence[Line]) -> None:
        """Accept what a job said."""
        with self.lock:
            self._desk.say(lines)

    def tell(self) -> None:
        """Store how far jobs are, if they said so, and what they said."""
        progress, self.progress = list(self.progress.values()), {}
        if progress:
            self._desk.beat(progress)
        self._desk.append()

    def _keep(self) -> None:
        while not self._stop.wait(BEAT / 10):
            self._look()
            if not (self.progress or self._desk.lines) and clock() - self._desk.heard < BEAT:
                continue
            progress, self.progress = list(self.progress.values()), {}
            try:
                with self.lock:
                    self._desk.beat(progress)
                    self._desk.append()
            except StoreDown as error:
                _log.warning("the store cannot be used; trying again: %s", error)
            except Lost:
                return  # what runs goes on; its outcome will be refused
