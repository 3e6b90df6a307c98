"""Trees that somebody prepared to lead us astray: nothing outside of the queue is opened, made, changed or removed."""

import os
import random
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ramify.errors import RamifyError
from ramify.model import Line, Verb, Want, Which
from tests.directory.kit import opened
from tests.sqlite.kit import done, planned, session
from tests.stores.kit import MEMORY, leaf, series, tree

WRITES = {"open", "os.mkdir", "os.rename", "os.remove", "os.link", "os.rmdir", "os.truncate", "os.chmod", "os.symlink"}
_watched: list[list[str]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Note each path that is absolute: with names below an open directory nothing can be reached but by links."""
    if _watched and event in WRITES:
        for argument in arguments[:2]:
            if isinstance(argument, str | bytes | os.PathLike) and os.path.isabs(os.fspath(argument)):
                _watched[-1].append(os.fsdecode(os.fspath(argument)))


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Note what is opened or changed by an absolute path in this block."""
    found: list[str] = []
    _watched.append(found)
    try:
        yield found
    finally:
        _watched.pop()


def prepare(queue: Path, outside: Path, luck: random.Random) -> None:
    """Put links, pipes, files and directories where ours are or will be."""
    places = ["jobs/1", "jobs/1/1", "jobs/1/state", "jobs/1/1/job.json", "jobs/1/1/output", "jobs/1/result.json"]
    places += [
        "jobs/2",
        "jobs/2/1",
        "jobs/2/deep",
        "journal/000000/000000003",
        "journal/000000/000000005",
        "journal/000001",
    ]
    places += [
        "inbox/a.json",
        "inbox/b.json",
        "taken/a.json",
        "refused/a.json",
        "sessions/s",
        "sessions/after",
        "queue/x",
    ]
    places += ["checkpoints/000000090", "tmp/gone-x", "tmp/gone-x/y", "jobs/3", "jobs/3/1"]
    targets = [outside, outside / "file", outside / "new", Path("/etc/passwd"), Path(".."), Path("../.."), queue]
    for place in luck.sample(places, luck.randrange(1, 9)):
        path = queue / place
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            kind = luck.randrange(5)
            if kind < 2:
                path.symlink_to(luck.choice(targets))
            elif kind == 2:
                os.mkfifo(path)
            elif kind == 3:
                path.write_bytes(luck.randbytes(luck.randrange(50)))
            else:
                path.mkdir()


def use(queue: Path) -> None:
    """Do what a queue is for, twice."""
    for name in ("s", "after"):
        with opened(queue) as store:
            store.enter(session(name))
            store.add(planned(series("top", leaf("a"), tree("b", leaf("c")))))
            outcomes: list[Any] = []
            for _ in range(3):
                claims = store.exchange(name, outcomes, Want(2, queues=("default",))).claims
                store.append(name, [Line(claim.row.id, "said") for claim in claims])
                outcomes = done(claims)
            store.exchange(name, outcomes, Want(0, ends=0))
            [store.log(row.id) for row in store.jobs(Which())]
            store.move(Which(roots=True), Verb.PURGE)
            store.drain()
            store.wait(None, 0.0)


def look(folder: Path) -> list[tuple[str, bytes, int]]:
    """Return all there is in a directory."""
    found = []
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        text = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        found.append((str(path), text, about.st_mtime_ns))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "n", [60, pytest.param(10_000, marks=[pytest.mark.storm, pytest.mark.timeout(3600)])], ids=["quick", "full"]
)
def test_nothing_outside_is_touched(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Whatever was put into a queue, a clear error or a skipped entry is all that comes of it."""
    monkeypatch.setattr("ramify.stores.directory.journal.LEAST", 3000)
    monkeypatch.setattr("ramify.stores.directory.journal.TORN", 0.0)
    monkeypatch.setattr("ramify.stores.directory.store.LEAVING", 0.05)
    monkeypatch.setattr("ramify.stores.directory.store.PATIENCE", 0.0)
    monkeypatch.setattr("ramify.stores.directory.journal.PATIENCE", 0.0)
    monkeypatch.setattr("ramify.stores.directory.queue.LONGEST", 0.01)
    for number in range(n):
        luck = random.Random(number)
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            queue, outside = Path(name) / "queue", Path(name) / "outside"
            outside.mkdir()
            (outside / "file").write_text("precious")
            if luck.random() < 0.7:
                with opened(queue):
                    pass
            prepare(queue, outside, luck)
            before = look(outside)
            with watched() as paths, suppress(RamifyError):
                use(queue)

            assert before == look(outside)
            strange = {
                path for path in paths if not path.startswith((str(queue), "/proc/", sys.base_prefix, sys.prefix))
            }
            assert strange == set(), strange
