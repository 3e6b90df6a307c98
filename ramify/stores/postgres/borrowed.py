"""A connection of the caller's, as a step uses it: whatever driver it is of, and within a transaction that stays open.

Known are psycopg 3, psycopg2 and pg8000, plain or under SQLAlchemy (a connection or a session) or Django.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from ramify.errors import BadStore
from ramify.stores.postgres.server import SETTINGS, Connection
from ramify.stores.postgres.transaction import Hold, Statements

DRIVERS: Final = {
    "psycopg": "psycopg:Connection",
    "psycopg2": "psycopg2.extensions:connection",
    "pg8000": "pg8000.core:CoreConnection",
}
"""The classes of connections that are known, by the package of the driver."""


class Borrowed:
    """A connection of the caller's. What is done in a savepoint of its transaction spoils nothing there."""

    def __init__(self, connection: object) -> None:
        self.connection, self._driver = _unwrap(connection)
        self._error: type[Exception] = sys.modules[self._driver].Error

    def require_transaction(self) -> None:
        """Raise `BadStore` if each statement would be a transaction of its own."""
        if self._stands_alone():
            raise BadStore(
                "tx= is a connection on which no transaction is open, and each statement is its own; "
                "begin one: `with connection.transaction():`, or transaction.atomic() in Django"
            )

    def isolation(self) -> str:
        """Return how this transaction is kept apart from others, as "read committed"."""
        return str(self.execute("SHOW transaction_isolation")[0][0])

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Keep what the block does in the transaction, or nothing of it. Errors are those of psycopg, of any driver."""
        try:
            self.execute("SAVEPOINT ramify")
            try:
                yield
            except BaseException:
                with suppress(self._error, OSError):  # the connection may be gone
                    self.execute("ROLLBACK TO SAVEPOINT ramify; RELEASE SAVEPOINT ramify")
                raise
            self.execute("RELEASE SAVEPOINT ramify")
        except self._error as error:
            raise _as_psycopg(error) from error

    def execute(self, text: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Execute a statement in the style of psycopg; return what it finds."""
        cursor = self._cursor()
        try:
            if values:
                cursor.execute(text, values)
            elif self._driver == "psycopg":
                cursor.execute(text.replace("%%", "%"), prepare=False)
            else:
                cursor.execute(text.replace("%%", "%"))
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()

    def _cursor(self) -> Any:
        # A caller's own connection may make cursors of another kind, and rows of another form.
        if self._driver == "psycopg":
            return psycopg.Cursor(self.connection, row_factory=tuple_row)
        if self._driver == "psycopg2":
            return self.connection.cursor(cursor_factory=sys.modules["psycopg2.extensions"].cursor)
        return self.connection.cursor()

    def _stands_alone(self) -> bool:
        if not self.connection.autocommit:
            return False
        if self._driver == "psycopg":
            return bool(self.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE)
        if self._driver == "psycopg2":
            return bool(self.connection.info.transaction_status == 0)
        return not self.connection._in_transaction


class BorrowedStatements(Statements):
    """The statements of one step on a borrowed connection."""

    def __init__(self, borrowed: Borrowed, sql: Mapping[str, str], hold: Hold, lock: int) -> None:
        super().__init__(cast(Connection, borrowed.connection), sql, hold, lock)
        self._execute, self._begun = borrowed.execute, hold is Hold.NONE

    def ask(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        self.begin()
        return self._execute(self.sql[statement], values)

    def tell(self, statement: str, values: Sequence[Any]) -> int:
        self.ask(statement, values)
        return 0

    def begin(self) -> None:
        if not self._begun:
            self._begun = True
            settings = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in SETTINGS.items())
            how = "_shared" if self.hold is Hold.SHARED else ""
            self._execute(settings)
            self._execute(f"SELECT pg_advisory_xact_lock{how}({self._lock})")
            # The look has a snapshot of its own, taken when the lock is ours.
            [look] = self._execute(self.sql["step.look"])
            self._keep_look(look)

    def ring(self) -> None:
        """Tell the listeners, once the transaction is committed."""
        for channel in sorted(self.channels):
            self._execute(f'NOTIFY "{channel}"')


def _unwrap(connection: object) -> tuple[Any, str]:
    """Return the driver's connection under the caller's, and which driver that is. Raise `BadStore` for others."""
    found: Any = connection
    if hasattr(found, "ensure_connection"):  # Django
        found.ensure_connection()
        found = found.connection
    if hasattr(found, "get_bind") and callable(getattr(found, "connection", None)) and not _is_async(found):
        found = found.connection()  # a session of SQLAlchemy
    if hasattr(found, "in_transaction") and hasattr(found, "connection") and not _is_async(found):
        if not found.in_transaction():  # a connection of SQLAlchemy
            found.begin()  # or its `commit` would do nothing
        found = found.connection
    found = getattr(found, "driver_connection", found)
    for driver, place in DRIVERS.items():
        module, _, name = place.partition(":")
        # A connection of a driver is there only where that was imported.
        if module in sys.modules and isinstance(found, getattr(sys.modules[module], name)) and hasattr(found, "cursor"):
            return found, driver
    raise BadStore(
        "tx= takes a connection of psycopg 3, psycopg2 or pg8000, plain or under SQLAlchemy or Django, and none that "
        f"is awaited, not {type(found).__module__}.{type(found).__qualname__}"
    )


def _is_async(found: object) -> bool:
    return hasattr(found, "sync_session") or hasattr(found, "sync_connection")


def _as_psycopg(error: Exception) -> Exception:
    """Return the error of psycopg that tells what another driver's error tells."""
    if isinstance(error, psycopg.Error):
        return error
    about = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    code = getattr(error, "pgcode", None) or about.get("C")
    text = about.get("M") or str(error).strip()
    with suppress(KeyError):
        return errors.lookup(code or "")(text)
    return psycopg.OperationalError(text)
