"""PostgreSQL beside PgQueuer: drain, additions, starts and graphs, on one throw-away server with its data on the disk.

`make bench ARGS=postgres`. The server is the system's, else the wheel's; its settings are its own but for memory.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from bench import graphs, measure, peers, tasks
from ramify import Node, Ramify, job
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from tests.postgres.server import Server, binaries

SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB"}


@contextmanager
def fresh(url: str) -> Iterator[Ramify]:
    """Lend an app on an empty schema."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS ramify CASCADE")
    with Ramify(url, tasks=["bench.tasks"]) as app:
        yield app


def drain(url: str, n: int) -> float:
    """Return how many jobs a second a worker with two children does that finds all of them waiting."""
    with Ramify(url, tasks=["bench.tasks"]) as app:  # opened anew, as a worker does: it has not used its store yet
        worker = app.worker(children=2, burst=True)
        begin = time.perf_counter()
        worker.run()
        seconds = time.perf_counter() - begin
        assert list(app.counts()) == ["done"]
    return n / seconds


def flat(url: str, n: int) -> float:
    """Drain jobs that have nothing to do with each other."""
    with fresh(url) as app:
        app.store.add(plan(sketch([job(tasks.noop, i) for i in range(n)]), make_ids))
    return drain(url, n)


def graph(url: str, node: Node[Any], n: int) -> float:
    """Drain a graph."""
    with fresh(url) as app:
        app.enqueue(node)
    return drain(url, n)


def batch(url: str, n: int) -> float:
    """Return rows a second that `add` of a planned batch stores."""
    with fresh(url) as app:
        planned = plan(sketch([job(tasks.noop, i) for i in range(n)]), make_ids)
        begin = time.perf_counter()
        app.store.add(planned)
        return n / (time.perf_counter() - begin)


def one_at_a_time(url: str, n: int) -> float:
    """Return jobs a second, each stored durably by a call of `enqueue`."""
    with fresh(url) as app:
        begin = time.perf_counter()
        for i in range(n):
            app.enqueue(tasks.noop, i)
        return n / (time.perf_counter() - begin)


def starts(url: str, n: int) -> dict[str, float]:
    """Return, in ms, how soon after the call of `enqueue` a job starts on an idle worker, and what the call takes."""
    delays, calls = [], []
    command = [sys.executable, "-m", "ramify.cli", "worker", "bench.tasks", "-n", "2", "--url", url]
    with fresh(url) as app:
        process = subprocess.Popen(command, cwd=measure.ROOT.parent, stderr=subprocess.DEVNULL)
        try:
            app.enqueue(tasks.now, 0).result(timeout=30)
            for i in range(n):
                time.sleep(0.005)
                begin = time.time_ns()
                handle = app.enqueue(tasks.now, i)
                calls.append((time.time_ns() - begin) / 1e6)
                delays.append((handle.result(timeout=30) - begin) / 1e6)
        finally:
            process.terminate()
            process.wait()
    return {
        "start p50, ms": measure.percentile(delays, 0.5),
        "start p99, ms": measure.percentile(delays, 0.99),
        "of it enqueue p50, ms": measure.percentile(calls, 0.5),
    }


def peer(server: Server, what: str, n: int) -> float:
    """Return what PgQueuer does on the same server."""
    command = [peers.PYTHON, measure.ROOT / "pgqueuer_peer.py", what, str(server.folder), str(n)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=measure.ROOT, env={**os.environ})
    return float(json.loads(done.stdout))


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure ramify and PgQueuer in turn, then the graphs."""
    n, few, links, depth = (5_000, 200, 100, 2) if small else (50_000, 2_000, 2_000, 4)
    found = binaries()
    server = Server(found[min(found)], SETTINGS, disk=True)
    url = server.url()
    ours = lambda act, n: float(peers.ours("bench.postgres", act, url, n))  # noqa: E731 - one line says it
    shapes: dict[str, Callable[[], float]] = {
        f"random DAG of {n // 5:,}": lambda: ours("dag", n // 5),
        f"fan-in {n // 5:,} to 1": lambda: ours("fan_in", n // 5),
        f"chain of {links:,}": lambda: ours("chain", links),
        f"tree 10^{depth}": lambda: ours("tree", depth),
    }
    try:
        figures = measure.interleave(
            rounds,
            {
                "drain, ramify": lambda: ours("flat", n),
                "drain, pgqueuer": lambda: peer(server, "drain", n),
                "batch, ramify": lambda: ours("batch", n),
                "batch, pgqueuer": lambda: peer(server, "fill", n),
                "one at a time, ramify": lambda: ours("one", few),
                "one at a time, pgqueuer": lambda: peer(server, "one", few),
                **shapes,
            },
        )
        begun = [starts(url, few // 4) for _ in range(rounds)]
    finally:
        server.remove()
    return {
        "unit": "jobs/s",
        "figures": measure.summary(figures),
        "starts": begun,
        "ratios": {
            f"{what}: ramify / pgqueuer": measure.ratio(figures, f"{what}, ramify", f"{what}, pgqueuer")
            for what in ("drain", "batch", "one at a time")
        },
    }


ACTS: dict[str, Callable[[str, int], float]] = {
    "flat": flat,
    "batch": batch,
    "one": one_at_a_time,
    "dag": lambda url, n: graph(url, graphs.dag(n), n),
    "fan_in": lambda url, n: graph(url, graphs.fan_in(n), n),
    "chain": lambda url, n: graph(url, graphs.chain(n), n),
    "tree": lambda url, depth: graph(url, graphs.tree(depth), 10**depth),
}

if __name__ == "__main__":
    act, url, n = sys.argv[1:]
    print(json.dumps(ACTS[act](url, int(n))))
