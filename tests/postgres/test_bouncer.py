"""Behind a real PgBouncer that hands its few connections out anew for each transaction."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ramify import Ramify, group, job
from ramify.errors import BadStore
from ramify.graph.check import find_violations
from tests.postgres import sql_tasks, tx_tasks
from tests.postgres.server import Server

pytestmark = pytest.mark.slow
TASKS = ["tests.postgres.sql_tasks", "tests.postgres.tx_tasks"]
PATIENCE = 30.0
ENOUGH = 200
"""How many prepared statements of a client PgBouncer is told to keep, where it can."""


def bouncer() -> str | None:
    """Return the program, which lies where no user looks."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def keeps_statements() -> bool:
    """Tell whether it is new enough to know prepared statements."""
    said = subprocess.run([bouncer() or "", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= (1, 21)


@pytest.fixture(params=[0, ENOUGH], ids=["plain", "prepared"])
def folder(request: pytest.FixtureRequest, database: Server) -> Iterator[Path]:
    """The folder of a pooler's socket in front of the server, with three connections for all, and with a place for
    prepared statements where it can have one.
    """
    if bouncer() is None:
        pytest.skip("no PgBouncer here")
    if request.param and not keeps_statements():
        pytest.skip("this PgBouncer is older than 1.21 and knows no prepared statements")
    folder = database.folder / f"bouncer{request.param}"
    folder.mkdir()
    settings = {
        "listen_addr": "",
        "unix_socket_dir": folder,
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": 3,
        **({"max_prepared_statements": request.param} if request.param else {}),
    }
    text = "\n".join(f"{name} = {value}" for name, value in settings.items())
    (folder / "ini").write_text(
        f"[databases]\npostgres = host={database.folder} user=postgres\n[pgbouncer]\n{text}\n", "utf-8"
    )
    if "user" in database.user:  # it refuses root, as the server does
        os.chown(folder, database.user["user"], database.user["group"])
    process = subprocess.Popen(
        [bouncer() or "", folder / "ini"], stderr=subprocess.PIPE, text=True, cwd="/", process_group=0, **database.user
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not list(folder.glob(".s.PGSQL.*")):
            assert process.poll() is None and time.monotonic() < deadline, process.stderr and process.stderr.read()
            time.sleep(0.02)
        yield folder
    finally:
        process.terminate()
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(folder: Path, schema: str) -> str:
    """The address of the store through the pooler."""
    return f"postgresql://postgres@:6432/postgres?host={folder}&schema={schema}&pooler=transaction"


def test_workers_and_programs_share_a_few_connections(url: str, connection: psycopg.Connection, schema: str) -> None:
    """Two workers, a program and jobs with a transaction of their own: more of them than there are connections."""
    with Ramify(url, tasks=TASKS) as app:
        app.deploy()
        connection.execute(f"CREATE TABLE {schema}.mine (n int)")  # type: ignore[call-overload]
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "ramify.cli", "worker", *TASKS, "-n", "2", "--url", url], process_group=0
            )
            for _ in range(2)
        ]
        try:
            jobs = [app.enqueue(sql_tasks.double, n) for n in range(50)]
            tree = app.enqueue(group(*[job(sql_tasks.double, job(sql_tasks.double, n)) for n in range(50)]))
            kept = [app.enqueue(tx_tasks.keep, f"{schema}.mine", n) for n in range(20)]
            spoken = app.enqueue(sql_tasks.double, 2)
            results = [each.result(timeout=PATIENCE) for each in (*jobs, *kept)]
            held = app.enqueue(job(sql_tasks.double, 1).options(hold=True))
            held.cancel()

            assert [2 * n for n in (*range(50), *range(20))] == results
            assert [4 * n for n in range(50)] == tree.result(timeout=PATIENCE)
            assert (4, "cancelled") == (spoken.result(timeout=PATIENCE), held.state)
            assert [(n,) for n in range(20)] == connection.execute(
                f"SELECT n FROM {schema}.mine ORDER BY n"  # type: ignore[call-overload]
            ).fetchall()
            assert find_violations(app.store.snapshot()) == []
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()


def test_jobs_go_into_a_transaction_through_the_pooler(url: str, folder: Path) -> None:
    """`tx=` on a connection of the program's own that is pooled: there with the commit, gone with the rollback."""
    with Ramify(url, tasks=TASKS) as app:
        plain = f"postgresql://postgres@:6432/postgres?host={folder}"
        with psycopg.connect(plain, prepare_threshold=None) as mine:
            for end in (mine.rollback, mine.commit):
                for n in range(10):
                    app.enqueue(job(sql_tasks.double, n), tx=mine)
                end()

        assert {"ready": 10} == app.counts()


def test_whoever_does_not_say_that_there_is_a_pooler_is_told(url: str) -> None:
    """The settings of a connection cannot be had through it; the error says what to write."""
    with pytest.raises(BadStore, match="pooler=transaction"):
        Ramify(url.replace("&pooler=transaction", ""), tasks=TASKS)
