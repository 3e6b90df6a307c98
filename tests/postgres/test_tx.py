"""Jobs added in a transaction of the caller's: there if and only if that is committed, whatever it is made with."""

from collections.abc import Callable, Iterator
from typing import Any

import pg8000.dbapi
import psycopg
import psycopg2.extras
import pytest
import sqlalchemy
import sqlalchemy.orm
from psycopg.rows import dict_row

from ramify import Ramify, group, job
from ramify.errors import BadStore, NotFound, StoreDown
from ramify.node import Ref
from ramify.stores.postgres import Postgres
from tests.postgres.server import Server
from tests.postgres.sql_tasks import double

TASKS = "tests.postgres.sql_tasks"
DRIVERS = ("psycopg", "psycopg2", "pg8000")
Connect = Callable[[], Any]


@pytest.fixture
def app(database: Server, schema: str, connection: psycopg.Connection) -> Iterator[Ramify]:
    """A program, and a table of its own beside its jobs."""
    with Ramify(database.url(schema=schema), tasks=[TASKS]) as app:
        connection.execute(f"CREATE TABLE {schema}.mine (n int)")
        yield app


@pytest.fixture(params=DRIVERS)
def connect(request: pytest.FixtureRequest, database: Server) -> Iterator[Connect]:
    """What connects with each driver; rows of an odd form are ordered where they can be."""
    opened: list[Any] = []

    def connect() -> Any:
        if request.param == "psycopg":
            opened.append(psycopg.connect(database.url(), row_factory=dict_row))
        elif request.param == "psycopg2":
            opened.append(psycopg2.connect(database.url(), cursor_factory=psycopg2.extras.RealDictCursor))
        else:
            socket = f"{database.folder}/.s.PGSQL.5432"
            opened.append(pg8000.dbapi.connect("postgres", unix_sock=socket, database="postgres"))
        return opened[-1]

    yield connect
    for own in opened:
        own.close()


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, database: Server) -> Iterator[sqlalchemy.Engine]:
    """An engine of SQLAlchemy for each driver."""
    socket = f"unix_sock={database.folder}/.s.PGSQL.5432" if request.param == "pg8000" else f"host={database.folder}"
    engine = sqlalchemy.create_engine(f"postgresql+{request.param}://postgres@/postgres?{socket}")
    yield engine
    engine.dispose()


def count(connection: psycopg.Connection, schema: str) -> tuple[int, int]:
    """Return how many rows of the caller's and how many jobs there are."""
    found = connection.execute(f"SELECT (SELECT count(*) FROM {schema}.mine), (SELECT count(*) FROM {schema}.job)")
    return found.fetchone()  # type: ignore[return-value]


def test_jobs_are_there_if_the_transaction_was_committed(
    app: Ramify, connect: Connect, schema: str, connection: psycopg.Connection
) -> None:
    """A whole tree and the caller's own rows, together or not at all; whatever its rows look like."""
    tree = group(job(double, 1), job(double, job(double, 2)))
    own = connect()
    own.cursor().execute(f"INSERT INTO {schema}.mine VALUES (1)")
    handle = app.enqueue(tree, tx=own)
    unseen = count(connection, schema)
    own.rollback()
    gone = count(connection, schema)
    own.cursor().execute(f"INSERT INTO {schema}.mine VALUES (1)")
    kept = app.enqueue(tree, tx=own)
    own.commit()
    app.run_until_empty()

    assert ((0, 0), (0, 0), (1, 4)) == (unseen, gone, count(connection, schema))
    assert kept.result(timeout=0) == [2, 8]
    with pytest.raises(NotFound):
        app.job(handle.id)


def test_the_first_statement_may_be_ours(app: Ramify, connect: Connect) -> None:
    """Where nothing was said yet, a transaction begins, and the caller ends it."""
    own = connect()
    app.enqueue(job(double, 1), tx=own)
    before = app.counts()
    own.commit()

    assert ({}, {"ready": 1}) == (before, app.counts())


