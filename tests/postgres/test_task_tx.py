"""`@task(tx=True)`: what a job writes into the user's tables and its outcome are one transaction."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from ramify import Ramify, group, job, task
from ramify.errors import BadNode, BadTask, JobFailed, Lost
from ramify.graph.check import find_violations
from ramify.handle import Job
from ramify.model import Session, Which
from ramify.stores.postgres import Postgres
from tests.postgres import tx_tasks
from tests.postgres.server import Server
from tests.urls import URLS

pytestmark = pytest.mark.slow
TASKS = "tests.postgres.tx_tasks"
PATIENCE = 30.0


@pytest.fixture
def app(database: Server, schema: str, connection: psycopg.Connection) -> Iterator[Ramify]:
    """A program, and a table of its own beside its jobs."""
    with Ramify(database.url(schema=schema), tasks=[TASKS]) as app:
        yield app
        assert find_violations(app.store.snapshot()) == []


@pytest.fixture
def table(app: Ramify, schema: str, connection: psycopg.Connection) -> str:
    """The program's table; numbers below zero are refused at the end of a transaction."""
    connection.execute(
        f"CREATE TABLE {schema}.mine (n int);"
        f"CREATE FUNCTION {schema}.check_mine() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF new.n < 0 THEN RAISE 'below zero' USING ERRCODE = 'check_violation'; END IF; RETURN new; END $$;"
        f"CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {schema}.mine DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW EXECUTE FUNCTION {schema}.check_mine()"
    )
    return f"{schema}.mine"


@pytest.fixture
def rows(table: str, connection: psycopg.Connection) -> Callable[[], list[int]]:
    """What stands in the table."""
    return lambda: [n for (n,) in connection.execute(f"SELECT n FROM {table} ORDER BY n")]


def run(app: Ramify, how: str) -> None:
    """Run what there is: in children, fresh or forked, or in this process."""
    if how == "inline":
        app.run_until_empty()
    else:
        app.worker(children=2, burst=True, multiprocessing=how == "fresh").run()


Rows = Callable[[], list[int]]
each_way = pytest.mark.parametrize("how", ["inline", "forked", "fresh"])


@each_way
def test_rows_and_outcome_are_committed_together(app: Ramify, table: str, rows: Rows, how: str) -> None:
    """Jobs write, hand on what they return, and are done; what waits for them runs at once."""
    first = [job(tx_tasks.keep, table, n) for n in range(3)]
    top = app.enqueue(group(*first, job(tx_tasks.pass_on, table, first), job(tx_tasks.touch_nothing, 7)))

    run(app, how)

    assert ([0, 2, 4, 6, 7], [0, 1, 2, 6]) == (top.result(timeout=0), rows())


@each_way
def test_rows_of_a_run_that_fails_were_never_there(
    app: Ramify, table: str, rows: Rows, tmp_path: Path, how: str
) -> None:
    """Those of the try that ends well are the only ones."""
    failed, tried = app.enqueue(tx_tasks.fail, table), app.enqueue(tx_tasks.fail_twice, table, str(tmp_path))

    run(app, how)

    assert (failed.state, tried.result(timeout=0), rows()) == ("failed", 3, [3])


@each_way
def test_what_a_job_adds_is_part_of_its_transaction(app: Ramify, table: str, rows: Rows, how: str) -> None:
    """Children are there with the rows, or neither is."""
    good, bad = app.enqueue(tx_tasks.grow, table, 10), app.enqueue(tx_tasks.grow, table, 20, bad=True)
    app.deploy()

    run(app, how)

    assert (good.result(timeout=0), rows()) == ("grown", [10, 11, 12])
    with pytest.raises(JobFailed, match="unknown is not deployed"):
        bad.result(timeout=0)


@each_way
def test_what_a_job_says_last_is_kept(app: Ramify, table: str, rows: Rows, how: str) -> None:
    """Also if it is said right before the transaction, and with it the job, is over."""
    jobs = [app.enqueue(tx_tasks.speak, table, n) for n in range(5)]
    run(app, how)

    assert [[line.text for line in each.log()] for each in jobs] == [[f"wrote {n}"] for n in range(5)]


