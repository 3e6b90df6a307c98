"""A process that outlives the supervisor by a moment: if that is killed, it kills what the jobs had started,
and removes the worker's temporary directory.

The kernel kills the children themselves; their process groups are known here. It learns that the supervisor is gone
from the end of a pipe.
"""

import os
import shutil
import signal
import struct
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from ramify.worker.pipe import read_groups
from ramify.worker.process import CAN_FORK, kill_groups

_PID = struct.Struct("<i")


class Guard:
    """The supervisor's side of the guard. Where a process cannot be forked there is none, and `pid` is 0."""

    def __init__(self, directory: Path) -> None:
        self.pid = 0
        if not CAN_FORK:
            return
        reading, self._writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _keep_watch(reading, os.fsencode(directory))
        os.close(reading)

    def add(self, group: int) -> None:
        """Watch this process group."""
        self._tell(group)

    def remove(self, group: int) -> None:
        """Forget this process group; it has ended."""
        self._tell(-group)

    def close(self) -> None:
        """End the guard; all groups must have ended."""
        if self.pid:
            os.close(self._writing)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0

    def _tell(self, number: int) -> None:
        if self.pid:
            with suppress(OSError):
                os.write(self._writing, _PID.pack(number))


def _keep_watch(reading: int, directory: bytes) -> NoReturn:
    """Read until the supervisor is gone, then kill what is left. Nothing but system calls: this is a forked copy."""
    groups: set[int] = set()
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.closerange(0, reading)
        os.closerange(reading + 1, os.sysconf("SC_OPEN_MAX"))
        while len(text := os.read(reading, _PID.size)) == _PID.size:
            (number,) = _PID.unpack(text)
            if number > 0:
                groups.add(number)
            else:
                groups.discard(-number)
        kill_groups(groups)
        # Now no child starts another program; those it had started stand on its board.
        for name in os.listdir(directory):
            if name.startswith(b"board-"):
                with open(os.path.join(directory, name), "rb") as board:
                    kill_groups(read_groups(board.read()))
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os._exit(0)
