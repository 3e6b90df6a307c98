"""Declared tasks: what a limit costs a claim from a long backlog, and one unique key from many processes."""

import multiprocessing
import os
import tempfile
import time
from typing import Any

from bench import measure, tasks
from ramify import Ramify, group, job
from ramify.model import Ended, Rule, Session, State, Value, Want

PROCESSES = 8


def claims(backlog: int, n: int, limit: int | None) -> float:
    """Return exchanges a second that end three jobs and claim three, out of a backlog of one task."""
    with tempfile.TemporaryDirectory() as folder, Ramify(f"sqlite:///{folder}/jobs.db?durability=fast") as app:
        app.enqueue(group(*[job(tasks.noop, i) for i in range(backlog)]))
        store = app.store
        if limit is not None:
            store.limit(f"task:{tasks.__name__}:noop", Rule(limit))
        store.enter(Session("s", "here", os.getpid()))
        outcomes: list[Ended] = []
        begin = time.perf_counter()
        for _ in range(n):
            reply = store.exchange("s", outcomes, Want(3))
            assert len(reply.claims) == 3
            outcomes = [Ended(each.row.id, each.row.attempt, State.DONE, Value(b"1")) for each in reply.claims]
        return n / (time.perf_counter() - begin)


def full(backlog: int, n: int) -> float:
    """Return exchanges a second that find no room, because three jobs run already."""
    with tempfile.TemporaryDirectory() as folder, Ramify(f"sqlite:///{folder}/jobs.db?durability=fast") as app:
        app.enqueue(group(*[job(tasks.noop, i) for i in range(backlog)]))
        app.store.limit(f"task:{tasks.__name__}:noop", Rule(3))
        app.store.enter(Session("s", "here", os.getpid()))
        app.store.exchange("s", (), Want(3))
        begin = time.perf_counter()
        for _ in range(n):
            assert app.store.exchange("s", (), Want(3)).claims == []
        return n / (time.perf_counter() - begin)


def enqueue_many(url: str, n: int, barrier: Any) -> None:
    """Enqueue one unique job again and again."""
    with Ramify(url) as app:
        node = job(tasks.noop, 1).options(unique=True)
        barrier.wait()
        for _ in range(n):
            app.enqueue(node)


def unique(n: int) -> float:
    """Return enqueues a second of one unique key from eight processes; one job must be left."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/jobs.db"
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(PROCESSES + 1)
        share = n // PROCESSES
        processes = [context.Process(target=enqueue_many, args=(url, share, barrier)) for _ in range(PROCESSES)]
        with Ramify(url) as app:
            for process in processes:
                process.start()
            barrier.wait()
            begin = time.perf_counter()
            for process in processes:
                process.join()
            seconds = time.perf_counter() - begin
            assert [process.exitcode for process in processes] == PROCESSES * [0]
            assert app.counts() == {"ready": 1}
    return share * PROCESSES / seconds


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure all in turn."""
    backlog, n, many = (5_000, 200, 400) if small else (100_000, 2_000, 10_000)
    figures = measure.interleave(
        rounds,
        {
            "three of a backlog": lambda: claims(backlog, n, None),
            "three of a backlog, limit 3": lambda: claims(backlog, n, 3),
            "no room": lambda: full(backlog, n),
            "one unique key, eight processes": lambda: unique(many),
        },
    )
    return {
        "unit": "calls/s",
        "figures": measure.summary(figures),
        "ratios": {"unlimited / limited": measure.ratio(figures, "three of a backlog", "three of a backlog, limit 3")},
    }
