"""Between a store and its server: passes everything on, and cuts the connection when it is told to."""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path


class Proxy:
    """A socket file that leads to another one. After `cut_reply(n)` the n-th reply from then on is never delivered."""

    def __init__(self, place: Path, server: Path) -> None:
        self.place, self._server = place, server
        self._left = 0
        self._ends: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def _begin(self, run: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        self._threads[-1].start()

    def cut_reply(self, n: int) -> None:
        """Deliver n - 1 replies more, then none: the server has done what it was told, and nobody hears of it."""
        self._left = n

    def close(self) -> None:
        """Accept no more connections, and end all there are."""
        for end in [self._listener, *self._ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in [self._listener, *self._ends]:
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                self._ends += [near, far]
                far.connect(str(self._server))
                self._begin(self._pass_on, near, far, False)
                self._begin(self._pass_on, far, near, True)

    def _pass_on(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if replies and self._left:
                    self._left -= 1
                    if not self._left:
                        break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
