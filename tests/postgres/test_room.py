"""What the tables cost as they change: updates that touch no index, and looks past what cannot be cleaned up."""

import os
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from ramify import Ramify
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Claim, Ended, Session, State, Value, Verb, Want, Which
from ramify.node import AnyNode, Node
from ramify.stores.postgres import Postgres, low, tables
from tests.postgres.server import Server

pytestmark = pytest.mark.slow
PATIENCE = 20.0


@pytest.fixture
def store(database: Server, schema: str) -> Iterator[Postgres]:
    """A store with a session."""
    store = Postgres(database.url(), schema=schema)
    store.enter(Session("s", pid=os.getpid()))
    yield store
    store.close()


def leaf(name: str = "x", *children: AnyNode) -> AnyNode:
    """Return a call of a task of the module m."""
    return Node(f"m:{name}", (), None, children)


def add(store: Postgres, *nodes: AnyNode) -> list[str]:
    """Store trees in one batch; return the ids."""
    batch = plan(sketch(nodes), make_ids)
    store.add(batch)
    return [row.id for row in batch.rows]


def claim(store: Postgres, n: int = 1000) -> list[Claim]:
    """Claim what there is."""
    return store.exchange("s", [], Want(n)).claims


def end(store: Postgres, claims: list[Claim]) -> None:
    """End claimed jobs."""
    ends = [Ended(each.row.id, each.row.attempt, State.DONE, Value(b"1")) for each in claims]
    assert store.exchange("s", ends, Want(0, ends=0)).refused == {}


@pytest.fixture
def ask(store: Postgres, connection: psycopg.Connection, schema: str) -> Callable[[str], int]:
    """Ask for a number that the server counts, when all connections have told theirs."""

    def ask(what: str) -> int:
        for _ in range(2):
            with store._server.connection() as own:
                own.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT pg_stat_clear_snapshot()")
        text = f"SELECT {what} AND schemaname = '{schema}'"
        return int((connection.execute(text).fetchone() or (0,))[0])  # type: ignore[call-overload]

    return ask


def wait_for(number: Callable[[], int], least: int) -> int:
    """Wait until a number that the server counts is as large as it should be; return it."""
    deadline = time.monotonic() + PATIENCE
    while (found := number()) < least and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_counters_verdicts_and_leases_touch_no_index(store: Postgres, ask: Callable[[str], int]) -> None:
    """Where a row changes often it changes in its own page, and no index gets another entry."""
    add(store, leaf("top", *[leaf() for _ in range(300)]))
    for each in claim(store):
        end(store, [each])
        store.beat("s", [])

    def hot(table: str) -> int:
        return ask(f"n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = '{table}'")

    assert wait_for(lambda: hot("job"), 290) >= 290  # each end counts down once
    assert wait_for(lambda: hot("edge"), 250) >= 250  # each end is a verdict
    assert wait_for(lambda: hot("session"), 290) >= 290


