"""The Redis store: the verbs that need less than a step of the engine, and the reading half of the contract."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from ramify.checkup import Findings, Snapshot
from ramify.declared import Declaration
from ramify.errors import Changed, NotFound
from ramify.graph.arrive import arrive, stored_befores
from ramify.model import (
    ENDED,
    TICK,
    Batch,
    Edge,
    Exchange,
    Info,
    JobId,
    Line,
    Outcome,
    Page,
    Result,
    Row,
    Session,
    SessionId,
    Verb,
    Want,
    Which,
    Work,
)
from ramify.stores.damage import find_beside, tell
from ramify.stores.protocol import SLICE
from ramify.stores.redis.examine import (
    COUNTED,
    NAMES,
    SESSIONS,
    SORTED,
    Beside,
    Jobs,
    Places,
    compare,
    find_places,
    put_right,
)
from ramify.stores.redis.insert import KEY, TICKS, alone, slices
from ramify.stores.redis.link import Word
from ramify.stores.redis.plain import ask, is_plain, read_exchange
from ramify.stores.redis.records import read_edge, read_limit, read_result, read_row
from ramify.stores.redis.select import count_rows, select_edges, select_lines, select_rows
from ramify.stores.redis.server import pairs
from ramify.stores.redis.steps import Steps, flat, in_slices
from ramify.stores.redis.tables import RedisTables
from ramify.stores.redis.transaction import Transaction, Writes
from ramify.stores.redis.wake import Ears
from ramify.stores.rivals import find_rivals

T = TypeVar("T")
Ask: TypeAlias = Callable[[Sequence[Sequence[Word]]], list[Any]]

MOST: Final = 1000
"""Rows and edges that one script inserts."""

ATTEMPTS: Final = 5
"""How often all is read again because others added jobs meanwhile."""


class Redis(Steps):
    """Jobs in a Redis server. `url` may ask for `durability=full` and a `prefix` for the store's keys.

    Raise `BadStore` if the server does not keep what it is told, or not as long as asked; `StoreDown` if it cannot be
    reached. `clock` is for tests.
    """

    elsewhere = False  # measured: a second thread takes as much of this process's time as it saves by not waiting

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None, slice: int = SLICE) -> None:
        self.slice = slice
        self._name, self._trades = secrets.token_hex(4), 0
        super().__init__(url, clock)
        self._ears = Ears(self._address)

    # Verbs that need less than a step, or can say more

    def add(self, batch: Batch) -> dict[JobId, JobId]:
        if not _is_alone(batch):
            return super().add(batch)
        with self._lock:
            self._link.connect()
            self._again(lambda: self._add(batch))
        return {}

    def _add(self, batch: Batch) -> None:
        """Store a batch that touches nothing stored; no step has to begin before it is written."""
        if len(batch.rows) == 1 and not batch.marks and (row := batch.rows[0]).hold is None:
            words = alone(row, batch.payloads.get(row.id), self._lanes.number(row.lane))
            self._count_up(self._run("add", f"{self._prefix}ready", 4, *words, durable=True)[1])
            return
        writes = Writes()
        arrival = arrive(batch, {}, {}, 0, 0.0)
        parts = slices(batch, arrival, self._lanes.number, writes)
        if len(arrival.rows) + len(arrival.edges) > MOST:
            self._add_in_slices(parts, writes)
            return
        words = next(parts)
        for more in parts:
            words += more[1:]
        commands = (
            flat([*writes.commands(), *writes.counted()]) if writes.hashes or writes.sorted or writes.counts else []
        )
        self._count_up(self._run("add", f"{self._prefix}ready", len(words), *words, *commands, durable=True)[1])

    def _add_in_slices(self, parts: Iterable[list[Word]], writes: Writes) -> None:
        token = secrets.token_hex(8)
        staged = chain((["rows", *words] for words in parts), in_slices(writes.commands()))
        there = self._stage(token, staged)
        self._open(token)
        self._decide(token, there, list(writes.counted()), True)
        self._publish(["ready"])

    def enter(self, session: Session) -> None:
        self._ears.enter(session.id, f"{self._prefix}ready")
        super().enter(session)

    def exchange(self, session: SessionId, outcomes: Sequence[Outcome], want: Want) -> Exchange:
        with self._lock:
            if self._unlimited and is_plain(outcomes, want) and (reply := self._trade(session, outcomes, want)):
                return reply
            self._look_ahead(session, outcomes, want)
            return super().exchange(session, outcomes, want)

    def _trade(self, session: SessionId, outcomes: Sequence[Outcome], want: Want) -> Exchange | None:
        """Make a plain exchange, or do nothing and return None if it is not one."""
        self._trades += 1
        now = self._clock() if self._clock else None
        words = ask(f"{self._name}.{self._trades}", session, outcomes, want, self._lanes, self.slice, now)
        reply = self._again(lambda: self._run("exchange", *words, durable=bool(outcomes)))
        if reply[0] == b"special":
            return None
        self._count_up(reply[1])
        return read_exchange(reply, self._lanes)

    # Reading

    @contextmanager
    def _reading(self) -> Iterator[RedisTables]:
        with self._looking:
            self._view.connect()
            yield RedisTables(Transaction(self._look), self._lanes, 0.0)

    def jobs(self, which: Which, page: Page = Page()) -> list[Row]:
        with self._reading() as tables:
            return select_rows(tables.transaction, self._lanes, which, page)

    def edges(
        self,
        ids: Sequence[JobId],
        *,
        out: bool = False,
        bad: bool = False,
        start: Edge | None = None,
        size: int = SLICE,
    ) -> list[Edge]:
        with self._reading() as tables:
            return select_edges(tables, ids, out, bad, start, size)

    def results(self, ids: Sequence[JobId], room: int = 64 << 20) -> list[Result]:
        asked = sorted(set(ids))
        found: list[Result] = []
        with self._reading() as tables:
            for start in range(0, len(asked), 100):
                page = asked[start : start + 100]
                there, left = tables.transaction.ask([["HMGET", "job", *page], ["HMGET", "result", *page]])
                for id, row, stored in zip(page, there, left, strict=True):
                    if row is None:
                        continue
                    result = read_result(id, stored)
                    room -= len(result.value.json) if result.value else 0
                    if found and room < 0:
                        return found
                    found.append(result)
        return found

    def ended(self, id: JobId) -> tuple[Row, Result] | None:
        with self._looking:
            self._view.connect()
            row, left = self._look([["HGET", "job", id], ["HGET", "result", id]])
            if row is None:
                raise NotFound(f"job {id} is not stored (any more)")
            found = read_row(id, row, self._lanes)
        return (found, read_result(id, left)) if found.state in ENDED else None

    def log(self, job: JobId, after: int = 0, size: int = SLICE) -> list[Line]:
        with self._reading() as tables:
            return select_lines(tables.transaction, job, after, size)

    def counts(self, which: Which, by: str) -> dict[str, int]:
        with self._reading() as tables:
            return count_rows(tables.transaction, self._lanes, which, by)

    def info(self) -> Info:
        with self._reading() as tables:
            ask = tables.transaction.ask
            names = ("session", "limit", "clock")
            sessions, limits, clocks = ask([["HGETALL", key] for key in names])
            leases, length = ask([["ZRANGE", "lease", 0, -1, "WITHSCORES"], ["ZCARD", "order"]])
            known = {id: msgspec.json.decode(about, type=Session) for id, about in pairs(sessions)}
            alive = {id: float(lease) for id, lease in sorted(pairs(leases)) if id in known}
            if self._clock:
                now = self._clock()
            else:
                seconds, micros = self._view.call("TIME")
                now = float(seconds) + float(micros) / 1e6
            cut = self._lifelines.is_cut
            lost = [known[id].id for id in alive if alive[id] < now or cut(known[id].id, known[id].pid)]
            facts = {"store": "redis", "server": self._link.shown, "prefix": self._address.prefix}
            if self._server is not None:
                facts |= {"version": self._server.version, "durability": self._server.level}
            if self._restored:
                moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(self._restored)))
                facts["restored"] = f"{moment}: the server had lost writes, so all sessions were ended"
            return Info(
                [known[id] for id in alive],
                {name.decode(): read_limit(rule) for name, rule in sorted(pairs(limits))},
                {name.decode(): float(moment) for name, moment in sorted(pairs(clocks))},
                length,
                facts,
                lost,
                now,
            )

    def tasks(self, names: Sequence[str] | None = None) -> list[Declaration]:
        with self._reading() as tables:
            return tables.tasks(names)

    def snapshot(self) -> Snapshot:
        return self._read_at_once(self._read_all)

    def examine(self) -> Findings:
        beside = Beside()
        with self._reading():  # this takes no lock, as it may be long and seldom changes
            for id, stored in self._scan("payload", ask=self._look):
                beside.learn_arguments(id.decode(), stored)
            for id, stored in self._scan("result", ask=self._look):
                beside.learn_result(id.decode(), stored)
        return self._read_at_once(lambda opened: self._examine(beside, opened.transaction.pulse))

    def _examine(self, beside: Beside, pulse: Callable[[], None]) -> Findings:
        jobs = self._read_jobs(pulse)
        if jobs.broken:
            return tell([*jobs.broken, *beside.broken])
        right, there = self._read_places(jobs, pulse)
        bodies = {id: self._lanes[record.lane].task is not None for id, record in jobs.records.items()}
        marks = [member.partition(" ")[::2] for key, member in there.sorted if key == "mark"]
        ticks = ((f"{TICK}{mark}", id) for mark, id in marks if mark.startswith(TICKS) and id in bodies)
        strange = find_beside(bodies, beside.arguments, beside.results, ticks, jobs.requests.items())
        found = tell([*beside.broken, *strange])
        found.wrong += compare(right, there)
        if self._server and not self._server.level.startswith("full"):
            found.notes.append(f"{self._link.shown}: {self._server.level}")
        return found

    def _read_at_once(self, read: Callable[[RedisTables], T]) -> T:
        """Return what is read under the lock, and again if somebody wrote meanwhile: additions take no lock.

        Of a store to which jobs are added all the time, return what was read last.
        """
        for _ in range(ATTEMPTS):
            with self._write(durable=False) as opened:
                assert isinstance(opened, RedisTables)
                before, found = [self._generation.encode(), str(self._written).encode()], read(opened)
                [after] = self._ask([["HMGET", "meta", "generation", "written"]])
            if after == before:  # a server that was set back may have come to the same number
                break
        return found

    def _read_all(self, opened: RedisTables) -> Snapshot:
        ask, pulse = opened.transaction.ask, opened.transaction.pulse
        results = {id.decode(): read_result(id.decode(), left) for id, left in self._scan("result", pulse)}
        [order] = ask([["ZRANGE", "order", 0, -1]])
        work = [opened.find_work(*_work_key(member.decode())) for member in order]
        # From the jobs themselves, not by the indexes; a scan may come across the same one twice.
        stored = dict(self._scan("job", pulse))
        rows = [read_row(id.decode(), stored[id], self._lanes) for id in sorted(stored)]
        edges = {key: read_edge(key.decode(), edge) for key, edge in self._scan("edge", pulse)}
        unfinished = {row.id for row in rows if row.state not in ENDED}
        tried = [row.id for row in rows if row.tries and row.id in unfinished]
        [marks] = ask([["ZRANGEBYLEX", "mark", f"[{KEY}", f"[{KEY}~"]])
        borne = (member.decode().split(" ") for member in marks)
        return Snapshot(
            rows=rows,
            edges=[edges[key] for key in sorted(edges)],
            work=[entry for entry in work if isinstance(entry, Work)],
            sessions=[msgspec.json.decode(about, type=Session) for _, about in sorted(self._scan("session", pulse))],
            limits=opened.limits(),
            results=dict(sorted(results.items())),
            rivals=find_rivals((mark, id) for mark, id in borne if id in unfinished),
            retries=opened.retries(tried),
        )

    def reindex(self) -> int:
        for _ in range(ATTEMPTS):
            with self._lock:
                changes = self._again(self._reindex)
            if changes is not None:
                return int(changes)
        raise Changed(f"{self._link.shown}: jobs are added all the time; stop who adds them, and repeat this")

    def _reindex(self) -> int | None:
        """Put right the indexes; return None if somebody wrote meanwhile, whose jobs would be taken for damage."""
        token = secrets.token_hex(8)
        self._open(token)
        pulse = partial(self._pulse, token)
        jobs = self._read_jobs(pulse)
        # Where jobs or edges cannot be read, it cannot be told where they should stand.
        changes = [] if jobs.broken else list(put_right(*self._read_places(jobs, pulse)))
        for words in in_slices(changes):
            reply = self._run("reindex", token, *words[1:], durable=True)
            if reply[0] == b"late":
                self._close(token)
                return None
            self._count_up(reply[1])
        self._close(token)
        self._publish(["ready", "ended"])
        return len(changes)

    def _read_jobs(self, pulse: Callable[[], None]) -> Jobs:
        """Return the jobs and what cannot be read of them."""
        jobs = Jobs()
        for id, stored in self._scan("job", pulse):
            jobs.learn_job(id.decode(), stored, self._lanes)
        for key, stored in self._scan("edge", pulse):
            jobs.learn_edge(key.decode(), stored)
        jobs.requests = {request.decode(): id.decode() for request, id in self._scan("request", pulse)}
        for id, stored in self._scan("session", pulse):
            jobs.learn_session(id.decode(), stored)
        order = {entry.decode() for entry, _ in self._scan("order", pulse, "ZSCAN")}
        jobs.learn_work(order, {entry.decode(): stored for entry, stored in self._scan("work", pulse)})
        return jobs

    def _read_places(self, jobs: Jobs, pulse: Callable[[], None]) -> tuple[Places, Places]:
        """Return where everything should stand, and where it does."""
        there = Places({}, {})
        for key in (*NAMES, *SESSIONS, *SORTED, *(f"ready:{number}" for number in self._lanes)):
            # Scores of a scan are texts, as those of a range are; what moves meanwhile may come twice.
            there.sorted |= {(key, member.decode()): float(score) for member, score in self._scan(key, pulse, "ZSCAN")}
        there.counts = {(key, field.decode()): int(n) for key in COUNTED for field, n in self._scan(key, pulse)}
        return find_places(jobs, there), there

    def _scan(
        self, key: str, pulse: Callable[[], None] = lambda: None, scan: str = "HSCAN", ask: Ask | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs of one of our keys, a page at a time."""
        cursor: Any = 0
        while True:
            pulse()
            [[cursor, flat]] = (ask or self._ask)([[scan, key, cursor, "COUNT", 1000]])
            yield from pairs(flat)
            if int(cursor) == 0:
                return

    def wait(self, queues: Sequence[str] | None, timeout: float, also: Sequence[Any] = ()) -> bool:
        return self._ears.wait(self._prefix + ("ended" if queues is None else "ready"), timeout, also)

    def close(self) -> None:
        self._ears.close()
        with self._looking, self._lock:
            self._lifelines.close()
            self._view.drop()
            self._link.drop()


def _is_alone(batch: Batch) -> bool:
    """Tell whether a batch touches nothing stored and needs no time."""
    if batch.into is not None or batch.request is not None or batch.clock is not None or not batch.rows:
        return False
    if batch.gates or batch.unless or batch.delays:
        return False
    timeless = [row.limit is None and row.due is None for row in batch.rows]
    return all(timeless) and not (batch.edges and stored_befores(batch, {}))


def _work_key(member: str) -> tuple[JobId, Verb]:
    job, _, verb = member.partition(" ")
    return job, Verb(verb)
