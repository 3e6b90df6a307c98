"""Workers and their children are killed without mercy while random graphs run; the ledger tells what happened.

`make storm` runs the full size: STORM_JOBS=2000 STORM_KILLS=40. The seed is printed; STORM_SEED repeats a run.
"""

import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramify import Ramify, group, job
from ramify.graph.check import find_violations
from ramify.model import ENDED, State
from tests.postgres.server import Server as PostgresServer
from tests.postgres.server import binaries, default_version
from tests.stores.redis_server import Server as RedisServer

Stop = Callable[[], None]
"""Kills a server, and starts it again."""

JOBS = int(os.environ.get("STORM_JOBS", "200"))
KILLS = int(os.environ.get("STORM_KILLS", "6"))
SEED = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
TASKS = """
import os, time

LEDGER = os.open(os.environ["LEDGER"], os.O_APPEND | os.O_WRONLY)

def work(number: int, seconds: float, before: list[int]) -> int:
    os.write(LEDGER, f"start {number} {os.getpid()} {os.getppid()}\\n".encode())
    time.sleep(seconds)
    os.write(LEDGER, f"end {number} {os.getpid()} {os.getppid()}\\n".encode())
    return (number + sum(before)) % 1_000_003
"""


class Graph:
    """A random graph of jobs, what each must return, and what it must wait for."""

    def __init__(self, rng: random.Random, first: int, n: int) -> None:
        self.before: dict[int, list[int]] = {}
        self.expected: dict[int, int] = {}
        nodes = {}
        for number in range(first, first + n):
            known = list(self.before)
            chosen = rng.sample(known, min(len(known), rng.randrange(4)))
            self.before[number] = chosen
            self.expected[number] = (number + sum(self.expected[b] for b in chosen)) % 1_000_003
            seconds = rng.choice([0, 0, 0, 0.01, 0.1])
            nodes[number] = job("storm_tasks:work", number, seconds, [nodes[b] for b in chosen])
        self.root = group(*nodes.values())


class Crowd:
    """Workers in processes of their own; those that die are replaced."""

    def __init__(self, folder: Path, n: int, url: str) -> None:
        self.folder, self.url, self.killed = folder, url, set()
        self.workers = [self._start() for _ in range(n)]

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"LEDGER": str(self.folder / "ledger"), "RAMIFY_URL": self.url}
        command = [sys.executable, "-m", "ramify.cli", "worker", "storm_tasks", "--children", "2"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def replace_ended(self) -> None:
        """Start workers in place of those that found no server when they began, as a service manager does."""
        for place, worker in enumerate(self.workers):
            if worker.poll() is not None:
                self.workers[place] = self._start()

    def kill_one(self, rng: random.Random) -> bool:
        """Kill a child, or a supervisor with all it has; return whether there was one."""
        place = rng.randrange(len(self.workers))
        worker = self.workers[place]
        if worker.poll() is not None:
            return False
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        if not children:
            return False
        if rng.random() < 0.6:
            self._kill(int(rng.choice(children)))
        else:
            self.killed.update(map(int, children))
            self._kill(worker.pid)
            worker.wait()
            self.workers[place] = self._start()
        return True

    def _kill(self, pid: int) -> None:
        self.killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait(timeout=30)


def read_ledger(path: Path) -> list[tuple[str, int, int, int]]:
    lines = (line.split() for line in path.read_text().splitlines())
    return [(what, int(number), int(pid), int(parent)) for what, number, pid, parent in lines]


KINDS = ["sqlite", "redis", *(["postgres"] if default_version() else [])]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Stop | None]]:
    """The address of a store, and what crashes the server that it is on, if any, which keeps what it acknowledged."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/jobs.db", None
    elif request.param == "redis":
        (tmp_path / "server").mkdir()
        redis = RedisServer(tmp_path / "server", "--appendonly", "yes")

        def crash_redis() -> None:
            redis.kill()
            redis.start()

        yield redis.url(prefix="storm"), crash_redis
        redis.kill()
    else:
        postgres = PostgresServer(binaries()[default_version() or ""], {})

        def crash_postgres() -> None:
            postgres.stop(signal.SIGQUIT)
            postgres.start()

        yield postgres.url(), crash_postgres
        postgres.remove()


@pytest.mark.timeout(300)
def test_kills_lose_nothing_and_hurry_nothing(tmp_path: Path, place: tuple[str, Stop | None]) -> None:
    """Whatever is killed, the server too, every job ends with its own result, never early, and again for a reason."""
    url, crash = place
    print(f"STORM_SEED={SEED}")
    rng = random.Random(SEED)
    (tmp_path / "storm_tasks.py").write_text(TASKS)
    (tmp_path / "ledger").touch()
    graphs = [Graph(rng, first, min(50, JOBS - first)) for first in range(0, JOBS, 50)]
    with Ramify(url) as app:
        trees = [app.enqueue(graph.root) for graph in graphs]
        crowd = Crowd(tmp_path, 2, url)
        try:
            kills = 0
            while kills < KILLS and any(tree.state not in ENDED for tree in trees):
                if crash is not None and rng.random() < 0.2:
                    crash()
                    kills += 1
                else:
                    kills += crowd.kill_one(rng)
                app.store.wait(None, rng.uniform(0.05, 0.3))
                crowd.replace_ended()
            app.wait(trees, timeout=240)
            # A job that we happened to kill three times is held for poison; its retry keeps all that is done.
            poisoned = [tree for tree in trees if tree.state is State.FAILED]
            errors = [job.error for job in app.jobs(states={"failed"}, tasks={"storm_tasks:work"})]
            assert all(error is not None and error.kind == "crashed" for error in errors), errors
            for tree in poisoned:
                tree.retry()
            app.wait(trees, timeout=240)
        finally:
            crowd.stop()
        results = [tree.result(timeout=0) for tree in trees]
        violations = find_violations(app.store.snapshot())

    ledger = read_ledger(tmp_path / "ledger")
    ended: set[int] = set()
    runs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    early = []
    waited_for = {number: befores for graph in graphs for number, befores in graph.before.items()}
    for what, number, pid, parent in ledger:
        if what == "end":
            ended.add(number)
        else:
            early += [number for before in waited_for[number] if before not in ended]
            runs[number].append((pid, parent))
    again = [(number, run) for number, all_runs in runs.items() for run in all_runs[:-1]]
    unexplained = [(number, run) for number, run in again if not crowd.killed.intersection(run)]
    if url.startswith("postgres"):
        unexplained = []  # claims do not wait for the disk: a server that crashes forgets the last ones
    print(f"{kills} kills, {len(again)} extra runs")
    assert results == [list(graph.expected.values()) for graph in graphs]
    assert (early, unexplained, violations) == ([], [], [])
    assert sorted(runs) == list(range(JOBS))
