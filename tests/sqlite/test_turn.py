"""A process that is stopped in the middle of a write: nobody waits for it without end, and it is named."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramify.errors import StoreDown
from ramify.model import Which
from ramify.stores.sqlite import Sqlite, turn
from tests.sqlite.kit import Process, needs_processes, open_fast, opened, planned
from tests.stores.kit import leaf

pytestmark = [
    needs_processes,
    pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not list its locks"),
]


def write_slowly(far: Any, path: Path) -> str:
    """Hold the write transaction until told."""
    store = open_fast(path)
    with store._file.writing(durable=False):
        far.send("writing")
        far.recv()
    store.close()
    return "written"


def interrupt_the_waiting(far: Any) -> None:
    """Send Ctrl-C to the process that began this one once it waits for its turn."""
    parent = str(os.getppid())
    while not any({"->", parent} <= set(line.split()) for line in Path("/proc/locks").read_text().splitlines()):
        pass
    os.kill(int(parent), signal.SIGINT)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sqlite]:
    """A store whose writers wait for a twentieth of the usual."""
    monkeypatch.setattr(turn, "PATIENCE", turn.PATIENCE / 20)
    with opened(tmp_path / "jobs.db") as store:
        yield store


@pytest.fixture
def stopped(store: Sqlite, tmp_path: Path) -> Iterator[Process]:
    """A process that is stopped in the middle of a write."""
    process = Process(write_slowly, tmp_path / "jobs.db")
    process.hear()
    process.stop()
    yield process
    process.kill()


def add(store: Sqlite) -> None:
    """Store a job."""
    store.add(planned(leaf("a")))


def test_a_stopped_writer_is_named_with_the_remedy(store: Sqlite, stopped: Process) -> None:
    """Who wants to write gets an error, and the doctor says the same."""
    with pytest.raises(StoreDown, match=rf"jobs.db: process {stopped.pid} was stopped .* `kill -CONT {stopped.pid}`"):
        add(store)

    assert f"process {stopped.pid} was stopped" in store.examine().wrong[0]
    assert not list(store.jobs(Which())), "looking goes on"


def test_all_goes_on_when_it_does(store: Sqlite, stopped: Process) -> None:
    """It may write to its end; so may whoever gave up, and comes again while he is still waited for or later."""
    for _ in range(2):
        with pytest.raises(StoreDown):
            add(store)

    stopped.go_on()
    stopped.tell()
    assert stopped.hear() == "written"
    add(store)

    assert len(list(store.jobs(Which()))) == 1
    assert not store.examine().wrong


def test_who_gave_up_is_not_in_the_way_of_others(store: Sqlite, stopped: Process, tmp_path: Path) -> None:
    """A turn that comes to somebody who wants it no more is passed on."""
    with pytest.raises(StoreDown):
        add(store)
    stopped.kill()

    with opened(tmp_path / "jobs.db") as other:
        add(other)

    assert len(list(store.jobs(Which()))) == 1


def test_a_signal_is_heard_while_waiting(store: Sqlite, stopped: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the wait, and leaves nothing behind."""
    monkeypatch.setattr(turn, "PATIENCE", 60.0)
    interrupting = Process(interrupt_the_waiting)

    with pytest.raises(KeyboardInterrupt):
        add(store)
    interrupting.wait()
    stopped.kill()
    add(store)

    assert len(list(store.jobs(Which()))) == 1


def test_a_store_that_is_closed_meanwhile_leaves_the_queue(store: Sqlite, stopped: Process, tmp_path: Path) -> None:
    """Its place in the queue is not kept by what waits for it."""
    with opened(tmp_path / "jobs.db") as other, pytest.raises(StoreDown):
        add(other)
    stopped.kill()

    add(store)

    assert len(list(store.jobs(Which()))) == 1
