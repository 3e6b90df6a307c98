"""The database file: opened, checked, migrated, and written by one transaction at a time.

Writers queue (`turn`), because SQLite's own busy handler starves all but one (measured: splits of 20,000 to 0);
`BEGIN IMMEDIATE` and a busy timeout stay as the net below.
"""

import contextlib
import os
import pathlib
import re
import sqlite3
import threading
from collections.abc import Iterator
from typing import Final, NoReturn

from ramify.errors import BadStore, NewerSchema, RamifyError, StoreDown, StoreFull
from ramify.stores.sqlite.statements import MIGRATIONS
from ramify.stores.sqlite.turn import Turn

APPLICATION_ID: Final = 0x72616D69
"""What `PRAGMA application_id` holds in a file of ours: "rami" in ASCII."""

REMOTE_FILE_SYSTEMS: Final = ("nfs", "cifs", "smb", "9p", "ceph", "lustre", "fuse.", "afs", "beegfs", "gpfs")


class File:
    """One connection to the database. Threads of a process share it, one at a time."""

    def __init__(self, path: str, durable: bool, factory: type[sqlite3.Connection]) -> None:
        self._durable = durable
        self._lock = threading.RLock()
        self._synchronous = ""
        self._pid = os.getpid()
        self._is_closed = False
        # Whole and without links: the program may change its folder, and all names of a file mean one queue.
        self.path = pathlib.Path(path).resolve()
        self.sidecar = pathlib.Path(f"{self.path}-sessions")
        self._turn = Turn(self.path, self.sidecar)
        try:
            refuse_bad_place(self.path)
            self.connection = self._connect(factory)
        except (sqlite3.Error, OSError) as error:
            _raise_translated(error, self.path)
        try:
            self._prepare()
        except (sqlite3.Error, OSError, RamifyError) as error:
            self.close()
            _raise_translated(error, self.path)

    def _connect(self, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
        if not self.path.exists():
            # Readable for its owner only; SQLite gives its side files the same mode.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        return sqlite3.connect(
            self.path,
            timeout=10.0,
            isolation_level=None,
            check_same_thread=False,
            factory=factory,
            cached_statements=256,
        )

    def _prepare(self) -> None:
        self.connection.execute("PRAGMA busy_timeout = 10000")
        self.connection.execute("PRAGMA cache_size = -16384")
        self._version()  # refuses a foreign database before anything is made beside it
        self._turn.open()
        self._migrate()

    def _migrate(self) -> None:
        if self._version() == len(MIGRATIONS):
            return
        self._turn.take()
        try:
            if self.connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("BEGIN IMMEDIATE")
            for number in range(self._version(), len(MIGRATIONS)):
                for statement in MIGRATIONS[number].split(";\n"):
                    self.connection.execute(statement)
            self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            self.connection.execute("COMMIT")
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self._turn.leave()

    def _version(self) -> int:
        """Return how many migrations were applied. Raise if the file is not ours, or newer than this program."""
        # One statement sees one moment: another process may be making the database.
        owner, version, tables = self.connection.execute(
            "SELECT (SELECT application_id FROM pragma_application_id), "
            "(SELECT user_version FROM pragma_user_version), count(*) FROM sqlite_schema"
        ).fetchone()
        if owner != APPLICATION_ID and (tables or owner or version):
            raise BadStore(f"{self.path} is a database of another program; name another file for ramify's jobs")
        if version > len(MIGRATIONS):
            raise NewerSchema(
                f"{self.path} was written by a newer ramify (schema {version}, this one knows {len(MIGRATIONS)}); "
                "upgrade ramify here"
            )
        return int(version)

    @contextlib.contextmanager
    def writing(self, durable: bool) -> Iterator[sqlite3.Connection]:
        """Hold the only write transaction; commit when the block ends, roll back if it raises.

        `durable` waits for the disk (unless the store was opened as fast).
        """
        self._refuse_misuse()
        with self._lock:
            try:
                self._turn.take()
                self._set_synchronous("FULL" if durable and self._durable else "NORMAL")
                self.connection.execute("BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException as error:  # noqa: BLE001 - raised again, in our words
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                _raise_translated(error, self.path)
            finally:
                self._turn.leave()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """See the database as of one moment, for the length of the block."""
        self._refuse_misuse()
        with self._lock:
            try:
                self.connection.execute("BEGIN")
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException as error:  # noqa: BLE001 - raised again, in our words
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                _raise_translated(error, self.path)

    def _refuse_misuse(self) -> None:
        if os.getpid() != self._pid:
            raise StoreDown(f"{self.path} was opened before this process was forked; open it anew here, in a function")
        if self._is_closed:
            raise BadStore(f"the store at {self.path} is closed; use it before `close`, or before its `with` ends")

    def _set_synchronous(self, level: str) -> None:
        if level != self._synchronous:
            self.connection.execute(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._is_closed = True
            self.connection.close()
            self._turn.close()


def _raise_translated(error: BaseException, path: pathlib.Path) -> NoReturn:
    translated = _translate(error, path)
    if translated is error:
        raise error
    raise translated from error


def _translate(error: BaseException, path: pathlib.Path) -> BaseException:
    """Return SQLite's and the system's errors as ours, with the remedy; any other as it is."""
    text = str(error)
    if isinstance(error, sqlite3.OperationalError):
        if "full" in text:
            return StoreFull(f"no room left for {path}; free some space, and the same call succeeds")
        if "readonly" in text or "unable to open" in text:
            return StoreDown(f"{path} cannot be written by this user; change its owner or mode")
        # Anything else but these two is a mistake of ours; waiting would not mend it.
        return StoreDown(f"{path}: {text}") if "locked" in text or "disk I/O" in text else error
    if isinstance(error, sqlite3.DatabaseError) and "not a database" in text:
        return BadStore(f"{path} is not an SQLite database; name another file for ramify's jobs")
    if isinstance(error, sqlite3.DatabaseError) and "malformed" in text:
        return BadStore(f"{path} is damaged ({text}); restore a copy, or recover it with sqlite3's .recover")
    if isinstance(error, PermissionError):
        return StoreDown(f"{path} cannot be written by this user; change its owner or mode")
    if isinstance(error, OSError) and not isinstance(error, RamifyError):
        return StoreDown(f"{path}: {error.strerror}")
    return error


def refuse_bad_place(path: pathlib.Path, mounts: str = "/proc/mounts") -> None:
    """Raise `BadStore` unless a database can lie there: a file in a directory of a local disk."""
    if path.is_dir():
        raise BadStore(f"{path} is a directory; name a file in it, as sqlite:///{path}/jobs.db")
    if not path.parent.is_dir():
        raise BadStore(f"there is no directory {path.parent}; make it first, or name another file")
    kind = file_system_of(path, mounts)
    if kind.startswith(REMOTE_FILE_SYSTEMS):
        raise BadStore(
            f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold; "
            "use a local file, or the directory store (dir:///…), which is made for shared disks"
        )


def file_system_of(path: pathlib.Path, mounts: str = "/proc/mounts") -> str:
    """Return the kind of file system that `path` lies on, as the kernel names it; empty where it does not say."""
    try:
        lines = pathlib.Path(mounts).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    place = path.resolve().parent
    found = ("", "")
    for line in lines:
        _, folder, kind, *_ = [*line.split(" "), "", "", ""]
        folder = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), folder)
        if folder and place.is_relative_to(folder) and len(folder) >= len(found[0]):
            found = (folder, kind)
    return found[1]
