"""What the journal says, in tables: a copy in the memory of this process, which any process can make anew from files.

The tables are SQLite's, in memory, so that an abandoned step is rolled back and everything is read as in the SQLite
store. What a step writes is noted verb by verb, as `stores/tables.py` names them; whoever reads the record does the
same to its copy. The verbs give the same result from the same tables at the same time, so all copies are alike.
"""

import sqlite3
import typing
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ramify.errors import NewerSchema
from ramify.graph.arrive import Arrival
from ramify.model import Batch, Claim, JobId, Lane, Line, Session, SessionId
from ramify.stores.directory.record import Change, Record
from ramify.stores.sqlite.statements import MIGRATIONS
from ramify.stores.sqlite.tables import SqliteTables
from ramify.stores.tables import Tables

DEEPEST: Final = 64
"""Levels of directories in directories; what is deeper lies side by side in one."""

WRITES: Final = (
    *("write", "insert", "forget", "reopen", "end", "settle", "settle_slice", "start", "wake_due"),
    *("keep_value", "keep_failure", "keep_progress", "enlist", "advance", "delist", "keep_request"),
    *("open_session", "bury", "take_over", "set_limit", "forgive", "keep_tasks", "forget_tasks", "set_clock", "reset"),
)
"""The verbs of `Tables` that write."""

SCHEMA: Final = """
CREATE TABLE folder (
    job TEXT NOT NULL PRIMARY KEY,
    path TEXT NOT NULL,
    under INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (name TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE changed (job TEXT NOT NULL);
CREATE TEMP TRIGGER job_changed AFTER UPDATE OF state ON main.job WHEN old.state <> new.state
    BEGIN INSERT INTO changed VALUES (new.id); END;
CREATE TEMP TRIGGER job_added AFTER INSERT ON main.job BEGIN INSERT INTO changed VALUES (new.id); END;
"""

_encode = msgspec.json.Encoder().encode


class NoLifelines:
    """Sessions of a directory have no locks."""

    def hold(self, session: SessionId) -> None:
        """Hold nothing."""

    def is_cut(self, session: SessionId, pid: int) -> bool:
        """Know nothing."""
        return False

    def drop(self, session: SessionId) -> None:
        """Let go of nothing."""

    def close(self) -> None:
        """Let go of nothing."""


class Leases(typing.Protocol):
    """Who knows which sessions are silent."""

    def renew(self, session: SessionId) -> None:
        """Show that one lives."""
        ...

    def silent(self, sessions: Sequence[Session]) -> list[SessionId]:
        """Return those of these sessions whose time is over."""
        ...


