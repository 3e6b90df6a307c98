"""`ramify doctor`: all damage is found and named, nothing else is, and what follows from the facts is put right.

`make storm` runs the full size: STORM_DAMAGE=1000 STORM_LOOKS=1000.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ramify import Ramify, Retry, group, job, series
from ramify.checkup import Mending
from ramify.cli.doctor import examine
from ramify.errors import Taken
from ramify.graph.mend import find_mending
from ramify.handle import Job
from ramify.model import ENDED, Row, State, Verb, Which, Work
from ramify.node import AnyNode
from ramify.stores.engine import Engine
from ramify.stores.memory import Memory
from ramify.stores.postgres import Postgres
from tests.cli.conftest import Command, environment
from tests.urls import URLS

DAMAGES: Final = int(os.environ.get("STORM_DAMAGE", "60"))
LOOKS: Final = int(os.environ.get("STORM_LOOKS", "10"))

MENDABLE: Final = {
    "waits": "UPDATE job SET waits = waits + 1 WHERE id = :job",
    "bads": "UPDATE job SET bads = bads + 1 WHERE id = :job",
    "size": "UPDATE job SET size = size + 1 WHERE id = :job",
    "last": "UPDATE job SET last = 'nobody' WHERE id = :job",
    "state": "UPDATE job SET state = 'waiting' WHERE id = :job AND state = 'ready'",
    "ready too early": "UPDATE job SET state = 'ready' WHERE id = :job AND state = 'waiting' AND waits > 0",
    "lost release": "UPDATE job SET hold = NULL WHERE id = :job AND hold = id",
    "lost settle": "UPDATE edge SET verdict = NULL WHERE before = :job AND verdict IS NOT NULL",
    "unknown session": "UPDATE job SET session = 'nobody' WHERE id = :job AND state = 'running'",
    "lost session": "UPDATE job SET session = NULL WHERE id = :job AND state = 'running'",
    "forgotten cancel": "UPDATE job SET cancelled = 1 WHERE id = :job AND state IN ('ready', 'waiting', 'held')",
    "ended too early": "UPDATE job SET ended = 1.0 WHERE id = :job AND ended IS NULL",
    "work for nobody": "INSERT INTO work (job, verb, cursor) SELECT 'nobody', 'spread', '' WHERE :job > ''",
}
LASTING: Final = {
    "lost result": "DELETE FROM result WHERE job IN (SELECT id FROM job WHERE id = :job AND state = 'done') "
    "AND value IS NOT NULL",
    "broken result": "UPDATE result SET value = CAST('{' AS BLOB) WHERE job = :job AND value IS NOT NULL",
    "lost arguments": "DELETE FROM payload WHERE job = :job",
    "broken arguments": "UPDATE payload SET args = CAST('[' AS BLOB) WHERE job = :job",
    "broken policy": "UPDATE payload SET policy = '{' WHERE job = :job",
    "no such state": "UPDATE job SET state = 'lost' WHERE id = :job",
    "no such step": "UPDATE job SET step = 'jump' WHERE id = :job",
    "no such verdict": "UPDATE edge SET verdict = 'maybe' WHERE before = :job",
    "no such kind": "UPDATE edge SET kind = 'uncle' WHERE before = :job",
    "no such lane": "UPDATE job SET lane = 999 WHERE id = :job",
    "no such parent": "UPDATE job SET parent = 'nobody' WHERE id = :job AND parent IS NOT NULL",
    "lost row": "DELETE FROM job WHERE id = :job AND parent IS NOT NULL",
    "lost edge": "DELETE FROM edge WHERE before = :job AND place >= 0",
    "too many crashes": "UPDATE job SET crashes = 9 WHERE id = :job AND ended IS NULL",
    "mark of nobody": "INSERT INTO mark (mark, job) SELECT 'red', 'nobody' WHERE :job > ''",
}


def fill(app: Ramify, rng: random.Random) -> None:
    """Store trees, and let some of their jobs run: there are jobs in every state."""
    app.enqueue(group(job("chores:double", 1)))
    for _ in range(6):
        leaves: list[AnyNode] = [job("chores:double", n) for n in range(rng.randrange(2, 5))]
        tree = series(group(*leaves), group(*[job("chores:double", leaf) for leaf in leaves[:2]]))
        app.enqueue(tree)
    app.enqueue(group(job("chores:boom"), job("chores:double", 1)))
    app.enqueue(group(job("chores:double", 1), job("chores:double", 2)).options(hold=True))
    for _ in range(rng.randrange(4, 14)):
        app.run_one()
    claimed = app.claim()  # stays running until the store is closed
    assert claimed is not None


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * DAMAGES)
def test_all_damage_is_found_and_what_follows_from_the_facts_is_mended(tmp_path: Path) -> None:
    """Whatever is changed behind the store's back, doctor says so; and what is mended works on to its end."""
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"STORM_SEED={seed}")
    rng = random.Random(seed)
    found = 0
    for turn in range(DAMAGES):
        path = tmp_path / f"{turn}.db"
        kinds = MENDABLE | LASTING
        # Every kind in turn, so that none is left out; where it strikes is left to chance.
        name = sorted(kinds)[turn % len(kinds)]
        with Ramify(f"sqlite:///{path}?durability=fast", tasks=["chores"]) as app:
            fill(app, rng)
            assert examine(app.store).wrong == []
            victim = strike(path, kinds[name], rng)
            if victim is None:
                continue

            wrong = examine(app.store).wrong

            assert wrong, f"{name} of {victim} was not found"
            found += 1
            if name in MENDABLE:
                mend(app)
                assert examine(app.store).wrong == [], f"{name} of {victim} was not mended"
        if name in MENDABLE:
            with Ramify(f"sqlite:///{path}?durability=fast", tasks=["chores"]) as app:
                app.run_until_empty()
                assert examine(app.store).wrong == []
                left = {row.state for row in app.store.snapshot().rows if row.state not in ENDED}
                assert left <= {State.HELD}, f"after {name} of {victim} some jobs are {left}"
        path.unlink()
    print(f"{found} of {found} damages were found")
    assert found > DAMAGES // 2


