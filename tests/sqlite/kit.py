"""What tests of the SQLite store are written with: connections that spring a trap, and processes beside this one."""

import contextlib
import gc
import multiprocessing
import os
import signal
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Batch, Ended, Outcome, Session, State, Value, Want
from ramify.node import AnyNode
from ramify.stores.protocol import Store
from ramify.stores.sqlite import Sqlite

needs_processes = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork, nor stop a process")

NEVER: Final = -1
EVERYTHING: Final = 1_000_000
VALUE: Final = Value(b"1")


class Trapped(sqlite3.Connection):
    """A connection that springs a trap before its n-th statement from now. Each subclass is a trap of its own."""

    left = NEVER
    passed = 0
    text: str | None = None
    spring: Callable[[], None] = staticmethod(lambda: None)

    @classmethod
    def arm(cls, n: int = NEVER, text: str | None = None) -> None:
        """Let `n` statements pass, or all until one that reads so."""
        cls.left, cls.passed, cls.text = n, 0, text

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Execute a statement."""
        self._count(args[0])
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        """Execute a statement for many rows."""
        self._count(args[0])
        return super().executemany(*args)

    @classmethod
    def _count(cls, text: str) -> None:
        cls.passed += 1
        cls.left -= 1
        if cls.left == NEVER or text == cls.text:
            cls.text = None
            cls.spring()


def fail() -> None:
    """Fail as a broken disk does."""
    raise sqlite3.OperationalError("disk I/O error")


def die() -> None:
    """Die without a chance to clean up."""
    os.kill(os.getpid(), signal.SIGKILL)


def trap(spring: Callable[[], None]) -> type[Trapped]:
    """Return a kind of connection that does this when it is told to."""
    return type("Trap", (Trapped,), {"spring": staticmethod(spring)})


def open_fast(path: Path, **options: Any) -> Sqlite:
    """Open a store that does not wait for the disk, so that tests are quick."""
    return Sqlite(str(path), **{"durability": "fast", **options})


@contextlib.contextmanager
def opened(path: Path, **options: Any) -> Iterator[Sqlite]:
    """Open a store for the length of a block."""
    store = open_fast(path, **options)
    try:
        yield store
    finally:
        store.close()


def planned(*nodes: AnyNode) -> Batch:
    """Return a batch with ids of its own."""
    return plan(sketch(nodes), make_ids)


def session(name: str) -> Session:
    """Return a session of this process."""
    return Session(name, pid=os.getpid())


def done(claims: Any) -> list[Outcome]:
    """Return the reports that all these claims went well."""
    return [Ended(claim.row.id, claim.row.attempt, State.DONE, None if claim.row.doomed else VALUE) for claim in claims]


def work(
    store: Store,
    name: str,
    n: int = EVERYTHING,
    each: Callable[[str], None] = lambda label: None,
    queues: tuple[str, ...] = ("default",),
) -> None:
    """Run all that is ready, as a worker of this name does, until nothing is; tell of each job by its label."""
    outcomes: list[Outcome] = []
    while True:
        reply = store.exchange(name, outcomes, Want(n, queues))
        for claim in reply.claims:
            each(claim.row.label or "")
        outcomes = done(reply.claims)
        if not outcomes and not reply.more:
            return


class Process:
    """A process beside this one that does one thing; it can be told things, and tells what it returns or says."""

    def __init__(self, act: Callable[..., Any], *args: Any) -> None:
        context = multiprocessing.get_context("fork")
        self.near, far = context.Pipe()
        self._process = context.Process(target=_begin, args=(act, args, far))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads: none hold locks
            self._process.start()
        far.close()
        self.pid = self._process.pid or 0

    def hear(self) -> Any:
        """Return what the process says next. Raise `EOFError` if it says nothing more."""
        return self.near.recv()

    def tell(self, what: Any = None) -> None:
        """Say something to the process."""
        self.near.send(what)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self.wait()

    def stop(self) -> None:
        """Freeze the process, and wait until it is frozen."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def wait(self) -> int | None:
        """Wait for the end of the process; return its exit code, below 0 if a signal ended it."""
        self._process.join()
        self.near.close()
        return self._process.exitcode


def _begin(act: Callable[..., Any], args: Any, far: Any) -> None:
    gc.freeze()  # what the parent left to be collected is not for this process to close
    far.send(act(far, *args))


def together(act: Callable[..., Any], *args: Any, n: int) -> list[Any]:
    """Do the same in `n` processes that begin at the same moment; return what each returns."""
    barrier = multiprocessing.get_context("fork").Barrier(n)
    processes = [Process(_meet, barrier, act, number, *args) for number in range(n)]
    replies = [process.hear() for process in processes]
    assert [0] * n == [process.wait() for process in processes]
    return replies


def _meet(far: Any, barrier: Any, act: Callable[..., Any], *args: Any) -> Any:
    barrier.wait()
    return act(*args)
