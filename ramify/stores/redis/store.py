"""The Redis store: the engine over one step at a time, and the reading half of the contract."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import msgspec

from ramify.declared import Declaration
from ramify.errors import NewerSchema, StoreDown
from ramify.graph.arrive import arrive, stored_befores
from ramify.graph.fit import serves
from ramify.model import (
    Batch,
    Edge,
    Exchange,
    Findings,
    Info,
    JobId,
    Lane,
    Line,
    Outcome,
    Page,
    Result,
    Row,
    Session,
    SessionId,
    Snapshot,
    Verb,
    Want,
    Which,
    Work,
)
from ramify.stores.engine import Engine
from ramify.stores.lifelines import Lifelines, private_folder
from ramify.stores.protocol import SLICE
from ramify.stores.redis.address import read_address
from ramify.stores.redis.examine import SORTED, compare
from ramify.stores.redis.insert import insert
from ramify.stores.redis.lanes import Lanes
from ramify.stores.redis.link import Link, Word
from ramify.stores.redis.persistence import Persistence, read_persistence
from ramify.stores.redis.records import (
    FORMAT,
    decode_record,
    edge_key,
    lane_text,
    read_edge,
    read_lane,
    read_limit,
    read_result,
    word,
)
from ramify.stores.redis.scripts import SCRIPTS
from ramify.stores.redis.select import count_rows, select_edges, select_lines, select_rows
from ramify.stores.redis.tables import RedisTables
from ramify.stores.redis.transaction import Transaction, Writes
from ramify.stores.redis.wake import Ears
from ramify.stores.tables import Tables

PATIENCE: Final = 5000
"""Milliseconds after which a step of which nothing is heard is not waited for any more."""

MOST: Final = 12_000
"""Words in one script: it takes some 5 ms. What has more is put aside first and then done in slices."""

AHEAD: Final = 2000
"""How many edges are read ahead."""

LANES: Final = 100
"""How many lanes are looked into ahead; more are looked into as they are needed."""


class Restored(StoreDown):
    """The server was restored or emptied meanwhile; the same call may be repeated."""


class Redis(Engine):
    """Jobs in a Redis server. `url` may ask for `durability=full` and a `prefix` for the store's keys.

    Raise `BadStore` if the server does not keep what it is told, or not as long as asked; `StoreDown` if it cannot be
    reached. `clock` is for tests.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None, slice: int = SLICE) -> None:
        self.slice = slice
        self._clock = clock
        self._address = read_address(url)
        self._prefix = "{" + self._address.prefix + "}:"
        self._meta = self._prefix + "meta"
        self._lock = threading.RLock()
        self._link = Link(self._address, self._greet)
        # Who reads must not keep a step waiting, nor the other way round: steps and looks have a connection each.
        self._looking, self._view = threading.RLock(), Link(self._address, self._greet_view)
        self._ears = Ears(self._address)
        self._lifelines = Lifelines(private_folder() / "sessions")
        self._lanes = Lanes(self._name_lanes)
        self._generation, self._written, self._restored = "", 0, ""
        self._server: Persistence | None = None
        self._ahead: list[Word] = []
        self.patience = PATIENCE
        self._heard = 0.0
        with self._lock:
            self._link.connect()

    # Meeting the server

    def _greet(self) -> None:
        """Look at a server that was just connected to: whether it is fit, and remembers what it has told us."""
        before = self._server
        self._server = server = read_persistence(self._link, self._address.durability)
        known, written = self._generation, self._written
        began = self._meet()
        if known == self._generation and (self._written < written or (server != before and began < written)):
            self._drop_leases(known)
        elif known == self._generation:
            self._written = max(written, self._written)

    def _greet_view(self) -> None:
        """Lanes may have other numbers on a server that was just connected to."""
        with self._lock:
            self._link.connect()
            self._meet()

    def _meet(self) -> int:
        """Learn the generation and how much was written; return how much this run of the server began with."""
        server = self._server.run if self._server else ""
        reply = self._link.run("hello", self._meta, self._prefix, "", 0, FORMAT, secrets.token_hex(8), server)
        generation, form, written, began, restored = [(value or b"").decode() for value in reply]
        if int(form) > FORMAT:
            raise NewerSchema(f"{self._link.shown} was written by a newer ramify; upgrade this one")
        if generation != self._generation:
            self._lanes.forget()
        self._generation, self._written, self._restored = generation, int(written), restored
        return int(began or 0)

    def _drop_leases(self, generation: str) -> None:
        """Declare all sessions dead: who began again may not know what they have done."""
        self._link.run("restored", self._meta, self._prefix, generation, 0, secrets.token_hex(8))
        self._meet()

    def _run(self, script: str, *words: Word, durable: bool = False) -> Any:
        """Run a script; raise `Restored` if the store is not the one that we knew."""
        self._link.connect()
        after: list[Word] = ["WAITAOF", 1, 0, 5000] if durable and self._server and self._server.waits else []
        reply = self._link.run(script, self._meta, self._prefix, self._generation, self._written, *words, after=after)
        if reply[0] in (b"generation", b"behind"):
            if reply[0] == b"behind":
                self._drop_leases(self._generation)
            else:
                self._meet()
            raise Restored
        return reply

    def _again(self, act: Callable[[], Any]) -> Any:
        """Do something that may be done from the start again when the store was restored."""
        for _ in range(3):
            with suppress(Restored):
                return act()
        return act()

    def _ask_in_step(self, token: str, commands: Sequence[Sequence[Word]]) -> list[Any]:
        self._pulse(token)
        return self._ask(commands)

    def _pulse(self, token: str) -> None:
        """Show now and then that a step which takes long is still on its way."""
        if time.monotonic() - self._heard > self.patience / 5000:
            self._run("keep", token, self.patience)
            self._heard = time.monotonic()

    def _ask(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        return self._link.calls(self._with_prefix(commands))

    def _look(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        return self._view.calls(self._with_prefix(commands))

    def _with_prefix(self, commands: Sequence[Sequence[Word]]) -> list[list[Word]]:
        return [[name, self._prefix + str(key), *rest] for name, key, *rest in commands]

    def _name_lanes(self, lanes: Sequence[Lane]) -> Mapping[int, Lane]:
        with self._lock:
            _, flat = self._run("lane", *[lane_text(lane) for lane in lanes])
            return _read_lanes(flat)

    # Steps

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[Tables]:
        with self._lock:
            token = secrets.token_hex(8)
            tables = self._open(token)
            try:
                yield tables
                tables.flush()
            except BaseException:
                self._close(token)
                raise
            self._commit(token, tables.transaction, durable)
            self._publish(sorted(tables.woken))

    def _open(self, token: str) -> RedisTables:
        ahead: list[Word]
        ahead, self._ahead = self._ahead or ["", 0, -1, 0, 0], []
        while True:
            reply = self._again(
                lambda: self._run("open", token, self.patience, len(self._lanes), self.slice, AHEAD, *ahead)
            )
            if reply[0] == b"open":
                return self._begin(token, reply, ahead)
            if reply[0] == b"redo":
                self._redo(token)
            else:
                # A little more than its holder may take; whoever ends a step wakes the next in line.
                patience = f"{max(0.05, min(reply[1] / 1000 + 0.01, 0.5)):.3f}"
                self._link.call("BLPOP", f"{self._prefix}turn:{token}", patience)

    def _begin(self, token: str, reply: list[Any], ahead: Sequence[Word]) -> RedisTables:
        """Return the tables of a step, knowing what was read ahead."""
        _, now, lanes, limits, counts, first, last, purging, due, *more = reply
        self._heard = time.monotonic()
        if lanes:
            self._lanes.learn(_read_lanes(lanes))
        transaction = Transaction(partial(self._ask_in_step, token), partial(self._pulse, token))
        tables = RedisTables(transaction, self._lanes, self._clock() if self._clock else float(now), self._lifelines)
        tables.learn_limits({name.decode(): read_limit(rule) for name, rule in _pairs(limits)})
        tables.learn_counts({name.decode(): int(n) for name, n in _pairs(counts)})
        tables.last_entry = float(last[1]) if last else 0.0
        transaction.learn_lowest("order", first, not first)
        transaction.learn_lowest("purge", purging, len(purging) < 2000)
        transaction.learn_lowest("due", due, not due)
        if more:
            session = str(ahead[0])
            tables.alive = session if more[0] is not None else None
            transaction.learn_group("cancel", word(session), more[1], True)
        if more[2:]:
            self._learn(transaction, more[2:], ahead)
        return tables

    def _learn(self, transaction: Transaction, read: list[Any], ahead: Sequence[Word]) -> None:
        rows, records, outs, edges, found, doomed, heads, ready, payloads, slots, results = read
        own = int(ahead[3])
        ids, lanes = [str(id) for id in ahead[4 : 4 + own]], ahead[5 + own :]
        names = [id.decode() for id in ready]
        transaction.learn("job", [id.decode() for id in rows], records)
        transaction.learn("edge", [key.decode() for key in edges], found)
        transaction.learn("payload", names, payloads)
        transaction.learn("slots", names, slots)
        transaction.learn("result", ids[: len(results)], results)
        left = AHEAD
        for id, members in zip(ids, outs, strict=False):
            transaction.learn_group("out", id, members, len(members) < min(self.slice + 1, left))
            left -= len(members)
        transaction.learn_lowest("ends", doomed, len(doomed) < 2 * int(ahead[1]))
        for lane, most, head in zip(lanes[::2], lanes[1::2], heads, strict=True):
            transaction.learn_lowest(f"ready:{int(lane)}", head, len(head) < 2 * int(most))

    def _commit(self, token: str, transaction: Transaction, durable: bool) -> None:
        commands: list[list[Word]] = []
        for command in transaction.commands():
            transaction.pulse()
            commands.append(command)
        counted = list(transaction.counted())
        if not commands and not counted:
            self._close(token)
        elif sum(map(len, commands)) <= MOST:
            self._count_up(self._check(self._run("commit", token, *_flat(commands + counted), durable=durable)))
        else:
            self._stage(token, commands)
            self._decide(token, counted, durable)

    def _decide(self, token: str, counted: Sequence[Sequence[Word]], durable: bool) -> None:
        """Say that what was put aside is to be done, do it, and end the step."""
        self._count_up(self._check(self._run("decide", token, *_flat(counted), durable=durable)))
        self._redo(token)
        self._close(token)

    def _stage(self, token: str, commands: Sequence[Sequence[Word]]) -> None:
        words = _flat(commands)
        for start in range(0, len(words), MOST // 2):
            self._run("stage", token, self.patience, start, *words[start : start + MOST // 2])

    def _redo(self, token: str) -> None:
        """Do what was decided, by us or by somebody who died of it."""
        while self._check(self._run("redo", token, self.patience, MOST // 2)):
            pass

    def _check(self, reply: list[Any]) -> int:
        if reply[0] == b"late":
            raise StoreDown(f"a step took longer than {self.patience / 1000:g} s and was given up; it was never there")
        return int(reply[1])

    def _close(self, token: str) -> None:
        self._link.tell("EVAL", SCRIPTS["close"], 1, self._meta, self._prefix, self._generation, self._written, token)

    def _publish(self, channels: Iterable[str]) -> None:
        for channel in channels:
            self._link.tell("PUBLISH", self._prefix + channel, "")

    # Verbs that need less, or can say more

    def add(self, batch: Batch) -> dict[JobId, JobId]:
        if not _is_alone(batch):
            return super().add(batch)
        with self._lock:
            self._link.connect()
            self._again(lambda: self._add(batch))
        return {}

    def _add(self, batch: Batch) -> None:
        """Store a batch that touches nothing stored; no step has to begin before it is written."""
        writes = Writes()
        insert(writes, batch, arrive(batch, {}, {}, 0, 0.0), self._lanes.number)
        commands, counted = list(writes.commands()), list(writes.counted())
        if sum(map(len, commands)) > MOST:
            token = secrets.token_hex(8)
            self._stage(token, commands)
            self._open(token)
            self._decide(token, counted, True)
            self._publish(["ready"])
            return
        words = _flat(commands + counted)
        self._count_up(self._run("add", batch.rows[-1].id, f"{self._prefix}ready", *words, durable=True)[1])

    def _count_up(self, written: int) -> None:
        self._written = max(self._written, written)

    def enter(self, session: Session) -> None:
        self._ears.listen(f"{self._prefix}ready")
        super().enter(session)

    def exchange(self, session: SessionId, outcomes: Sequence[Outcome], want: Want) -> Exchange:
        with self._lock:
            lanes: list[Word] = []
            rank = {queue: number for number, queue in enumerate(want.queues)}
            if want.n > 0:
                served = [(rank[lane.queue], number) for number, lane in self._lanes.items() if serves(want, lane)]
                others = self._lanes.keys() - {number for _, number in served}
                for _, number in sorted(served)[:LANES]:
                    lanes += (number, want.n)
                for number in sorted(others)[: LANES - len(served)] if len(served) < LANES else ():
                    lanes += (number, 1)
            ids = list(dict.fromkeys(outcome.job for outcome in outcomes))[:SLICE]
            self._ahead = [session, min(want.ends, SLICE), min(want.n, SLICE), len(ids), *ids, len(lanes) // 2, *lanes]
            return super().exchange(session, outcomes, want)

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
            known = {id: msgspec.json.decode(about, type=Session) for id, about in _pairs(sessions)}
            alive = {id: float(lease) for id, lease in sorted(_pairs(leases)) if id in known}
            now = self._clock() if self._clock else float(self._view.call("TIME")[0])
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
                {name.decode(): read_limit(rule) for name, rule in sorted(_pairs(limits))},
                {name.decode(): float(moment) for name, moment in sorted(_pairs(clocks))},
                length,
                facts,
                lost,
            )

    def tasks(self, names: Sequence[str] | None = None) -> list[Declaration]:
        with self._reading() as tables:
            return tables.tasks(names)

    def snapshot(self) -> Snapshot:
        with self._write(durable=False) as opened:
            assert isinstance(opened, RedisTables)
            ask = opened.transaction.ask
            results = {id.decode(): read_result(id.decode(), left) for id, left in self._scan("result")}
            [order] = ask([["ZRANGE", "order", 0, -1]])
            work = [opened.find_work(*_work_key(member.decode())) for member in order]
            return Snapshot(
                rows=select_rows(opened.transaction, self._lanes, Which(), Page(size=-1)),
                edges=sorted(
                    (read_edge(key.decode(), edge) for key, edge in self._scan("edge")),
                    key=lambda edge: edge_key(edge.after, edge.place),
                ),
                work=[entry for entry in work if isinstance(entry, Work)],
                sessions=[msgspec.json.decode(about, type=Session) for _, about in sorted(self._scan("session"))],
                limits=opened.limits(),
                results=dict(sorted(results.items())),
            )

    def examine(self) -> Findings:
        with self._write(durable=False) as opened:
            assert isinstance(opened, RedisTables)
            records = {id.decode(): decode_record(text) for id, text in self._scan("job")}
            keys = [*SORTED, *(f"ready:{number}" for number in self._lanes)]
            found = self._ask([["ZRANGE", key, 0, -1, "WITHSCORES"] for key in keys])
            there = {
                (key, member.decode()): float(score)
                for key, flat in zip(keys, found, strict=True)
                for member, score in _pairs(flat)
            }
            counted = {field.decode(): int(n) for field, n in self._scan("count")}
        return Findings(wrong=list(compare(records, there, counted)))

    def _scan(self, key: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the fields of one of our hashes, a page at a time."""
        cursor: Any = 0
        while True:
            [[cursor, flat]] = self._ask([["HSCAN", key, cursor, "COUNT", 1000]])
            yield from _pairs(flat)
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
    return (
        batch.into is None
        and batch.request is None
        and batch.clock is None
        and not (batch.gates or batch.unless or batch.delays)
        and bool(batch.rows)
        and all(row.limit is None and row.due is None for row in batch.rows)
        and not stored_befores(batch, {})
    )


def _flat(commands: Sequence[Sequence[Word]]) -> list[Word]:
    words: list[Word] = []
    for command in commands:
        words.append(len(command))
        words += command
    return words


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _read_lanes(flat: Sequence[bytes]) -> dict[int, Lane]:
    return {int(number): read_lane(text) for text, number in _pairs(flat)}


def _work_key(member: str) -> tuple[JobId, Verb]:
    job, _, verb = member.partition(" ")
    return job, Verb(verb)
