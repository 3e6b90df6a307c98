"""PostgreSQL with a transaction that stays open beside the queue, as a report or a backup does: nothing is cleaned.

As many jobs flow as in an hour at 50 a second. What must not grow: the jobs that wait, how soon a job starts, what a
look for work costs. `make bench ARGS=held`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from bench import measure, postgres, tasks
from ramify import Ramify
from ramify.model import Back, Session, Want
from tests.postgres.server import Server, binaries

PARTS = 10
SAMPLES = 100
"""How many jobs of each part tell when they began, and at how many moments looks for work are timed, ten at a time."""


def cpu(server: Server) -> float:
    """Return the seconds that the processes of the server have used, those that ended among them."""
    assert server.process is not None
    tick = os.sysconf("SC_CLK_TCK")
    own = server.process.pid
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    total = 0.0
    for pid in [str(own), *children]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        # Of the server itself also what it has waited for.
        total += sum(map(int, fields[11:15] if pid == str(own) else fields[11:13])) / tick
    return total


def look(app: Ramify, session: str) -> float:
    """Return how many milliseconds it takes to look for one job; one that is found is given back."""
    app.store.enter(Session(session, pid=os.getpid()))
    begin = time.perf_counter()
    reply = app.store.exchange(session, [], Want(1, ends=1))
    took = (time.perf_counter() - begin) * 1e3
    app.store.exchange(session, [Back(each.row.id, each.row.attempt) for each in reply.claims], Want(0, ends=0))
    return took


def part(app: Ramify, server: Server, n: int, rate: float) -> dict[str, float]:
    """Enqueue `n` jobs at this rate; return what it was like."""
    session = f"look {time.time_ns()}"
    began = time.perf_counter()
    cpu_before = cpu(server)
    sampled, looks, backlog = [], [], 0
    for i in range(n):
        ahead = began + i / rate - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        begin = time.time_ns()
        handle = app.enqueue(tasks.now, i)
        if i % (n // SAMPLES) == 0:
            sampled.append((begin, handle))
            looks += [look(app, session) for _ in range(10)]
            backlog = max(backlog, sum(app.counts(states={"ready", "running"}).values()))
    delays = [(handle.result(timeout=60) - begin) / 1e6 for begin, handle in sampled]
    app.store.leave(session)
    return {
        "jobs/s": n / (time.perf_counter() - began),
        "backlog": backlog,
        "start p50, ms": measure.percentile(delays, 0.5),
        "start p99, ms": measure.percentile(delays, 0.99),
        "look p50, ms": measure.percentile(looks, 0.5),
        "look p99, ms": measure.percentile(looks, 0.99),
        "server, ms a job": (cpu(server) - cpu_before) / n * 1e3,
    }


def hot(url: str) -> dict[str, dict[str, int]]:
    """Return, by table, how many updates there were, how many of them touched no index, and how many rows are dead."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT relname, n_tup_upd, n_tup_hot_upd, n_dead_tup FROM pg_stat_user_tables "
            "WHERE n_tup_upd > 0 ORDER BY relname"
        ).fetchall()
    return {name: {"updates": n, "hot": warm, "dead": dead} for name, n, warm, dead in rows}


def flow(n: int, rate: float, held: bool) -> dict[str, object]:
    """Let jobs flow past a worker with two children, a transaction open all the time if `held`."""
    found = binaries()
    server = Server(found[os.environ.get("POSTGRES") or min(found)], postgres.SETTINGS, disk=True)
    try:
        with postgres.fresh(server.url()) as app, psycopg.connect(server.url()) as idle:
            app.deploy()
            command = [sys.executable, "-m", "ramify.cli", "worker", "bench.tasks", "-n", "2", "--url", server.url()]
            worker = subprocess.Popen(command, cwd=measure.ROOT.parent, stderr=subprocess.DEVNULL)
            try:
                app.enqueue(tasks.now, 0).result(timeout=30)
                if held:
                    idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    idle.execute("SELECT count(*) FROM ramify.job")
                parts = []
                for number in range(PARTS):
                    parts.append(part(app, server, n // PARTS, rate))
                    print(number + 1, {name: float(f"{value:.3g}") for name, value in parts[-1].items()}, flush=True)
                while app.counts() != {"done": n + 1}:
                    app.store.wait(None, 1.0)
            finally:
                worker.terminate()
                worker.wait()
            return {"parts": parts, "tables": hot(server.url())}
    finally:
        server.remove()


def run(rounds: int, small: bool) -> dict[str, object]:
    """Let an hour's jobs flow in a tenth of the time past a held transaction, and a tenth of them without."""
    n, rate = (20_000, 500.0) if small else (180_000, 300.0)
    return {"held": flow(n, rate, True), "not held": flow(n // 10, rate, False)}


if __name__ == "__main__":
    flow(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "held")
