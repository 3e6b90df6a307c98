"""Servers that go away and come back, poolers, and wake-ups."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from ramify import Ramify
from ramify.errors import StoreDown
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Ended, Session, State, Value, Want, Which
from ramify.node import Node
from ramify.stores.postgres import Postgres
from ramify.stores.postgres.server import begin_text
from tests.postgres.server import Server, binaries, default_version

pytestmark = pytest.mark.slow
PATIENCE = 20.0


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that a test may kill; what it has acknowledged it keeps."""
    own = Server(binaries()[default_version() or ""], {"max_connections": "20"})
    yield own
    own.remove()


def add(store: Postgres) -> str:
    """Store a job; return its id."""
    batch = plan(sketch([Node("m:f")]), make_ids)
    store.add(batch)
    return batch.rows[-1].id


def claim(store: Postgres) -> list[str]:
    """Claim and end what there is; return the ids."""
    store.enter(Session("s", pid=os.getpid()))
    claims = store.exchange("s", [], Want(10)).claims
    ends = [Ended(each.row.id, each.row.attempt, State.DONE, Value(b"1")) for each in claims]
    assert store.exchange("s", ends, Want()).refused == {}
    return [each.row.id for each in claims]


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT])
def test_a_server_that_comes_back_is_used_again(own: Server, how: signal.Signals) -> None:
    """While it is away the store is down; when it is back the same store goes on, and nothing accepted is lost."""
    store = Postgres(own.url())
    first = add(store)
    own.stop(how)
    with pytest.raises(StoreDown):
        add(store)
    own.start()

    second = add(store)

    assert [first, second] == claim(store)
    store.close()


def test_a_connection_that_was_cut_is_not_noticed(own: Server) -> None:
    """Connections that the server or a firewall cut while nobody used them are replaced, and the call succeeds."""
    store = Postgres(own.url())
    first = add(store)
    with psycopg.connect(own.url(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ramify'")

    rows = store.jobs(Which())
    second = add(store)

    assert [first] == [row.id for row in rows]
    assert [first, second] == claim(store)
    store.close()


def test_the_same_addition_may_be_repeated(own: Server) -> None:
    """Whoever got no reply adds the same batch again; it is stored once."""
    store = Postgres(own.url())
    batch = plan(sketch([Node("m:f")]), make_ids)

    replies = [store.add(batch), store.add(batch)]

    assert ([{}, {}], {"ready": 1}) == (replies, store.counts(Which(), "state"))
    store.close()


def test_too_many_connections_mean_down_and_not_broken(own: Server) -> None:
    """Who finds the server full is told so, and is served when there is room again."""
    others = []
    with pytest.raises(psycopg.OperationalError):
        while True:
            others.append(psycopg.connect(own.url()))
    with pytest.raises(StoreDown):
        Postgres(own.url())
    for other in others:
        other.close()

    store = Postgres(own.url())

    assert add(store)
    store.close()


def test_a_sleeper_is_woken_by_an_addition(database: Server, schema: str) -> None:
    """Whoever waits for work hears of a job that another program adds, and nothing of another schema's."""
    sleeper, other = [Postgres(database.url(), schema=schema) for _ in range(2)]
    stranger = Postgres(database.url(), schema=f"{schema}x")
    sleeper.wait(["default"], 0.0)  # it listens from now on
    while sleeper.wait(["default"], 0.0):
        pass
    add(stranger)
    quiet = sleeper.wait(["default"], 0.2)
    timer = threading.Timer(0.2, add, [other])
    timer.start()
    begin = time.monotonic()

    woken = sleeper.wait(["default"], PATIENCE)

    timer.join()
    assert (quiet, woken, time.monotonic() - begin < PATIENCE / 2) == (False, True, True)
    for store in (sleeper, other, stranger):
        store.close()


def test_many_threads_wait_on_one_connection(database: Server, schema: str, connection: psycopg.Connection) -> None:
    """However many threads wait, one listens for all, and each is woken."""
    store = Postgres(database.url(), schema=schema)
    woken: list[bool] = []

    def sleep() -> None:
        deadline = time.monotonic() + PATIENCE
        while not store.counts(Which(), "state") and time.monotonic() < deadline:
            store.wait(["default"], PATIENCE)
        woken.append(time.monotonic() < deadline)

    threads = [threading.Thread(target=sleep) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    add(store)
    for thread in threads:
        thread.join()

    assert [True] * 5 == woken
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND query LIKE '%%' || %s || '%%'"
    assert connection.execute(listening, [store._channels[1]]).fetchone() == (1,)
    store.close()


def test_a_lost_ear_is_replaced(own: Server) -> None:
    """When the listening connection is cut the sleeper wakes, and hears again soon."""
    store = Postgres(own.url())
    while store.wait(["default"], 0.0):
        pass
    with psycopg.connect(own.url(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")

    woken = store.wait(["default"], PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while not store.wait(["default"], 0.2) and time.monotonic() < deadline:
        pass

    assert woken
    assert time.monotonic() < deadline
    store.close()


def test_nothing_of_a_connection_is_kept_behind_a_pooler(database: Server, schema: str) -> None:
    """With `pooler=transaction` jobs run, and nobody listens, prepares statements or changes settings."""
    with Ramify(database.url(schema=schema, pooler="transaction"), tasks=["tests.postgres.sql_tasks"]) as app:
        job = app.enqueue("tests.postgres.sql_tasks:double", 4)
        app.run_until_empty()
        with app.store._server.connection() as connection:  # type: ignore[attr-defined]
            prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
            changed = connection.execute("SHOW enable_seqscan").fetchone()

        assert (8, (0,), ("on",)) == (job.result(timeout=5), prepared, changed)


def test_a_worker_outlives_its_server(own: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A server killed under a worker is waited for, and every job is done in the end."""
    with Ramify(own.url(), tasks=["tests.postgres.sql_tasks"]) as app:
        jobs = [app.enqueue("tests.postgres.sql_tasks:double", n) for n in range(200)]
        worker = app.worker(children=1)
        thread = threading.Thread(target=worker.run)
        thread.start()
        deadline = time.monotonic() + PATIENCE
        while not app.counts().get("done") and time.monotonic() < deadline:
            time.sleep(0.005)
        own.stop(signal.SIGQUIT)
        own.start()
        app.wait(jobs, timeout=50)
        worker.stop()
        thread.join()

        assert [2 * n for n in range(200)] == [job.result(timeout=0) for job in jobs]


@pytest.mark.parametrize("pooler", [False, True])
def test_a_step_sees_what_others_commit_whatever_the_default(connection: psycopg.Connection, pooler: bool) -> None:
    """A database that prefers snapshots has steps see each other all the same: each statement looks anew."""
    connection.execute("SET default_transaction_isolation = 'serializable'")

    connection.execute(begin_text(pooler))

    level = connection.execute("SHOW transaction_isolation").fetchone()
    connection.execute("ROLLBACK")
    assert ("read committed",) == level
