"""The PostgreSQL store: the engine over SQL, and the reading half of the contract."""

import hashlib
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import urlencode

import msgspec
import psycopg
from psycopg import errors

from ramify.checkup import Findings, Mending, Snapshot
from ramify.declared import Declaration
from ramify.errors import BadValue, StoreDown
from ramify.graph.arrive import stored_befores
from ramify.model import (
    Batch,
    Beat,
    Claim,
    Edge,
    Exchange,
    Failure,
    Grown,
    Info,
    JobId,
    Line,
    Outcome,
    Page,
    Progress,
    Result,
    Row,
    Rule,
    Session,
    SessionId,
    Verb,
    Want,
    Which,
)
from ramify.stores import relational as columns
from ramify.stores.engine import Engine
from ramify.stores.lifelines import Lifelines, private_folder
from ramify.stores.postgres import literals
from ramify.stores.postgres.borrowed import Borrowed, BorrowedStatements
from ramify.stores.postgres.examine import examine
from ramify.stores.postgres.lanes import Lanes
from ramify.stores.postgres.low import Low
from ramify.stores.postgres.schema import check_name, deploy
from ramify.stores.postgres.select import count_rows, select_rows
from ramify.stores.postgres.server import Clash, Connection, Server, key, wait_a_little
from ramify.stores.postgres.statements import statements
from ramify.stores.postgres.tables import FIRST, PostgresTables
from ramify.stores.postgres.time import ServerTime
from ramify.stores.postgres.transaction import Alone, Hold, Statements, Transaction
from ramify.stores.postgres.wake import Listener, channel
from ramify.stores.postgres.within import Within
from ramify.stores.protocol import SLICE
from ramify.stores.rivals import find_rivals
from ramify.stores.tables import Tables

TRIES: Final = 25
"""How often a step that others were in the way of begins anew before the store counts as down."""
_OF_IDS: Final = ("job_pkey", "payload_pkey")

P = ParamSpec("P")
T = TypeVar("T")


class Gone(Clash):
    """The connection broke; with `unsure`, when the step may have been kept already."""

    def __init__(self, reason: str, unsure: bool) -> None:
        super().__init__(reason)
        self.unsure = unsure


