"""A queue in a directory: no-op jobs drained by one worker with two children, beside the least that it could do.

The bare loop (`replay.py`) does the same to the file system, call by call. Huey's file storage and Jug, which do not
wait for the disk, are the peers. Also: a fan-in at two sizes, a claim at two depths, how soon another process wakes,
and the drain with the time until a person sees all of it.

Nothing is removed before the end: an ext4 without a journal, as virtual machines have it, looks at every file that was
removed in the last minutes whenever it makes one, which took longer than all the rest. `TMPDIR` names a better disk.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from multiprocessing import Process, Queue
from pathlib import Path

from bench import measure, peers, tasks
from bench.replay import replay, show_all
from ramify import Ramify, group, job
from ramify.model import Session, Want


def drain(folder: str, n: int, shown: bool = False) -> float:
    """Return how many jobs a second a worker does that finds all of them waiting; or until all of it is `shown`."""
    with Ramify(f"dir://{folder}/queue", tasks=["bench.tasks"]) as app:
        app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]))
        worker = app.worker(children=2, burst=True)
        begin = time.perf_counter()
        worker.run()
        if shown:
            show_all(app)
        seconds = time.perf_counter() - begin
        assert app.counts() == {"done": n + 1}
    return n / seconds


def claim(folder: str, n: int) -> float:
    """Return how many microseconds a claim takes beside so many jobs."""
    with Ramify(f"dir://{folder}/queue?durability=fast", tasks=["bench.tasks"]) as app:
        app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]))
        app.store.enter(Session("claims", pid=os.getpid()))
        took = []
        for _ in range(200):
            begin = time.perf_counter()
            app.store.exchange("claims", [], Want(1))
            took.append(time.perf_counter() - begin)
    return statistics.median(took) * 1e6


def wake(folder: str, n: int) -> float:
    """Return how many milliseconds pass, in the median, until a job starts in another process that waits."""
    url = f"dir://{folder}/queue"
    times: Queue[float] = Queue()
    with Ramify(url) as app:
        process = Process(target=_listen, args=(url, n, times))
        process.start()
        times.get()
        began = []
        for i in range(n):
            time.sleep(0.05)
            began.append(time.time())
            app.enqueue(tasks.noop, i)
        took = [times.get() - begin for begin in began]
        process.join()
    return statistics.median(took) * 1e3


def _listen(url: str, n: int, times: "Queue[float]") -> None:
    with Ramify(url) as app:
        app.store.enter(Session("listens", pid=os.getpid()))
        times.put(0.0)
        while n:
            claims = app.store.exchange("listens", [], Want(1)).claims
            if claims:
                times.put(time.time())
                n -= 1
            else:
                app.store.wait(None, 5)


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure all of it, in turn."""
    n = 4_000 if small else 20_000
    with tempfile.TemporaryDirectory() as place:

        def ours(what: str, *arguments: object) -> float:
            return float(peers.ours("bench.directory", what, tempfile.mkdtemp(dir=place), *arguments))

        def huey() -> float:
            return float(peers.huey("drain files", Path(tempfile.mkdtemp(dir=place)), n // 8, False))

        def jug() -> float:
            return float(peers.run("jug_peer.py", tempfile.mkdtemp(dir=place), n // 8))

        figures = measure.interleave(
            rounds,
            {
                "ramify": lambda: ours("drain", n),
                "bare loop": lambda: ours("replay", n),
                "huey, files": huey,
                "jug": jug,
                "ramify, all shown": lambda: ours("shown", n),
                "bare loop, all shown": lambda: ours("replay_shown", n),
                "fan-in, half": lambda: ours("drain", n // 2),
                "fan-in, an eighth": lambda: ours("drain", n // 8),
                "claim at 1,000, us": lambda: ours("claim", 1_000),
                "claim at many, us": lambda: ours("claim", 10_000 if small else 100_000),
                "wake, ms": lambda: ours("wake", 50),
            },
        )
    return {
        "unit": "jobs/s, unless named",
        "figures": measure.summary(figures),
        "ratios": {
            "ramify / bare loop": measure.ratio(figures, "ramify", "bare loop"),
            "ramify / bare loop, all shown": measure.ratio(figures, "ramify, all shown", "bare loop, all shown"),
            "ramify / huey, files": measure.ratio(figures, "ramify", "huey, files"),
            "ramify / jug": measure.ratio(figures, "ramify", "jug"),
            "time of a job, fan-in of half / of an eighth": measure.ratio(figures, "fan-in, an eighth", "fan-in, half"),
            "claim at many / at 1,000": measure.ratio(figures, "claim at many, us", "claim at 1,000, us"),
        },
    }


ACTS = {
    "drain": drain,
    "shown": lambda folder, n: drain(folder, n, shown=True),
    "replay": replay,
    "replay_shown": lambda folder, n: replay(folder, n, shown=True),
    "claim": claim,
    "wake": wake,
}

if __name__ == "__main__":
    act, folder, n = sys.argv[1:]
    print(json.dumps(ACTS[act](folder, int(n))))