def test_a_connection_without_transaction_is_refused(app: Ramify, connect: Connect) -> None:
    """Where each statement is its own, the job would be there whatever follows; within a transaction it is not."""
    own = connect()
    own.autocommit = True
    with pytest.raises(BadStore, match=r"transaction\.atomic"):
        app.enqueue(job(double, 1), tx=own)
    own.cursor().execute("BEGIN")
    app.enqueue(job(double, 1), tx=own)
    before = app.counts()
    own.cursor().execute("COMMIT")

    assert ({}, {"ready": 1}) == (before, app.counts())


def test_what_we_refuse_spoils_nothing_of_the_callers(
    app: Ramify, connect: Connect, schema: str, connection: psycopg.Connection
) -> None:
    """An addition that fails leaves the caller's transaction as it was, whoever refuses it: we, or the server."""
    own = connect()
    own.cursor().execute(f"INSERT INTO {schema}.mine VALUES (1)")
    with pytest.raises(NotFound):
        app.enqueue(job(double, 1).options(after=Ref("0" * 26)), tx=own)
    connection.execute(f"ALTER TABLE {schema}.payload RENAME TO other")
    with pytest.raises(BadStore, match=r"payload.*deploy"):
        app.enqueue(job(double, 1), tx=own)
    connection.execute(f"ALTER TABLE {schema}.other RENAME TO payload")
    app.enqueue(job(double, 1), tx=own)
    own.commit()

    assert (1, 1) == count(connection, schema)


def test_a_transaction_that_has_failed_is_named(app: Ramify, connect: Connect) -> None:
    """Who goes on after an error of the server is told what the server says."""
    own = connect()
    with pytest.raises(Exception, match="nothing"):
        own.cursor().execute("SELECT * FROM nothing")

    with pytest.raises(Exception, match="aborted"):
        app.enqueue(job(double, 1), tx=own)


def test_edges_and_names_go_with_the_transaction(app: Ramify, connect: Connect) -> None:
    """What is added waits for stored jobs, and is not there twice."""
    first = app.enqueue(double, 1)
    own = connect()
    after = app.enqueue(job(double, Ref(first.id)), request="r", tx=own)
    again = app.enqueue(job(double, 5), request="r", tx=own)
    alone = app.enqueue(job(double, 5).options(unique="k"), tx=own)
    same = app.enqueue(job(double, 6).options(unique="k"), tx=own)
    own.commit()
    app.run_until_empty()

    assert (after.id, alone.id) == (again.id, same.id)
    assert after.result(timeout=0) == 4


def test_what_must_not_be_there_twice_needs_the_usual_isolation(app: Ramify, connect: Connect) -> None:
    """A snapshot of before does not show what others have added since; the mistake is told."""
    own = connect()
    own.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    with pytest.raises(BadStore, match="READ COMMITTED"):
        app.enqueue(job(double, 1).options(unique="k"), tx=own)
    app.enqueue(job(double, 1), tx=own)
    own.commit()

    assert app.counts() == {"ready": 1}


def test_an_hour_long_transaction_holds_up_nobody(app: Ramify, connect: Connect) -> None:
    """While a caller takes its time with a new task in a new queue, others add, cancel, hold and work there, too."""
    own = connect()
    mine = app.enqueue(job(double, 1).options(queue="new"), tx=own)
    other = app.enqueue(job(double, 2).options(queue="new"))
    cancelled = app.enqueue(job(double, 3).options(queue="new"))
    cancelled.cancel()
    app.run_until_empty(queues=["new"])
    before = (other.result(timeout=0), cancelled.state)
    own.commit()
    app.run_until_empty(queues=["new"])

    assert ((4, "cancelled"), 2) == (before, mine.result(timeout=0))


def test_a_transaction_that_others_are_in_the_way_of_is_to_be_done_again(
    app: Ramify, connect: Connect, connection: psycopg.Connection, schema: str
) -> None:
    """A predecessor that changed since the snapshot of the caller's transaction cannot be waited for there."""
    first = app.enqueue(double, 1)
    own = connect()
    own.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    own.cursor().execute(f"SELECT 1 FROM {schema}.mine")
    connection.execute(f"UPDATE {schema}.job SET label = 'x'")

    with pytest.raises(StoreDown, match="do it again"):
        app.enqueue(job(double, Ref(first.id)), tx=own)


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


