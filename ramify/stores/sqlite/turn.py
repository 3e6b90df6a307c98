"""The queue of those who write to one database file, each in turn, so that none is starved.

It is a `flock` of a folder beside the file, whose waiters the kernel serves in order. That wait has no time limit, and
a process that is stopped in the middle of its write (Ctrl-Z, a debugger) keeps the lock. So a thread does the waiting:
who writes can give up, say who is in the way, and hear signals meanwhile.
"""

import contextlib
import os
import pathlib
import threading
from queue import Empty, SimpleQueue
from typing import Final

from ramify import system
from ramify.errors import StoreDown

PATIENCE: Final = 10.0
"""Seconds that a turn is waited for, as SQLite's own busy timeout; the longest writes take a tenth of it."""


class Turn:
    """One connection's place in the queue. One thread at a time uses it.

    The thread that waits is started when there is something to wait for, and stays: that costs writers who meet all the
    time a tenth of their speed, a new one for each wait would cost a quarter.
    """

    def __init__(self, path: pathlib.Path, folder: pathlib.Path) -> None:
        self._path = path
        self._folder = folder
        self._queue: int | None = None
        self._waiter: system.Waiter | None = None
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._guard = threading.Lock()
        self._is_asked = False
        self._is_wanted = False
        self._came: SimpleQueue[bool] = SimpleQueue()

    def open(self) -> None:
        """Make the folder to queue at. Where the system has no such queues, SQLite's busy timeout has to do."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._queue = system.open_folder(self._folder)

    def take(self) -> None:
        """Wait for the turn. Raise `StoreDown` if it has not come after `PATIENCE` seconds."""
        with self._guard:
            if self._queue is None or (not self._is_asked and system.take_turn(self._queue, wait=False)):
                return
            self._is_wanted = True
            if not self._is_asked:
                self._ask(self._queue)
        try:
            self._came.get(timeout=PATIENCE)
        except Empty:
            if self._give_up():
                who = find_stopped_writer(self._folder) or "somebody else has been writing to it for long"
                raise StoreDown(f"{self._path}: {who}") from None
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> bool:
        """Want the turn no more; return False if it came just now."""
        with self._guard:
            if self._is_wanted:
                self._is_wanted = False
                return True
        with contextlib.suppress(Empty):
            self._came.get_nowait()
        return False

    def _ask(self, queue: int) -> None:
        if self._waiter is None:
            self._waiter = system.Waiter(target=self._wait, args=(queue,), name="ramify-turn", daemon=True)
            self._waiter.start()
        self._is_asked = True
        self._asked.put(True)

    def _wait(self, queue: int) -> None:
        while self._asked.get():
            system.take_turn(queue)
            with self._guard:
                self._is_asked = False
                if self._is_wanted:
                    self._is_wanted = False
                    self._came.put(True)
                else:  # it was given up, and may be asked for again
                    system.leave_turn(queue)
        os.close(queue)

    def leave(self) -> None:
        """Let the next one have his turn, if it is ours."""
        if self._queue is not None:
            system.leave_turn(self._queue)

    def close(self) -> None:
        """Leave the queue for good."""
        queue, self._queue = self._queue, None
        if self._waiter is not None:
            self._asked.put(False)  # the thread may be in the middle of a wait, and closes it then
        elif queue is not None:
            os.close(queue)


def find_stopped_writer(folder: pathlib.Path) -> str | None:
    """Say which process has the turn without going on, with the remedy; None if there is none, or nobody can tell."""
    inode = str(folder.stat().st_ino)
    try:
        locks = [line.split() for line in pathlib.Path("/proc/locks").read_text().splitlines()]
    except OSError:  # only Linux lists them
        return None
    for words in locks:
        # As in `1: FLOCK ADVISORY WRITE 4455 fe:00:131 0 EOF`; who waits has an arrow before FLOCK. See proc(5).
        if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode and _is_stopped(words[4]):
            return (
                f"process {words[4]} was stopped in the middle of a write, so nobody else can write; "
                f"`kill -CONT {words[4]}` lets it go on, `kill -KILL {words[4]}` ends it, and nothing is lost"
            )
    return None


def _is_stopped(pid: str) -> bool:
    """Tell whether a process exists and is stopped, by a signal or a debugger."""
    try:
        about = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return about.rpartition(")")[2].split()[0] in {"T", "t"}
