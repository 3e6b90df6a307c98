"""The reading end of a pipe, which never makes its reader wait, and can be waited for together with sockets.

Where pipes cannot be waited for, as on Windows, a thread reads them and rings a socket.
"""

import os
import socket
import threading
from collections import deque
from contextlib import suppress
from typing import Final, TypeAlias

from ramify import system

PIECE: Final = 65536


class Polled:
    """An inlet of its own accord: the pipe itself is waited for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        system.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """Return what can be waited for."""
        return self._descriptor

    def read(self) -> bytes | None:
        """Return what has come, b"" at the end; None if there is nothing now."""
        try:
            return os.read(self._descriptor, PIECE)
        except BlockingIOError:
            return None

    def end(self) -> None:
        """Wait until all that a writer which is dead has left can be read."""

    def close(self) -> None:
        """Let go of the pipe."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Threaded:
    """An inlet that a thread reads."""

    def __init__(self, descriptor: int) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._come = deque[bytes]()
        self._thread = threading.Thread(target=self._serve, args=(descriptor,), name="inlet", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return what can be waited for."""
        return self._near.fileno()

    def read(self) -> bytes | None:
        """Return what has come, b"" at the end; None if there is nothing now."""
        # The rings first: what comes after them rings again.
        with suppress(BlockingIOError):
            self._near.recv(4096)
        try:
            text = self._come.popleft()
        except IndexError:
            return None
        if not text:
            self._come.append(text)
        if self._come:  # there is more, so a wait ends at once
            self._ring()
        return text

    def end(self) -> None:
        """Wait until all that a writer which is dead has left can be read."""
        self._thread.join(1.0)  # what it has started may hold the other end for ever

    def close(self) -> None:
        """Let go of the pipe; its thread does when the other end is closed."""
        self._near.close()
        self._far.close()

    def _serve(self, descriptor: int) -> None:
        text = b"!"
        while text:
            text = b""
            with suppress(OSError):  # on Windows, the other end is gone
                text = os.read(descriptor, PIECE)
            self._come.append(text)
            self._ring()
        os.close(descriptor)

    def _ring(self) -> None:
        with suppress(OSError):  # it has rings enough, or is closed
            self._far.send(b"!")


Inlet: TypeAlias = Polled | Threaded


def open_inlet(descriptor: int) -> Inlet:
    """Return an inlet of a pipe, which it closes in the end."""
    return Polled(descriptor) if system.HAS_POLL else Threaded(descriptor)
