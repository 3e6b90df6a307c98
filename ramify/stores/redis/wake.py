"""Wake-ups by publish and subscribe: hints, so a lost one costs a poll. Each thread that sleeps has its own ear."""

import contextlib
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import wait as wait_for_any
from typing import Any

from redis.exceptions import RedisError

from ramify.stores.redis.address import Address


class Ears:
    """The subscriptions of this process: one connection for each thread and channel it listens to."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._ears: dict[tuple[int, str], Any] = {}
        self._own: dict[int, bytes] = {}

    def enter(self, session: str, channel: str) -> None:
        """Listen to a channel from now on; what this session says of its own exchanges wakes this thread no more."""
        self._own[threading.get_ident()] = session.encode()
        self.listen(channel)

    def listen(self, channel: str) -> Any:
        """Return this thread's connection that hears this channel; None where polls must do for now."""
        key = (threading.get_ident(), channel)
        ear = self._ears.get(key)
        if ear is None or ear._sock is None:  # there was none, or it broke
            with contextlib.suppress(RedisError, OSError):
                ear = self._address.connect(None)
                ear.connect()
                ear.send_command("SUBSCRIBE", channel, check_health=False)
                ear.read_response()
                with self._lock:
                    self._forget({key for key in self._ears if key[0] not in {t.ident for t in threading.enumerate()}})
                    self._ears[key] = ear
                return ear
            return None
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
            socket = ear._sock
            ready = wait_for_any([socket, *also], left)
            heard = socket in ready and self._hear(channel, ear)
            if heard or not ready or any(other is not socket for other in ready):
                return bool(ready)

    def _hear(self, channel: str, ear: Any) -> bool:
        """Read all that was published by now, so that it wakes nobody twice; tell whether others had a part in it."""
        own, heard = self._own.get(threading.get_ident()), False
        try:
            while ear.can_read(timeout=0):
                *_, said = ear.read_response()
                heard = heard or said != own
        except (RedisError, OSError):  # the server is gone, or has just come back: there may be something new
            with self._lock:
                self._forget({(threading.get_ident(), channel)})
            return True
        return heard

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            self._forget(set(self._ears))

    def _forget(self, keys: set[tuple[int, str]]) -> None:
        for key in keys:
            ear = self._ears.pop(key, None)
            if ear is not None:
                with contextlib.suppress(RedisError, OSError):
                    ear.disconnect()
