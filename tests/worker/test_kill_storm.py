"""Workers and their children are killed without mercy while random graphs run; the ledger tells what happened.

`make storm` runs the full size: STORM_JOBS=10000 STORM_KILLS=500. The seed is printed; STORM_SEED repeats a run.
"""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from ramify import Ramify, group, job
from ramify.graph.check import find_violations
from ramify.handle import Job
from ramify.model import ENDED, State
from ramify.node import AnyNode
from ramify.worker.process import children_of
from tests.worker.test_worker import is_alive, until

JOBS = int(os.environ.get("STORM_JOBS", "200"))
KILLS = int(os.environ.get("STORM_KILLS", "10"))
SEED = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
BACK = 90.0
"""Seconds after the last kill in which all must be done."""

TASKS = """
import os, signal, time

from ramify import current, job

LEDGER = os.open(os.environ["LEDGER"], os.O_APPEND | os.O_WRONLY)

def tell(what: str, number: int) -> None:
    os.write(LEDGER, f"{what} {number} {os.getpid()} {os.getppid()} {current().attempt}\\n".encode())

def work(number: int, seconds: float, before: list[int]) -> int:
    tell("start", number)
    time.sleep(seconds)
    tell("end", number)
    return (number + sum(before)) % 1_000_003

def fail_once(number: int, seconds: float, before: list[int]) -> int:
    try:
        os.close(os.open(f"failed-{number}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return work(number, seconds, before)
    raise ConnectionError("not the first time")

def grow(number: int, seconds: float, before: list[int]) -> int:
    result = work(number, seconds, before)
    current().spawn(*[job(leaf, number) for _ in range(3)])
    return result

def leaf(number: int) -> None:
    tell("leaf", number)

def poison(number: int) -> None:
    tell("poison", number)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Graph:
    """A random graph of jobs, what each must return, and what it must wait for."""

    def __init__(self, rng: random.Random, first: int, n: int) -> None:
        self.before: dict[int, list[int]] = {}
        self.expected: dict[int, int] = {}
        self.growing: list[int] = []
        nodes: dict[int, AnyNode] = {}
        for number in range(first, first + n):
            known = list(self.before)
            chosen = rng.sample(known, min(len(known), rng.randrange(4)))
            self.before[number] = chosen
            self.expected[number] = (number + sum(self.expected[b] for b in chosen)) % 1_000_003
            seconds = rng.choice([0, 0, 0, 0.01, 0.1])
            [kind] = rng.choices(["work", "fail_once", "grow"], [92, 3, 5])
            if kind == "grow":
                self.growing.append(number)
            before = [nodes[b] for b in chosen]
            nodes[number] = job(f"storm_tasks:{kind}", number, seconds, before).options(retry=2)
        self.root = group(*nodes.values())


class Crowd:
    """Workers in processes of their own; those that die are replaced."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder, self.killed, self.seen = folder, set[int](), set[int]()
        self.kinds: dict[str, int] = defaultdict(int)
        self.workers = [self._start() for _ in range(n)]

    def _start(self) -> subprocess.Popen[bytes]:
        url = f"sqlite:///{self.folder}/jobs.db"
        environment = os.environ | {"LEDGER": str(self.folder / "ledger"), "RAMIFY_URL": url}
        command = [sys.executable, "-m", "ramify.cli", "worker", "storm_tasks", "--children", "2"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def strike(self, rng: random.Random) -> bool:
        """Kill a child, a supervisor, or one with all it has, or lock the store; return whether there was one."""
        place = rng.randrange(len(self.workers))
        worker = self.workers[place]
        children = children_of(worker.pid)
        self.seen.update(children)
        if not children:
            return False
        [kind] = rng.choices(["child", "supervisor", "host", "store"], [60, 24, 12, 4])
        self.kinds[kind] += 1
        if kind == "store":
            self._lock_store(rng.uniform(0.1, 1.0))
        elif kind == "child":
            self._kill(rng.choice(children))
        else:
            os.kill(worker.pid, signal.SIGSTOP)  # or it would start others meanwhile
            everybody = [*children_of(worker.pid), worker.pid]
            for pid in everybody if kind == "host" else [worker.pid]:
                self._kill(pid)
            self.killed.update(everybody)
            worker.wait()
            self.workers[place] = self._start()
        return True

    def _kill(self, pid: int) -> None:
        self.killed.add(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _lock_store(self, seconds: float) -> None:
        """Keep everybody from writing for a while, as a store does that is started anew."""
        with contextlib.closing(sqlite3.connect(self.folder / "jobs.db", timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)

    def stop(self) -> None:
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait(timeout=30)
        until(lambda: not any(map(is_alive, self.seen)))


def read_ledger(path: Path) -> list[tuple[str, int, int, int, int]]:
    lines = (line.split() for line in path.read_text().splitlines())
    return [(what, *map(int, numbers)) for what, *numbers in lines]  # type: ignore[misc]


@pytest.mark.timeout(120 + JOBS // 20 + 3 * KILLS)
def test_t1_kills_lose_nothing_and_hurry_nothing(tmp_path: Path) -> None:
    """Whatever is killed, every job ends with its own result, never early, and again only for a reason."""
    print(f"STORM_SEED={SEED}")
    rng = random.Random(SEED)
    (tmp_path / "storm_tasks.py").write_text(TASKS)
    (tmp_path / "ledger").touch()
    graphs = []
    first = 0
    while first < JOBS:
        graphs.append(Graph(rng, first, min(rng.randrange(1, 101), JOBS - first)))
        first += len(graphs[-1].before)
    with Ramify(f"sqlite:///{tmp_path}/jobs.db") as app:
        trees = [app.enqueue(graph.root) for graph in graphs]
        poison = [app.enqueue("storm_tasks:poison", JOBS + n) for n in range(max(1, JOBS // 100))]
        doomed = [app.enqueue(group(*[job("storm_tasks:leaf", -1) for _ in range(20)])) for _ in range(JOBS // 200)]
        crowd = Crowd(tmp_path, 3)
        looks = kills = 0
        try:
            while kills < KILLS and any(tree.state not in ENDED for tree in trees):
                kills += crowd.strike(rng)
                if doomed and rng.random() < 0.2:
                    rng.choice(doomed).cancel()
                if kills % 10 == 0:
                    looks += 1
                    assert find_violations(app.store.snapshot()) == []
                app.store.wait(None, rng.uniform(0.05, 0.3))
            last = time.monotonic()
            app.wait([*trees, *poison, *doomed], timeout=BACK)
            print(f"all was done {time.monotonic() - last:.1f} s after the last kill")
            innocent = retry_what_we_killed_thrice(app, trees)
        finally:
            crowd.stop()
        results = [tree.result(timeout=0) for tree in trees]
        violations = find_violations(app.store.snapshot())
        poisoned = [(each.state, each.error.kind if each.error else "") for each in poison]
        cancelled = {tree.state for tree in doomed}

    ledger = read_ledger(tmp_path / "ledger")
    ended: set[int] = set()
    runs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    early = []
    attempts = []
    waited_for = {number: befores for graph in graphs for number, befores in graph.before.items()}
    for what, number, pid, parent, attempt in ledger:
        if what == "end":
            ended.add(number)
        elif what == "start":
            early += [number for before in waited_for[number] if before not in ended]
            runs[number].append((pid, parent))
            attempts.append((number, attempt))
    again = [(number, run) for number, all_runs in runs.items() for run in all_runs[:-1]]
    unexplained = [(number, run) for number, run in again if not crowd.killed.intersection(run)]
    leaves = {number for what, number, *_ in ledger if what == "leaf"}
    deaths = [number for what, number, *_ in ledger if what == "poison"]
    print(
        f"{kills} kills ({dict(crowd.kinds)}), {len(again)} extra runs, {looks} looks, {innocent} killed thrice by us"
    )
    assert results == [list(graph.expected.values()) for graph in graphs]
    assert (early, unexplained, violations) == ([], [], [])
    assert sorted(runs) == list(range(JOBS))
    assert len(attempts) == len(set(attempts)), "one attempt ran twice"
    assert leaves >= {number for graph in graphs for number in graph.growing}
    assert set(poisoned) == {(State.FAILED, "crashed")}
    # Those whose worker we killed are charged with a loss, not with a crash, and tried once more for it.
    assert max(deaths.count(number) for number in set(deaths)) <= 3 + 2
    assert cancelled <= {State.CANCELLED, State.DONE}


def retry_what_we_killed_thrice(app: Ramify, trees: list[Job[object]]) -> int:
    """Retry trees in which we happened to kill a job three times, which is then held for poison."""
    poisoned = [tree for tree in trees if tree.state is State.FAILED]
    errors = [job.error for job in app.jobs(states={"failed"}, tasks={"storm_tasks:work", "storm_tasks:grow"})]
    assert all(error is not None and error.kind == "crashed" for error in errors), errors
    for tree in poisoned:
        tree.retry()
    app.wait(trees, timeout=BACK)
    return len(poisoned)