def test_a_connection_of_sqlalchemy_without_transaction_is_refused(app: Ramify, engine: sqlalchemy.Engine) -> None:
    """An engine that commits each statement by itself."""
    with (
        engine.execution_options(isolation_level="AUTOCOMMIT").connect() as own,
        pytest.raises(BadStore, match="no transaction is open"),
    ):
        app.enqueue(job(double, 1), tx=own)


def test_sessions_of_sqlalchemy(
    app: Ramify, engine: sqlalchemy.Engine, schema: str, connection: psycopg.Connection
) -> None:
    """A session of its ORM, with rows of its own and in a savepoint."""
    with sqlalchemy.orm.Session(engine) as session:
        app.enqueue(job(double, 1), tx=session)
        session.rollback()
        app.enqueue(job(double, 1), tx=session)
        with session.begin_nested() as nested:
            app.enqueue(job(double, 1), tx=session)
            nested.rollback()
        session.execute(sqlalchemy.text(f"INSERT INTO {schema}.mine VALUES (1)"))
        session.commit()

    assert (1, 1) == count(connection, schema)


def test_a_session_that_is_awaited_is_refused(app: Ramify) -> None:
    """What cannot be used without `await` is named."""
    from sqlalchemy.ext.asyncio import AsyncSession

    with pytest.raises(BadStore, match=r"not sqlalchemy\.ext\.asyncio\..*AsyncSession"):
        app.enqueue(job(double, 1), tx=AsyncSession())


def test_connections_of_django(app: Ramify, database: Server, schema: str, connection: psycopg.Connection) -> None:
    """Inside `atomic`, also within another one; outside of it the mistake is told."""
    import django
    from django.conf import settings
    from django.db import connections, transaction

    place = {"NAME": "postgres", "USER": "postgres", "HOST": str(database.folder)}
    if not settings.configured:
        settings.configure(USE_TZ=True)
    django.setup()
    connections.settings = connections.configure_settings(
        {"default": {"ENGINE": "django.db.backends.postgresql", **place}}
    )
    if hasattr(connections._connections, "default"):
        del connections["default"]
    own = connections["default"]
    with pytest.raises(BadStore, match=r"transaction\.atomic"):
        app.enqueue(job(double, 1), tx=own)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        app.enqueue(job(double, 1), tx=own)
        raise ZeroDivisionError
    with transaction.atomic():
        app.enqueue(job(double, 1), tx=own)
        own.cursor().execute(f"INSERT INTO {schema}.mine VALUES (1)")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            app.enqueue(job(double, 2), tx=transaction.get_connection())
            raise ZeroDivisionError
    own.close()

    assert (1, 1) == count(connection, schema)


def test_other_connections_are_refused(app: Ramify) -> None:
    """What is no connection of a known driver is named; jobs elsewhere than in PostgreSQL have no such transactions."""
    with pytest.raises(BadStore, match=r"not builtins\.int"):
        app.enqueue(job(double, 1), tx=3)
    with Ramify("memory:") as other, pytest.raises(BadStore, match="PostgreSQL"):
        other.enqueue(job(double, 1), tx=3)


def test_an_engine_stands_for_its_address(engine: sqlalchemy.Engine, schema: str) -> None:
    """`Ramify(engine, schema=…)`, whatever driver the engine is for; jobs run there."""
    with Ramify(engine, schema=schema, tasks=[TASKS]) as app:
        assert isinstance(app.store, Postgres)
        assert app.store.schema == schema
        handle = app.enqueue(double, 4)
        app.run_until_empty()
        assert handle.result(timeout=0) == 8
    with pytest.raises(BadStore, match="goes with an address of PostgreSQL"):
        Ramify("memory:", schema="x")
