"""A disk without room: it is said, nothing is half-written, and work goes on when there is room again."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramify.errors import StoreFull
from ramify.graph.check import find_violations
from ramify.model import Ended, Page, State, Value, Verb, Want, Which
from ramify.stores.sqlite import Sqlite
from tests.sqlite.kit import EVERYTHING, done, open_fast, opened, planned, session, work
from tests.stores.kit import leaf, tree


class Cramped(sqlite3.Connection):
    """A connection to a database that may not grow, when told so."""

    def cramp(self, more: int) -> None:
        """Let the database grow by so many pages and no more."""
        [pages] = self.execute("PRAGMA page_count").fetchone()
        self.execute(f"PRAGMA max_page_count = {pages + more}")


@pytest.fixture
def disk() -> list[Cramped]:
    """The connections that were opened."""
    return []


@pytest.fixture
def store(tmp_path: Path, disk: list[Cramped]) -> Iterator[Sqlite]:
    """A store with a session and a tree that is being worked at."""

    class Kept(Cramped):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            disk.append(self)

    store = open_fast(tmp_path / "jobs.db", factory=Kept, slice=50)
    store.enter(session("s"))
    store.add(planned(tree("top", *[leaf(str(number)) for number in range(100)])))
    yield store
    assert [] == find_violations(store.snapshot())
    store.close()


@pytest.mark.parametrize("room", [0, 1, 5, 25])
def test_add(store: Sqlite, disk: list[Cramped], room: int) -> None:
    """A batch that finds no room is refused whole, and the same call succeeds once there is some."""
    batch = planned(tree("big", *[leaf(str(number), "x" * 1000) for number in range(300)]))
    before = store.snapshot()
    disk[0].cramp(room)

    with pytest.raises(StoreFull, match=r"no room left for .*jobs\.db; free some space, and the same call succeeds"):
        store.add(batch)

    assert before == store.snapshot()
    disk[0].cramp(10_000)
    store.add(batch)
    assert len(before.rows) + 301 == len(store.snapshot().rows)


def test_results(store: Sqlite, disk: list[Cramped]) -> None:
    """Results that find no room are not lost: they are reported again, and taken once there is some."""
    claims = store.exchange("s", [], Want(60)).claims
    big = Value(b'"%s"' % (b"x" * 9000))
    outcomes = [Ended(claim.row.id, claim.row.attempt, State.DONE, big) for claim in claims]
    before = store.snapshot()
    disk[0].cramp(3)

    with pytest.raises(StoreFull):
        store.exchange("s", outcomes, Want(10))

    assert before == store.snapshot()
    disk[0].cramp(10_000)
    assert {} == store.exchange("s", outcomes, Want(0, ends=0)).refused
    assert 60 == store.counts(Which(), "state")["done"]


def test_verbs(store: Sqlite, disk: list[Cramped]) -> None:
    """A cancel that finds no room for its entry changes nothing, and what was entered before can be drained."""
    store.add(planned(tree("second", *[leaf(f"second {number}") for number in range(100)])))
    [first, second] = [row.id for row in store.jobs(Which(roots=True))]
    store.move(Which(ids=(first,)), Verb.CANCEL)
    before = store.snapshot()
    disk[0].execute("CREATE TABLE filler (text TEXT) STRICT")
    disk[0].cramp(0)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for _ in range(100):
            disk[0].execute("INSERT INTO filler VALUES (?)", ("x" * 100,))

    for _ in range(20):
        try:
            store.move(Which(ids=(second,)), Verb.HOLD)
            store.drain()
        except StoreFull:
            break

    disk[0].cramp(10_000)
    disk[0].execute("DROP TABLE filler")
    assert len(before.rows) == len(store.snapshot().rows)
    while store.drain():
        pass
    assert 101 == store.counts(Which(tree=first), "state")["cancelled"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB, where this user may have one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can mount a small disk")
def test_disk_that_is_full(small_disk: Path) -> None:
    """Filled and freed again and again, a real disk costs nothing that was accepted, and needs no restart."""
    path, filler = small_disk / "jobs.db", small_disk / "filler"
    accepted = list[str]()
    refused = 0
    with opened(path, slice=50) as store:
        store.enter(session("s"))
        for turn in range(25):
            left = os.statvfs(small_disk)
            filler.write_bytes(b"x" * max(0, left.f_bavail * left.f_frsize - turn * 8192))
            try:
                for number in range(30):
                    batch = planned(leaf(f"{turn}.{number}", "x" * 300))
                    store.add(batch)
                    accepted.append(batch.rows[0].id)
                store.adopt("s", 0)
                work(store, "s", 7)
            except StoreFull:
                refused += 1
            filler.unlink()
            assert [] == find_violations(store.snapshot())

    assert refused > 5
    with opened(path) as store:
        store.enter(session("t"))
        store.leave("s")
        store.exchange("t", done(store.adopt("t", EVERYTHING)), Want(0))
        work(store, "t")
        assert accepted == [row.id for row in store.jobs(Which(), Page(size=EVERYTHING)) if row.state is State.DONE]
