"""The directory store: the engine over a copy of the tables, and the journal that all copies follow."""

import errno
import functools
import inspect
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import msgspec

from ramify.checkup import Findings
from ramify.errors import BadStore, NewerSchema, RamifyError, StoreDown, StoreFull
from ramify.model import Exchange, Info, JobId, Line, Outcome, Session, SessionId, Want
from ramify.stores.directory.disk import Disk
from ramify.stores.directory.folders import Folders
from ramify.stores.directory.inbox import Inbox
from ramify.stores.directory.journal import PATIENCE, Behind, Conflict, Journal, damaged
from ramify.stores.directory.queue import Queue
from ramify.stores.directory.replica import Replica
from ramify.stores.directory.sessions import Sessions
from ramify.stores.directory.strays import find_strays
from ramify.stores.directory.wake import Watch
from ramify.stores.engine import Engine
from ramify.stores.protocol import SLICE
from ramify.stores.sqlite.examine import examine_tables
from ramify.stores.sqlite.store import Sqlite
from ramify.stores.tables import Tables
from ramify.system import clock

P = ParamSpec("P")
T = TypeVar("T")

KIND: Final = b'{"ramify": "queue", "format": 1}\n'
SHOWN: Final = 50
"""Jobs that are shown at once, between two looks at the time."""

SHOWING: Final = 0.02
"""Seconds that a step may take at most to show what was changed; the rest follows when there is nothing else to do."""

SHARE: Final = 0.1
"""The part of the time that steps which follow each other closely may take for that."""

QUIET: Final = 0.05
"""Who has waited so many seconds in vain shows the rest."""

SPARE: Final = 0.005
"""Seconds that this takes at once."""

LEAVING: Final = 2.0
"""Seconds that closing may take to show the rest."""

FOLDERS: Final = ("checkpoints", "inbox", "jobs", "journal", "queue", "refused", "sessions", "taken", "tmp")


