"""PostgreSQL beside PgQueuer and a bare loop: drain, additions, starts, graphs, and claims beside a million jobs.

All on one throw-away server with its data on the disk.

`make bench ARGS=postgres`, or one figure alone: `python -m bench.postgres drain` (see `FIGURES`). The server is the
system's, else the wheel's; its settings are its own but for memory.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from bench import graphs, measure, peers, postgres_bare, tasks
from ramify import Node, Ramify, group, job
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from tests.postgres.server import Server, binaries

SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB"}


@contextmanager
def fresh(url: str, schema: str = "ramify") -> Iterator[Ramify]:
    """Lend an app on an empty schema."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    with Ramify(url, tasks=["bench.tasks"], schema=schema) as app:
        yield app


def drain(url: str, n: int, schema: str = "ramify") -> float:
    """Return how many jobs a second a worker with two children does that finds all of them waiting."""
    # Opened anew, as a worker does: it has not used its store yet.
    with Ramify(url, tasks=["bench.tasks"], schema=schema) as app:
        worker = app.worker(children=2, burst=True)
        begin = time.perf_counter()
        worker.run()
        seconds = time.perf_counter() - begin
        assert app.counts().get("done", 0) >= n
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


def stock(url: str, schema: str, n: int) -> None:
    """Store jobs that wait in another queue."""
    with fresh(url, schema) as app:
        for start in range(0, n, 50_000):
            others = group(*[job(tasks.noop, i) for i in range(min(50_000, n - start))])
            app.enqueue(others.options(queue="elsewhere"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")  # or the server would do it while we measure
        connection.execute("CHECKPOINT")


def beside(url: str, n: int, schema: str) -> float:
    """Drain a group beside what the schema holds."""
    with Ramify(url, tasks=["bench.tasks"], schema=schema) as app:
        app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]))
    return drain(url, n, schema)


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


class Bench:
    """The figures, each from cases that are measured in turn on one server."""

    def __init__(self, small: bool) -> None:
        self.n, self.few, self.links, self.depth = (5_000, 200, 100, 2) if small else (50_000, 2_000, 2_000, 4)
        self.stored = (1_000, 20_000) if small else (1_000, 1_000_000)
        peers.prepare()
        found = binaries()
        self.server = Server(found[min(found)], SETTINGS, disk=True)

    def ours(self, act: str, n: int, *more: object) -> Callable[[], float]:
        """Return what measures ramify in a process of its own."""
        return lambda: float(peers.ours("bench.postgres", act, self.server.url(), n, *more))

    def theirs(self, what: str, n: int) -> Callable[[], float]:
        """Return what measures PgQueuer on the same server."""
        return lambda: peer(self.server, what, n)

    def cases(self, figure: str) -> dict[str, Callable[[], float]]:
        """Return what a figure compares."""
        n, few, links, depth = self.n, self.few, self.links, self.depth
        if figure == "drain":
            return {
                "drain, ramify": self.ours("flat", n),
                "drain, pgqueuer": self.theirs("drain", n),
                "drain, bare loop": self.ours("bare", n),
            }
        if figure == "batches":
            return {"batch, ramify": self.ours("batch", n), "batch, pgqueuer": self.theirs("fill", n)}
        if figure == "singles":
            return {"one at a time, ramify": self.ours("one", few), "one at a time, pgqueuer": self.theirs("one", few)}
        if figure == "graphs":
            return {
                f"random DAG of {n // 5:,}": self.ours("dag", n // 5),
                f"fan-in {n // 5:,} to 1": self.ours("fan_in", n // 5),
                f"chain of {links:,}": self.ours("chain", links),
                f"tree 10^{depth}": self.ours("tree", depth),
            }
        if figure == "stored":
            for many in self.stored:
                stock(self.server.url(), f"stored_{many}", many)
            return {f"{many:,} stored": self.ours("beside", n // 5, f"stored_{many}") for many in self.stored}
        return {}

    def measure(self, figures: Sequence[str], rounds: int) -> dict[str, object]:
        """Return the medians of the figures, and the ratios among them."""
        found = measure.interleave(rounds, {name: run for each in figures for name, run in self.cases(each).items()})
        ratios = {
            f"{what}: ramify / pgqueuer": measure.ratio(found, f"{what}, ramify", f"{what}, pgqueuer")
            for what in ("drain", "batch", "one at a time")
            if f"{what}, ramify" in found
        }
        if "drain" in figures:
            ratios["drain: ramify / bare loop"] = measure.ratio(found, "drain, ramify", "drain, bare loop")
        if "stored" in figures:
            few, many = (f"{n:,} stored" for n in self.stored)
            ratios[f"cost at {many} / at {few}"] = measure.ratio(found, few, many)
        begun = [starts(self.server.url(), self.few // 4) for _ in range(rounds)] if "starts" in figures else []
        return {"unit": "jobs/s", "figures": measure.summary(found), "starts": begun, "ratios": ratios}


FIGURES = ("drain", "batches", "singles", "graphs", "stored", "starts")


def run(rounds: int, small: bool, figures: Sequence[str] = FIGURES) -> dict[str, object]:
    """Measure ramify and PgQueuer in turn, then the graphs, then starts."""
    bench = Bench(small)
    try:
        return bench.measure(figures, rounds)
    finally:
        bench.server.remove()


ACTS: dict[str, Callable[..., float]] = {
    "bare": postgres_bare.drain,
    "flat": flat,
    "batch": batch,
    "one": one_at_a_time,
    "dag": lambda url, n: graph(url, graphs.dag(n), n),
    "fan_in": lambda url, n: graph(url, graphs.fan_in(n), n),
    "chain": lambda url, n: graph(url, graphs.chain(n), n),
    "tree": lambda url, depth: graph(url, graphs.tree(depth), 10**depth),
    "beside": beside,
}

if __name__ == "__main__":
    if sys.argv[1] in FIGURES:
        print(json.dumps(run(3, "small" in sys.argv, [sys.argv[1]]), indent=1))
    else:
        act, url, n, *more = sys.argv[1:]
        print(json.dumps(ACTS[act](url, int(n), *more)))
