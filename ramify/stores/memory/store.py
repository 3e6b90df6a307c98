"""The memory store: the engine over dictionaries, and the reading half of the contract."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

from ramify.checkup import Findings, Snapshot
from ramify.declared import Declaration
from ramify.graph.retry import retries_of
from ramify.model import ENDED, UNIQUE, Edge, Info, JobId, Line, Page, Result, Row, State, Value, Which
from ramify.stores.damage import find_beside, tell
from ramify.stores.engine import Engine
from ramify.stores.memory.tables import MemoryTables
from ramify.stores.protocol import SLICE
from ramify.stores.rivals import find_rivals
from ramify.stores.tables import Tables
from ramify.stores.wake import Bell


class Memory(Engine):
    """A store in this process: nothing survives it, and nothing else sees it."""

    def __init__(self, clock: Callable[[], float] = time.time, slice: int = SLICE) -> None:
        self.slice = slice
        self._bell = Bell()
        self._tables = MemoryTables(clock, self._bell.ring)
        self._lock = threading.RLock()

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[Tables]:
        # Nothing here fails half-way: a step validates before it writes.
        with self._lock:
            yield self._tables

    def jobs(self, which: Which, page: Page = Page()) -> list[Row]:
        with self._lock:
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
        with self._lock:
            return self._tables.edges(ids, out, bad, start, size)

    def results(self, ids: Sequence[JobId], room: int = 64 << 20) -> list[Result]:
        with self._lock:
            found: list[Result] = []
            for row in self._tables.rows(sorted(set(ids))):
                result = copy(self._tables.results.get(row.id, Result(row.id)))
                room -= len((result.value or Value()).json)
                if found and room < 0:
                    break
                found.append(result)
            return found

    def log(self, job: JobId, after: int = 0, size: int = SLICE) -> list[Line]:
        with self._lock:
            return [line for line in self._tables.lines.get(job, ()) if line.number > after][:size]

    def counts(self, which: Which, by: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self.jobs(which, Page(size=-1)):
            words = {"state": _shown_state(row), "queue": row.lane.queue, "task": row.lane.task or ""}
            key = " ".join(words[word] for word in by.split(" "))
            counts[key] = counts.get(key, 0) + 1
        return counts

    def info(self) -> Info:
        with self._lock:
            tables = self._tables
            sessions = [session for session, _ in tables.sessions.values()]
            lost = [known.id for known, lease in tables.sessions.values() if lease < tables.now()]
            return Info(
                sessions, tables.limits(), tables.clocks(), len(tables.work), {"store": "memory"}, lost, tables.now()
            )

    def tasks(self, names: Sequence[str] | None = None) -> list[Declaration]:
        with self._lock:
            return self._tables.tasks(names)

    def snapshot(self) -> Snapshot:
        with self._lock:
            tables = self._tables
            return Snapshot(
                rows=tables.select(Which(), Page(size=-1)),
                edges=[copy(edge) for _, edge in sorted(tables.edges_by_place.items())],
                work=[copy(work) for work in tables.work.values()],
                sessions=[session for session, _ in tables.sessions.values()] + list(tables.dead.values()),
                limits=tables.limits(),
                results={id: copy(result) for id, result in sorted(tables.results.items())},
                rivals=find_rivals(
                    (mark, id)
                    for mark in tables.marks
                    for id in tables.marks[mark]
                    if mark.startswith(UNIQUE) and id in tables.by_id and tables.by_id[id].state not in ENDED
                ),
                retries={
                    id: retries_of(tables.payloads[id].policy)
                    for id, row in sorted(tables.by_id.items())
                    if row.tries and row.state not in ENDED and id in tables.payloads
                },
            )

    def examine(self) -> Findings:
        with self._lock:
            tables = self._tables
            bodies = {id: row.lane.task is not None for id, row in tables.by_id.items()}
            marks = ((mark, id) for mark, ids in tables.marks.items() for id in ids)
            return tell(find_beside(bodies, tables.payloads, tables.results, marks, tables.requests.items()))

    def wait(self, queues: Sequence[str] | None, timeout: float, also: Sequence[Any] = ()) -> bool:
        return self._bell.wait(timeout, also)

    def close(self) -> None:
        self._bell.close()


def _shown_state(row: Row) -> str:
    return "scheduled" if row.state is State.READY and row.due is not None else row.state.value
