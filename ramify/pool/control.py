"""How a pool that runs is spoken to: a socket in the directory where it was started, for its owner alone.

A question is one line of JSON, and so is its answer. There is at most one pool in a directory.
"""

import contextlib
import os
import socket
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from ramify import system
from ramify.errors import BadSettings, NotFound

NAME: Final = ".ramify-pool"
PATIENCE: Final = 5.0
MOST: Final = 1 << 20
T = TypeVar("T")


class Ask(Struct, omit_defaults=True):
    """What a pool is asked: how it is (`status`), or to read everything anew (`reload`), to `scale`, to `stop`."""

    verb: str
    lines: dict[str, int] = {}


class Tell(Struct, omit_defaults=True):
    """How a pool is: its pid, and by line how many workers it wants and has; or why it did not do what it was asked."""

    pid: int
    wanted: dict[str, int] = {}
    ready: dict[str, int] = {}
    wrong: str = ""


def ask(directory: Path, question: Ask) -> Tell:
    """Ask the pool of this directory. Raise `NotFound` if none runs there."""
    if not system.HAS_UNIX_SOCKETS:
        raise NotFound("a pool cannot be spoken to on this system; change ramify.toml and start it anew")
    with _connect(directory) as line:
        try:
            line.sendall(msgspec.json.encode(question) + b"\n")
            return _receive(line, Tell)
        except (OSError, ValueError):  # it has just stopped, or is stuck
            raise NotFound(f"the pool in {directory.absolute()} does not answer") from None


def _connect(directory: Path) -> socket.socket:
    line = system.local_socket(packets=False)
    line.settimeout(PATIENCE)
    try:
        with contextlib.chdir(directory):  # the path of a socket may not be long
            line.connect(NAME)
    except OSError:
        line.close()
        raise NotFound(f"no pool runs in {directory.absolute()}; `ramify pool` starts one") from None
    return line


def _receive(line: socket.socket, kind: type[T]) -> T:
    text = b""
    while not text.endswith(b"\n") and (more := line.recv(MOST)):
        text += more
    return msgspec.json.decode(text, type=kind)


class Door:
    """The pool's end. `fileno` can be read when somebody asks."""

    def __init__(self, directory: Path) -> None:
        self._path = directory.absolute() / NAME
        self._listener: socket.socket | None = None
        if not system.HAS_UNIX_SOCKETS:
            return
        with contextlib.suppress(NotFound):
            other = ask(directory, Ask("status"))
            raise BadSettings(
                f"a pool runs in {directory.absolute()} already (process {other.pid}); "
                "`ramify pool scale` changes its size, `ramify pool reload` its settings"
            )
        # A directory that we may not write to hears no questions; the workers need none.
        with contextlib.suppress(PermissionError):
            self._listener = _listen(directory)

    def sources(self) -> list[socket.socket]:
        """Return what can be read when somebody asks."""
        return [] if self._listener is None else [self._listener]

    def hear(self) -> tuple[Ask, socket.socket] | None:
        """Return a question, and the line that waits for the answer; None if there is none, or it makes no sense."""
        if self._listener is None:
            return None
        try:
            line, _ = self._listener.accept()
        except OSError:
            return None
        line.settimeout(1.0)
        try:
            return _receive(line, Ask), line
        except (OSError, ValueError):
            line.close()
            return None

    @staticmethod
    def answer(line: socket.socket, tell: Tell) -> None:
        """Answer a question."""
        with line, contextlib.suppress(OSError):
            line.sendall(msgspec.json.encode(tell) + b"\n")

    def close(self) -> None:
        """Hear nobody any more."""
        if self._listener is not None:
            self._listener.close()
            with contextlib.suppress(OSError):
                self._path.unlink()


def _listen(directory: Path) -> socket.socket:
    listener = system.local_socket(packets=False)
    try:
        with contextlib.chdir(directory):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(NAME)
            before = os.umask(0o177)
            try:
                listener.bind(NAME)
            finally:
                os.umask(before)
        listener.listen(8)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
