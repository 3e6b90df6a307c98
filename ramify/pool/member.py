"""One worker process as its pool sees it: started, heard, told to stop, found dead."""

import itertools
import os
import signal
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from ramify import system
from ramify.inlet import Inlet
from ramify.pool.line import Line
from ramify.pool.log import Lines
from ramify.worker.process import ask_to_stop, start_apart

_numbers: Final = itertools.count()
SETTLED: Final = 1.0
"""Where a worker cannot tell that it is ready, it is taken to be so when it has lived for so many seconds."""


class Member:
    """A worker of a pool. `number` names it within its line."""

    def __init__(self, line: Line, number: int, directory: Path) -> None:
        self.name = f"{line.name}.{number}"
        self.born = self.heard = monotonic()
        self.ready = False
        self.stop_by: float | None = None
        self._socket = _bind(directory / str(next(_numbers)))
        environment = {**line.environment, "PYTHONUNBUFFERED": "1"}
        environment.pop("NOTIFY_SOCKET", None)
        if self._socket is not None:
            environment["NOTIFY_SOCKET"] = self._socket.getsockname()
        # Ctrl-C reaches the pool alone, which stops its workers in order.
        command = [line.python, "-m", "ramify.cli", "worker", "--pool", str(os.getpid())]
        self.process = start_apart(command, line.directory, environment)
        assert self.process.stdout is not None
        with self.process.stdout as output:
            self.lines = Lines(os.dup(output.fileno()))

    def sources(self) -> Collection[Inlet | socket.socket]:
        """Return what can be read when the worker has something to say."""
        return [self.lines.inlet] if self._socket is None else [self.lines.inlet, self._socket]

    def hear(self) -> None:
        """Take note of signs of life."""
        if self._socket is None:
            self.ready = self.ready or monotonic() > self.born + SETTLED
            return
        with suppress(BlockingIOError):
            while facts := self._socket.recv(4096):
                self.heard = monotonic()
                self.ready = self.ready or b"READY=1" in facts.split(b"\n")

    def silence(self) -> float:
        """Return for how many seconds it has not been heard; 0 where it cannot be."""
        return 0.0 if self._socket is None else monotonic() - self.heard

    def stop(self, grace: float) -> None:
        """Ask it to stop within `grace` seconds; when asked again it stops at once."""
        self.stop_by = min(self.stop_by or float("inf"), monotonic() + grace)
        ask_to_stop(self.process)

    def kill(self) -> None:
        """End it at once. What its jobs had started its guard ends."""
        with suppress(OSError):
            self.process.kill()

    def death(self) -> str | None:
        """Return how it ended, None while it lives."""
        status = self.process.poll()
        if status is None:
            return None
        if status >= 0:
            return f"ended with status {status}"
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"

    def close(self) -> list[bytes]:
        """Let go of a dead one; return the last lines that it said."""
        last = []
        self.lines.inlet.end()
        while lines := self.lines.read():
            last += lines
        last += self.lines.rest()
        self.lines.inlet.close()
        if self._socket is not None:
            path = self._socket.getsockname()
            self._socket.close()
            with suppress(OSError):
                os.unlink(path)
        return last


def _bind(path: Path) -> socket.socket | None:
    if not system.HAS_UNIX_SOCKETS:
        return None
    bound = system.local_socket()
    bound.setblocking(False)
    bound.bind(str(path))
    return bound
