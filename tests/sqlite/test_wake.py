"""Who sleeps is woken by who commits, in this process or another; a lost wake-up costs a poll and nothing else."""

import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

import pytest

from ramify.model import Ended, State, Verb, Want, Which
from ramify.stores.sqlite.wake import WATCHER, WORKER, Bells
from tests.sqlite.kit import VALUE, Process, needs_processes, opened, planned, session
from tests.stores.kit import leaf, tree

LONG: Final = 50.0
"""Seconds that nobody sleeps unless the wake-up is missing, when the test fails."""

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no sockets with names")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be."""
    return tmp_path / "jobs.db"


def sleep_as_worker(far: Any, path: Path, queues: tuple[str, ...]) -> tuple[bool, int]:
    """Find nothing to do, sleep, and tell whether there was a reason to wake and how many jobs there are then."""
    with opened(path) as store:
        store.enter(session("sleeper"))
        assert [] == store.exchange("sleeper", [], Want(9, queues)).claims
        store.wait(queues, 0.0)
        far.send("asleep")
        woken = store.wait(queues, LONG)
        return woken, len(store.exchange("sleeper", [], Want(9, queues)).claims)


def sleep_as_watcher(far: Any, path: Path) -> tuple[bool, dict[str, int]]:
    """Sleep until something may have ended; tell whether there was a reason to wake, and the counts then."""
    with opened(path) as store:
        store.wait(None, 0.0)
        far.send("asleep")
        woken = store.wait(None, LONG)
        return woken, store.counts(Which(), "state")


def sleeper(act: Any, *args: Any) -> Process:
    """Start a process that sleeps, and return when it does."""
    process = Process(act, *args)
    assert process.hear() == "asleep"
    return process


@needs_processes
def test_add_wakes_a_worker(path: Path) -> None:
    """A worker of another process that sleeps wakes when a job is added, and finds it."""
    process = sleeper(sleep_as_worker, path, ("default",))

    with opened(path) as store:
        store.add(planned(leaf("a")))

        assert process.hear() == (True, 1)
    process.wait()


@needs_processes
def test_release_wakes_a_worker(path: Path) -> None:
    """What is let go can be claimed, so who would claim it wakes."""
    with opened(path) as store:
        batch = planned(leaf("a", hold=True))
        store.add(batch)
        process = sleeper(sleep_as_worker, path, ("default",))

        store.move(Which(ids=(batch.rows[0].id,)), Verb.RELEASE)

        assert process.hear() == (True, 1)
    process.wait()


@needs_processes
def test_end_wakes_a_watcher(path: Path) -> None:
    """Who waits for an end wakes when a job ends in another process."""
    with opened(path) as store:
        store.enter(session("s"))
        store.add(planned(leaf("a")))
        [claim] = store.exchange("s", [], Want(1)).claims
        process = sleeper(sleep_as_watcher, path)

        store.exchange("s", [Ended(claim.row.id, claim.row.attempt, State.DONE, VALUE)], Want(0))

        assert process.hear() == (True, {"done": 1})
    process.wait()


@needs_processes
@pytest.mark.parametrize("room", [0, 1, 9])
def test_end_wakes_a_worker_of_another_queue(path: Path, room: int) -> None:
    """A job that becomes ready where this worker does not look wakes one that does, however much room this one has."""
    with opened(path) as store:
        store.enter(session("s"))
        first = leaf("first", queue="one")
        store.add(planned(tree("top", first, leaf("second", after=first, queue="two"))))
        [claim] = store.exchange("s", [], Want(1, ("one",))).claims
        process = sleeper(sleep_as_worker, path, ("two",))

        store.exchange("s", [Ended(claim.row.id, claim.row.attempt, State.DONE, VALUE)], Want(room, ("one",)))

        assert process.hear() == (True, 1)
    process.wait()


@needs_processes
def test_end_wakes_a_worker_that_knows_the_task(path: Path) -> None:
    """The same holds for a job whose task this worker does not know."""
    with opened(path) as store:
        store.enter(session("s"))
        first = leaf("first", task="m:known")
        store.add(planned(tree("top", first, leaf("second", after=first, task="m:unknown"))))
        mine = frozenset({"m:known"})
        [claim] = store.exchange("s", [], Want(1, tasks=mine)).claims
        process = sleeper(sleep_as_worker, path, ("default",))

        store.exchange("s", [Ended(claim.row.id, claim.row.attempt, State.DONE, VALUE)], Want(9, tasks=mine))

        assert process.hear() == (True, 1)
    process.wait()


@needs_processes
def test_claim_alone_wakes_nobody(path: Path) -> None:
    """Where nothing has changed for others, others sleep on."""
    with opened(path) as store, opened(path) as other:
        store.enter(session("s"))
        other.enter(session("t"))
        store.add(planned(leaf("a")))
        other.wait(("default",), 0.0)

        store.exchange("s", [], Want(9))

        assert not other.wait(("default",), 0.0)


def test_two_stores_of_one_process(path: Path) -> None:
    """A store wakes another one of the same process, also in another thread."""
    woken: list[bool] = []
    with opened(path) as store, opened(path) as other:
        other.wait(("default",), 0.0)
        store.add(planned(leaf("a")))
        assert other.wait(("default",), LONG)

        ready = threading.Event()

        def sleep() -> None:
            other.wait(None, 0.0)
            ready.set()
            woken.append(other.wait(None, LONG))

        thread = threading.Thread(target=sleep)
        thread.start()
        ready.wait()
        store.limit("all", None)
        store.move(Which(), Verb.CANCEL)
        thread.join()

    assert [True] == woken


