"""Adding jobs in a transaction of the caller's: they are there if and only if that is committed.

The caller's connection may be psycopg's, SQLAlchemy's (a connection or a session) or Django's; under each is one of
psycopg's, which is used in a savepoint, so that a mistake here spoils nothing there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from ramify.errors import BadStore, StoreDown
from ramify.stores.engine import Engine
from ramify.stores.postgres.server import Clash, Connection, raise_translated
from ramify.stores.postgres.tables import PostgresTables
from ramify.stores.postgres.transaction import Transaction
from ramify.stores.tables import Tables

MakeTables = Callable[[Connection], tuple[Transaction, PostgresTables]]


class Within(Engine):
    """The store as seen from a transaction of the caller's, for `add`. Nothing here commits."""

    def __init__(self, connection: object, make_tables: MakeTables, slice: int) -> None:
        self.slice = slice
        self._connection, self._make_tables = unwrap(connection), make_tables

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[Tables]:
        connection = self._connection
        try:
            if connection.info.transaction_status is TransactionStatus.IDLE:
                if connection.autocommit:
                    raise BadStore(
                        "tx= is a connection on which no transaction is open, and each statement is its own; "
                        "begin one: `with connection.transaction():`, or transaction.atomic() in Django"
                    )
                connection.execute("SELECT 1")  # or the block below would be the transaction, and commit
            with connection.transaction():
                step, tables = self._make_tables(connection)
                yield tables
                for channel in sorted(step.channels):
                    connection.execute(f'NOTIFY "{channel}"', prepare=False)
        except (psycopg.Error, OSError) as error:
            try:
                raise_translated(error, "the database of tx=")
            except Clash as clash:
                raise StoreDown(f"others were in the way of this transaction: {clash}; do it again") from error


def unwrap(connection: object) -> Connection:
    """Return the driver's connection under the caller's. Raise `BadStore` if it is another driver's."""
    found: Any = connection
    if hasattr(found, "ensure_connection"):  # Django
        found.ensure_connection()
        found = found.connection
    if hasattr(found, "get_bind") and callable(getattr(found, "connection", None)):  # a session of SQLAlchemy
        found = found.connection()
    if hasattr(found, "in_transaction") and hasattr(found, "connection"):  # a connection of SQLAlchemy
        if not found.in_transaction():
            found.begin()  # or its `commit` would do nothing
        found = found.connection
    found = getattr(found, "driver_connection", found)
    if not isinstance(found, psycopg.Connection):
        kind = f"{type(found).__module__}.{type(found).__qualname__}"
        raise BadStore(f"tx= takes a connection of psycopg 3, plain or under SQLAlchemy or Django, not {kind}")
    return found