class Replica(SqliteTables):
    """Tables that note what is written to them."""

    def __init__(self, factory: type[sqlite3.Connection], leases: Leases) -> None:
        self.connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, factory=factory, cached_statements=256
        )
        super().__init__(self.connection, lambda: self.time, lambda: 0.0, NoLifelines())  # type: ignore[arg-type]
        # As SQLite sees it: statements of ours that no test breaks, and that are not part of any step.
        self.aside = self.connection.cursor()
        self.time = 0.0
        self.changes: list[Change] = []
        self.gone: list[str] = []
        """Directories of roots that the last step has forgotten."""
        self.buried: list[SessionId] = []
        """Sessions that the last step has declared dead."""
        self._ours: dict[JobId, None] = {}
        self._theirs: dict[JobId, None] = {}
        """Jobs whose state our steps, or those of others, have changed, not shown yet; the last ones last."""
        self._leases = leases
        self._noting = False
        self._rows = 0
        """How many rows were written, as far as it was noted."""
        self.aside.execute("PRAGMA temp_store = MEMORY")  # or what is to be shown costs a file and its journal
        for script in MIGRATIONS:
            self.aside.executescript(script)
        self.aside.executescript(SCHEMA)

    @contextmanager
    def step(self, time: float) -> Iterator[list[Change]]:
        """Do a step at a time; what it writes is in the list. If the block raises, nothing of it is left."""
        self.time, self.changes, self._noting = time, [], True
        self.gone, self.buried = [], []
        self.aside.execute("BEGIN")
        self._rows = self.connection.total_changes
        try:
            yield self.changes
            if self.connection.total_changes != self._rows:
                raise AssertionError("a step wrote by a verb that is not among WRITES, so no record would tell of it")
        except BaseException:
            self.aside.execute("ROLLBACK")
            self.forget_lanes()
            raise
        else:
            self.aside.execute("COMMIT")
            for id in self._changed():
                self._theirs.pop(id, None)
                self._ours.pop(id, None)
                self._ours[id] = None
        finally:
            self._noting = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """See the tables as they are."""
        yield self.connection

    def apply(self, found: Record) -> None:
        """Do what another process did."""
        self.time = found.head.time
        self.aside.execute("BEGIN")
        try:
            for verb, arguments in found.changes:
                if verb not in _DECODERS:
                    raise NewerSchema(f"record {found.head.number} has a verb {verb!r}; upgrade ramify here")
                getattr(self, verb)(*_DECODERS[verb].decode(arguments))
        except BaseException:
            self.aside.execute("ROLLBACK")
            self.forget_lanes()
            raise
        self.aside.execute("COMMIT")
        self._theirs.update((id, None) for id in self._changed() if id not in self._ours)

    def _changed(self) -> list[JobId]:
        """Return the jobs whose state the last step has changed, in that order."""
        found = [id for (id,) in self.aside.execute("SELECT job FROM changed ORDER BY rowid").fetchall()]
        if found:
            self.aside.execute("DELETE FROM changed")
        return found

    # Checkpoints

    def dump(self) -> list[Change]:
        """Return all tables, each as columns and rows."""
        tables: list[Change] = []
        names = self.aside.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        for (name,) in names:
            columns = [column for _, column, *_ in self.aside.execute(f"PRAGMA main.table_info({name})").fetchall()]
            rows = self.aside.execute(f"SELECT * FROM main.{name}").fetchall()
            tables.append((name, msgspec.Raw(_encode([columns, rows]))))
        return tables

    def load(self, tables: Sequence[Change]) -> None:
        """Put these tables in the place of what is here."""
        self.aside.execute("BEGIN")
        for (name,) in self.aside.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
            self.aside.execute(f"DELETE FROM main.{name}")
        for name, text in tables:
            columns, rows = msgspec.json.decode(text)
            kinds = {found[1]: found[2] for found in self.aside.execute(f"PRAGMA main.table_info({name})").fetchall()}
            if missing := set(columns) - kinds.keys():
                raise NewerSchema(f"the checkpoint has {name}.{min(missing)}, which is unknown here; upgrade ramify")
            blobs = [place for place, column in enumerate(columns) if kinds[column] == "BLOB"]
            for row in rows if blobs else ():
                for place in blobs:
                    row[place] = None if row[place] is None else b64decode(row[place])
            marks = ", ".join("?" * len(columns))
            self.aside.executemany(f"INSERT INTO main.{name} ({', '.join(columns)}) VALUES ({marks})", rows)
        self.aside.execute("COMMIT")
        self._changed()
        self._forget_changed()
        self.forget_lanes()

    # What differs from SQLite's tables

    def insert(self, batch: Batch, arrival: Arrival) -> None:
        super().insert(batch, arrival)
        self._number(arrival)

    def forget(self, ids: Sequence[JobId]) -> None:
        self.gone += [path for id in ids if (path := self.folder(id)) is not None and "/" not in path]
        super().forget(ids)
        self.connection.executemany("DELETE FROM folder WHERE job = ?", [(id,) for id in ids])

    def reset(self) -> None:
        self.gone += [path for (path,) in self.aside.execute("SELECT path FROM folder").fetchall() if "/" not in path]
        self.buried += [session.id for session in self.alive()]
        super().reset()
        self._forget_changed()

    def renew(self, session: SessionId) -> bool:
        alive = self.is_alive(session)
        if alive:
            self._leases.renew(session)
        return alive

    def start_in(self, session: SessionId, lane: Lane, n: int) -> list[Claim]:
        return self.start(session, [id for _, _, id, _ in self.ready_in(lane, n)])  # a record names the jobs

    def bury(self, session: SessionId | None) -> None:
        if session is not None:
            super().bury(session)
            self.buried.append(session)
            return
        for silent in self._leases.silent(self.alive()):
            self.bury(silent)

    def keep_lines(self, session: SessionId, lines: Sequence[Line]) -> None:
        raise NotImplementedError("lines go to files")

    def alive(self) -> list[Session]:
        """Return the sessions that nobody declared dead."""
        found = self.aside.execute("SELECT about FROM session WHERE dead = 0 ORDER BY id").fetchall()
        return [msgspec.json.decode(about, type=Session) for (about,) in found]

    # Directories of jobs

    def folder(self, job: JobId) -> str | None:
        """Return where the job's directory is, below `jobs`."""
        found = self.aside.execute("SELECT path FROM folder WHERE job = ?", (job,)).fetchone()
        return None if found is None else str(found[0])

    def folders(self) -> list[str]:
        """Return where the directories of all jobs are, below `jobs`."""
        return [path for (path,) in self.aside.execute("SELECT path FROM folder ORDER BY job").fetchall()]

    def changed(self, n: int) -> list[JobId]:
        """Return `n` jobs whose state our steps changed, those of the last steps first, those above before others."""
        return list(islice(reversed(self._ours), n))

    def note_shown(self, jobs: Iterable[JobId]) -> None:
        """Forget that these jobs have changed."""
        for id in jobs:
            self._ours.pop(id, None)

    def own_changed(self) -> None:
        """Take over what others changed, and perhaps did not show."""
        self._ours = {**self._theirs, **self._ours}
        self._theirs = {}

    def disown_changed(self) -> None:
        """Forget what others changed; somebody looks after it."""
        self._theirs = {}

    def _forget_changed(self) -> None:
        self._ours, self._theirs = {}, {}

    def _number(self, arrival: Arrival) -> None:
        """Give new jobs their directories: roots are counted, and the jobs under one in order of id."""
        members: dict[JobId | None, list[JobId]] = {}
        for row in arrival.rows:
            members.setdefault(row.parent, []).append(row.id)
        own = {row.id for row in arrival.rows}
        paths: dict[JobId | None, str] = {}
        under: dict[str, int] = {}
        level: list[JobId | None] = [parent for parent in members if parent not in own]
        found: list[tuple[JobId, str]] = []
        while level:
            parent = level.pop()
            above = "" if parent is None else paths.get(parent) or self._path(parent)
            if above.count("/") >= DEEPEST - 1:
                above = f"{above.partition('/')[0]}/deep"
            first = under.get(above) or self._count(above)
            under[above] = first + len(members[parent])
            for number, id in enumerate(members[parent], first + 1):
                paths[id] = f"{above}/{number}" if above else str(number)
                found.append((id, paths[id]))
                if id in members:
                    level.append(id)
        self.connection.executemany("INSERT INTO folder (job, path) VALUES (?, ?)", found)
        self.connection.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", list(under.items()))

    def _path(self, job: JobId) -> str:
        [path] = self.connection.execute("SELECT path FROM folder WHERE job = ?", (job,)).fetchone()
        return str(path)

    def _count(self, above: str) -> int:
        found = self.connection.execute("SELECT n FROM counter WHERE name = ?", (above,)).fetchone()
        return 0 if found is None else int(found[0])