def _change(name: str, row: Row) -> bool:
    """Damage a row, if it can be damaged so; tell whether it was."""
    before = replace(row)
    if name == "waits":
        row.waits += 1
    elif name == "bads":
        row.bads += 1
    elif name == "size":
        row.size += 1
    elif name == "last":
        row.last = "nobody"
    elif name == "state" and row.state is State.READY:
        row.state = State.WAITING
    elif name == "ready too early" and row.state is State.WAITING and row.waits:
        row.state = State.READY
    elif name == "lost release" and row.hold == row.id:
        row.hold = None
    elif name == "unknown session" and row.state is State.RUNNING:
        row.session = "nobody"
    elif name == "forgotten cancel" and row.state in (State.READY, State.WAITING, State.HELD):
        row.cancelled = True
    elif name == "ended too early" and row.ended is None:
        row.ended = 1.0
    elif name == "too many crashes" and row.ended is None:
        row.crashes = 9
    elif name == "too many losses" and row.ended is None:
        row.losses = 11
    elif name == "too many tries" and row.ended is None and row.lane.task is not None:
        row.tries = 5
    elif name == "never claimed" and row.state is State.RUNNING:
        row.attempt = 0
    elif name == "session of one that rests" and row.state is State.READY:
        row.session = "nobody"
    elif name == "wrong end" and row.lane.task is None and row.state is State.DONE:
        row.state = State.FAILED
    elif name == "done no more" and row.lane.task is not None and row.state is State.DONE:
        row.state, row.ended = State.READY, None
    elif name == "done too early" and row.lane.task is not None and row.state is State.READY:
        row.state, row.ended = State.DONE, 1.0
    elif name == "lost settle" and row.lane.task is not None and row.state is State.DONE and row.parent:
        return True
    else:
        return name == "work for nobody" and row.parent is None
    return row != before


def _write(store: Engine, name: str, row: Row) -> None:
    """Write a row as no step would, take back what its end said to others, or write work for nobody."""
    if name == "lost settle":
        with store._write() as tables:
            tables.reopen(tables.edges_out(row.id, None, 10))
    elif name != "work for nobody":
        with store._write() as tables:
            tables.rows([row.id])
            tables.write([row])
    elif isinstance(store, Postgres):
        with store._server.connection() as connection:
            connection.execute(f"INSERT INTO {store.schema}.work (job, verb, cursor) VALUES ('nobody', 'spread', '')")
    else:
        with store._write() as tables:
            tables.enlist(Work("nobody", Verb.SPREAD, ""))


