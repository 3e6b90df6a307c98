"""What is damaged, forged or without room: a clear error, or an entry passed over and named by `ramify doctor`."""

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ramify.cli.doctor import examine
from ramify.errors import RamifyError, StoreDown, StoreFull
from ramify.graph.check import find_violations
from ramify.model import Page, Row, Want, Which
from ramify.stores.directory import Directory, journal, record
from ramify.stores.directory.disk import Disk
from tests.directory.kit import opened
from tests.sqlite.kit import Process, done, needs_processes, planned, session, work
from tests.stores.kit import MEMORY, leaf, series, tree


def fill(path: Path) -> list[Path]:
    """Make a queue with some history; return its records."""
    with opened(path) as store:
        store.enter(session("s"))
        for number in range(3):
            store.add(planned(series(str(number), leaf("a"), tree("b", leaf("c")))))
        work(store, "s", 1)
    return sorted(path.glob("journal/*/*"))


def look(path: Path) -> list[Row]:
    with opened(path) as store:
        found = examine(store)
        assert found.wrong == []
        return store.jobs(Which(), Page(size=-1))


def test_swapped_records_do_not_count(path: Path) -> None:
    """Of two records that changed places none counts, nor what was built on them; the doctor names them."""
    records = fill(path)
    first, second = records[2], records[4]
    text = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(text)

    with opened(path) as store:
        notes = examine(store).notes
        assert (
            notes[0] == "passed over: journal/000000/000000003: built on a step that is not there, so it does not count"
        )
        assert len([note for note in notes if "journal" in note]) == len(records) - 2
        assert len(store.jobs(Which(roots=True))) == 1
        store.add(planned(leaf("goes on")))
    assert [row.label for row in look(path)][-1] == "goes on"


def test_what_a_dead_writer_left_is_named(path: Path) -> None:
    """A file that was written aside, and an hour later still is; one that is written now is not named."""
    fill(path)
    (path / "tmp/old").write_text("half")
    os.utime(path / "tmp/old", (1, 1))
    (path / "tmp/new").write_text("half")
    path.chmod(0o707)

    with opened(path) as store:
        notes = examine(store).notes
    assert notes == [
        "passed over: tmp/old: left by a writer that ended more than an hour ago",
        f"{path} can be written by anybody; `chmod o-w {path}` ends that",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, pytest.param(2000, marks=pytest.mark.storm)], ids=["quick", "full"])
