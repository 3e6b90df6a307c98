"""Network file systems: answers that were lost and are reported as errors, and names and listings that come late."""

import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ramify.errors import RamifyError
from ramify.graph.check import find_violations
from ramify.model import ENDED, Outcome, Page, Want, Which
from ramify.stores.directory import Directory, journal
from ramify.stores.directory.disk import Disk
from tests.directory.kit import opened
from tests.sqlite.kit import done, planned, session
from tests.stores.kit import MEMORY, leaf, series, tree


class Remote(Disk):
    """A disk behind a network.

    Now and then the answer to a call is lost, the call is sent again, and fails because the first one had succeeded.
    What was not there when it was asked for stays away, until its directory is listed; a listing may be an old one.
    """

    luck: random.Random

    def __init__(self, path: Path, durable: bool = True) -> None:
        super().__init__(path, durable)
        self._missing: dict[str, int] = {}
        self._listed: dict[str, tuple[int, list[str]]] = {}

    def _lies(self, error: type[OSError]) -> None:
        if self.luck.random() < 0.2:
            raise error("the answer to the first call was lost")

    def link(self, old: str, new: str) -> None:
        super().link(old, new)
        self._lies(FileExistsError)

    def make_folder(self, name: str) -> None:
        super().make_folder(name)
        self._lies(FileExistsError)

    def rename(self, old: str, new: str) -> None:
        super().rename(old, new)
        self._lies(FileNotFoundError)

    def read(self, name: str) -> bytes:
        self._hide(name)
        try:
            return super().read(name)
        except FileNotFoundError:
            self._missing[name] = self.luck.randrange(6)
            raise

    def look(self, name: str) -> os.stat_result:
        self._hide(name)
        try:
            return super().look(name)
        except FileNotFoundError:
            self._missing[name] = self.luck.randrange(6)
            raise

    def list(self, name: str) -> list[str]:
        for known in [known for known in self._missing if known.rpartition("/")[0] == name]:
            del self._missing[known]
        left, listed = self._listed.get(name, (0, []))
        if left > 0:
            self._listed[name] = (left - 1, listed)
            return listed
        listed = super().list(name)
        self._listed[name] = (self.luck.randrange(3) if name in ("checkpoints", "inbox") else 0, listed)
        return listed

    def _hide(self, name: str) -> None:
        left = self._missing.get(name, 0)
        if left > 0:
            self._missing[name] = left - 1
            raise FileNotFoundError(2, "remembered as missing", name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "turns", [15, pytest.param(1000, marks=[pytest.mark.storm, pytest.mark.timeout(3600)])], ids=["quick", "full"]
)
def test_lost_answers_and_stale_names_do_no_harm(monkeypatch: pytest.MonkeyPatch, turns: int) -> None:
    """Four machines that add and work by turns, in any order, agree in the end; each job ran once and all ended."""
    monkeypatch.setattr(journal, "LEAST", 4000)
    monkeypatch.setattr("ramify.stores.directory.store.LEAVING", 0.0)
    for turn in range(turns):
        luck = random.Random(turn)
        kind = type("RemoteByLuck", (Remote,), {"luck": luck})
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            path = Path(name) / "queue"
            Directory(str(path), durability="fast").close()
            machines = [Directory(str(path), durability="fast", disk=kind) for _ in range(4)]
            ran = work_by_turns(machines, luck)

            for machine in machines:
                machine._disk._missing.clear()  # type: ignore[attr-defined] # what is read may be old, but not for ever
            snapshots = [machine.snapshot() for machine in machines]
            final = Directory(str(path), durability="fast")
            snapshots.append(final.snapshot())
            assert all(snapshot == snapshots[-1] for snapshot in snapshots)
            assert [] == find_violations(snapshots[-1])
            assert all(row.state in ENDED for row in snapshots[-1].rows)
            assert sorted(ran) == sorted(row.id for row in snapshots[-1].rows)
            for machine in (*machines, final):
                machine.close()


def work_by_turns(machines: list[Directory], luck: random.Random) -> list[str]:
    """Add and run jobs on all machines, in any order; return what ran."""
    ran: list[str] = []
    outcomes: list[list[Outcome]] = [[] for _ in machines]
    for number, machine in enumerate(machines):
        machine.enter(session(f"s{number}"))
    idle, added = 0, 0
    while idle < 40:
        number = luck.randrange(len(machines))
        machine = machines[number]
        if added < 12 and luck.random() < 0.2:
            machine.add(planned(series(str(added), leaf("a"), tree("b", leaf("c"), leaf("d")))))
            added += 1
            continue
        try:
            reply = machine.exchange(f"s{number}", outcomes[number], Want(luck.randrange(1, 4)))
        except RamifyError as error:
            raise AssertionError(f"machine {number}: {error}") from error
        assert reply.refused == {}
        ran += [claim.row.id for claim in reply.claims]
        idle = 0 if reply.claims or outcomes[number] or added < 12 else idle + 1
        outcomes[number] = done(reply.claims)
    return ran


def test_a_record_that_others_see_first_is_awaited(tmp_path: Path) -> None:
    """Who is told that a number is taken, and cannot see by whom, looks again until it can."""

    class Late(Disk):
        hidden = 0

        def read(self, name: str) -> bytes:
            self._hide(name)
            return super().read(name)

        def look(self, name: str) -> Any:
            self._hide(name)
            return super().look(name)

        def _hide(self, name: str) -> None:
            if self.hidden and name.startswith("journal/"):
                self.hidden -= 1
                raise FileNotFoundError(2, "not yet", name)

    late = Directory(str(tmp_path / "queue"), durability="fast", disk=Late)
    other = Directory(str(tmp_path / "queue"), durability="fast")
    other.add(planned(leaf("first")))
    late._disk.hidden = 9  # type: ignore[attr-defined]

    late.add(planned(leaf("second")))

    assert [row.label for row in other.jobs(Which(), Page())] == ["first", "second"]
    late.close()
    other.close()


def test_a_step_that_was_pruned_before_its_answer_came(tmp_path: Path) -> None:
    """Whoever slept while others went on, and pruned its own step, still knows that it counts, and does it once."""
    path = tmp_path / "queue"

    class Sleepy(Disk):
        sleeps = False

        def link(self, old: str, new: str) -> None:
            super().link(old, new)
            if self.sleeps and new.startswith("journal/"):
                with opened(path) as other:
                    for _ in range(2):
                        other._journal._size = 1
                        other.add(planned(leaf("of others")))
                raise FileExistsError("the answer to the first call was lost")

    with opened(path, disk=Sleepy) as store:
        store.add(planned(leaf("first")))
        store._disk.sleeps = True  # type: ignore[attr-defined]
        store.add(planned(leaf("second")))
        store._disk.sleeps = False  # type: ignore[attr-defined]

        assert (path / "journal/000000/000000002").read_bytes() == journal.TOMBSTONE
        assert [row.label for row in store.jobs(Which(), Page())] == ["first", "second", "of others", "of others"]
