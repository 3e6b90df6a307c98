"""A queue in a directory: no-op jobs drained by one worker with two children, beside the least that it could do.

The bare loop does the same to the file system: a record that is synced, linked, and its directory synced, and for
each job the state overwritten and a result made. Huey's file storage is the peer. Also: a fan-in at two sizes, a claim
at two depths, and how soon another process wakes.
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
from ramify import Ramify, group, job
from ramify.model import Session, Want

BATCH = 200
"""Jobs that one record of ramify ends and claims here, about."""


def drain(folder: str, query: str, n: int) -> float:
    """Return how many jobs a second a worker does that finds all of them waiting."""
    with Ramify(f"dir://{folder}/queue{query}", tasks=["bench.tasks"]) as app:
        app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]))
        worker = app.worker(children=2, burst=True)
        begin = time.perf_counter()
        worker.run()
        seconds = time.perf_counter() - begin
        assert app.counts() == {"done": n + 1}
    return n / seconds


def bare(folder: str, n: int) -> float:
    """Return how many jobs a second the file operations alone allow."""
    os.mkdir(f"{folder}/journal")
    for i in range(n):
        os.mkdir(f"{folder}/{i}")
        Path(f"{folder}/{i}/state").write_text("waiting  \n")
    place = os.open(f"{folder}/journal", os.O_RDONLY)
    begin = time.perf_counter()
    for number in range(0, n, BATCH):
        made = os.open(f"{folder}/made", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(made, b"x" * 150 * BATCH)
        os.fsync(made)
        os.close(made)
        os.link(f"{folder}/made", f"{folder}/journal/{number}")
        os.fsync(place)
        os.unlink(f"{folder}/made")
        for i in range(number, min(n, number + BATCH)):
            state = os.open(f"{folder}/{i}/state", os.O_WRONLY)
            os.pwrite(state, b"done     \n", 0)
            os.close(state)
            result = os.open(f"{folder}/{i}/result.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(result, b"1\n")
            os.close(result)
    return n / (time.perf_counter() - begin)


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
    n = 2_000 if small else 10_000

    def ours(what: str, *arguments: object) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(peers.ours("bench.directory", what, folder, *arguments))

    def huey() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(peers.huey("drain files", Path(folder), n // 4, False))

    figures = measure.interleave(
        rounds,
        {
            "ramify": lambda: ours("drain", "", n),
            "bare loop": lambda: ours("bare", n),
            "huey, files": huey,
            "fan-in, a quarter": lambda: ours("drain", "", n // 4),
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
            "ramify / huey, files": measure.ratio(figures, "ramify", "huey, files"),
            "fan-in, whole / a quarter": measure.ratio(figures, "ramify", "fan-in, a quarter"),
            "claim at many / at 1,000": measure.ratio(figures, "claim at many, us", "claim at 1,000, us"),
        },
    }


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    query, n = ("", rest[0]) if len(rest) == 1 else rest
    acts = {"drain": lambda: drain(folder, query, int(n)), "bare": lambda: bare(folder, int(n))}
    acts |= {"claim": lambda: claim(folder, int(n)), "wake": lambda: wake(folder, int(n))}
    print(json.dumps(acts[what]()))
