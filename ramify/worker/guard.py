"""A process that outlives the supervisor by a moment: if that is killed, it kills what the jobs had started,
and removes the worker's temporary directory. If it is frozen, or stuck in a call of the store for so long that its
jobs may be somebody else's, the guard ends these too.

The kernel stops the children when their supervisor dies, so that what is under them can still be found from them. What
has lost its parent is the supervisor's own child (see `Orphans`), which tells the guard of it. A guard that dies is
replaced.
"""

import os
import select
import shutil
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, NoReturn

from ramify import system
from ramify.worker.board import read_groups
from ramify.worker.process import children_of, kill_groups

SILENCE: Final = 26.0
"""Seconds without a sign of life after which the jobs are ended: a moment after the supervisor should have done it."""

EVERY: Final = 1.0
_PID = struct.Struct("<i")
_ALIVE: Final = 0


class Guard:
    """The supervisor's side of the guard. Where a process cannot be forked there is none, and `pid` is 0."""

    def __init__(self, directory: Path) -> None:
        self.pid = 0
        self.watch: int | None = None
        """A descriptor that can be read once the guard is dead, where there is such a thing."""
        self._next = 0.0
        if not system.CAN_FORK:
            return
        reading, self._writing = os.pipe()
        self.pid = system.fork(lambda supervisor, hear_signals: _keep_watch(reading, os.fsencode(directory)))
        os.close(reading)
        self.watch = system.watch(self.pid)

    def lives(self) -> bool:
        """Tell whether there still is one, where there can be."""
        if not self.pid:
            return True
        try:
            return system.wait_for(self.pid, wait=False) is None
        except ChildProcessError:
            return False

    def add(self, pid: int) -> None:
        """Watch this process, its group and whatever is under it."""
        self._tell(pid)

    def remove(self, pid: int) -> None:
        """Forget this process; it has ended."""
        self._tell(-pid)

    def show_life(self) -> None:
        """Let the guard know that the supervisor is neither frozen nor stuck."""
        now = monotonic()
        if now >= self._next:
            self._next = now + EVERY
            self._tell(_ALIVE)

    def close(self) -> None:
        """End the guard; all that it watches must have ended."""
        if self.pid:
            os.close(self._writing)
            with suppress(ChildProcessError):
                system.wait_for(self.pid, wait=True)
            if self.watch is not None:
                os.close(self.watch)
            self.pid = 0

    def _tell(self, number: int) -> None:
        if self.pid:
            with suppress(OSError):
                os.write(self._writing, _PID.pack(number))


def _keep_watch(reading: int, directory: bytes) -> NoReturn:
    """Read until the supervisor is gone, then kill what is left. Nothing but system calls: this is a forked copy."""
    watched: set[int] = set()
    try:
        system.lead_session()
        system.ignore_stops()
        system.close_all_but(reading)
        heard = monotonic()
        while True:
            left = heard + SILENCE - monotonic()
            if select.select([reading], [], [], max(0.0, left))[0]:
                if len(text := os.read(reading, _PID.size)) < _PID.size:
                    break
                heard = monotonic()
                (number,) = _PID.unpack(text)
                if number > 0:
                    watched.add(number)
                else:
                    watched.discard(-number)
            elif left <= 0:  # asked after the pipe: a machine that slept may have heard without knowing it
                end(watched)
                heard = monotonic()
        end(watched)
        # Programs that its children ran stand on their boards.
        for name in os.listdir(directory):
            if name.startswith(b"board-"):
                with open(os.path.join(directory, name), "rb") as board:
                    kill_groups(read_groups(board.read()))
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os._exit(0)


def end(pids: Iterable[int]) -> None:
    """Kill these processes, their groups, and all that is under them."""
    found: dict[int, None] = dict.fromkeys(pids)
    for pid in found:  # stopped first, so that nothing is started behind our back
        system.stop(pid)
    left = list(found)
    while left:
        for child in children_of(left.pop()):
            if child not in found:
                found[child] = None
                system.stop(child)
                left.append(child)
    for pid in reversed(found):  # the leaves first: what has lost its parent may be woken by the kernel
        if system.leads_group(pid):
            system.kill_group(pid)
        system.kill(pid)
