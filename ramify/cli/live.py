"""Run a stored tree here and now: a worker in a thread, and in front of it the picture of what it does."""

import os
import signal
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from ramify.app import Ramify
from ramify.cli.screen import note
from ramify.cli.watch import watch
from ramify.cpus import count_cpus
from ramify.handle import Job
from ramify.model import ENDED, Which
from ramify.stores.protocol import Store
from ramify.stores.read import read_row

if TYPE_CHECKING:
    from ramify.worker.loop import Worker

T = TypeVar("T")


def run_live(app: Ramify, job: Job[T], *, children: int | None = None) -> T:
    """Run the job and all under it with a worker of this process, showing how far it is; return its result.

    Raise as `Job.result` does if it does not end well. Ctrl-C lets the running jobs finish, a second one does not;
    then this raises `KeyboardInterrupt`, and the same call, or any worker, goes on where it stopped.
    """
    if job.state not in ENDED:
        tree = Which(tree=read_row(app.store, job.id).tree)
        queues = sorted({"default", *app.store.counts(tree, "queue")})
        with _Hand(app.store, app.worker(children=children or count_cpus(), queues=queues)) as hand:
            watch(app.store, job.id, hand.check)
    return job.result(timeout=0)


class _Hand:
    """A worker in a thread, stopped when the block ends.

    Ctrl-C is only noted here, and raised by `check`: an exception that comes in the middle of a look at the store could
    leave it locked, and the worker would wait for that lock for ever.
    """

    def __init__(self, store: Store, worker: "Worker") -> None:
        self._store, self._worker = store, worker
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ramify-worker")
        self._is_main = threading.current_thread() is threading.main_thread()
        self._interrupts = 0

    def check(self) -> None:
        """Raise what ended the worker, if something did, and `KeyboardInterrupt` after a Ctrl-C."""
        if self._error is not None:
            raise self._error
        if self._interrupts:
            raise KeyboardInterrupt

    def __enter__(self) -> "_Hand":
        self._before = signal.signal(signal.SIGINT, self._interrupt) if self._is_main else None
        self._thread.start()
        try:
            # It forks its children before it is known to the store. A picture drawn meanwhile could leave them a lock
            # that nobody opens.
            while self._thread.is_alive() and not self._is_known():
                self.check()
                time.sleep(0.005)
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def _is_known(self) -> bool:
        return any(session.pid == os.getpid() for session in self._store.info().sessions)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._worker.stop()
        if kind is KeyboardInterrupt:
            note("stopping; what runs is finished first (Ctrl-C again: stop at once)")
        self._thread.join()
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            self._worker.stop()

    def _run(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:  # noqa: BLE001 -- it is raised again in the thread that watches
            self._error = error
