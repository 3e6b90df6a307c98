"""A bell inside one process: whoever waits hears it, together with any other descriptors it waits for."""

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ramify.system import wait_for_any


class Bell:
    """Wakes every thread of this process that waits, or that has waited and will again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[int, tuple[socket.socket, socket.socket]] = {}

    def ring(self) -> None:
        """Wake whoever waits now or began to wait and has not been woken."""
        if not self._ends:
            return
        with self._lock:
            for _, far in self._ends.values():
                with suppress(OSError):  # its buffer is full of rings already, or it was just closed
                    far.send(b"!")

    def wait(self, timeout: float, also: Sequence[Any] = ()) -> bool:
        """Sleep until a ring, until one of `also` can be read, or for `timeout` seconds; return whether it rang."""
        return bool(self.hear(timeout, also))

    def hear(self, timeout: float, also: Sequence[Any] = ()) -> list[Any]:
        """Sleep as `wait` does; return what of `also` can be read, and the bell if it rang."""
        near, _ = self._ends.get(threading.get_ident()) or self._enter()
        ready = wait_for_any([near, *also], timeout)
        if near in ready:
            with suppress(BlockingIOError):
                near.recv(4096)
        return ready

    def close(self) -> None:
        """Forget who waits."""
        with self._lock:
            self._forget(set(self._ends))

    def _enter(self) -> tuple[socket.socket, socket.socket]:
        """Give this thread its ends, and take those of threads that are gone."""
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
        with self._lock:
            self._forget(self._ends.keys() - {thread.ident for thread in threading.enumerate()})
            self._ends[threading.get_ident()] = ends
        return ends

    def _forget(self, threads: set[int]) -> None:
        for thread in threads:
            for end in self._ends.pop(thread):
                end.close()
