"""The SQLite store: the engine over SQL, and the reading half of the contract."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from ramify.checkup import Findings, Snapshot
from ramify.declared import Declaration
from ramify.model import Edge, Info, JobId, Line, Page, Result, Row, Session, Which
from ramify.stores import relational as columns
from ramify.stores.engine import Engine
from ramify.stores.lifelines import Lifelines
from ramify.stores.protocol import SLICE
from ramify.stores.rivals import find_rivals
from ramify.stores.sqlite.examine import examine
from ramify.stores.sqlite.file import File
from ramify.stores.sqlite.select import count_rows
from ramify.stores.sqlite.statements import SQL
from ramify.stores.sqlite.tables import FIRST, SqliteTables
from ramify.stores.sqlite.wake import WATCHER, WORKER, Bells
from ramify.stores.tables import Tables
from ramify.system import clock


class Sqlite(Engine):
    """Jobs in one file of a local disk. `durability="fast"` may lose the last commits in a power cut, nothing else.

    Raise `BadStore` if the file is another program's, lies on a network file system or nowhere; `NewerSchema`;
    `StoreDown` if it cannot be written. `clock` and `lease_clock` are for tests.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: str = "full",
        clock: Callable[[], float] = time.time,
        lease_clock: Callable[[], float] = clock,
        slice: int = SLICE,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self.slice = slice
        self.durability = durability
        self._file = File(path, durability == "full", factory)
        self._lifelines = Lifelines(self._file.sidecar)
        self._tables = SqliteTables(self._file.connection, clock, lease_clock, self._lifelines)
        self._bells = Bells(self._file.path)

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[Tables]:
        try:
            with self._file.writing(durable):
                self._tables.woken.clear()
                yield self._tables
                woken = set(self._tables.woken)
        except BaseException:
            self._tables.forget_lanes()  # those of the abandoned step were never stored, also if the commit failed
            raise
        for kind in sorted(woken):
            self._bells.ring(kind)

    def enter(self, session: Session) -> None:
        self._bells.bind(WORKER)
        super().enter(session)

    def jobs(self, which: Which, page: Page = Page()) -> list[Row]:
        with self._file.reading():
            return self._tables.select(which, page)

    def edges(
        self,
        ids: Sequence[JobId],
        *,
        out: bool = False,
        bad: bool = False,
        start: Edge | None = None,
        size: int = SLICE,
    ) -> list[Edge]:
        asked = msgspec.json.encode(sorted(set(ids))).decode()
        after, place = (start.after, start.place) if start else FIRST
        with self._file.reading() as connection:
            if out:
                values = (asked, start.before if start else "", after, place, bad, size)
                found = connection.execute(SQL["edges.out of these"], values)
            else:
                found = connection.execute(SQL["edges.into these"], (asked, after, place, bad, size))
            return [columns.read_edge(edge) for edge in found]

    def results(self, ids: Sequence[JobId], room: int = 64 << 20) -> list[Result]:
        found: list[Result] = []
        with self._file.reading() as connection:
            for values in connection.execute(SQL["end.read"], (msgspec.json.encode(sorted(set(ids))).decode(),)):
                result = columns.read_result(values)
                room -= len(result.value.json) if result.value else 0
                if found and room < 0:
                    break
                found.append(result)
        return found

    def log(self, job: JobId, after: int = 0, size: int = SLICE) -> list[Line]:
        with self._file.reading() as connection:
            return [Line(*values) for values in connection.execute(SQL["log.read"], (job, after, size))]

    def counts(self, which: Which, by: str) -> dict[str, int]:
        with self._file.reading() as connection:
            return count_rows(connection, which, by)

    def info(self) -> Info:
        with self._file.reading() as connection:
            sessions = self._tables.sessions()
            [length] = connection.execute(SQL["work.count"]).fetchone()
            facts = {
                "store": "sqlite",
                "file": str(self._file.path),
                "durability": self.durability,
                "sqlite": sqlite3.sqlite_version,
            }
            lost = [session.id for session, gone in sessions if gone]
            known = [session for session, _ in sessions]
            return Info(known, self._tables.limits(), self._tables.clocks(), length, facts, lost, self._tables.now())

    def tasks(self, names: Sequence[str] | None = None) -> list[Declaration]:
        with self._file.reading():
            return self._tables.tasks(names)

    def snapshot(self) -> Snapshot:
        with self._file.reading() as connection:
            rows = self._tables.select(Which(), Page(size=-1))
            edges = connection.execute("SELECT * FROM edge ORDER BY after, place")
            results = connection.execute("SELECT * FROM result ORDER BY job")
            sessions = connection.execute(SQL["session.all"])
            return Snapshot(
                rows=rows,
                edges=[columns.read_edge(values) for values in edges],
                work=[columns.read_work(values) for values in connection.execute(SQL["work.all"])],
                sessions=[msgspec.json.decode(about, type=Session) for _, about, *_ in sessions],
                limits=self._tables.limits(),
                results={values[0]: columns.read_result(values) for values in results},
                rivals=find_rivals(connection.execute(SQL["names.all"])),
                retries=columns.read_retries(connection.execute(SQL["examine.retries"])),
            )

    def examine(self) -> Findings:
        with self._file.reading() as connection:
            return examine(connection, self._file.path, self._file.sidecar)

    def wait(self, queues: Sequence[str] | None, timeout: float, also: Sequence[Any] = ()) -> bool:
        return self._bells.wait(WATCHER if queues is None else WORKER, timeout, also)

    def close(self) -> None:
        self._bells.close()
        self._lifelines.close()
        self._file.close()
