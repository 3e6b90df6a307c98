"""Power cuts: from every state that a disk may be in after one, the queue goes on, and nothing acknowledged is lost.

A disk remembers what was done to it. A state after a cut is: all that was waited for, and of the rest any part — names
that are there or not, files that are whole, torn or empty. The acknowledged are the calls that had returned.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct, field

from ramify.graph.check import find_violations
from ramify.model import ENDED, Page, Progress, State, Verb, Want, Which
from ramify.stores.directory import Directory, journal
from ramify.stores.directory.disk import Disk
from tests.directory.kit import opened
from tests.sqlite.kit import done, planned, session
from tests.stores.kit import MEMORY, leaf, series, tree

SHOWN: Final = ("jobs/", "sessions/", "tmp/gone-", "queue/")
"""What is only for people, or for the living."""


class Inode(Struct, eq=False):
    """A file: what is in it, and whether that is on the disk."""

    text: bytes
    synced: bool


class Act(Struct):
    """One change of a name: to a file, or to nothing. `old` is what stood there before."""

    name: str
    new: Inode | None
    old: Inode | None
    synced: bool = False


class Memory(Struct):
    """What was done to a disk, in order; a number stands for what was acknowledged by then."""

    acts: list[Act] = field(default_factory=list)
    names: dict[str, Inode | None] = field(default_factory=dict)
    moments: list["Moment"] = field(default_factory=list)


class Moment(Struct):
    """The disk at one moment: how many acts there were, which were waited for, and how many calls had returned."""

    acts: int
    synced: list[bool]
    contents: dict[int, bool]
    returned: int


class Remembering(Disk):
    """A disk that remembers."""

    memory: Memory
    returned = 0

    def make(self, name: str, text: bytes, sync: bool = False) -> float:
        now = super().make(name, text, sync)
        self._note(name, Inode(text, sync))
        return now

    def link(self, old: str, new: str) -> None:
        super().link(old, new)
        self._note(new, self.memory.names.get(old))

    def rename(self, old: str, new: str) -> None:
        super().rename(old, new)
        self._note(new, self.memory.names.get(old))
        self._note(old, None)

    def remove(self, name: str) -> None:
        super().remove(name)
        self._note(name, None)

    def sync(self, name: str) -> None:
        super().sync(name)
        inode = self.memory.names.get(name)
        if inode is not None:
            inode.synced = True
        for act in self.memory.acts:
            act.synced = act.synced or (act.name.rpartition("/")[0] or ".") == name
        self._look()

    def _note(self, name: str, new: Inode | None) -> None:
        if name.startswith(SHOWN) or name.count("/") > 2:
            return
        names = self.memory.names
        self.memory.acts.append(Act(name, new, names.get(name)))
        names[name] = new
        self._look()

    def _look(self) -> None:
        acts = self.memory.acts
        contents = {id(inode): inode.synced for act in acts for inode in (act.new, act.old) if inode is not None}
        self.memory.moments.append(Moment(len(acts), [act.synced for act in acts], contents, self.returned))


Fact = Callable[[Directory], bool]


def record(folder: Path) -> tuple[Memory, list[Fact]]:
    """Do what a queue is for; return what was done to the disk, and what must be true once a call had returned."""
    memory = Memory()
    kind = type("Remembers", (Remembering,), {"memory": memory})
    store = Directory(str(folder / "queue"), disk=kind)
    facts: list[Fact] = []

    def acknowledge(fact: Fact) -> None:
        facts.append(fact)
        store._disk.returned = len(facts)  # type: ignore[attr-defined]

    def is_done(ids: tuple[str, ...]) -> Fact:
        return lambda found: (
            {row.state for row in found.jobs(Which(ids=ids))} <= {State.DONE}
            and len(found.jobs(Which(ids=ids))) == len(ids)
        )

    def exists(ids: tuple[str, ...]) -> Fact:
        return lambda found: len(found.jobs(Which(ids=ids))) == len(ids)

    store.enter(session("s"))
    outcomes: list[Any] = []
    for number in range(5):
        batch = planned(series(f"{number}", leaf("a"), tree("b", leaf("c"), leaf("d")), leaf("e")))
        store.add(batch)
        acknowledge(exists(tuple(row.id for row in batch.rows)))
        for _ in range(3):
            claims = store.exchange("s", outcomes, Want(2)).claims
            acknowledge(is_done(tuple(outcome.job for outcome in outcomes)))
            outcomes = done(claims)
    cancelled = planned(leaf("never"))
    store.add(cancelled)
    store.move(Which(ids=(cancelled.rows[0].id,)), Verb.CANCEL)
    acknowledge(lambda found: found.jobs(Which(ids=(cancelled.rows[0].id,)))[0].state is State.CANCELLED)
    store.exchange("s", outcomes, Want(0, ends=0))
    acknowledge(is_done(tuple(outcome.job for outcome in outcomes)))
    store.close()
    return memory, facts


def states(memory: Memory, moment: Moment, luck: random.Random, n: int) -> Iterator[dict[str, bytes]]:
    """Yield states that the disk may be in after a cut at this moment."""
    acts = memory.acts[: moment.acts]
    loose = [place for place in range(moment.acts) if not moment.synced[place]]
    soft = sorted(inode for inode, synced in moment.contents.items() if not synced)
    for number in range(n):
        keeps = {0: set[int](), 1: set(loose)}.get(number, {place for place in loose if luck.random() < 0.5})
        names: dict[str, Inode | None] = {}
        for place, act in enumerate(acts):
            if moment.synced[place] or place in keeps:
                names[act.name] = act.new
        torn = {inode: luck.choice(["whole", "torn", "empty"]) if number else "empty" for inode in soft}
        found: dict[str, bytes] = {}
        for name, inode in names.items():
            if inode is not None:
                how = torn.get(id(inode), "whole")
                size = {"whole": len(inode.text), "torn": luck.randrange(len(inode.text) + 1), "empty": 0}[how]
                found[name] = inode.text[:size]
        yield found


def build(folder: Path, state: dict[str, bytes]) -> Path:
    """Make the directory that somebody finds after the cut."""
    path = folder / "queue"
    shutil.rmtree(path, ignore_errors=True)
    (path / "tmp").mkdir(parents=True)
    for name, text in state.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)
    return path


def judge(path: Path, facts: list[Fact]) -> None:
    """Open what was found: the acknowledged is there, nothing contradicts itself, and all of it can be worked off."""
    store = Directory(str(path), durability="fast")
    try:
        assert [] == find_violations(store.snapshot())
        assert all(fact(store) for fact in facts)
        store.move(Which(), Verb.RELEASE)
        store.enter(session("after"))
        for dead in store.info().sessions:
            if dead.id != "after":
                store.leave(dead.id)
        outcomes: list[Any] = done(store.adopt("after", 100))
        while True:
            reply = store.exchange("after", outcomes, Want(100))
            outcomes = done(reply.claims)
            if not (outcomes or reply.more):
                break
        rows = store.jobs(Which(), Page(size=-1))
        assert all(row.state in ENDED for row in rows)
        assert [] == find_violations(store.snapshot())
    finally:
        store.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints come soon, torn records are believed at once, and nothing waits for a real disk."""
    monkeypatch.setattr(journal, "LEAST", 3000)
    monkeypatch.setattr(journal, "TORN", 0.0)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    monkeypatch.setattr("ramify.stores.directory.store.LEAVING", 0.0)
    monkeypatch.setattr("ramify.stores.directory.store.SHOWING", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "n", [200, pytest.param(12_000, marks=[pytest.mark.storm, pytest.mark.timeout(3600)])], ids=["quick", "full"]
)
def test_every_state_after_a_power_cut_goes_on(quick: None, n: int) -> None:
    """Of thousands of states that a power cut may leave, each has all that was acknowledged, and ends all jobs."""
    luck = random.Random(n)
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        memory, facts = record(folder)
        assert len(os.listdir(folder / "queue/checkpoints")) == 2, "checkpoints and what they prune are part of it"
        each = -(-n // len(memory.moments))
        seen = 0
        for moment in memory.moments:
            for state in states(memory, moment, luck, each):
                judge(build(folder, state), facts[: moment.returned])
                seen += 1
        assert seen >= n


def test_what_follows_a_torn_record_never_happened(quick: None, tmp_path: Path) -> None:
    """A step that a power cut took away takes those with it that were built on it; the next step goes on from there."""
    path = tmp_path / "queue"
    store = Directory(str(path))
    store.add(planned(leaf("a")))
    store.enter(session("s"))
    [claim] = store.exchange("s", [], Want(1)).claims
    store.beat("s", [Progress(claim.row.id, 50)])
    store.close()
    records = sorted((path / "journal/000000").iterdir())
    records[1].write_bytes(records[1].read_bytes()[:40])

    store = Directory(str(path))
    assert (store.info().sessions, store.counts(Which(), "state")) == ([], {"ready": 1})
    store.enter(session("after"))
    assert len(store.exchange("after", [], Want(1)).claims) == 1
    store.close()

    with opened(path) as again:
        assert again.counts(Which(), "state") == {"running": 1}
        assert [found.id for found in again.info().sessions] == ["after"]
