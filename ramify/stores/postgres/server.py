"""The server: a pool of connections, transactions on them, and its errors in our words."""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, Final, NoReturn

import psycopg
from psycopg import conninfo, errors
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed

from ramify.errors import BadStore, BadValue, RamifyError, StoreDown, StoreFull

PATIENCE: Final = 5.0
"""Seconds to wait for a connection before the store counts as down."""

SETTINGS: Final = {
    # A parameterised limit is taken for a tenth of the table, and what is known of a young one is wrong; then the
    # queue is read from end to end. Our statements look up by indexes, and need no other plan for other values.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Rows are then found in order of the index, and locked in that order.
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # Who stands still in the middle of a step holds up the others.
    "idle_in_transaction_session_timeout": "20s",
}
REFUSED: Final = frozenset({"22", "23", "54"})
"""Classes of SQLSTATE that speak of the data, which is refused however often it comes: of a wrong type, against
a constraint, beyond a limit of the server. The last are operational errors for the driver, like a broken connection.
"""
PASSING: Final = frozenset({"25006", "25P03", "25P04"})
"""SQLSTATEs that are no operational errors for the driver, and yet pass: the server only reads, as a standby does, or
it ended a transaction that stood still or took too long, as its worker was frozen.
"""
_KEPT_ALIVE: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
    "application_name": "ramify",
}


class Clash(Exception):
    """Another step was in the way; do this one again from its beginning."""


class Connection(psycopg.Connection[TupleRow]):
    """A connection of ours."""

    @cached_property
    def steps(self) -> psycopg.Cursor[TupleRow]:
        """The cursor of those who read what they asked for at once. What it learnt of a statement it need not learn
        again when the next one is the same.
        """
        return self.cursor(binary=True)


class Server:
    """Connections to one database. `pooler` says that between it and us connections change hands."""

    def __init__(self, address: str, *, durable: bool = True, pooler: bool = False, most: int = 8) -> None:
        self.address = mask(address)
        self.durable, self.pooler = durable, pooler
        self._pid = os.getpid()
        try:
            given = conninfo.conninfo_to_dict(address)
            kept: dict[str, Any] = {name: value for name, value in _KEPT_ALIVE.items() if name not in given}
            options: dict[str, Any] = {"prepare_threshold": None if pooler else 2}
            self._plain = conninfo.make_conninfo(address, **kept)
            self._threshold = options["prepare_threshold"]
            if not pooler:
                settings = SETTINGS | ({} if durable else {"synchronous_commit": "off"})
                ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
                kept["options"] = f"{given.get('options') or ''} {ours}".strip()
            self.conninfo = conninfo.make_conninfo(address, **kept)
        except psycopg.Error as error:
            raise BadStore(f"{self.address!r} is not the address of a PostgreSQL database: {error}") from error
        # A pool tells of each failure; we tell once, as an error.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            self.conninfo,
            connection_class=Connection,
            kwargs={"autocommit": True, **options},
            min_size=0,
            max_size=most,
            max_idle=60.0,
            timeout=PATIENCE,
            reconnect_timeout=PATIENCE / 2,
            num_workers=1,
            open=False,
        )
        self._opening = threading.Lock()
        self._open = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection on which every statement is a transaction. Raise our errors for the driver's."""
        if os.getpid() != self._pid:
            raise StoreDown(f"{self.address} was opened before this process was forked; open it anew here")
        try:
            if not self._open:
                self._open_pool()
            connection = self._pool.getconn()
            try:
                yield connection
            except BaseException:
                with suppress(psycopg.Error):  # the pool gives up a broken one
                    connection.rollback()
                raise
            finally:
                self._pool.putconn(connection)
        except (psycopg.Error, OSError) as error:
            raise_translated(error, self.address)

    def _open_pool(self) -> None:
        with self._opening:
            if not self._open:
                self._pool.open()
                self._open = True

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection that sees the database as of one moment."""
        with self.connection() as connection:
            connection.execute(begin_text(self.pooler, "ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            try:
                yield connection
            finally:
                end(connection, "COMMIT")

    def forget_stale(self) -> None:
        """Replace connections that the server has closed."""
        self._pool.check()

    def connect(self, *, plain: bool = False) -> Connection:
        """Return a connection that the caller closes, `plain` without our settings. Where there is none it is known at
        once, and why.
        """
        try:
            if plain:
                return Connection.connect(self._plain, autocommit=True, prepare_threshold=self._threshold)
            return Connection.connect(self.conninfo, autocommit=True)
        except (psycopg.Error, OSError) as error:
            raise_translated(error, self.address)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Lend a connection that is made for the block."""
        with self.connect() as connection:
            try:
                yield connection
            except (psycopg.Error, OSError) as error:
                raise_translated(error, self.address)

    def close(self) -> None:
        """Close the connections."""
        if os.getpid() == self._pid:
            self._pool.close()


