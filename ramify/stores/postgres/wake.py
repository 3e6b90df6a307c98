"""Wake-ups through the server: LISTEN and NOTIFY, a hint that polls back up.

A process listens on one connection, however many of its threads wait: one of them leads, reads what comes, and rings
the others. Behind a transaction pooler there is nothing to listen to, and a wait is a sleep.
"""

import hashlib
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import psycopg

from ramify.errors import StoreDown
from ramify.stores.postgres.server import Connection, Server
from ramify.stores.wake import Bell
from ramify.system import wait_for_any

PAUSE: Final = 1.0
"""Seconds before a lost connection is opened again."""


def channel(schema: str, kind: str) -> str:
    """Return the name of a channel: any schema's fits into the server's limit."""
    return f"ramify_{kind}_{hashlib.sha256(schema.encode()).hexdigest()[:16]}"


class Listener:
    """Hears that jobs may be ready, and that jobs may have ended."""

    def __init__(self, server: Server, channels: Sequence[str]) -> None:
        self._server, self._channels = server, tuple(channels)
        self._bells = {name: Bell() for name in channels}
        self._leading = threading.Lock()
        self._connection: Connection | None = None
        self._next_try = 0.0

    def wait(self, channel: str, timeout: float, also: Sequence[Any] = ()) -> bool:
        """Sleep until something comes on the channel, until one of `also` can be read, or for `timeout` seconds."""
        if self._server.pooler or not self._leading.acquire(blocking=False):
            return self._bells[channel].wait(timeout, also)
        try:
            return self._lead(channel, timeout, also)
        finally:
            self._leading.release()
            self._ring(self._channels)  # another one takes the lead

    def _lead(self, channel: str, timeout: float, also: Sequence[Any]) -> bool:
        end = time.monotonic() + timeout
        if self._connection is None and time.monotonic() >= self._next_try:
            return self._listen()
        while True:
            own = [] if self._connection is None else [self._connection.fileno()]
            ready: list[Any] = wait_for_any([*own, *also], max(0.0, end - time.monotonic()))
            heard = self._hear() if own and own[0] in ready else set()
            self._ring(heard)
            if channel in heard or len(ready) > len(own) or (ready and ready != own):
                return True
            if time.monotonic() >= end:
                return False

    def _listen(self) -> bool:
        """Open the connection; wake, because what came before it is not heard."""
        try:
            self._connection = self._server.connect()
            for name in self._channels:
                self._connection.execute(f'LISTEN "{name}"')
        except (StoreDown, psycopg.Error):
            self._lose()
        return True

    def _hear(self) -> set[str]:
        """Return the channels on which something came; all of them if the connection is lost."""
        heard: set[str] = set()
        assert self._connection is not None
        try:
            self._connection.pgconn.consume_input()
            while (notice := self._connection.pgconn.notifies()) is not None:
                heard.add(notice.relname.decode())
        except psycopg.Error:
            self._lose()
            return set(self._channels)
        return heard

    def _lose(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
        self._next_try = time.monotonic() + PAUSE

    def _ring(self, channels: Sequence[str] | set[str]) -> None:
        for name in channels:
            self._bells[name].ring()

    def close(self) -> None:
        """Stop listening."""
        self._lose()
        for bell in self._bells.values():
            bell.close()