def _trim(verb: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Leave out of a record what stands in it twice."""
    if verb == "insert":
        batch, arrival = arguments
        return replace(batch, rows=[], edges=[]), arrival
    return arguments


def _noted(verb: str, act: Callable[..., Any]) -> Callable[..., Any]:
    """Return the verb so that it notes what it changed, if it did."""

    def do(self: Replica, *arguments: Any) -> Any:
        if not self._noting or (verb == "bury" and arguments == (None,)):
            return act(self, *arguments)  # whom a look at the leases buries is noted one by one
        self._noting = False  # what it does by other verbs is part of it
        before = self.connection.total_changes
        text = _encode(_trim(verb, arguments))
        try:
            result = act(self, *arguments)
        finally:
            self._noting = True
        if self.connection.total_changes > before:
            self._rows += self.connection.total_changes - before
            self.changes.append((verb, msgspec.Raw(text)))
        return result

    return do


def _decoder(verb: str) -> msgspec.json.Decoder[tuple[Any, ...]]:
    """Return what reads the arguments of a verb back, by the types in the protocol."""
    hints = typing.get_type_hints(getattr(Tables, verb))
    hints.pop("return")
    return msgspec.json.Decoder(tuple[tuple(hints.values())])  # type: ignore[misc]


_DECODERS: Final = {verb: _decoder(verb) for verb in WRITES}
for _verb in WRITES:
    setattr(Replica, _verb, _noted(_verb, getattr(Replica, _verb)))
