"""Lanes by number: few, never changed and never deleted, so a process remembers them."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ramify.model import Lane
from ramify.stores.postgres import literals
from ramify.stores.postgres.server import Server

Ask = Callable[[str, Sequence[Any]], list[Any]]


class Lanes:
    """What this process knows of the table `lane`."""

    def __init__(self, server: Server, sql: Mapping[str, str]) -> None:
        self._server, self.sql = server, sql
        self._lock = threading.Lock()
        self._ids: dict[Lane, int] = {}
        self._lanes: dict[int, Lane] = {}

    def read(self, ids: Iterable[int], ask: Ask) -> dict[int, Lane]:
        """Return lanes by number, these among them."""
        missing = set(ids) - self._lanes.keys()
        if missing:
            found = ask("add.lanes", [literals.numbers(sorted(missing))])
            with self._lock:
                self._lanes |= {id: Lane(*lane) for id, *lane in found}
        return self._lanes

    def id(self, lane: Lane) -> int:
        """Return the number of a lane, new or not.

        A new one is stored by a transaction of its own: who adds the first job of a lane may take an hour to commit,
        and nobody else should wait for that.
        """
        id = self._ids.get(lane)
        return self._store(lane) if id is None else id

    def _store(self, lane: Lane) -> int:
        values = (lane.queue, lane.task, lane.slot, lane.units)
        with self._server.connection() as connection:
            while (found := connection.execute(self.sql["add.lane"], values).fetchone()) is None:
                connection.execute(self.sql["add.new lane"], values)
        with self._lock:
            self._ids[lane] = found[0]
            self._lanes[found[0]] = lane
        return int(found[0])
