"""Huey on SQLite at its best settings for two cores: two processes, results stored. Run by `peers.py`."""

import json
import multiprocessing
import sys
import time

from huey import FileHuey, SqliteHuey

what, folder, n, fsync = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "fsync"
if what.endswith("files"):
    app = FileHuey("bench", path=f"{folder}/huey")
else:
    app = SqliteHuey("bench", filename=f"{folder}/huey.db", fsync=fsync)


@app.task()
def noop(x):
    return x


@app.task()
def now(_):
    return time.time_ns()


def work(ends_with_queue):
    from huey.api import Huey  # noqa: F401

    while (task := app.dequeue()) is not None or not ends_with_queue:
        if task is None:
            time.sleep(0.001)
        else:
            app.execute(task)


def drain():
    for i in range(n):
        noop(i)
    workers = [multiprocessing.Process(target=work, args=(True,)) for _ in range(2)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return n / (time.perf_counter() - begin)


def wait():
    worker = multiprocessing.Process(target=work, args=(False,), daemon=True)
    worker.start()
    noop(0).get(blocking=True)
    begin = time.perf_counter()
    for i in range(n):
        noop(i).get(blocking=True, backoff=1, max_delay=0.001)
    seconds = time.perf_counter() - begin
    worker.kill()
    return n / seconds


def chain():
    pipeline = noop.s(0)
    for _ in range(n - 1):
        pipeline = pipeline.then(noop)
    results = app.enqueue(pipeline)
    begin = time.perf_counter()
    work(True)
    results.get(blocking=True)
    return n / (time.perf_counter() - begin)


print(json.dumps({"drain": drain, "drain files": drain, "wait": wait, "chain": chain}[what]()))