ROWS: Final = (
    *("waits", "bads", "size", "last", "state", "ready too early", "lost release", "unknown session"),
    *("forgotten cancel", "ended too early", "work for nobody", "too many crashes", "too many losses", "never claimed"),
    *("too many tries", "session of one that rests", "wrong end", "done no more", "done too early", "lost settle"),
)
BEYOND_MENDING: Final = (
    *("too many tries", "too many crashes", "too many losses", "never claimed"),
    *("wrong end", "done no more", "done too early"),
)


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * DAMAGES)
@pytest.mark.parametrize("kind", URLS)
def test_damage_of_each_kind_is_found_on_each_store(tmp_path: Path, kind: str) -> None:
    """Rows that are not as they should be are found wherever they are kept, and mended if the rest says how."""
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"STORM_SEED={seed}")
    rng = random.Random(seed)
    found = 0
    with Ramify(URLS[kind](tmp_path), tasks=["chores"]) as app:
        for turn in range(max(len(ROWS), DAMAGES)):
            name = ROWS[turn % len(ROWS)]
            app.store.reset()
            fill(app, rng)
            assert examine(app.store).wrong == []
            assert isinstance(app.store, Engine)
            rows = app.store.snapshot().rows
            rng.shuffle(rows)
            victim = next(row for row in rows if _change(name, row))
            _write(app.store, name, victim)

            wrong = examine(app.store).wrong

            assert wrong, f"{name} of {victim.id} was not found"
            found += 1
            damaged = app.store.snapshot().rows
            mend(app)
            if name in BEYOND_MENDING:
                assert examine(app.store).wrong == wrong, f"{name} of {victim.id} was hidden"
                assert app.store.snapshot().rows == damaged, f"{name} of {victim.id}: a repair guessed"
            else:
                assert examine(app.store).wrong == [], f"{name} of {victim.id} was not mended"
        app.store.reset()
    print(f"{found} of {found} damages were found on {kind}")


def strike(path: Path, statement: str, rng: random.Random) -> str | None:
    """Do the damage to some job that it can be done to; return which one."""
    with sqlite3.connect(path) as connection:
        # What runs is given back when the store is closed, for which it must be readable.
        where = "" if statement in MENDABLE.values() else "WHERE state <> 'running'"
        jobs = [id for (id,) in connection.execute(f"SELECT id FROM job {where}")]
        rng.shuffle(jobs)
        struck = next((job for job in jobs if connection.execute(statement, {"job": job}).rowcount > 0), None)
    connection.close()
    return struck


def mend(app: Ramify) -> None:
    for _ in range(5):
        if not app.store.mend(find_mending(app.store.snapshot())):
            break
        while app.store.drain():
            pass