def test_a_child_that_dies_leaves_no_rows(app: Ramify, table: str, rows: Rows, tmp_path: Path) -> None:
    """The run comes to nothing, and another one writes."""
    handle = app.enqueue(tx_tasks.die, table, str(tmp_path / "mark"))

    run(app, "forked")

    assert (handle.state, rows(), app.store.jobs(Which())[0].crashes) == ("done", [1], 1)


@each_way
def test_a_lost_connection_is_no_fault_of_the_jobs(
    app: Ramify, table: str, rows: Rows, tmp_path: Path, how: str
) -> None:
    """Without any retry of its own, the job is run again when its database went away."""
    handle = app.enqueue(tx_tasks.lose, table, str(tmp_path / "mark"))

    run(app, how)

    row = app.store.jobs(Which())[0]
    assert (handle.state, rows(), row.tries, row.losses) == ("done", [1], 0, 1)


@each_way
def test_a_deadlock_is_no_fault_of_the_jobs(app: Ramify, table: str, rows: Rows, how: str) -> None:
    """A transaction that others were in the way of is made again, uncharged."""
    handle = app.enqueue(tx_tasks.clash, table)

    run(app, how)

    row = app.store.jobs(Which())[0]
    assert (handle.state, rows(), row.tries, row.losses) == ("done", [1], 0, 2)


@pytest.mark.parametrize("how", ["inline", "forked"])
def test_mistakes_are_named(app: Ramify, table: str, rows: Rows, how: str) -> None:
    """Who commits himself, goes on after an error, or asks for another isolation is told what to do instead."""
    reasons = {
        app.enqueue(tx_tasks.commit, table): "Explicit commit",
        app.enqueue(tx_tasks.commit_by_hand, table): "done when the function returns",
        app.enqueue(tx_tasks.catch, table): r"current\(\)\.tx\.transaction\(\)",
        app.enqueue(tx_tasks.break_at_the_end, table): "below zero",
        app.enqueue(tx_tasks.isolated, table): "READ COMMITTED",
        app.enqueue(tx_tasks.plain): "tasks with tx=True",
    }
    well = app.enqueue(tx_tasks.catch_well, table)

    run(app, how)

    for handle, reason in reasons.items():
        with pytest.raises(JobFailed, match=reason):
            handle.result(timeout=0)
    assert (well.state, rows()) == ("done", [1, 1])


