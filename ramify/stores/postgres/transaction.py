"""One step as a transaction: its statements, the lock it holds in the store, and what it knew when it began."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Any

from ramify.model import Rule, SessionId, Work
from ramify.stores import relational as columns
from ramify.stores.postgres.server import Clash, Connection, begin_text

Statement = tuple[str, Sequence[Any] | Mapping[str, Any]]


class Hold(Enum):
    """How a step holds the store's lock.

    `NONE` is for new trees, which nobody sees before they are committed; most steps share it, and settle among
    themselves by the locks of rows; who walks over the graph is alone.
    """

    NONE = "none"
    SHARED = "shared"
    ALONE = "alone"


class Alone(Clash):
    """Do this step again, alone: it has to do with the worklist."""


class Statements(ABC):
    """The statements of one step, and what it knew of the store when it began."""

    def __init__(self, connection: Connection, sql: Mapping[str, str], hold: Hold, lock: int) -> None:
        self.connection, self.sql, self.hold = connection, sql, hold
        self.time: tuple[float, float] | None = None
        """The server's time, and ours at that moment, if this step has asked."""
        self.limits: dict[str, Rule] = {}
        self.work: Work | None = None
        self.alive: Collection[SessionId] = ()
        self.channels: set[str] = set()
        self._lock = lock

    @abstractmethod
    def ask(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Return what a statement finds."""

    @abstractmethod
    def tell(self, statement: str, values: Sequence[Any]) -> int:
        """Execute a statement; return how many rows it changed, as far as that is known at once."""

    @abstractmethod
    def begin(self) -> None:
        """Take the store's lock, and look around."""

    def one(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Return the first column of the first row that a statement finds, or None."""
        found = self.ask(statement, values)
        return found[0][0] if found else None

    def require_alone(self) -> None:
        """Raise `Alone` unless this step holds the store for itself."""
        if self.hold is not Hold.ALONE:
            raise Alone("this step must be alone")

    def _keep_look(self, look: Sequence[Any]) -> None:
        now, work, limits, self.alive = look
        self.time = now, time.monotonic()
        self.work = columns.read_work(tuple(work)) if work else None
        self.limits = {name: Rule(*rule) for name, rule in json.loads(limits).items()} if limits else {}


class Transaction(Statements):
    """Statements on one connection, kept or dropped together.

    It begins with its first question: a step that is a single statement needs no transaction around it.
    """

    def __init__(
        self,
        connection: Connection,
        sql: Mapping[str, str],
        hold: Hold,
        lock: int,
        *,
        pooler: bool = False,
        fast: bool = False,
    ) -> None:
        super().__init__(connection, sql, hold, lock)
        self.asked_to_commit = False
        self._pooler, self._fast = pooler, fast
        self._begun = False
        self._held_back: Statement | None = None
        self._cursor = connection.steps

    def ask(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        self._begin()
        return self._cursor.execute(self.sql[statement], values).fetchall()

    def tell(self, statement: str, values: Sequence[Any]) -> int:
        if not self._begun and self._held_back is None and self.hold is Hold.NONE:
            self._held_back = statement, values
            return 0
        self._begin()
        return self._cursor.execute(self.sql[statement], values).rowcount

    def begin(self) -> None:
        self._begin()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            text = begin_text(self._pooler, fast=self._fast)
            if self.hold is not Hold.NONE:
                how = "_shared" if self.hold is Hold.SHARED else ""
                # The look has a snapshot of its own, taken when the lock is ours.
                text += f"; SELECT pg_advisory_xact_lock{how}({self._lock}); {self.sql['step.look'].replace('%%', '%')}"
            cursor = self.connection.execute(text, prepare=False)
            if self.hold is not Hold.NONE:
                while cursor.nextset():
                    pass
                self._keep_look(cursor.fetchone() or (0.0, None, None, ()))
        if self._held_back is not None:
            (statement, values), self._held_back = self._held_back, None
            self._cursor.execute(self.sql[statement], values)

    def commit(self) -> None:
        """Keep what was done, and tell the listeners."""
        if self._begun:
            ring = "".join(f'NOTIFY "{channel}"; ' for channel in sorted(self.channels))
            self.asked_to_commit = True
            self.connection.execute(f"{ring}COMMIT", prepare=False)
        elif self._held_back is not None:
            statement, values = self._held_back
            self.asked_to_commit = True
            self._cursor.execute(self.sql[statement], values)
