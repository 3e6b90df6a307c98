"""Adding: a planned batch, nodes made by `job`, one at a time, and the bare durable insert beside it."""

import sqlite3
import tempfile
import time

from bench import measure, tasks
from ramify import Ramify, group, job
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.stores.sqlite import Sqlite


def batch(n: int) -> float:
    """Return rows a second that `add` of a planned tree stores."""
    with tempfile.TemporaryDirectory() as folder:
        store = Sqlite(f"{folder}/jobs.db")
        planned = plan(sketch([group(*[job(tasks.noop, i) for i in range(n)])]), make_ids)
        begin = time.perf_counter()
        store.add(planned)
        seconds = time.perf_counter() - begin
        store.close()
    return n / seconds


def nodes(n: int) -> float:
    """Return jobs a second from `job(f, i)` to stored."""
    with tempfile.TemporaryDirectory() as folder, Ramify(f"sqlite:///{folder}/jobs.db") as app:
        begin = time.perf_counter()
        app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]))
        return n / (time.perf_counter() - begin)


def one_at_a_time(n: int) -> float:
    """Return jobs a second, each stored durably by a call of `enqueue`."""
    with tempfile.TemporaryDirectory() as folder, Ramify(f"sqlite:///{folder}/jobs.db") as app:
        begin = time.perf_counter()
        for i in range(n):
            app.enqueue(tasks.noop, i)
        return n / (time.perf_counter() - begin)


def bare(n: int) -> float:
    """Return rows a second, each inserted durably with its arguments, in the least layout: see `bare.py`."""
    with tempfile.TemporaryDirectory() as folder:
        store = sqlite3.connect(f"{folder}/bare.db", isolation_level=None)
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = FULL")
        store.execute("CREATE TABLE job (id TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID")
        store.execute("CREATE INDEX ready ON job (id) WHERE state = 'ready'")
        store.execute("CREATE TABLE payload (id TEXT PRIMARY KEY, args BLOB) WITHOUT ROWID")
        begin = time.perf_counter()
        for id in make_ids(n):
            store.execute("BEGIN IMMEDIATE")
            store.execute("INSERT INTO job VALUES (?, 'ready')", (id,))
            store.execute("INSERT INTO payload VALUES (?, ?)", (id, b"[[1],{}]"))
            store.execute("COMMIT")
        seconds = time.perf_counter() - begin
        store.close()
    return n / seconds


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure all four in turn."""
    many, few = (5_000, 200) if small else (100_000, 2_000)
    figures = measure.interleave(
        rounds,
        {
            "add of a planned batch": lambda: batch(many),
            "job() to stored": lambda: nodes(many),
            "enqueue one at a time": lambda: one_at_a_time(few),
            "bare durable insert": lambda: bare(few),
        },
    )
    return {
        "unit": "jobs/s",
        "figures": measure.summary(figures),
        "ratios": {"enqueue / bare insert": measure.ratio(figures, "enqueue one at a time", "bare durable insert")},
    }
