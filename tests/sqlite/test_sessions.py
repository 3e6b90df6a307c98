"""Whose jobs may be taken over: those of a process that is gone, at once; those of one that lives, never."""

import contextlib
import multiprocessing
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

import pytest

from ramify.errors import Lost
from ramify.model import Ended, Session, State, Verb, Want, Which
from ramify.stores.lifelines import Lifelines, boot_id
from ramify.stores.protocol import LEASE
from ramify.system import clock
from tests.sqlite.kit import VALUE, Process, done, needs_processes, open_fast, opened, planned, session, work
from tests.stores.kit import Clock, leaf, tree

NOTHING: Final = Want(0, ends=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with two jobs."""
    with opened(tmp_path / "jobs.db") as store:
        store.add(planned(tree("top", leaf("a"), leaf("b"))))
    return tmp_path / "jobs.db"


def claim_and_wait(far: Any, path: Path, name: str, pid: int | None = None, **options: Any) -> Any:
    """Claim all there is, say so, and do what one is told."""
    with opened(path, **options) as store:
        store.enter(Session(name, pid=os.getpid() if pid is None else pid))
        outcomes = done(store.exchange(name, [], Want(9)).claims)
        far.send(len(outcomes))
        while (told := far.recv()) != "end":
            try:
                if told == "beat":
                    store.beat(name, [])
                elif told == "report":
                    store.exchange(name, outcomes, NOTHING)
                elif told == "leave":
                    store.leave(name)
                elif told == "fork" and os.fork() == 0:
                    far.close()
                    os.execvp("sleep", ["sleep", "60"])
                far.send(told)
            except Lost as error:
                far.send(type(error).__name__)
        return "end"


def orphans(path: Path, **options: Any) -> list[str | None]:
    """Take over what can be taken over, as a new worker does; return the labels."""
    with opened(path, **options) as store:
        store.enter(session("heir"))
        claims = store.adopt("heir", 9)
        store.exchange("heir", done(claims), NOTHING)
        return [claim.row.label for claim in claims]


# Death


@needs_processes
def test_jobs_of_a_killed_process_are_adopted_at_once(path: Path) -> None:
    """After kill -9 nobody waits for the lease, and the heir's report counts."""
    process = Process(claim_and_wait, path, "s")
    assert process.hear() == 2

    process.kill()

    assert ["a", "b"] == orphans(path)
    with opened(path) as store:
        assert {"done": 2, "ready": 1} == store.counts(Which(), "state")


@needs_processes
def test_jobs_of_a_killed_process_are_adopted_once(path: Path) -> None:
    """Whoever comes second finds nothing to take over, and the dead session is forgotten."""
    process = Process(claim_and_wait, path, "s")
    process.hear()
    process.kill()

    assert (["a", "b"], []) == (orphans(path), orphans(path))
    with opened(path) as store:
        assert "s" not in [each.id for each in store.snapshot().sessions]
    assert not (path.parent / "jobs.db-sessions" / "s").exists()


@needs_processes
def test_its_children_do_not_keep_a_dead_process_alive(path: Path) -> None:
    """A process that is killed while a program it started lives on is dead all the same."""
    process = Process(claim_and_wait, path, "s")
    process.hear()
    process.tell("fork")
    process.hear()

    process.kill()

    assert ["a", "b"] == orphans(path)


@needs_processes
def test_process_that_just_ends_is_gone_too(path: Path) -> None:
    """A program that closes the store, or ends without saying so, leaves its jobs to others."""
    process = Process(claim_and_wait, path, "s")
    process.hear()

    process.tell("end")
    process.wait()

    assert ["a", "b"] == orphans(path)


@needs_processes
def test_session_that_leaves_hands_over_at_once(path: Path) -> None:
    """A session that ends while its process lives on leaves its jobs to others."""
    process = Process(claim_and_wait, path, "s")
    process.hear()

    process.tell("leave")
    process.hear()

    assert ["a", "b"] == orphans(path)
    process.kill()


@needs_processes
def test_process_number_that_is_ours_too(path: Path) -> None:
    """In another container a process may have the number of this one; its death is seen like any other."""
    process = Process(claim_and_wait, path, "s", os.getpid())
    process.hear()
    assert [] == orphans(path)

    process.kill()

    assert ["a", "b"] == orphans(path)


# Life


@needs_processes
def test_jobs_of_a_living_process_are_never_adopted(path: Path) -> None:
    """However long its jobs take, a process that beats keeps them."""
    clock = multiprocessing.get_context("fork").Value("d", 1000.0)
    process = Process(claim_with_clock, path, "s", clock)
    process.hear()

    for _ in range(50):
        clock.value += LEASE - 1
        process.tell("beat")
        assert process.hear() == "beat"
        assert [] == orphans(path, lease_clock=lambda: clock.value)

    process.tell("report")
    assert process.hear() == "report"
    process.kill()
    with opened(path) as store:
        assert {"done": 2, "ready": 1} == store.counts(Which(), "state")


def claim_with_clock(far: Any, path: Path, name: str, clock: Any) -> Any:
    """Do the same by a clock that is shared."""
    return claim_and_wait(far, path, name, lease_clock=lambda: clock.value)


@pytest.mark.parametrize("pid", [None, 0], ids=["told", "not told"])
def test_stores_of_one_process_leave_each_other_alone(path: Path, pid: int | None) -> None:
    """Two workers of one process, each with a store of its own, are both alive, and stay so however often they look."""
    with opened(path) as one, opened(path) as other:
        one.enter(Session("one", pid=os.getpid() if pid is None else pid))
        other.enter(Session("other", pid=os.getpid() if pid is None else pid))
        outcomes = done(one.exchange("one", [], Want(9)).claims)

        for _ in range(3):
            assert [] == other.adopt("other", 9) == one.adopt("one", 9)

        open_fast(path).close()
        assert [] == other.adopt("other", 9)
        assert {} == one.exchange("one", outcomes, NOTHING).refused
        assert {"one", "other"} == {each.id for each in other.info().sessions}


@needs_processes
def test_looking_does_not_let_go(path: Path) -> None:
    """A worker that looked after others, whose files it opened, is still known to be alive itself."""
    process = Process(claim_and_wait, path, "s")
    process.hear()
    with opened(path) as store:
        store.enter(session("t"))
        store.adopt("t", 9)

        watcher = Process(adopt, path)

        assert [] == watcher.hear()
        assert {"s", "t"} <= {each.id for each in store.info().sessions}
        watcher.wait()
    process.kill()


def adopt(far: Any, path: Path) -> list[str | None]:
    """Take over what can be taken over."""
    return orphans(path)


# Frozen


@needs_processes
def test_frozen_process(path: Path) -> None:
    """A process that was stopped past its lease has lost its jobs; what it reports when it wakes is refused."""
    clock = multiprocessing.get_context("fork").Value("d", 1000.0)
    process = Process(claim_with_clock, path, "s", clock)
    process.hear()
    process.stop()

    assert [] == orphans(path, lease_clock=lambda: clock.value)
    clock.value += LEASE + 1
    assert ["a", "b"] == orphans(path, lease_clock=lambda: clock.value)
    before = snapshot(path)

    process.go_on()
    for told in ("report", "beat"):
        process.tell(told)
        assert process.hear() == "Lost"
    assert before == snapshot(path)
    process.kill()


def snapshot(path: Path) -> Any:
    """Return all that is stored."""
    with opened(path) as store:
        found = store.snapshot()
        found.sessions.clear()
        return found


def test_lease_is_not_lost_before_its_time(path: Path) -> None:
    """Only after a whole lease without a beat may others have the jobs."""
    clock = Clock()
    with opened(path, lease_clock=clock) as store, opened(path, lease_clock=clock) as other:
        store.enter(session("s"))
        store.exchange("s", [], Want(9))
        clock.advance(LEASE)
        other.enter(session("t"))
        assert [] == other.adopt("t", 9)

        clock.advance(0.1)

        assert 2 == len(other.adopt("t", 9))
        with pytest.raises(Lost, match="session s is not alive; its jobs belong to another worker now"):
            store.beat("s", [])


def test_jobs_may_be_claimed_again_after_a_loss(path: Path) -> None:
    """A session that was declared dead is over; the same process works on in a new one."""
    clock = Clock()
    with opened(path, lease_clock=clock) as store:
        store.enter(session("s"))
        [a, _] = store.exchange("s", [], Want(9)).claims
        clock.advance(LEASE + 1)
        store.enter(session("t"))
        claims = store.adopt("t", 9)

        with pytest.raises(Lost):
            store.exchange("s", [Ended(a.row.id, a.row.attempt, State.DONE, VALUE)], NOTHING)

        store.exchange("t", done(claims), NOTHING)
        work(store, "t")
        assert {"done": 3} == store.counts(Which(), "state")


def test_sessions_of_another_boot_are_dead(path: Path) -> None:
    """After a restart of the host nothing of before is alive, though the boot clock starts anew."""
    with opened(path) as store:
        store.enter(session("s"))
        store.exchange("s", [], Want(9))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE session SET boot = 'before', lease = lease + 1e9")

        assert ["a", "b"] == orphans(path)


def test_clocks_of_sessions() -> None:
    """Leases are counted by the host's own clock since it started, which nobody can set, and boots have names."""
    assert clock() <= clock()
    assert boot_id() == boot_id()


# Files


def test_files_of_sessions_come_and_go(path: Path) -> None:
    """Each session that is alive has one file, and nothing remains of one that left."""
    folder = path.parent / "jobs.db-sessions"
    with opened(path) as store:
        store.enter(session("s"))
        store.enter(session("t"))
        assert {"s", "t"} == {each.name for each in folder.iterdir()}

        store.leave("s")

        assert {"t"} == {each.name for each in folder.iterdir()}


def test_missing_file_leaves_it_to_the_lease(tmp_path: Path) -> None:
    """Where the file of a session is gone nobody can tell that the process is, so nobody says so."""
    assert not Lifelines(tmp_path).is_cut("missing", 1)


@needs_processes
def test_nothing_is_lost_when_workers_die_in_turn(path: Path) -> None:
    """Ten workers that are killed while they hold jobs pass them on; the eleventh finishes."""
    for number in range(10):
        process = Process(take_over_and_wait, path, f"worker {number}")
        assert process.hear() == 2
        process.kill()

    with opened(path) as store:
        store.enter(session("last"))
        assert ["a", "b"] == [claim.row.label for claim in store.adopt("last", 9)]
        assert 1 == store.move(Which(roots=True), Verb.CANCEL)


def take_over_and_wait(far: Any, path: Path, name: str) -> None:
    """Take over what dead workers left, or claim what nobody has; then wait to be killed."""
    with opened(path) as store:
        store.enter(session(name))
        far.send(len(store.adopt(name, 9)) + len(store.exchange(name, [], Want(9)).claims))
        far.recv()
