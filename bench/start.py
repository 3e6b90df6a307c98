"""Latency: how soon a job starts after `enqueue`, how fast one waits for results; and what an idle worker costs."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import measure, peers, tasks
from ramify import Ramify, group, job

TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def worker(folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with two children beside this process."""
    url = f"sqlite:///{folder}/jobs.db"
    command = [sys.executable, "-m", "ramify.cli", "worker", "bench.tasks", "-n", "2", "--url", url]
    process = subprocess.Popen(command, cwd=measure.ROOT.parent, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def starts(n: int) -> dict[str, float]:
    """Return, in ms, how soon after the call of `enqueue` a job starts on an idle worker, and what the call takes."""
    delays, calls = [], []
    with tempfile.TemporaryDirectory() as folder, Ramify(f"sqlite:///{folder}/jobs.db") as app, worker(folder):
        app.enqueue(tasks.now, 0).result(timeout=30)
        for i in range(n):
            time.sleep(0.005)
            begin = time.time_ns()
            handle = app.enqueue(tasks.now, i)
            calls.append((time.time_ns() - begin) / 1e6)
            delays.append((handle.result(timeout=30) - begin) / 1e6)
    return {
        "start p50, ms": measure.percentile(delays, 0.5),
        "start p99, ms": measure.percentile(delays, 0.99),
        "of it enqueue p50, ms": measure.percentile(calls, 0.5),
    }


def waits(n: int) -> float:
    """Return how many times a second one can enqueue and wait for the result."""
    with tempfile.TemporaryDirectory() as folder, Ramify(f"sqlite:///{folder}/jobs.db") as app, worker(folder):
        app.enqueue(tasks.noop, 0).result(timeout=30)
        begin = time.perf_counter()
        for i in range(n):
            app.enqueue(tasks.noop, i).result(timeout=30)
        return n / (time.perf_counter() - begin)


def idle(stored: int, seconds: float) -> dict[str, float]:
    """Return the share of a core that an idle worker takes, and its memory, with so many jobs that wait elsewhere."""
    with tempfile.TemporaryDirectory() as folder, Ramify(f"sqlite:///{folder}/jobs.db") as app:
        for start in range(0, stored, 50_000):
            n = min(50_000, stored - start)
            app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]).options(queue="elsewhere"))
        with worker(folder) as process:
            app.enqueue(tasks.now, 0).result(timeout=30)
            before = _ticks(process.pid)
            time.sleep(seconds)
            share = (_ticks(process.pid) - before) / TICKS / seconds
            status = Path(f"/proc/{process.pid}/status").read_text()
            memory = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    return {"CPU, % of a core": 100 * share, "memory, MiB": memory}


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure starts, waits beside Huey's, and idleness with few and many jobs stored."""
    n = 50 if small else 500

    def huey() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(peers.huey("wait", Path(folder), n, True))

    figures = measure.interleave(rounds, {"ramify": lambda: waits(n), "huey, fsync": huey})
    many, seconds = (20_000, 2) if small else (1_000_000, 20)
    return {
        "starts": [starts(n) for _ in range(rounds)],
        "enqueue and wait, operations/s": measure.summary(figures),
        "ratios": {"enqueue and wait: ramify / huey": measure.ratio(figures, "ramify", "huey, fsync")},
        "idle, 1,000 stored": idle(1_000, seconds),
        f"idle, {many:,} stored": idle(many, seconds),
    }