class Postgres(Engine):
    """Jobs in a schema of a database. `durability="fast"` may lose the last commits in a power cut, nothing else.

    `pooler` says that connections go through a transaction pooler, as PgBouncer: nothing of a connection is relied on
    from one transaction to the next. Raise `BadStore`, `NewerSchema`, or `StoreDown` if the server cannot be reached.
    `clock` is for tests.
    """

    elsewhere = True

    def __init__(
        self,
        address: str,
        *,
        schema: str = "ramify",
        durability: str = "full",
        pooler: bool = False,
        clock: Callable[[], float] | None = None,
        slice: int = SLICE,
    ) -> None:
        self.slice, self.schema, self.durability = slice, schema, durability
        check_name(schema)
        self._address = address
        self._server = Server(address, durable=durability == "full", pooler=pooler)
        self._sql = statements(schema)
        self._lanes = Lanes(self._server, self._sql)
        self._lock = key(schema, "store")
        self._channels = channel(schema, "ready"), channel(schema, "ended")
        self._listener = Listener(self._server, self._channels)
        self._lifelines = Lifelines(_folder(self._server, schema))
        self._time, self._low, self._clock = ServerTime(), Low(), clock
        self._here = threading.local()
        self._working_off = False
        try:
            deploy(self._server, schema)
        except BaseException:
            self.close()
            raise

    # Steps

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[Tables]:
        with self._server.connection() as connection:
            pooler = self._server.pooler
            fast = not durable or (pooler and not self._server.durable)  # without a pooler the connection knows
            step = Transaction(connection, self._sql, self._here.hold, self._lock, pooler=pooler, fast=fast)
            try:
                yield self._tables(step)
                step.commit()
            except psycopg.OperationalError as error:
                if connection.broken:
                    raise Gone(str(error).strip(), step.asked_to_commit) from error
                raise

    def _tables(self, step: Statements) -> PostgresTables:
        return PostgresTables(
            step, self.schema, self._lanes, self._lifelines, self._channels, self._time, self._low, self._clock
        )

    @property
    def url(self) -> str:
        """The address under which another process opens this store, its password included."""
        pooler = "transaction" if self._server.pooler else "none"
        options = urlencode({"schema": self.schema, "durability": self.durability, "pooler": pooler})
        return f"{self._address}{'&' if '?' in self._address else '?'}{options}"

    def connect(self) -> Connection:
        """Return a connection to the database as its other users have it; the caller closes it."""
        return self._server.connect(plain=True)

    def within(self, connection: object) -> Within:
        """Return this store as seen from a transaction of the caller's, in the same database.

        Raise `BadStore` if that is none of a driver that is known.
        """

        def make_tables(borrowed: Borrowed, hold: Hold) -> tuple[BorrowedStatements, PostgresTables]:
            step = BorrowedStatements(borrowed, self._sql, hold, self._lock)
            return step, self._tables(step)

        return Within(connection, make_tables, self.slice)

    def _insist(self, hold: Hold, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do a verb, holding the store's lock like this; again from its beginning as long as others are in the way.

        What needs no lock may also be done again if it may have been done: it comes to the same.
        """
        for n in range(TRIES):
            self._here.hold = hold
            try:
                return verb(*args, **kwargs)
            except Alone:
                hold = Hold.ALONE
            except Gone as gone:
                if n or (gone.unsure and hold is not Hold.NONE):
                    raise StoreDown(f"{self._server.address}: {gone}") from gone
                self._server.forget_stale()
            except Clash:
                wait_a_little(n)
        raise StoreDown(f"{self._server.address}: others were in the way {TRIES} times; try again")

    def add(self, batch: Batch) -> dict[JobId, JobId]:
        hold = Hold.NONE if batch.into is None else _hold_for([batch])
        for lane in {row.lane for row in batch.rows}:
            self._lanes.id(lane)  # a new one is stored before the step, which would need a second connection for it
        try:
            return self._insist(hold, super().add, batch)
        except BadValue as error:
            cause = error.__cause__
            if not isinstance(cause, errors.UniqueViolation) or cause.diag.constraint_name not in _OF_IDS:
                raise
            return {}  # ids are made once, so this very batch was stored by a call whose reply was lost

    def enter(self, session: Session) -> None:
        self._insist(Hold.NONE, super().enter, session)

    def leave(self, session: SessionId) -> None:
        self._insist(Hold.NONE, super().leave, session)

    def exchange(self, session: SessionId, outcomes: Sequence[Outcome], want: Want) -> Exchange:
        grown = [batch for each in outcomes if isinstance(each, Grown) for batch in (each.batch, each.beside) if batch]
        hold = Hold.ALONE if self._working_off else _hold_for(grown)
        reply = self._insist(hold, super().exchange, session, outcomes, want)
        self._working_off = reply.more
        if want.sure and want.n > 0 and not reply.claims and self._low.last.partial:
            self._low.look_everywhere()
            again = self.exchange(session, [], want)
            again.refused = reply.refused
            return again
        return reply

    def beat(self, session: SessionId, progress: Sequence[Progress]) -> Beat:
        return self._insist(Hold.NONE, super().beat, session, progress)

    def append(self, session: SessionId, lines: Sequence[Line]) -> None:
        self._insist(Hold.NONE, super().append, session, lines)

    def adopt(self, session: SessionId, n: int) -> list[Claim]:
        return self._insist(Hold.SHARED, super().adopt, session, n)

    def move(self, which: Which, verb: Verb, failure: Failure | None = None) -> int:
        return self._insist(Hold.ALONE, super().move, which, verb, failure)

    def drain(self) -> bool:
        return self._insist(Hold.ALONE, super().drain)

    def mend(self, mending: Mending) -> int:
        return self._insist(Hold.ALONE, super().mend, mending)

    def limit(self, name: str, rule: Rule | None) -> None:
        self._insist(Hold.ALONE, super().limit, name, rule)

    def declare(self, tasks: Sequence[Declaration], gone: Sequence[str] = ()) -> None:
        self._insist(Hold.ALONE, super().declare, tasks, gone)

    def reset(self) -> None:
        self._insist(Hold.ALONE, super().reset)

    # Looking

    def _look(self, read: Callable[[Connection], T], whole: bool = False) -> T:
        """Read, `whole` as of one moment; once more if the connection was cut since it was last used."""
        lend = self._server.reading if whole else self._server.connection
        try:
            with lend() as connection:
                return read(connection)
        except StoreDown:
            self._server.forget_stale()
        with lend() as connection:
            return read(connection)

    def _ask(self, statement: str, values: Sequence[Any]) -> list[Any]:
        return self._look(lambda c: c.cursor(binary=True).execute(self._sql[statement], values).fetchall())

    def jobs(self, which: Which, page: Page = Page()) -> list[Row]:
        return self._look(lambda connection: select_rows(connection, self.schema, self._lanes, which, page))

    def edges(
        self,
        ids: Sequence[JobId],
        *,
        out: bool = False,
        bad: bool = False,
        start: Edge | None = None,
        size: int = SLICE,
    ) -> list[Edge]:
        asked = literals.names(set(ids))
        after, place = (start.after, start.place) if start else FIRST
        if out:
            found = self._ask("edges.out of these", [asked, start.before if start else "", after, place, bad, size])
        else:
            found = self._ask("edges.into these", [asked, after, place, bad, size])
        return [columns.read_edge(values) for values in found]

    def results(self, ids: Sequence[JobId], room: int = 64 << 20) -> list[Result]:
        def read(connection: Connection) -> list[Result]:
            found: list[Result] = []
            left = room
            cursor = connection.cursor(binary=True)
            for values in cursor.stream(self._sql["end.read"], [literals.names(set(ids))]):
                result = columns.read_result(values)
                left -= len(result.value.json) if result.value else 0
                if found and left < 0:
                    break
                found.append(result)
            return found

        return self._look(read)

    def log(self, job: JobId, after: int = 0, size: int = SLICE) -> list[Line]:
        return [Line(*values) for values in self._ask("log.read", (job, after, size))]

    def counts(self, which: Which, by: str) -> dict[str, int]:
        return self._look(lambda connection: count_rows(connection, self.schema, which, by))

    def info(self) -> Info:
        def read(connection: Connection) -> Info:
            known = [
                (msgspec.json.decode(about, type=Session), lease)
                for _, about, dead, lease in connection.execute(self._sql["session.all"], ())
                if not dead
            ]
            now = (
                self._clock() if self._clock else (connection.execute(self._sql["step.now"], ()).fetchone() or (0,))[0]
            )
            lost = [one.id for one, lease in known if lease < now or self._lifelines.is_cut(one.id, one.pid)]
            limits = {name: Rule(*rule) for name, *rule in connection.execute(self._sql["names.limits"], ())}
            [length] = connection.execute(self._sql["work.count"], ()).fetchone() or (0,)
            facts = {
                "store": "postgres",
                "address": self._server.address,
                "schema": self.schema,
                "durability": self.durability,
                "postgres": connection.info.parameter_status("server_version") or "",
            }
            clocks: dict[str, float] = dict(connection.execute(self._sql["task.clocks"], ()).fetchall())
            return Info([session for session, _ in known], limits, clocks, length, facts, lost, float(now))

        return self._look(read, whole=True)

    def tasks(self, names: Sequence[str] | None = None) -> list[Declaration]:
        found = self._ask("task.all", ()) if names is None else self._ask("task.these", [literals.texts(names)])
        return [columns.read_task(about) for (about,) in found]

    def snapshot(self) -> Snapshot:
        def read(connection: Connection) -> Snapshot:
            cursor = connection.cursor(binary=True)

            def ask(statement: str) -> list[Any]:
                return cursor.execute(self._sql[statement], ()).fetchall()

            return Snapshot(
                rows=select_rows(connection, self.schema, self._lanes, Which(), Page(size=-1)),
                edges=[columns.read_edge(values) for values in ask("edges.all")],
                work=[columns.read_work(values) for values in ask("work.all")],
                sessions=[msgspec.json.decode(about, type=Session) for _, about, *_ in ask("session.all")],
                limits={name: Rule(*rule) for name, *rule in ask("names.limits")},
                results={values[0]: columns.read_result(values) for values in ask("end.all")},
                rivals=find_rivals(ask("names.all")),
                retries=columns.read_retries(ask("examine.retries")),
            )

        return self._look(read, whole=True)

    def examine(self) -> Findings:
        return self._look(lambda connection: examine(connection, self._sql, self.schema), whole=True)

    def wait(self, queues: Sequence[str] | None, timeout: float, also: Sequence[Any] = ()) -> bool:
        ready, ended = self._channels
        return self._listener.wait(ended if queues is None else ready, timeout, also)

    def close(self) -> None:
        self._listener.close()
        self._lifelines.close()
        self._server.close()


def _hold_for(batches: Sequence[Batch]) -> Hold:
    """Return how to hold the store to add to stored jobs: alone if they get edges from others, to look for cycles."""
    return Hold.ALONE if any(stored_befores(batch, {}) for batch in batches) else Hold.SHARED


def _folder(server: Server, schema: str) -> pathlib.Path:
    """Return where the workers of this user and host show each other that they live."""
    name = hashlib.sha256(f"{server.address}\0{schema}".encode()).hexdigest()[:16]
    return private_folder() / f"{name}-sessions"