@pytest.fixture(autouse=True)
def tasks(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module of tasks can be imported here."""
    monkeypatch.syspath_prepend(str(place))
    yield
    sys.modules.pop("chores", None)


class Workers:
    """Two workers that work on a store; of one that is killed another takes the place."""

    def __init__(self, app: Ramify, url: str) -> None:
        self._url, self._store = url, app.store
        self._workers: list[subprocess.Popen[bytes]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        if url == "memory:":  # which no other process sees
            self._thread.start()
        else:
            self._workers += [self._start(), self._start()]

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ramify.cli", "worker", "chores", "-n", "1"]
        return subprocess.Popen(
            command, env=environment(RAMIFY_URL=self._url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _work(self) -> None:
        app = Ramify("memory:", tasks=["chores"])
        app.store.close()
        app.store = self._store
        while not self._over.wait(0.01):
            app.run_until_empty()

    def kill(self) -> int:
        """Kill one, if it is a process, and start another; return how many that were."""
        if self._workers:
            self._workers[0].kill()
            self._workers.pop(0).wait()
            self._workers.append(self._start())
        return len(self._workers[:1])

    def stop(self) -> None:
        """Stop them all."""
        self._over.set()
        for worker in self._workers:
            worker.kill()
            worker.wait()
        if self._thread.ident is not None:
            self._thread.join()


def add_some(app: Ramify) -> list[Job[object]]:
    """Add trees whose jobs wait for each other, fail for good, fail and are tried again, are unique, held and due."""
    nodes: list[AnyNode] = [job("chores:double", n) for n in range(40)]
    return [
        app.enqueue(group(*nodes, *[job("chores:double", node) for node in nodes[:20]])),
        app.enqueue(group(job("chores:boom"), *[job("chores:double", n) for n in range(10)])),
        app.enqueue(group(*[job("chores:boom", f"{n}").options(retry=Retry(2, 0.05)) for n in range(5)])),
        app.enqueue(job("chores:double", 1).options(unique=True, delay=0.2)),
        app.enqueue(series(*[job("chores:double", n) for n in range(5)]).options(hold=True)),
    ]


@pytest.mark.slow
@pytest.mark.timeout(60 + 4 * LOOKS)
@pytest.mark.parametrize("kind", URLS)
def test_nothing_is_found_in_a_store_that_is_being_worked_on(tmp_path: Path, kind: str) -> None:
    """However often one looks while jobs come and go, fail, are retried, held and cancelled, and workers are killed."""
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"STORM_SEED={seed}")
    rng = random.Random(seed)
    url = URLS[kind](tmp_path)
    trees: list[Job[object]] = []
    seen: dict[str, set[State]] = {}
    killed = 0
    with Ramify(url, tasks=["chores"]) as app:
        workers = Workers(app, url)
        try:
            for look in range(LOOKS):
                if look % 5 == 0:
                    trees += add_some(app)
                    # What is looked at stays of one size, so that every look finds about as much going on.
                    old, trees = trees[:-50], trees[-50:]
                    if old:
                        ids = tuple(tree.id for tree in old)
                        app.store.move(Which(ids=ids), Verb.CANCEL)
                        app.store.move(Which(ids=ids), Verb.PURGE)
                tree = rng.choice(trees)
                verb = rng.choice([Verb.CANCEL, Verb.RETRY, Verb.HOLD, Verb.RELEASE, None, None])
                if verb is not None:
                    with suppress(Taken):  # another one with its unique key is unfinished
                        app.store.move(Which(ids=(tree.id,)), verb)
                if look % 40 == 5:
                    killed += workers.kill()

                assert examine(app.store).wrong == []
                snapshot = app.store.snapshot()
                assert find_mending(snapshot) == Mending()
                for row in snapshot.rows:
                    seen.setdefault(row.id, set()).add(row.state)
        finally:
            workers.stop()
    running = sum(State.RUNNING in states for states in seen.values())
    ended = sum(bool(ENDED & states) for states in seen.values())
    print(
        f"{kind}: {LOOKS} looks found nothing; of {len(seen):,} jobs {running:,} were seen running, {ended:,} ended; "
        f"{killed} workers were killed"
    )


def test_the_status_tells(app: Ramify, ask: Command) -> None:
    """0: sound, 1: not, and 0 again when it was put right; 2: could not be checked."""
    stored = app.enqueue("chores:double", 1)
    assert ask("doctor").code == 0
    strike(Path("ramify.db"), MENDABLE["waits"], random.Random(1))

    reply = ask("doctor")

    assert (reply.code, reply.out.splitlines()[-1]) == (1, "2 violations in 1 job, 0 edges")
    assert f"job {stored.id}: waits is 1" in reply.out
    reply = ask("doctor", "--repair")
    assert reply.code == 0
    assert reply.out.startswith(f"mended: job {stored.id}: waits is 1")
    assert ask("doctor", "--url", "sqlite:///chores.py").code == 2


def test_what_cannot_be_read_is_named_and_left(app: Ramify, ask: Command) -> None:
    """A state that is none would end every other look; `--repair` does not guess."""
    stored = app.enqueue("chores:double", 1)
    strike(Path("ramify.db"), LASTING["no such state"], random.Random(1))

    reply = ask("doctor", "--repair", "--json")

    told = json.loads(reply.out)
    assert (reply.code, told["sound"], told["mended"]) == (1, False, [])
    assert told["violations"] == [f"job {stored.id}: its columns say what no job can be: state lost, step run"]


def test_broken_pages_and_indexes_are_found(app: Ramify, ask: Command) -> None:
    """What SQLite itself finds wrong is passed on."""
    for n in range(50):
        app.enqueue("chores:double", n)
    app.close()
    with sqlite3.connect("ramify.db") as connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'queue TEXT NOT NULL', 'queue TEXT') WHERE name = 'lane'"
        )
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, '(lane, ', '(tree, ') WHERE name = 'job_ready'")
    connection.close()

    reply = ask("doctor")

    assert reply.code in (1, 2)
    assert "ramify.db" in reply.out + reply.err


def test_a_memory_store_is_mended_too() -> None:
    """The specification knows the verb as well, and leaves alone what has changed since."""
    store = Memory()
    with Ramify("memory:") as app:
        app.store.close()
        app.store = store
        stored = app.enqueue("chores:double", 1)
        store._tables.by_id[stored.id].waits = 1
        mending = find_mending(store.snapshot())
        assert store.mend(mending) == 1
        assert store.mend(mending) == 0
        assert store.jobs(Which())[0].waits == 0
