"""Tasks whose jobs end in a transaction of the database that they are in."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row

from ramify import current, job, task


def put(table: str, n: int) -> None:
    """Write a row."""
    current().tx.execute(f"INSERT INTO {table} VALUES ({n})")


@task(tx=True)
def keep(table: str, n: int) -> int:
    """Write a row, and return something."""
    put(table, n)
    return 2 * n


@task(tx=True)
def pass_on(table: str, n: list[int]) -> int:
    """Write what others returned."""
    put(table, sum(n))
    return sum(n)


@task(tx=True)
def touch_nothing(n: int) -> int:
    """Ask for a transaction, and do not use it."""
    return n


@task(tx=True, retry=2)
def fail_twice(table: str, marks: str) -> int:
    """Write a row and fail, twice; then write one and end well."""
    put(table, current().attempt)
    if len(list(Path(marks).iterdir())) < 2:
        Path(marks, str(current().attempt)).touch()
        raise ValueError("not yet")
    return current().attempt


@task(tx=True)
def fail(table: str) -> None:
    """Write a row, and fail."""
    put(table, 1)
    raise ValueError("no")


@task(tx=True)
def die(table: str, mark: str) -> None:
    """Write a row and die, once."""
    put(table, 1)
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@task(tx=True)
def lose(table: str, mark: str) -> None:
    """Write a row, and lose the connection, once."""
    put(table, 1)
    if not Path(mark).exists():
        Path(mark).touch()
        current().tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@task(tx=True)
def clash(table: str) -> None:
    """Write a row, and meet a deadlock, twice."""
    put(table, 1)
    if current().attempt <= 2:
        code = ("40P01", "40001")[current().attempt - 1]
        current().tx.execute(f"DO $$ BEGIN RAISE 'clash' USING ERRCODE = '{code}'; END $$")


@task(tx=True)
def commit(table: str) -> None:
    """Try to commit."""
    put(table, 1)
    current().tx.commit()


@task(tx=True)
def commit_by_hand(table: str) -> None:
    """Commit behind the driver's back."""
    put(table, 1)
    current().tx.execute("COMMIT")


@task(tx=True)
def catch(table: str) -> None:
    """Catch an error of the server's, and go on."""
    try:
        current().tx.execute("SELECT * FROM nothing")
    except Exception:
        return


@task(tx=True)
def catch_well(table: str) -> None:
    """Catch an error of the server's around a savepoint, with rows of an odd form."""
    current().tx.row_factory = dict_row
    try:
        with current().tx.transaction():
            current().tx.execute("SELECT * FROM nothing")
    except Exception:
        put(table, 1)


@task(tx=True)
def break_at_the_end(table: str) -> None:
    """Break a constraint that is checked when the transaction is committed."""
    put(table, -1)


@task(tx=True)
def isolated(table: str) -> None:
    """Ask for another isolation."""
    current().tx.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    put(table, 1)


@task(tx=True)
def grow(table: str, n: int, bad: bool = False) -> str:
    """Write a row, and add jobs."""
    put(table, n)
    current().spawn(*[job(keep, table, n + i) for i in (1, 2)])
    if bad:
        current().spawn(job("tests.postgres.tx_tasks:unknown", 1))
    return "grown"


@task(tx=True)
def wait_for(table: str, mark: str) -> None:
    """Write a row, and wait until a file is there."""
    put(table, 1)
    Path(f"{mark}.begun").touch()
    while not Path(mark).exists():
        time.sleep(0.01)


def plain() -> Any:
    """Use what this task did not ask for."""
    return current().tx


@task(tx=True)
def environment() -> list[str]:
    """Return the variables that name the store."""
    return [name for name in os.environ if name.startswith("RAMIFY_URL")]


@task(tx=True)
def speak(table: str, n: int) -> None:
    """Write a row, and say so at the last moment."""
    put(table, n)
    print("wrote", n)