def test_damaged_files_do_no_harm(path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Files that were truncated, changed, swapped, removed or repeated: what is left is sound, or refused in words."""
    monkeypatch.setattr(journal, "TORN", 0.0)
    monkeypatch.setattr(journal, "LEAST", 3000)
    monkeypatch.setattr("ramify.stores.directory.store.PATIENCE", 0.0)
    fill(path)
    copy = path.parent / "copy"
    for number in range(n):
        luck = random.Random(number)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path, copy)
        files = sorted(file for file in copy.rglob("*") if file.is_file())
        for _ in range(luck.randrange(1, 4)):
            file, other = luck.sample(files, 2)
            text = file.read_bytes() if file.exists() else b""
            kind = luck.randrange(5)
            if kind == 0:
                file.write_bytes(text[: luck.randrange(len(text) + 1)])
            elif kind == 1 and text:
                at = luck.randrange(len(text))
                file.write_bytes(text[:at] + bytes([text[at] ^ 1 << luck.randrange(8)]) + text[at + 1 :])
            elif kind == 2:
                file.unlink(missing_ok=True)
            elif other.exists():
                file.write_bytes(other.read_bytes())
                if kind == 3:
                    other.write_bytes(text)
        try:
            with opened(copy) as store:
                assert [] == find_violations(store.snapshot())
                examine(store)
                store.enter(session("after"))
                store.add(planned(leaf("goes on")))
                work(store, "after")
        except RamifyError as error:
            assert str(error)


def forge(path: Path, place: str) -> None:
    """Let the newest checkpoint say that the directory of each job is elsewhere."""
    with opened(path) as store:
        tables = [
            (name, msgspec.Raw(bytes(text).replace(b'"1', b'"' + place.encode()))) if name == "folder" else (name, text)
            for name, text in store._replica.dump()
        ]
        head = store._journal
        text = record.write(head.number, head.token, "", head.time, tables, False)
    (path / f"checkpoints/{head.number:09d}").write_bytes(text)


@pytest.mark.parametrize("place", ["../outside", "1/../../../outside", "..", "/outside"])
def test_forged_places_lead_nowhere(path: Path, place: str) -> None:
    """A checkpoint that names a directory outside of the queue, as only a forger writes it, leads nobody there."""
    outside = path.parent / "outside"
    outside.mkdir()
    (outside / "state").write_text("precious")
    with opened(path) as store:
        store.enter(session("s"))
        store.add(planned(tree("top", leaf("a"))))
    forge(path, place)

    with opened(path) as store:
        claims = store.exchange("s", [], Want(1)).claims
        assert [claim.row.label for claim in claims] == ["a"]
        try:
            store.log(claims[0].row.id)
        except RamifyError as error:
            assert "link or a file" in str(error)
        store.exchange("s", done(claims), Want(1))
    assert [file.name for file in outside.iterdir()] == ["state"]
    assert (outside / "state").read_text() == "precious"
    assert {entry.name for entry in path.parent.iterdir()} == {"queue", "outside"}


def test_no_room_at_any_moment(path: Path) -> None:
    """Whichever call finds the disk full, the step is refused and nothing of it is left; with room it succeeds."""

    class Full(Disk):
        left = -1

    def refusing(name: str) -> Any:
        act = getattr(Disk, name)

        def do(self: Full, *arguments: Any, **options: Any) -> Any:
            if self.left == 0:
                raise OSError(28, "No space left on device")
            self.left -= self.left > 0
            return act(self, *arguments, **options)

        return do

    for name in ("make", "link", "sync", "rename", "make_folder", "append", "change", "furnish"):
        setattr(Full, name, refusing(name))
    with opened(path, disk=Full) as store:
        refused = 0
        for left in range(12):
            batch = planned(tree(f"{left}", leaf("a")))
            before = store.snapshot()
            store._disk.left = left  # type: ignore[attr-defined]
            try:
                store.add(batch)
            except StoreFull as error:
                assert "the same call succeeds" in str(error)
                refused += 1
                assert before == store.snapshot() or left > 1  # what was linked counts, though nobody was told
                store._disk.left = -1  # type: ignore[attr-defined]
                batch.request = batch.rows[-1].id
                if before == store.snapshot():
                    store.add(batch)
            store._disk.left = -1  # type: ignore[attr-defined]
            assert left + 1 == len(store.jobs(Which(roots=True)))
        assert refused >= 2
    with opened(path) as again:
        assert 12 == len(again.jobs(Which(roots=True)))


@pytest.fixture
def small() -> Iterator[Path]:
    """A disk with 2 MB and 150 inodes."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=150", "tmpfs", folder]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
        yield Path(folder)
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("payload", ["", "x" * 100_000], ids=["no inodes", "no space"])
def test_a_disk_that_gets_full(small: Path, payload: str) -> None:
    """Without inodes or space `StoreFull` says so; what was accepted is there, and with room again all of it ends."""
    accepted: list[str] = []
    with opened(small / "queue") as store:
        store.enter(session("s"))
        with pytest.raises(StoreFull, match="space or inodes"):
            for number in range(1000):
                batch = planned(leaf(str(number), payload))
                store.add(batch)
                accepted.append(batch.rows[0].id)
        assert len(accepted) > 3
    shutil.rmtree(small / "queue/jobs")  # for people alone
    (small / "queue/jobs").mkdir()
    subprocess.run(["mount", "-o", "remount,size=40m,nr_inodes=20000", str(small)], check=True)

    with opened(small / "queue") as store:
        assert set(accepted) <= {row.id for row in store.jobs(Which(), Page(size=-1))}
        store.enter(session("after"))
        work(store, "after")
        assert {row.state for row in store.jobs(Which(), Page(size=-1))} == {"done"}
        assert [] == find_violations(store.snapshot())


@needs_processes
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["may read", "may not"])
def test_the_queue_of_somebody_else(mode: int) -> None:
    """Who may not write gets an error that names the remedy, and changes nothing."""

    def act(far: Any, path: Path) -> str:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            Directory(str(path))
        except StoreDown as error:
            return str(error)
        return ""

    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "queue"
        fill(path)
        os.chmod(path, mode)
        before = sorted(file.name for file in path.rglob("*"))
        process = Process(act, path)

        assert "change its owner or mode" in process.hear()
        process.wait()
        assert before == sorted(file.name for file in path.rglob("*"))


@pytest.mark.parametrize("name", ["a/b", "../../x", "line\nbreak", "ü ☃", "-rf"])
def test_odd_names_are_only_text(path: Path, name: str) -> None:
    """Labels, queues, tasks and workers may be called anything; no file is called like them."""
    with opened(path) as store:
        store.enter(session(f"s{name}"))
        store.add(planned(leaf(name, queue=name)))
        [claim] = store.exchange(f"s{name}", [], Want(1, (name,))).claims
        store.exchange(f"s{name}", done([claim]), Want(1))

    assert (path / "jobs/1/label").read_text() == f"{name}\n"
    assert {entry.name for entry in path.parent.iterdir()} == {"queue"}
    assert len(list((path / "jobs").iterdir())) == 1
    assert [row.label for row in look(path)] == [name]
