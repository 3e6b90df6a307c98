"""No-op jobs, stored first, then drained by one worker with two children, results stored."""

import json
import sys
import tempfile
import time
from pathlib import Path

from bench import measure, peers, tasks
from ramify import Ramify, group, job


def drain(url: str, n: int) -> float:
    """Return how many jobs a second a worker does that finds all of them waiting."""
    with Ramify(url, tasks=["bench.tasks"]) as app:
        app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]))
        worker = app.worker(children=2, burst=True)
        begin = time.perf_counter()
        worker.run()
        seconds = time.perf_counter() - begin
        assert app.counts() == {"done": n + 1}
    return n / seconds


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure ramify, Huey and the bare loop in turn."""
    n = 5_000 if small else 50_000

    def ours(query: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(peers.ours("bench.drain", f"sqlite:///{folder}/jobs.db{query}", n))

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
        },
    }


if __name__ == "__main__":
    print(json.dumps(drain(sys.argv[1], int(sys.argv[2]))))
