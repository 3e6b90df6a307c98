"""The supervisor: the only user of the store.

A turn: hear the children, look at the clock, exchange outcomes for claims, send those out, sleep until something
happens. What the children do is `crew.py`, what the store is told `desk.py`. An exchange with a store elsewhere goes on
in a second thread while there are children to be served.
"""

import logging
import math
import random
import shutil
import signal
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Final

from ramify.deploy import declare_limits
from ramify.errors import BadTask, Lost, StoreDown
from ramify.model import Exchange, State, Want
from ramify.proc import awaits
from ramify.stores.protocol import Store
from ramify.system import STOPS, clock, open_streams, wait_for_any
from ramify.tasks import Tasks
from ramify.worker.crew import Crew
from ramify.worker.cron import Crontab
from ramify.worker.desk import Desk
from ramify.worker.ending import find_ending
from ramify.worker.manager import NOBODY, Manager
from ramify.worker.run import PLAN
from ramify.worker.watch import Watch

BEAT: Final = 5.0
BEAT_PROGRESS: Final = 0.5
POLL: Final = 1.0
"""Seconds between looks into the store when nothing wakes us, give or take half: a hint may get lost."""

MANY: Final = 16
"""So many outcomes at once show that jobs are short; then the children are served while the store takes them."""

LONGEST_PAUSE: Final = 2.0
_log = logging.getLogger("ramify.worker")