def _again(verb: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Return a verb that is done again when somebody else's step came first."""

    @functools.wraps(verb)
    def act(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._queue.turn() as turn:
            while True:
                try:
                    return verb(self, *args, **kwargs)
                except Conflict:
                    turn.lost()

    return act  # type: ignore[return-value] # functools.wraps hides that `self` goes by its place


class _View:
    """The copy as the SQLite store sees its file."""

    def __init__(self, store: "Directory") -> None:
        self.path, self.reading = store.path, store._reading


class Directory(Sqlite):
    """Jobs in a directory, for any number of processes on any number of machines that share it.

    It reads as the SQLite store does, whose tables its copy is kept in. `durability="fast"` does not wait for the disk.
    `clock`, `lease_clock` and `disk` are for tests.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: str = "full",
        clock: Callable[[], float] | None = None,
        lease_clock: Callable[[], float] = clock,
        slice: int = SLICE,
        disk: type[Disk] = Disk,
    ) -> None:
        self.slice, self.durability = slice, durability
        self.path = Path(path).absolute()
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._clock = clock
        self._closed = False
        self._ahead = 0.0
        """How far the file server's clock is ahead of this process's steady one."""
        self._allowed, self._allowed_at = SHOWING, 0.0
        """Seconds that a step might take to show something, and when that was reckoned."""
        try:
            self._disk = _open(self.path, disk, durability == "full")
        except OSError as error:
            raise _translate(error, self.path) from error
        self._journal = Journal(self._disk)
        self._sessions = Sessions(self._disk, lease_clock)
        self._replica = self._tables = Replica(sqlite3.Connection, self._sessions)
        self._file = _View(self)  # type: ignore[assignment]
        self._folders = Folders(self._disk, self._replica)
        self._inbox = Inbox(self._disk)
        self._watch = Watch(self._disk, self._journal)
        self._queue = Queue(self._disk)
        try:
            self._ahead = self._disk.make_probe() - time.monotonic()
            self._begin()
            self._catch_up()
        except OSError as error:
            self.close()
            raise _translate(error, self.path) from error
        except BaseException:
            self.close()
            raise

    # Steps

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[Tables]:
        with self._lock, self._careful():
            self._catch_up()
            now = max(self._now(), self._journal.time)
            self._replica.woken.clear()
            with self._replica.step(now) as changes:
                yield self._replica
                if changes:
                    written = self._journal.commit(now, changes, durable)
            if changes:
                self._ahead = written - time.monotonic()
                self._show()
            if self._replica.woken:
                self._watch.ring()

    @contextmanager
    def _careful(self) -> Iterator[None]:
        if os.getpid() != self._pid:
            raise StoreDown(f"{self.path} was opened before this process was forked; open it anew here, in a function")
        try:
            yield
        except OSError as error:
            raise error if isinstance(error, RamifyError) else _translate(error, self.path) from error

    def _now(self) -> float:
        return self._clock() if self._clock is not None else time.monotonic() + self._ahead

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """See the tables as they are now."""
        with self._lock, self._careful():
            self._catch_up()
            yield self._replica.connection

    # Following the journal

    def _begin(self) -> bool:
        """Go on from the newest checkpoint; return False if none lies ahead."""
        tables = self._journal.start()
        if tables is None:
            return False
        self._replica.load(tables)
        return True

    def _catch_up(self) -> None:
        """Do what others did since the last look."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                while (found := self._journal.next()) is not None:
                    self._replica.apply(found)
                return
            except Behind:
                while not self._begin():  # there is one, which a stale listing does not show yet
                    if time.monotonic() > until:
                        raise damaged(self._disk) from None
                    time.sleep(0.01)

    def _show(self) -> None:
        """Show people some of what our steps changed, and now and then write a checkpoint.

        Who does that also shows what others changed, and may have died before they could show it.
        """
        with suppress(OSError):  # the step counts, whatever a person can see of it
            self._folders.forget(self._replica.gone)
            for session in self._replica.buried:
                self._sessions.close(session)
            now = time.monotonic()
            self._allowed = min(SHOWING, self._allowed + SHARE * (now - self._allowed_at))
            self._show_until(now + self._allowed)
            self._allowed_at = time.monotonic()
            self._allowed = max(0.0, self._allowed - (self._allowed_at - now))
            if self._journal.is_due():
                self._replica.own_changed()
                self._journal.keep(self._replica.dump())
            elif self._journal.since == 0:
                self._replica.disown_changed()

    def _show_more(self, seconds: float) -> bool:
        """Show what is left, for so long, unless a step is under way; tell whether to go on."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            with suppress(OSError):
                return not self._closed and self._show_until(time.monotonic() + seconds)
            return False
        finally:
            self._lock.release()

    def _show_until(self, until: float) -> bool:
        """Show what our steps have changed; tell whether something is left."""
        while changed := self._replica.changed(SHOWN):
            if time.monotonic() >= until:
                return True
            self._replica.note_shown(self._folders.show(changed, until))
        return False

    # What is not a step over tables

    def enter(self, session: Session) -> None:
        with self._lock, self._careful():
            self._sessions.open(session)
        _again(Engine.enter)(self, session)

    def exchange(self, session: SessionId, outcomes: Sequence[Outcome], want: Want) -> Exchange:
        if want.n > 0:
            self._take_in()
        return _again(Engine.exchange)(self, session, outcomes, want)

    def _take_in(self) -> None:
        """Add the documents that other programs put into the inbox."""
        with self._lock, self._careful():
            new = self._inbox.new()
        for name, batch in new:
            try:
                aliases = self.add(batch)
            except RamifyError as error:
                self._inbox.refuse(name, str(error))
                continue
            root = batch.rows[-1].id
            with self._lock, self._careful():
                self._inbox.taken(name, self._replica.folder(aliases.get(root, root)) or "")

    def append(self, session: SessionId, lines: Sequence[Line]) -> None:
        with self._lock, self._careful():
            self._catch_up()
            running = {
                row.id for row in self._replica.rows(list({line.job for line in lines})) if row.session == session
            }
            self._folders.append([line for line in lines if line.job in running])
        self._watch.ring()

    def log(self, job: JobId, after: int = 0, size: int = SLICE) -> list[Line]:
        with self._lock, self._careful():
            self._catch_up()
            return self._folders.log(job, after, size)

    def info(self) -> Info:
        with self._lock, self._reading():
            known = super().info()
            lost = self._sessions.silent(self._replica.alive())
            now = max(self._now(), self._journal.time)
        facts = {
            "store": "directory",
            "directory": str(self.path),
            "durability": self.durability,
            "journal": f"{self._journal.number:,} records",
        }
        return msgspec.structs.replace(known, facts=facts, lost=lost, now=now)

    def examine(self) -> Findings:
        # What lies in the queue and is not ours is passed over, and may be removed.
        with self._lock, self._reading() as connection:
            found = examine_tables(connection)
            strays = find_strays(self._disk, FOLDERS, self._replica.folders(), self._now())
            found.notes += [f"passed over: {stray}" for stray in [*self._journal.passed_over, *strays]]
            if self._disk.look(".").st_mode & stat.S_IWOTH:
                found.notes.append(f"{self.path} can be written by anybody; `chmod o-w {self.path}` ends that")
        return found

    def wait(self, queues: Sequence[str] | None, timeout: float, also: Sequence[Any] = ()) -> bool:
        until = time.monotonic() + timeout
        if self._watch.wait(min(QUIET, timeout), also):
            return True
        while time.monotonic() < until and self._show_more(SPARE):
            if self._watch.wait(0.0, also):
                return True
        with suppress(OSError):
            self._folders.clean(time.monotonic() + SPARE)
        return self._watch.wait(max(0.0, until - time.monotonic()), also)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            if os.getpid() == self._pid:
                self._show_more(LEAVING)
            self._closed = True
        self._watch.close()
        self._replica.connection.close()
        self._disk.close()


# Every verb of the engine is done again when it lost, those that come later too.
for _name, _verb in vars(Engine).items():
    if inspect.isfunction(_verb) and not _name.startswith("_") and _name not in vars(Directory):
        setattr(Directory, _name, _again(_verb))


def _open(path: Path, kind: type[Disk], durable: bool) -> Disk:
    """Open a queue, which is made if the directory is empty or not there. Raise `BadStore` for anything else."""
    if not path.parent.is_dir():
        raise BadStore(f"there is no directory {path.parent}; make it first, or name another place")
    with suppress(FileExistsError):
        path.mkdir()
    if not path.is_dir():
        raise BadStore(f"{path} is no directory; name one, which is empty or a queue of ramify")
    disk = kind(path, durable)
    try:
        _prepare(disk)
    except BaseException:
        disk.close()
        raise
    return disk


def _prepare(disk: Disk) -> None:
    names = set(disk.list("."))
    if "ramify.json" not in names and (foreign := names - set(FOLDERS)):
        raise BadStore(
            f"{disk.path} is no queue of ramify: there is {min(foreign)!r} in it; name an empty directory, or a new one"
        )
    for name in FOLDERS:
        if name not in names:
            with suppress(FileExistsError):
                disk.make_folder(name)
        if not stat.S_ISDIR(disk.look(name).st_mode):
            raise BadStore(f"{disk.path}/{name} is no directory; somebody put it there")
    if "ramify.json" not in names:
        made = f"tmp/{os.urandom(8).hex()}"
        disk.make(made, KIND, sync=True)
        with suppress(FileExistsError):
            disk.link(made, "ramify.json")
        disk.remove(made)
        disk.sync(".")
    text = disk.read("ramify.json")
    try:
        kind = msgspec.json.decode(text, type=dict[str, str | int])
    except ValueError:
        kind = {}
    if kind.get("ramify") != "queue":
        raise BadStore(f"{disk.path}/ramify.json does not say that this is a queue of ramify")
    if kind.get("format") != 1:
        raise NewerSchema(f"{disk.path} was made by a newer ramify (format {kind.get('format')}); upgrade ramify here")


def _translate(error: OSError, path: Path) -> RamifyError:
    """Return an error of the system as ours, with the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no room left in {path} (space or inodes); free some, and the same call succeeds")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreDown(f"{path} cannot be written by this user ({error.strerror}); change its owner or mode")
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return BadStore(f"something in {path} is a link or a file where a directory belongs; remove it")
    return StoreDown(f"{path}: {error.strerror}")