def begin_text(pooler: bool, mode: str = "ISOLATION LEVEL READ COMMITTED", fast: bool = False) -> str:
    """Return what begins a transaction, in one round trip.

    Each statement of a step must see what others have committed by then, whatever the database's default is.
    """
    parts = [f"BEGIN {mode}"]
    if fast:
        parts.append("SET LOCAL synchronous_commit = off")
    if pooler:
        parts += [f"SET LOCAL {name} = '{value}'" for name, value in SETTINGS.items()]
    return "; ".join(parts)


def end(connection: Connection, how: str) -> None:
    """End a transaction, unless it ended with its connection."""
    if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        connection.execute(how)


def key(schema: str, name: str) -> int:
    """Return the number under which the server knows a lock of this name."""
    return int.from_bytes(hashlib.sha256(f"ramify\n{schema}\n{name}".encode()).digest()[:8], "big", signed=True)


def mask(address: str) -> str:
    """Return which database this is an address of, and nothing else of it: no password, and no options."""
    try:
        parts: Mapping[str, Any] = conninfo.conninfo_to_dict(address)
    except psycopg.Error:
        return "postgresql://…"
    host, port, name = (str(parts.get(part) or "") for part in ("host", "port", "dbname"))
    if host.startswith(("/", "@")):  # a socket
        return f"postgresql:///{name}?host={host}{f'&port={port}' if port else ''}"
    return f"postgresql://{host or 'localhost'}{f':{port}' if port else ''}/{name}"


def raise_translated(error: BaseException, address: str) -> NoReturn:
    """Raise what a caller can act on for an error of the driver, or the error itself if it is a mistake of ours.

    `BadValue` will be refused again, and `StoreDown` may not be.
    """
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, RamifyError | PoolClosed):
        raise error
    if isinstance(error, errors.DeadlockDetected | errors.SerializationFailure):
        raise Clash(text) from error
    if isinstance(error, errors.DiskFull):
        raise StoreFull(f"no room left for {address}; free some space, and the same call succeeds") from error
    if isinstance(error, errors.InsufficientPrivilege):
        raise BadStore(f"{address}: {text}; give this role what docs/postgres.md lists for its work") from error
    if isinstance(error, errors.UndefinedTable | errors.UndefinedFunction | errors.InvalidSchemaName):
        raise BadStore(f"{address}: {text}; call deploy() with a role that may create it") from error
    if "unsupported startup parameter" in text:
        raise BadStore(f"{address}: {text}; behind a pooler, end the address with ?pooler=transaction") from error
    if isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in REFUSED:
        raise BadValue(f"{address} cannot store this: {text}") from error
    passes = isinstance(error, psycopg.Error) and error.sqlstate in PASSING
    if passes or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | OSError):
        raise StoreDown(f"{address}: {text}") from error
    raise error


def wait_a_little(n: int) -> None:
    """Let the others go first; longer each time."""
    time.sleep(min(0.2, 0.002 * 2**n))
