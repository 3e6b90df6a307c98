"""Workers, their children and the server of the store are killed without mercy while random graphs run, on every store
that processes can share; a ledger outside the store tells what happened.

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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from ramify import Ramify, group, job
from ramify.errors import StoreDown
from ramify.graph.check import find_violations
from ramify.handle import Job
from ramify.model import ENDED, State
from ramify.node import AnyNode
from ramify.worker.process import children_of
from tests.postgres.server import Server as PostgresServer
from tests.postgres.server import binaries, default_version
from tests.stores.redis_server import Server as RedisServer
from tests.worker.test_worker import is_alive, until

RESTARTS = int(os.environ.get("STORM_RESTARTS", "2"))
JOBS = int(os.environ.get("STORM_JOBS", "200"))
KILLS = int(os.environ.get("STORM_KILLS", "10"))
STORE = int(os.environ.get("STORM_STORE", "4"))
"""How often the store is struck, where all else is 96."""
SEED = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
BACK = 90.0
"""Seconds after the last kill in which all must be done."""

TASKS = """
import os, signal, time

from ramify import current, job

LEDGER = os.open(os.environ["LEDGER"], os.O_APPEND | os.O_WRONLY)

def tell(what: str, number: int) -> None:
    os.write(LEDGER, f"{what} {number} {os.getpid()} {os.getppid()} {current().attempt} {time.monotonic()}\\n".encode())

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


class Ground:
    """Where the store of a storm is: its address, and what happens to it when it is struck, if anything can."""

    forgets = False
    """Whether claims may be lost with the store: they did not wait for its disk."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.struck: list[tuple[float, float]] = []

    def strike(self, rng: random.Random) -> None:
        """Take the store away for a moment."""
        begun = time.monotonic()
        self.crash(rng)
        self.struck.append((begun, time.monotonic()))

    def crash(self, rng: random.Random) -> None:
        """Do what a store of this kind must bear; files bear nothing but what happens to those who write them."""

    def lost_claim(self, start: float) -> bool:
        """Tell whether the claim of a run that began then may be forgotten."""
        return self.forgets and any(begun - 1 <= start <= ended + 5 for begun, ended in self.struck)

    def end(self) -> None:
        """Remove what stands here."""


class Locked(Ground):
    """A database that somebody else keeps for himself now and then."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"sqlite:///{folder}/jobs.db")
        self.path = folder / "jobs.db"

    def crash(self, rng: random.Random) -> None:
        with contextlib.closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(rng.uniform(0.1, 1.0))


class Redis(Ground):
    """A Redis server that is killed and started again, and whose journal is on the disk before it answers."""

    def __init__(self, folder: Path) -> None:
        (folder / "server").mkdir()
        self.server = RedisServer(folder / "server", "--appendonly", "yes", "--appendfsync", "always")
        super().__init__(self.server.url(prefix="storm", durability="full"))

    def crash(self, rng: random.Random) -> None:
        self.server.kill()
        time.sleep(rng.uniform(0, 0.5))
        self.server.start()

    def end(self) -> None:
        self.server.kill()


class Postgres(Ground):
    """A PostgreSQL server that is stopped at once, as by a crash, and started again."""

    forgets = True

    def __init__(self) -> None:
        self.server = PostgresServer(binaries()[default_version() or ""], {})
        super().__init__(self.server.url())

    def crash(self, rng: random.Random) -> None:
        self.server.stop(signal.SIGQUIT)
        time.sleep(rng.uniform(0, 0.5))
        self.server.start()

    def end(self) -> None:
        self.server.remove()


GROUNDS: Final[dict[str, Callable[[Path], Ground]]] = {
    "sqlite": Locked,
    "directory": lambda folder: Ground(f"dir://{folder}/queue"),
    "redis": Redis,
} | ({"postgres": lambda folder: Postgres()} if default_version() else {})


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """A store of each kind, to be struck."""
    ground = GROUNDS[request.param](tmp_path)
    yield ground
    ground.end()