def begun(mark: Path) -> None:
    """Wait until a run has begun."""
    deadline = time.monotonic() + PATIENCE
    while not Path(f"{mark}.begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_not_ours_any_more_is_rolled_back(app: Ramify, table: str, rows: Rows, tmp_path: Path) -> None:
    """A run that goes on after others have taken the job over leaves no rows; those of the other one stay."""
    mark = tmp_path / "mark"
    handle = app.enqueue(tx_tasks.wait_for, table, str(mark))
    with Ramify(app.store.url, tasks=[TASKS]) as old:  # type: ignore[attr-defined]

        def work() -> None:
            with suppress(Lost):  # its session is over
                old.run_until_empty()

        thread = threading.Thread(target=work)
        thread.start()
        begun(mark)
        before = app.store.jobs(Which(ids=(handle.id,)))[0]
        app.store.leave(str(before.session))  # as if it had been silent for too long
        assert isinstance(app.store, Postgres)
        app.store.enter(Session("other"))
        [claim] = app.store.adopt("other", 10)
        mark.touch()
        thread.join()
        unseen, now = rows(), app.store.jobs(Which(ids=(handle.id,)))[0]
        app.store.leave("other")
        run(app, "inline")

    assert ([], "running", claim.row.id) == (unseen, now.state, handle.id)
    assert (handle.state, rows()) == ("done", [1])


def test_only_the_newest_attempt_commits(
    app: Ramify, table: str, rows: Rows, schema: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """A run whose job was claimed again meanwhile, in whatever session, leaves no rows."""
    mark = tmp_path / "mark"
    handle = app.enqueue(tx_tasks.wait_for, table, str(mark))
    with Ramify(app.store.url, tasks=[TASKS]) as old:  # type: ignore[attr-defined]
        thread = threading.Thread(target=old.run_one)
        thread.start()
        begun(mark)
        connection.execute(f"UPDATE {schema}.job SET attempt = attempt + 1")
        mark.touch()
        thread.join()
        unseen, state = rows(), handle.state
        run(app, "inline")

    assert ([], "running") == (unseen, state)
    assert (handle.state, rows()) == ("done", [1])


def test_a_cancel_that_comes_first_wins(app: Ramify, table: str, rows: Rows, tmp_path: Path) -> None:
    """A job that was told to stop and is killed leaves no rows."""
    mark = tmp_path / "mark"
    handle = app.enqueue(tx_tasks.wait_for, table, str(mark))
    with Ramify(app.store.url, tasks=[TASKS]) as other:  # type: ignore[attr-defined]
        worker = other.worker(children=1, grace=0.1)
        thread = threading.Thread(target=worker.run)
        thread.start()
        begun(mark)
        handle.cancel()
        app.wait([handle], timeout=PATIENCE)
        worker.stop()
        thread.join()

    assert (handle.state, rows()) == ("cancelled", [])


def test_a_chain_does_not_wait_for_a_poll(app: Ramify, table: str, rows: Rows) -> None:
    """Each job of a chain is claimed when the one before it was committed."""
    from ramify import series

    top = app.enqueue(series(*[job(tx_tasks.keep, table, n) for n in range(30)]))
    begin = time.monotonic()

    run(app, "forked")

    assert (top.state, len(rows())) == ("done", 30)
    assert time.monotonic() - begin < PATIENCE / 2  # thirty polls would take longer


def test_children_get_the_address_with_the_job_only(
    app: Ramify, monkeypatch: pytest.MonkeyPatch, how: str = "forked"
) -> None:
    """The variable that names the store is not for jobs."""
    monkeypatch.setenv("RAMIFY_URL", "postgresql://me:secret@nowhere/x")
    handle: Job[list[str]] = app.enqueue(tx_tasks.environment)

    run(app, how)

    assert handle.result(timeout=0) == []


@pytest.mark.parametrize("kind", [kind for kind in URLS if kind != "postgres"])
def test_other_stores_say_so_at_the_door(kind: str, tmp_path: Path) -> None:
    """Where there is no such transaction, neither function nor name is accepted; `check` and `deploy` say it, too."""
    with Ramify(URLS[kind](tmp_path), tasks=[TASKS]) as app:
        for what in (tx_tasks.keep, f"{TASKS}:keep", job(tx_tasks.keep, "t", 1), group(job(tx_tasks.keep, "t", 1))):
            with pytest.raises(BadTask, match=r"keep has tx=True.*must be PostgreSQL"):
                app.enqueue(what, *(("t", 1) if what in (tx_tasks.keep, f"{TASKS}:keep") else ()))
        assert any("keep has tx=True" in sentence for sentence in app.check())
        assert any("keep has tx=True" in sentence for sentence in app.deploy())
        assert list(app.jobs()) == []


def test_behind_a_pooler_nothing_of_the_connection_is_relied_on(
    app: Ramify, table: str, rows: Rows, database: Server, schema: str
) -> None:
    """With `pooler=transaction` rows and outcome go together, too."""
    with Ramify(database.url(schema=schema, pooler="transaction"), tasks=[TASKS]) as other:
        handle = other.enqueue(group(*[job(tx_tasks.keep, table, n) for n in range(5)]))
        run(other, "forked")

        assert (handle.result(timeout=5), rows()) == ([0, 2, 4, 6, 8], [0, 1, 2, 3, 4])


def test_mistakes_in_the_option_are_named() -> None:
    """Coroutines, and what is no yes or no."""
    with pytest.raises(BadTask, match="plain functions"):

        @task(tx=True)
        async def wait() -> None: ...

    with pytest.raises(BadNode, match="tx is True"):
        task(tx="yes")  # type: ignore[call-overload]
