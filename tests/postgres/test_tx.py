"""Jobs added in a transaction of the caller's: there if and only if that is committed, whatever it is made with."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy
import sqlalchemy.orm
from psycopg.rows import dict_row

from ramify import Ramify, group, job
from ramify.errors import BadStore, NotFound
from ramify.node import Ref
from ramify.stores.postgres import Postgres
from tests.postgres.server import Server
from tests.postgres.sql_tasks import double

TASKS = "tests.postgres.sql_tasks"


@pytest.fixture
def app(database: Server, schema: str, connection: psycopg.Connection) -> Iterator[Ramify]:
    """A program, and a table of its own beside its jobs."""
    with Ramify(database.url(schema=schema), tasks=[TASKS]) as app:
        connection.execute(f"CREATE TABLE {schema}.mine (n int)")
        yield app


@pytest.fixture
def engine(database: Server) -> Iterator[sqlalchemy.Engine]:
    """An engine of SQLAlchemy."""
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://postgres@/postgres?host={database.folder}")
    yield engine
    engine.dispose()


def count(connection: psycopg.Connection, schema: str) -> tuple[int, int]:
    """Return how many rows of the caller's and how many jobs there are."""
    found = connection.execute(f"SELECT (SELECT count(*) FROM {schema}.mine), (SELECT count(*) FROM {schema}.job)")
    return found.fetchone()  # type: ignore[return-value]


def test_jobs_are_there_if_the_transaction_was_committed(
    app: Ramify, database: Server, schema: str, connection: psycopg.Connection
) -> None:
    """With psycopg: a whole tree and the caller's own rows, together or not at all; whatever its rows look like."""
    tree = group(job(double, 1), job(double, job(double, 2)))
    with psycopg.connect(database.url(), row_factory=dict_row) as own:
        own.execute(f"INSERT INTO {schema}.mine VALUES (1)")
        handle = app.enqueue(tree, tx=own)
        unseen = count(connection, schema)
        own.rollback()
        gone = count(connection, schema)
        own.execute(f"INSERT INTO {schema}.mine VALUES (1)")
        kept = app.enqueue(tree, tx=own)
    app.run_until_empty()

    assert ((0, 0), (0, 0), (1, 4)) == (unseen, gone, count(connection, schema))
    assert kept.result(timeout=0) == [2, 8]
    with pytest.raises(NotFound):
        app.job(handle.id)


def test_the_first_statement_may_be_ours(app: Ramify, database: Server) -> None:
    """Where nothing was said yet, a transaction begins, and the caller ends it."""
    with psycopg.connect(database.url()) as own:
        app.enqueue(job(double, 1), tx=own)
        before = app.counts()
        own.commit()

    assert ({}, {"ready": 1}) == (before, app.counts())


def test_a_connection_without_transaction_is_refused(app: Ramify, connection: psycopg.Connection) -> None:
    """Where each statement is its own, the job would be there whatever follows; within a block it is not."""
    with pytest.raises(BadStore, match=r"transaction\.atomic"):
        app.enqueue(job(double, 1), tx=connection)
    with connection.transaction():
        app.enqueue(job(double, 1), tx=connection)

    assert app.counts() == {"ready": 1}


def test_what_we_refuse_spoils_nothing_of_the_callers(
    app: Ramify, database: Server, schema: str, connection: psycopg.Connection
) -> None:
    """An addition that fails leaves the caller's transaction as it was."""
    with psycopg.connect(database.url()) as own:
        own.execute(f"INSERT INTO {schema}.mine VALUES (1)")
        with pytest.raises(NotFound):
            app.enqueue(job(double, 1).options(after=Ref("0" * 26)), tx=own)

    assert (1, 0) == count(connection, schema)


