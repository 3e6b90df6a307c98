"""No-op jobs, stored first, then drained by one worker with two children, results stored.

Flat jobs are what other queues have; under one group each job also settles an edge.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from bench import measure, peers, tasks
from ramify import Ramify, group, job


def fill(path: str, n: int, grouped: bool) -> None:
    """Store the jobs; how durably does not matter, as they wait for the worker."""
    with Ramify(f"sqlite:///{path}?durability=fast", tasks=["bench.tasks"]) as app:
        if grouped:
            app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]))
        else:
            for i in range(n):
                app.enqueue(tasks.noop, i)


def drain(path: str, query: str, n: int, grouped: bool) -> float:
    """Return how many jobs a second a worker does that finds all of them waiting."""
    fill(path, n, grouped)
    with Ramify(f"sqlite:///{path}{query}", tasks=["bench.tasks"]) as app:
        worker = app.worker(children=2, burst=True)
        begin = time.perf_counter()
        worker.run()
        seconds = time.perf_counter() - begin
        assert app.counts() == {"done": n + grouped}
    return n / seconds


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure ramify, Huey and the bare loop in turn."""
    n = 5_000 if small else 50_000

    def ours(query: str, shape: str = "flat") -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(peers.ours("bench.drain", f"{folder}/jobs.db", query, n, shape))

    def huey(fsync: bool) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(peers.huey("drain", Path(folder), n // 10 if fsync else n // 2, fsync))

    def bare() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(peers.ours("bench.bare", folder, n))

    figures = measure.interleave(
        rounds,
        {
            "ramify": lambda: ours(""),
            "huey, fsync": lambda: huey(True),
            "bare loop": bare,
            "ramify, one group": lambda: ours("", "group"),
            "ramify, fast": lambda: ours("?durability=fast"),
            "huey, no fsync": lambda: huey(False),
        },
    )
    return {
        "unit": "jobs/s",
        "figures": measure.summary(figures),
        "ratios": {
            "ramify / huey, fsync": measure.ratio(figures, "ramify", "huey, fsync"),
            "ramify, fast / huey, no fsync": measure.ratio(figures, "ramify, fast", "huey, no fsync"),
            "ramify / bare loop": measure.ratio(figures, "ramify", "bare loop"),
            "ramify, one group / huey, fsync": measure.ratio(figures, "ramify, one group", "huey, fsync"),
        },
    }


if __name__ == "__main__":
    path, query, n, shape = sys.argv[1:]
    print(json.dumps(drain(path, query, int(n), shape == "group")))
