"""The roles that docs/postgres.md lists: each can do its work, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ramify import Ramify, job
from ramify.errors import BadStore
from ramify.model import Verb, Which
from ramify.node import Ref
from ramify.stores.move import move
from tests.postgres.server import Server
from tests.postgres.sql_tasks import double

TASKS = "tests.postgres.sql_tasks"
PAGE = Path(__file__).parents[2] / "docs/postgres.md"
ROLES = ("submit", "read", "worker")


@pytest.fixture
def roles(database: Server, schema: str, connection: psycopg.Connection) -> Iterator[dict[str, str]]:
    """Users that have one of the documented roles each, by role; and a deployed schema with one job."""
    with Ramify(database.url(schema=schema), tasks=[TASKS]) as admin:
        admin.deploy()
        admin.enqueue(double, 1)
    [grants] = [text for text in re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.M | re.S) if "ROLE" in text]
    connection.execute(grants.replace("ramify_", f"{schema}_").replace("ramify", schema))  # type: ignore[call-overload]
    for role in ROLES:
        connection.execute(f"CREATE USER {schema}{role} IN ROLE {schema}_{role}")
    yield {role: database.url(schema=schema).replace("postgres@", f"{schema}{role}@") for role in ROLES}
    connection.execute(f"DROP SCHEMA {schema} CASCADE")
    for role in ROLES:
        connection.execute(f"DROP USER {schema}{role}; DROP ROLE {schema}_{role}")


def test_submit_adds_jobs_and_reads_nothing(roles: dict[str, str], schema: str) -> None:
    """From Python and SQL, with keys and edges; arguments, results and what others did are not for it."""
    with Ramify(roles["submit"], tasks=[TASKS]) as app:
        first = app.enqueue(double, 2)
        app.enqueue(job(double, 3).options(after=Ref(first.id), queue="new"))
        app.enqueue(job(double, 3).options(unique="k"), request="r")
        for forbidden in (
            lambda: app.store.results([first.id]),
            first.cancel,
            app.run_until_empty,
            app.deploy,
            lambda: move(app.store, Which(ids=(first.id,)), Verb.PURGE),
        ):
            with pytest.raises(BadStore, match=r"permission denied.*docs/postgres\.md"):
                forbidden()
    with psycopg.connect(roles["submit"].partition("&schema")[0], autocommit=True) as own:
        assert own.execute(f"SELECT {schema}.enqueue('{TASKS}:double', '[4]')").fetchone()
        for text in (
            f"SELECT * FROM {schema}.payload",
            f"SELECT * FROM {schema}.result",
            f"UPDATE {schema}.job SET state = 'done'",
            f"DELETE FROM {schema}.job",
            f"INSERT INTO {schema}.result (job) VALUES ('x')",
            f"CREATE TABLE {schema}.mine (n int)",
            f"UPDATE {schema}.task SET about = '{{}}'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute(text)


def test_read_sees_everything_and_changes_nothing(roles: dict[str, str], schema: str) -> None:
    """Lists, results and checks; no job is added, run or cancelled."""
    with Ramify(roles["read"], tasks=[TASKS]) as app:
        [there] = app.jobs()
        assert (app.counts(), there.state, app.check()) == ({"ready": 1}, "ready", [])
        assert app.store.snapshot().rows
        for forbidden in (lambda: app.enqueue(double, 1), there.cancel, app.run_until_empty):
            with pytest.raises(BadStore, match="permission denied"):
                forbidden()


def test_worker_ends_jobs_in_transactions_of_their_own(
    roles: dict[str, str], schema: str, connection: psycopg.Connection
) -> None:
    """A task with `tx=True` may do what its worker's role may, and no more."""
    connection.execute(
        f"CREATE TABLE {schema}.mine (n int); CREATE TABLE {schema}.secret (n int);"
        f"GRANT INSERT ON {schema}.mine TO {schema}worker"
    )
    with Ramify(roles["worker"], tasks=["tests.postgres.tx_tasks"]) as app:
        mine = app.enqueue("tests.postgres.tx_tasks:keep", f"{schema}.mine", 1)
        secret = app.enqueue("tests.postgres.tx_tasks:keep", f"{schema}.secret", 1)
        app.worker(children=1, burst=True).run()

        assert ("done", "failed") == (mine.state, secret.state)
        assert "permission denied for table secret" in str(secret.error)
    assert connection.execute(f"SELECT n FROM {schema}.mine").fetchall() == [(1,)]


def test_worker_runs_jobs_and_manages_nothing(roles: dict[str, str], schema: str) -> None:
    """Jobs run, are cancelled and retried; the schema and the tasks in it are the owner's."""
    with Ramify(roles["worker"], tasks=[TASKS]) as app:
        [there] = app.jobs()
        app.worker(children=1, burst=True).run()
        assert there.result(timeout=0) == 2
        later = app.enqueue(job(double, 1).options(delay=60))
        later.cancel()
        assert later.state == "cancelled"
        with pytest.raises(BadStore, match="permission denied"):
            app.deploy()
    with psycopg.connect(roles["worker"].partition("&schema")[0], autocommit=True) as own:
        for text in (f"DROP TABLE {schema}.job", f"UPDATE {schema}.version SET version = 9", f"TRUNCATE {schema}.job"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute(text)