def test_an_hour_long_transaction_holds_up_nobody(app: Ramify, database: Server, schema: str) -> None:
    """While a caller takes its time with a new task in a new queue, others add, cancel, hold and work there, too."""
    with psycopg.connect(database.url()) as own:
        mine = app.enqueue(job(double, 1).options(queue="new"), tx=own)
        other = app.enqueue(job(double, 2).options(queue="new"))
        cancelled = app.enqueue(job(double, 3).options(queue="new"))
        cancelled.cancel()
        app.run_until_empty(queues=["new"])
        before = (other.result(timeout=0), cancelled.state)
        own.commit()
    app.run_until_empty(queues=["new"])

    assert ((4, "cancelled"), 2) == (before, mine.result(timeout=0))


def test_the_same_request_is_stored_once(app: Ramify, database: Server) -> None:
    """`request` and `tx` go together: the second one gets the first one's job."""
    with psycopg.connect(database.url()) as own:
        first = app.enqueue(job(double, 1), request="r", tx=own)
        again = app.enqueue(job(double, 1), request="r", tx=own)

    assert (first.id, {"ready": 1}) == (again.id, app.counts())


def test_connections_of_sqlalchemy(
    app: Ramify, engine: sqlalchemy.Engine, schema: str, connection: psycopg.Connection
) -> None:
    """A connection, committed or rolled back, with and without a statement before."""
    insert = sqlalchemy.text(f"INSERT INTO {schema}.mine VALUES (1)")
    with engine.connect() as own:
        app.enqueue(job(double, 1), tx=own)
        own.rollback()
        app.enqueue(job(double, 1), tx=own)
        own.execute(insert)
        own.commit()
    with engine.begin() as own:
        own.execute(insert)
        app.enqueue(job(double, 2), tx=own)

    assert (2, 2) == count(connection, schema)


def test_sessions_of_sqlalchemy(
    app: Ramify, engine: sqlalchemy.Engine, schema: str, connection: psycopg.Connection
) -> None:
    """A session of its ORM."""
    with sqlalchemy.orm.Session(engine) as session:
        app.enqueue(job(double, 1), tx=session)
        session.rollback()
        app.enqueue(job(double, 1), tx=session)
        session.execute(sqlalchemy.text(f"INSERT INTO {schema}.mine VALUES (1)"))
        session.commit()

    assert (1, 1) == count(connection, schema)


def test_connections_of_django(app: Ramify, database: Server, schema: str, connection: psycopg.Connection) -> None:
    """Inside `atomic`; outside of it the mistake is told."""
    from django.conf import settings
    from django.db.utils import ConnectionHandler

    if not settings.configured:
        settings.configure(USE_TZ=True)
    place = {"NAME": "postgres", "USER": "postgres", "HOST": str(database.folder)}
    connections = ConnectionHandler({"default": {"ENGINE": "django.db.backends.postgresql", **place}})
    own = connections["default"]
    with pytest.raises(BadStore, match=r"transaction\.atomic"):
        app.enqueue(job(double, 1), tx=own)
    own.set_autocommit(False)
    app.enqueue(job(double, 1), tx=own)
    own.rollback()
    app.enqueue(job(double, 1), tx=own)
    own.commit()
    own.close()

    assert (0, 1) == count(connection, schema)


def test_other_connections_are_refused(app: Ramify) -> None:
    """What is no connection of psycopg's is named; jobs elsewhere than in PostgreSQL have no such transactions."""
    with pytest.raises(BadStore, match=r"not builtins\.int"):
        app.enqueue(job(double, 1), tx=3)
    with Ramify("memory:") as other, pytest.raises(BadStore, match="PostgreSQL"):
        other.enqueue(job(double, 1), tx=3)


def test_an_engine_stands_for_its_address(engine: sqlalchemy.Engine, schema: str) -> None:
    """`Ramify(engine, schema=…)`, whatever driver the engine is for."""
    other = sqlalchemy.create_engine(engine.url.set(drivername="postgresql+psycopg"))
    with Ramify(other, schema=schema, tasks=[TASKS]) as app:
        assert isinstance(app.store, Postgres)
        assert app.store.schema == schema
    with pytest.raises(BadStore, match="goes with an address of PostgreSQL"):
        Ramify("memory:", schema="x")