class Worker:
    """Runs the jobs of a store in child processes. `tasks` are the modules whose functions may run, `units` are those
    of this host, for all its workers together; without them, they are this worker's children. `limit` is how many jobs
    this worker holds at once, coroutines among them.
    """

    def __init__(
        self,
        store: Store,
        tasks: Sequence[str],
        *,
        children: int = 2,
        queues: Sequence[str] = ("default",),
        multiprocessing: bool = False,
        grace: float = 30.0,
        burst: bool = False,
        units: int | None = None,
        limit: int | None = None,
        watch: Sequence[Watch] = (),
    ) -> None:
        self._store, self._tasks = store, Tasks(tasks)
        self._children, self._queues = children, tuple(queues)
        self._fresh, self._grace, self._burst = multiprocessing, grace, burst
        self._units, self._host = units, socket.gethostname()
        self._watches = tuple(watch)
        self._limit = math.inf if limit is None else limit
        self._stops = 0
        self.ended: Counter[State] = Counter()
        """How many jobs ended how in this worker's hands, groups among them."""
        self._near: socket.socket
        self._far: socket.socket | None = None
        self._next_beat = self._next_adopt = self._next_poll = self._next_lines = 0.0
        self._stop_by = math.inf
        self._pauses = 0
        self._idle = self._awaiting = False

    def run(self, manager: Manager = NOBODY) -> None:
        """Run jobs until `stop` or SIGTERM or SIGINT; with `burst`, until there are none left that could run here.

        When stopped it claims no more, gives back what has not begun, lets the rest finish for `grace` seconds, then
        kills it and gives it back too. A second signal ends that wait. `manager` is told that we are ready, and live.
        """
        open_streams()
        names = self._tasks.names()
        if self._fresh and "__main__" in self._tasks.modules:
            raise BadTask("a fresh interpreter cannot import the functions of __main__; move them to a module")
        self._coroutines = frozenset(name for name in names if awaits(self._tasks.find(name)))
        self._known = names | {PLAN}
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._second = ThreadPoolExecutor(1, "ramify-exchange")
        directory = Path(tempfile.mkdtemp(prefix="ramify-"))
        self._crew = Crew(self._tasks, self._coroutines, directory, self._children, self._fresh, self._grace)
        self._crew.shares_children = self._units is None
        self._crew.ending = find_ending(self._store, self._tasks)
        about = (self._queues, self._tasks, self._crew.jobs, self.ended, self._units, self._watches)
        self._desk = Desk(self._store, *about)
        self._declared = False
        try:
            with self._signals():
                self._crew.check_time()
                while not self._finished():
                    self._turn()
                    self._crew.show_life()
                    manager.alive()
                    if manager.is_gone():
                        self._stops = 2
                manager.tell("STOPPING=1")
                self._leave()
        finally:
            self._crew.close()
            if self._desk.session:  # after an error: others may have our jobs at once
                with suppress(StoreDown, Lost):
                    self._store.leave(self._desk.session)
            self._second.shutdown()
            self._near.close()
            self._far.close()
            shutil.rmtree(directory, ignore_errors=True)

    def stop(self) -> None:
        """Begin to stop, as a signal does; may be called from another thread or a signal handler."""
        self._stops += 1
        self._ring()

    def _ring(self) -> None:
        """End a sleep."""
        if self._far is not None:
            with suppress(OSError):
                self._far.send(b"!")

    def _turn(self) -> None:
        # The other place where errors are met in the large: a store that is down, and a session that is lost.
        try:
            if not self._desk.session:
                self._desk.open()
            if not self._declared:
                declare_limits(self._store, self._tasks)
                self._crontab = Crontab(self._store, self._tasks, self._desk.arranger.known)
                self._declared = True
            self._crew.collect()
            if self._desk.is_cut_off():  # before anything else: we may have been frozen
                self._fence()
            self._crew.check_time()
            self._look_at_stop()
            self._hand_over()
            self._keep_lease()
            if self._crontab.due_in() == 0.0 and not self._stops:
                self._crontab.tick()
            self._exchange()
            if not self._has_more_work():
                self._crew.collect()  # or what was said meanwhile would end the sleep at once, with nothing to tell
                self._hand_over()
            if not (self._has_more_work() or self._finished()):
                self._sleep()
            self._pauses = 0
        except StoreDown as error:
            self._next_poll = 0.0
            self._pause(error)
        except Lost:
            self._next_poll = 0.0
            _log.warning("session %s was declared dead; its jobs are left to others", self._desk.session)
            self._crew.forget()
            self._desk.forget()
            self._declared = False  # the store may have been reset, with its limits and clocks

    def _hand_over(self) -> None:
        """Give the desk what the children did."""
        crew, desk = self._crew, self._desk
        if crew.lines:
            lines, crew.lines = crew.lines, []
            desk.say(lines)
        if crew.reports:
            reports, crew.reports = crew.reports, []
            desk.report(reports)
            if crew.progress and any(claim.row.id in crew.progress for claim, _, _ in reports):
                self._next_beat = 0.0  # how far they came is stored while they are ours
        if crew.outcomes:
            outcomes, crew.outcomes = crew.outcomes, []
            for row, outcome in outcomes:
                desk.end(row, outcome)

    def _exchange(self) -> None:
        """Exchange outcomes for claims if there is a reason to, and send out what there is."""
        desk, crew = self._desk, self._crew
        answered = desk.is_answered()
        if answered:
            self._take(desk.finish())
        if not desk.is_exchanging():
            if self._store.elsewhere and crew.busy() and len(desk.outcomes) >= MANY:
                desk.begin(self._ask(), self._beside)  # first: sending out takes about as long as the store does
            elif not answered and (desk.has_work() or self._next_poll <= monotonic()):
                self._take(desk.exchange(self._ask()))
        crew.dispatch()
        self._hand_over()

    def _beside(self, call: Callable[..., Exchange], *arguments: object) -> Future[Exchange]:
        """Make a call in the second thread; a sleep ends with it."""
        future = self._second.submit(call, *arguments)
        future.add_done_callback(lambda _: self._ring())
        return future

    def _has_more_work(self) -> bool:
        """Tell whether another turn at once would do something."""
        return self._desk.is_answered() if self._desk.is_exchanging() else self._desk.has_work()

    def _take(self, more: bool) -> None:
        """Take what an exchange brought, and set when to look again."""
        desk, crew, partial = self._desk, self._crew, self._wanted.tasks is not self._known
        self._idle = not (more or desk.claims or partial) and self._wanted.n > 0
        # Where there is one coroutine there may be a hundred, and they could all begin.
        self._awaiting = any(claim.row.lane.task in self._coroutines for claim in desk.claims)
        if desk.claims:
            crew.take(desk.claims, desk.results)
            desk.claims, desk.results = [], {}
        if desk.cancels:
            crew.cancel(desk.cancels)
            desk.cancels.clear()
        if self._stops:
            crew.give_back()
        functions, coroutines = self._room() if more or partial or self._awaiting else (0, 0)
        again = bool((more or partial) and functions) or bool(self._awaiting and coroutines)
        due_in = math.inf if desk.due_in is None else max(0.005, desk.due_in)
        pause = 0.0 if again else min(POLL * (0.5 + random.random()), due_in)
        self._next_poll = min(self._next_poll, monotonic() + pause)  # a hint may have come meanwhile

    def _ask(self) -> Want:
        """Return what to ask the store for now."""
        self._wanted = self._want(*self._room())
        self._next_poll = math.inf
        return self._wanted

    def _room(self) -> tuple[int, int]:
        """Return how many more functions and coroutines this worker takes."""
        left = 0 if self._stops else max(0, self._limit - len(self._crew.jobs()))
        functions, coroutines = self._crew.room()
        return int(min(functions, left)), int(min(coroutines, left))

    def _want(self, functions: int, coroutines: int) -> Want:
        """Return what to claim: whatever there is room for, or only coroutines, for which there is more room."""
        if self._stops:
            return Want(n=0, ends=0)
        if coroutines and (self._awaiting or not functions):
            functions, tasks = coroutines, self._coroutines
        else:
            tasks = self._known
        return Want(functions, self._queues, tasks, host=self._host, units=self._units, sure=self._burst)

    def _keep_lease(self) -> None:
        now = monotonic()
        desk, crew = self._desk, self._crew
        if desk.lines and now >= self._next_lines:
            desk.append()
            self._next_lines = now + BEAT_PROGRESS / 2
        if now >= self._next_adopt and not self._stops:
            desk.adopt()
            self._next_adopt = now + POLL * (0.75 + random.random() / 2)
        if now >= self._next_beat or (crew.progress and now >= self._next_beat - BEAT + BEAT_PROGRESS):
            desk.beat(list(crew.progress.values()))
            crew.progress.clear()
            self._next_beat = now + BEAT
            if desk.cancels:
                crew.cancel(desk.cancels)
                desk.cancels.clear()
                self._hand_over()

    def _fence(self) -> None:
        """End what runs here, because it may run elsewhere by now. Whether it does the store says when it is back."""
        if self._crew.busy():
            _log.warning("the store has not answered for long; what runs here is ended")
            self._crew.give_back()
            self._crew.kill("the store could not be reached for so long that the job may run elsewhere")

    def _look_at_stop(self) -> None:
        if not self._stops:
            return
        now = monotonic()
        if self._stop_by == math.inf:
            self._stop_by = now + self._grace
        self._crew.give_back()
        if self._crew.busy() and (now >= self._stop_by or self._stops > 1):
            self._crew.kill("its worker was told to stop")

    def _finished(self) -> bool:
        if self._crew.busy() or self._crew.reports or self._crew.outcomes or self._desk.is_exchanging():
            return False
        if self._stops:
            return True
        if not (self._burst and self._idle) or self._desk.has_work():
            return False
        due_in = self._desk.due_in
        return due_in is None or clock() + due_in > self._desk.patience

    def _leave(self) -> None:
        """Report the last outcomes; if the store is away, try for as long as a stop may take."""
        while self._desk.session:
            try:
                self._hand_over()
                self._desk.close()
            except StoreDown as error:
                if self._desk.is_cut_off():
                    return
                self._pause(error)
            except Lost:
                return
            else:
                return

    def _sleep(self) -> None:
        now = monotonic()
        until = min(self._next_beat, self._next_adopt, self._crew.next_time(), self._stop_by)
        if not self._desk.is_exchanging():
            until = min(until, self._next_poll)
        if (due_in := self._crontab.due_in()) is not None:
            until = min(until, now + due_in)
        if self._crew.progress:
            until = min(until, self._next_beat - BEAT + BEAT_PROGRESS)
        if self._desk.lines:
            until = min(until, self._next_lines)
        if until > now:
            if self._store.wait(self._queues, until - now, [*self._crew.sources(), self._near]):
                self._next_poll = 0.0
            self._hear_stop()

    def _pause(self, error: StoreDown) -> None:
        """Wait for a store that is down, longer each time; children go on meanwhile."""
        if self._pauses == 0:
            _log.warning("the store cannot be used; trying again: %s", error)
        self._pauses += 1
        pause = min(LONGEST_PAUSE, 0.05 * 2**self._pauses) * (0.5 + random.random() / 2)
        wait_for_any([self._near], pause)
        self._hear_stop()

    def _hear_stop(self) -> None:
        with suppress(BlockingIOError):
            self._near.recv(4096)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop this worker, if this is the thread that signals come to."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            self.stop()

        before = {number: signal.signal(number, stop) for number in map(signal.Signals.__getitem__, STOPS)}
        assert self._far is not None
        woken = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