@pytest.fixture
def sparing(store: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is slow, and whose tables are full of dead rows, from now on."""
    monkeypatch.setattr(tables, "CHEAP", -1.0)
    monkeypatch.setattr(tables, "MANY", -1)
    monkeypatch.setattr(low, "PAUSE", 0.3)


def test_looks_past_what_cannot_be_cleaned_up_read_little(
    store: Postgres, database: Server, schema: str, ask: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a transaction stays open what is done stays in the index; a look begins behind it."""

    def read() -> int:
        return ask("idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'job_ready'")

    def looks(n: int) -> int:
        """Claim single jobs, and find that there are none; return how many entries of the index that read."""
        before = read()
        for _ in range(n):
            add(store, leaf())
            end(store, claim(store, 1))
        wait_for(read, before + n)
        time.sleep(0.2)
        return read() - before

    with psycopg.connect(database.url()) as idle:
        idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        idle.execute(f"SELECT count(*) FROM {schema}.job")  # type: ignore[call-overload]
        add(store, *[leaf() for _ in range(2000)])
        for _ in range(2):
            end(store, claim(store))
        whole = looks(20)
        monkeypatch.setattr(tables, "CHEAP", -1.0)
        monkeypatch.setattr(tables, "MANY", -1)
        monkeypatch.setattr(low, "PAUSE", 1000.0)
        monkeypatch.setattr(low, "SHARE", 1e9)
        claim(store)
        sparing = looks(20)

    assert whole > 20 * 2000
    assert sparing < 2000


def test_what_came_in_before_is_found_soon(store: Postgres, sparing: None) -> None:
    """An older tree, a higher priority, a new lane, a scheduled job and a group to end: each within a pause."""
    [older] = add(store, leaf().options(hold=True))
    for _ in range(3):
        add(store, leaf())
        end(store, claim(store))
    [again] = add(store, leaf())
    assert [again] == [each.row.id for each in claim(store)]  # in line, so at once
    urgent = add(store, leaf().options(priority=5))
    other = add(store, leaf("other").options(slot="own"))
    due = add(store, leaf("due").options(delay=0.1))
    *_, group = add(store, Node(None, children=(leaf("of a group"),)))
    store.move(Which(ids=(older,)), Verb.RELEASE)
    while store.drain():
        pass
    wanted = {older, *urgent, *other, *due, group}
    deadline = time.monotonic() + PATIENCE

    while wanted and time.monotonic() < deadline:
        claims = claim(store)
        wanted -= {each.row.id for each in claims}
        end(store, claims)

    assert wanted == set()


def test_whoever_ends_when_there_is_nothing_overlooks_nothing(store: Postgres, sparing: None) -> None:
    """A burst and `run_until_empty` end with an empty answer, so theirs is one of a look over everything."""
    [older] = add(store, leaf().options(hold=True))
    [first, second] = add(store, leaf(), leaf())
    assert [first] == [each.row.id for each in claim(store, 1)]
    assert [second] == [each.row.id for each in claim(store)]
    store.move(Which(ids=(older,)), Verb.RELEASE)
    while store.drain():
        pass

    assert [older] == [each.row.id for each in store.exchange("s", [], Want(10, sure=True)).claims]


def test_jobs_of_a_session_that_nobody_knows_are_adopted(
    store: Postgres, connection: psycopg.Connection, schema: str, sparing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the dead at once, those of the unknown when it is time to look for them."""
    add(store, leaf(), leaf())
    store.enter(Session("other", pid=os.getpid()))
    store.enter(Session("gone", pid=os.getpid()))
    [first] = store.exchange("other", [], Want(1)).claims
    [second] = store.exchange("gone", [], Want(1)).claims
    connection.execute(f"DELETE FROM {schema}.session WHERE id = 'gone'")  # type: ignore[call-overload]
    store.leave("other")

    assert [first.row.id] == [each.row.id for each in store.adopt("s", 10)]
    assert [second.row.id] == [each.row.id for each in store.adopt("s", 10)]


def test_history_is_deleted_a_few_trees_at_a_time(database: Server, schema: str) -> None:
    """All of it goes, and no step has all of it."""
    with Ramify(database.url(schema=schema)) as app:
        store = app.store
        assert isinstance(store, Postgres)
        store.enter(Session("s", pid=os.getpid()))
        for _ in range(3):
            for _ in range(90):
                add(store, leaf("top", leaf()))
            for _ in range(2):
                end(store, claim(store))
        moved: list[int] = []
        whole = store.move

        def move(which: Which, *rest: object) -> int:
            moved.append(len(which.ids or ()))
            return whole(which, *rest)  # type: ignore[arg-type]

        store.move = move  # type: ignore[method-assign]

        assert app.purge(older_than=0) == 270
        assert (app.counts(), max(moved)) == ({}, 100)


def test_tables_that_history_fills_are_cleaned_up_early(connection: psycopg.Connection, store: Postgres) -> None:
    """Each table that grows says when autovacuum is to come."""
    text = (
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r' "
        "AND array_to_string(reloptions, ' ') LIKE '%%autovacuum_vacuum_scale_factor=0.0%%' ORDER BY 1"
    )

    found = connection.execute(text, [store.schema]).fetchall()

    assert [("edge",), ("job",), ("line",), ("mark",), ("payload",), ("request",), ("result",)] == found


def test_graphs_are_worked_off_by_looks_that_begin_behind(store: Postgres, sparing: None) -> None:
    """What becomes ready in front of the place where looks begin is found when there is nothing else."""
    add(store, *[leaf("top", leaf("a", leaf("b"), leaf("c")), leaf("d")) for _ in range(40)])
    deadline = time.monotonic() + PATIENCE

    while store.counts(Which(), "state") != {"done": 200} and time.monotonic() < deadline:
        end(store, claim(store, 3))

    assert store.counts(Which(), "state") == {"done": 200}
