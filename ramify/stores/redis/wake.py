"""Wake-ups by publish and subscribe: hints, so a lost one costs a poll. Each thread that sleeps has its own ear."""

import contextlib
import threading
import time
from collections.abc import Sequence
from ssl import SSLWantReadError
from typing import Any

from hiredis import HiredisError, Reader
from redis.exceptions import RedisError

from ramify.stores.redis.address import Address
from ramify.system import wait_for_any

GONE = (RedisError, HiredisError, OSError)
"""What is raised when the server went, or is not there."""


class Ear:
    """A connection that hears one channel. The driver takes as long to hear a message as the server to send it."""

    def __init__(self, address: Address, channel: str) -> None:
        self._connection = address.connect(None)
        self._reader = Reader()
        self.unheard: list[Any] = []
        """What was published together with the answer that we are subscribed."""
        try:
            self._connection.connect()
            self.socket: Any = self._connection._sock
            self._connection.send_command("SUBSCRIBE", channel, check_health=False)
            while not (replies := self._take()):
                self._feed()
            self.socket.setblocking(False)
        except BaseException:
            self.close()
            raise
        subscribed, *self.unheard = replies
        if isinstance(subscribed, HiredisError):  # not allowed, or not now
            self.close()
            raise subscribed

    def hear(self) -> list[Any]:
        """Return all that was published by now."""
        said, self.unheard = self.unheard, []
        with contextlib.suppress(BlockingIOError, SSLWantReadError):
            while True:
                self._feed()
        return said + self._take()

    def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(*GONE):
            self._connection.disconnect()

    def _feed(self) -> None:
        text = self.socket.recv(1 << 16)
        if not text:
            raise ConnectionResetError("the server closed the connection")
        self._reader.feed(text)

    def _take(self) -> list[Any]:
        return list(iter(self._reader.gets, False))


class Ears:
    """The subscriptions of this process: one connection for each thread and channel it listens to."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._ears: dict[tuple[int, str], Ear] = {}
        self._own: dict[int, bytes] = {}

    def enter(self, session: str, channel: str) -> None:
        """Listen to a channel from now on; what this session says of its own exchanges wakes this thread no more."""
        self._own[threading.get_ident()] = session.encode()
        self.listen(channel)

    def listen(self, channel: str) -> Ear | None:
        """Return this thread's connection that hears this channel; None where polls must do for now."""
        key = (threading.get_ident(), channel)
        ear = self._ears.get(key)
        if ear is None:  # there was none, or it broke
            with contextlib.suppress(*GONE):
                ear = Ear(self._address, channel)
                with self._lock:
                    self._forget({key for key in self._ears if key[0] not in {t.ident for t in threading.enumerate()}})
                    self._ears[key] = ear
        return ear

    def wait(self, channel: str, timeout: float, also: Sequence[Any]) -> bool:
        """Sleep until something is published, until one of `also` can be read, or for `timeout` seconds."""
        end = time.monotonic() + timeout
        while True:
            ear, left = self.listen(channel), max(0.0, end - time.monotonic())
            if ear is None:
                if also:
                    return bool(wait_for_any(list(also), min(left, 0.5)))
                time.sleep(min(left, 0.5))
                return False
            ready = wait_for_any([ear.socket, *also], 0.0 if ear.unheard else left)
            heard = (ear.unheard or ear.socket in ready) and self._hear(channel, ear)
            if heard or not ready or any(other is not ear.socket for other in ready):
                return bool(ready or heard)

    def _hear(self, channel: str, ear: Ear) -> bool:
        """Read all that was published by now, so that it wakes nobody twice; tell whether others had a part in it."""
        own = self._own.get(threading.get_ident())
        try:
            return any(said[-1] != own for said in ear.hear())
        except GONE:  # the server is gone, or has just come back: there may be something new
            with self._lock:
                self._forget({(threading.get_ident(), channel)})
            return True

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            self._forget(set(self._ears))

    def _forget(self, keys: set[tuple[int, str]]) -> None:
        for key in keys:
            ear = self._ears.pop(key, None)
            if ear is not None:
                ear.close()