class Crowd:
    """Workers in processes of their own; those that die are replaced."""

    def __init__(self, folder: Path, n: int, ground: Ground) -> None:
        self.folder, self.ground = folder, ground
        self.killed, self.seen = set[int](), set[int]()
        self.kinds: dict[str, int] = defaultdict(int)
        self.workers = [self._start() for _ in range(n)]

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"LEDGER": str(self.folder / "ledger"), "RAMIFY_URL": self.ground.url}
        command = [sys.executable, "-m", "ramify.cli", "worker", "storm_tasks", "--children", "2"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def strike(self, rng: random.Random) -> bool:
        """Kill a child, a supervisor, or one with all it has, or strike the store; return whether there was one."""
        place = rng.randrange(len(self.workers))
        worker = self.workers[place]
        children = children_of(worker.pid)
        self.seen.update(children)
        if not children:
            return False
        [kind] = rng.choices(["child", "supervisor", "host", "store"], [60, 24, 12, STORE])
        self.kinds[kind] += 1
        if kind == "store":
            self.ground.strike(rng)
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

    def all_alive(self) -> bool:
        """Tell whether no worker has ended by itself."""
        return all(worker.poll() is None for worker in self.workers)

    def stop(self) -> None:
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait(timeout=30)
        until(lambda: not any(map(is_alive, self.seen)))


class Line(NamedTuple):
    """What a job wrote into the ledger, and when."""

    what: str
    number: int
    pid: int
    parent: int
    attempt: int
    at: float


def read_ledger(path: Path) -> list[Line]:
    lines = (line.split() for line in path.read_text().splitlines())
    return [Line(what, *map(int, numbers), float(at)) for what, *numbers, at in lines]  # type: ignore[call-arg]


@pytest.mark.timeout(120 + JOBS // 10 + 3 * KILLS)
def test_t1_kills_lose_nothing_and_hurry_nothing(tmp_path: Path, ground: Ground) -> None:
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
    with Ramify(ground.url) as app:
        trees = [app.enqueue(graph.root) for graph in graphs]
        poison = [app.enqueue("storm_tasks:poison", JOBS + n) for n in range(max(1, JOBS // 100))]
        doomed = [app.enqueue(group(*[job("storm_tasks:leaf", -1) for _ in range(20)])) for _ in range(JOBS // 200)]
        crowd = Crowd(tmp_path, 3, ground)
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
            assert crowd.all_alive(), (tmp_path / "log").read_text()
        finally:
            crowd.stop()
        results = [tree.result(timeout=0) for tree in trees]
        violations = find_violations(app.store.snapshot())
        poisoned = [(each.state, each.error.kind if each.error else "") for each in poison]
        cancelled = {tree.state for tree in doomed}

    ledger = read_ledger(tmp_path / "ledger")
    ended: set[int] = set()
    runs: dict[int, list[Line]] = defaultdict(list)
    early = []
    waited_for = {number: befores for graph in graphs for number, befores in graph.before.items()}
    for line in ledger:
        if line.what == "end":
            ended.add(line.number)
        elif line.what == "start":
            early += [line.number for before in waited_for[line.number] if before not in ended]
            runs[line.number].append(line)
    again = [run for all_runs in runs.values() for run in all_runs[:-1] if not ground.lost_claim(run.at)]
    unexplained = [run for run in again if not crowd.killed.intersection((run.pid, run.parent))]
    attempts = [(run.number, run.attempt) for all_runs in runs.values() for run in all_runs]
    forgotten = {(run.number, run.attempt) for all in runs.values() for run in all if ground.lost_claim(run.at)}
    leaves = {line.number for line in ledger if line.what == "leaf"}
    deaths = Counter(line.number for line in ledger if line.what == "poison")
    extra = len(attempts) - len(runs)
    print(f"{kills} kills ({dict(crowd.kinds)}), {extra} extra runs, {looks} looks, {innocent} killed thrice by us")
    assert results == [list(graph.expected.values()) for graph in graphs]
    assert (early, unexplained, violations) == ([], [], []), (tmp_path / "log").read_text()[-5000:]
    assert sorted(runs) == list(range(JOBS))
    assert {each for each, n in Counter(attempts).items() if n > 1} <= forgotten, "one attempt ran twice"
    assert leaves >= {number for graph in graphs for number in graph.growing}
    assert set(poisoned) == {(State.FAILED, "crashed")}
    # Those whose worker we killed are charged with a loss, not with a crash, and tried once more for it; those whose
    # claim was forgotten with the store are not charged at all.
    assert ground.struck or max(deaths.values()) <= 3 + 2
    assert cancelled <= {State.CANCELLED, State.DONE}


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * RESTARTS)
@pytest.mark.parametrize("kind", [kind for kind in GROUNDS if kind in ("redis", "postgres")])
def test_t11_a_server_that_is_started_anew_is_used_again(tmp_path: Path, kind: str) -> None:
    """However often it is killed under load, its workers go on by themselves, and nothing accepted is lost."""
    print(f"STORM_SEED={SEED}")
    rng = random.Random(SEED)
    (tmp_path / "storm_tasks.py").write_text(TASKS)
    (tmp_path / "ledger").touch()
    ground = GROUNDS[kind](tmp_path)
    longest, numbers = 0.0, iter(range(1 << 30))
    try:
        with Ramify(ground.url) as app:
            crowd = Crowd(tmp_path, 2, ground)
            try:
                accepted: list[Job[object]] = []
                for _ in range(RESTARTS):
                    accepted += [_insist(app, next(numbers)) for _ in range(10)]
                    app.wait(accepted[-10:-9], timeout=60)  # in the midst of it
                    ground.strike(rng)
                    back = time.monotonic()
                    accepted.append(_insist(app, next(numbers)))
                    _wait(app, accepted)
                    longest = max(longest, time.monotonic() - back)
                    accepted = accepted[-1:]
                assert crowd.all_alive(), (tmp_path / "log").read_text()
                assert find_violations(app.store.snapshot()) == []
            finally:
                crowd.stop()
    finally:
        ground.end()
    print(f"{RESTARTS} restarts of {kind}: all went on after {longest:.1f} s at most; no worker was started anew")


def _insist(app: Ramify, number: int) -> Job[object]:
    """Enqueue a job, again if the store is not there yet; the request makes it the same one."""
    node = job("storm_tasks:work", number, 0.01, [])
    end = time.monotonic() + BACK
    while True:
        try:
            return app.enqueue(node, request=f"request {number}")
        except StoreDown:
            assert time.monotonic() < end
            time.sleep(0.01)


def _wait(app: Ramify, jobs: list[Job[object]]) -> None:
    """Wait until all are done, whatever the store does."""
    end = time.monotonic() + BACK
    while True:
        with contextlib.suppress(StoreDown):
            app.wait(jobs, timeout=BACK)
            assert {State.DONE} == {each.state for each in jobs}
            return
        assert time.monotonic() < end
        time.sleep(0.01)


def retry_what_we_killed_thrice(app: Ramify, trees: list[Job[object]]) -> int:
    """Retry trees in which we happened to kill a job three times, which is then held for poison."""
    poisoned = [tree for tree in trees if tree.state is State.FAILED]
    errors = [job.error for job in app.jobs(states={"failed"}, tasks={"storm_tasks:work", "storm_tasks:grow"})]
    assert all(error is not None and error.kind == "crashed" for error in errors), errors
    for tree in poisoned:
        tree.retry()
    app.wait(trees, timeout=BACK)
    return len(poisoned)