def test_ring_before_the_sleep(path: Path) -> None:
    """A worker that has entered is not missed if the job comes before it lies down."""
    with opened(path) as store, opened(path) as other:
        other.enter(session("t"))
        store.add(planned(leaf("a")))

        assert other.wait(("default",), LONG)


def test_other_reasons_to_wake(path: Path) -> None:
    """A sleeper wakes as well when something else that it waits for can be read."""
    near, far = socket.socketpair()
    with opened(path) as store, near, far:
        far.send(b"!")

        assert store.wait(("default",), LONG, [near])
        assert store.wait(None, LONG, [near])


def test_no_reason_to_wake(path: Path) -> None:
    """A sleeper that nobody wakes wakes by itself, and says so."""
    with opened(path) as store:
        assert not store.wait(("default",), 0.01)


# Sockets


def folder(database: Path) -> Path:
    """Return where the sockets of a database are."""
    bells = Bells(database)
    bound = bells.bind(WATCHER)
    assert bound is not None
    place = Path(bound.getsockname()).parent
    bells.close()
    return place


def test_sockets_are_ours_alone(path: Path) -> None:
    """Nobody else can ring, and the last store that is closed leaves nothing."""
    with opened(path) as store:
        store.enter(session("s"))
        store.wait(None, 0.0)
        with opened(path) as other:
            other.wait(None, 0.0)
        place = folder(path)

        assert len(list(place.iterdir())) == 2
        assert place.stat().st_mode & 0o077 == 0 == place.parent.stat().st_mode & 0o022

    assert not place.exists()


@needs_processes
def test_sockets_of_the_dead_are_removed(path: Path) -> None:
    """The socket of a process that was killed is removed by who rings next."""
    process = sleeper(sleep_as_worker, path, ("default",))
    place = folder(path)
    process.kill()
    assert len(list(place.iterdir())) == 1

    with opened(path) as store:
        store.add(planned(leaf("a")))

        assert [] == list(place.iterdir())


def test_threads_that_are_gone_leave_nothing(path: Path) -> None:
    """A program whose threads come and go keeps no socket for each that ever waited."""
    with opened(path) as store:
        before = len(os.listdir("/dev/fd"))
        for _ in range(20):
            thread = threading.Thread(target=store.wait, args=(None, 0.0))
            thread.start()
            thread.join()

        assert len(os.listdir("/dev/fd")) < before + 5


def test_closing_wakes_nobody_wrongly(path: Path) -> None:
    """A store can be closed while another one of the same database goes on."""
    with opened(path) as store:
        with opened(path) as other:
            other.wait(("default",), 0.0)
            store.wait(("default",), 0.0)

        store.add(planned(leaf("a")))

        assert store.wait(("default",), LONG)


def test_sleeper_that_comes_right_after_a_ring(path: Path) -> None:
    """It is not overlooked, though the folder of the sockets seems unchanged within the resolution of its clock."""
    ringing = Bells(path)
    sleepers = []
    for _ in range(10):
        ringing.ring(WORKER)
        sleepers.append(Bells(path))
        sleepers[-1].bind(WORKER)

    ringing.ring(WORKER)

    assert all(bells.wait(WORKER, LONG, []) for bells in sleepers)
    for bells in [ringing, *sleepers]:
        bells.close()


def test_sockets_that_nobody_reads(path: Path) -> None:
    """However many there are who do not hear, for they are busy, the one who sleeps is woken."""
    ringing, sleeper, busy = Bells(path), Bells(path), [Bells(path) for _ in range(50)]
    for bells in busy:
        bells.bind(WORKER)
    for _ in range(50):
        ringing.ring(WORKER)
    sleeper.bind(WORKER)

    ringing.ring(WORKER)

    assert sleeper.wait(WORKER, LONG, [])
    for bells in [ringing, sleeper, *busy]:
        bells.close()


def test_folder_that_somebody_else_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that others may write to is not used: who owns it could ring, and remove what he likes."""
    with tempfile.TemporaryDirectory() as others:  # a short name, as that of a socket must be
        monkeypatch.setattr(tempfile, "tempdir", others)
        place = folder(path)
        place.parent.chmod(0o777)

        with opened(path) as store:
            store.enter(session("s"))
            store.add(planned(leaf("a")))

            assert not store.wait(("default",), 0.0)

        assert [] == list(place.parent.iterdir())


def test_folder_with_too_long_a_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no socket can have a name, polls must do: the store works, and nobody is woken."""
    long = path.parent / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    with opened(path) as store, opened(path) as other:
        other.enter(session("t"))
        store.add(planned(leaf("a")))

        assert not other.wait(("default",), 0.0)
        assert 1 == len(other.exchange("t", [], Want(9)).claims)


def test_folder_that_cannot_be_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where there is no temporary directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(path.parent / "missing" / "file"))
    (path.parent / "missing").write_text("not a folder")

    with opened(path) as store:
        store.enter(session("s"))
        store.add(planned(leaf("a")))

        assert not store.wait(("default",), 0.0)
