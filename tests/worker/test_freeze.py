"""Workers that are frozen beyond their lease, and hosts that are gone: others do their work, and they notice.

`make storm` runs the full size: STORM_FREEZES=40 STORM_FROZEN=25.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramify.model import State, Which
from ramify.stores.sqlite.turn import find_stopped_writer
from ramify.worker.process import children_of
from tests.worker.conftest import Place, call, group
from tests.worker.short import LEASE
from tests.worker.test_worker import is_alive, shared, until

__all__ = ["shared"]
TIMES = int(os.environ.get("STORM_FREEZES", "1"))
FROZEN = int(os.environ.get("STORM_FROZEN", "2"))
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(shared: Place, tmp_path: Path) -> Iterator[Start]:
    """Start a worker whose lease is short; it is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(children: int = 1) -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            command = [sys.executable, "-m", "tests.worker.short", shared.url, str(children)]
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return started[-1]

    yield start
    for process in started:
        send([process.pid, *children_of(process.pid)], signal.SIGCONT)
        process.kill()
        process.wait()


def send(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to those that are left."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def freeze(pids: list[int], place: Place) -> None:
    """Stop processes, but none in the middle of a write to SQLite: it keeps all others out (`sqlite/test_turn.py`)."""
    sidecar = Path(place.url.partition(":///")[2].partition("?")[0] + "-sessions")
    send(pids, signal.SIGSTOP)
    until(lambda: all(map(is_frozen, pids)))
    while place.url.startswith("sqlite:") and find_stopped_writer(sidecar):
        send(pids, signal.SIGCONT)
        send(pids, signal.SIGSTOP)
        until(lambda: all(map(is_frozen, pids)))


def is_frozen(pid: int) -> bool:
    """Tell whether no thread of a process does anything: it is stopped, or dead."""
    try:
        threads = [Path(f"/proc/{pid}/task/{thread}/stat").read_text() for thread in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return all(about.rpartition(")")[2].split()[0] in {"T", "t", "Z", "X"} for about in threads)


def read_pids(path: Path) -> list[int]:
    """Return who has begun, in order."""
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.slow
@pytest.mark.timeout(60 + 40 * TIMES)
def test_t6_a_frozen_host_is_refused_when_it_wakes(shared: Place, start: Start, tmp_path: Path) -> None:
    """What it ran was run by others; its reports change nothing, its children are ended, and it goes on anew."""
    frozen = [start() for _ in range(FROZEN)]
    refused = 0
    for turn in range(TIMES):
        jobs = [shared.add(call("tell_and_sleep", str(tmp_path / f"{turn}-{n}"), LEASE)) for n in range(FROZEN)]
        paths = [tmp_path / f"{turn}-{n}" for n in range(FROZEN)]
        until(lambda: all(map(read_pids, paths)))  # noqa: B023
        everybody = [pid for worker in frozen for pid in (worker.pid, *children_of(worker.pid))]
        first = [read_pids(path)[0] for path in paths]
        freeze(everybody, shared)
        other = start(FROZEN)

        until(lambda: all(len(read_pids(path)) == 2 for path in paths), 60)  # noqa: B023
        send(everybody, signal.SIGCONT)
        woke = time.monotonic()
        until(lambda: not any(map(is_alive, first)))  # noqa: B023
        print(f"the children were gone {time.monotonic() - woke:.2f} s after waking")
        until(lambda: all(shared.row(job).state is State.DONE for job in jobs), 60)  # noqa: B023
        other.terminate()
        assert other.wait(20) == 0

        for job, path in zip(jobs, paths, strict=True):
            assert shared.value(job) == read_pids(path)[1], "the first run's result was taken"
            row = shared.row(job)
            assert (row.attempt, row.crashes, row.losses) == (2, 0, 1)
            refused += 1
        assert all(worker.poll() is None for worker in frozen)
    after = shared.add(group(*[call("sleep", 0.1) for _ in range(2 * FROZEN)]))
    until(lambda: shared.row(after).state is State.DONE)
    print(f"{refused} of {TIMES * FROZEN} late reports were refused")


@pytest.mark.slow
def test_a_frozen_supervisor_does_not_let_its_jobs_run_on(shared: Place, start: Start, tmp_path: Path) -> None:
    """If only the supervisor is frozen its guard ends the jobs before others may have them: they never overlap."""
    path = tmp_path / "begun"
    job = shared.add(call("tell_and_sleep", str(path), 1000.0))
    worker = start()
    until(lambda: read_pids(path))
    [first] = read_pids(path)

    os.kill(worker.pid, signal.SIGSTOP)
    start()

    until(lambda: len(read_pids(path)) == 2)
    assert not is_alive(first)
    os.kill(worker.pid, signal.SIGCONT)
    assert shared.row(job).losses == 1


@pytest.mark.slow
def test_a_dead_host_is_missed_after_its_lease(shared: Place, start: Start, tmp_path: Path) -> None:
    """Where nothing but the lease can tell, what a dead host ran is run again when that has passed."""
    if not shared.url.startswith("sqlite:"):
        pytest.skip("who is of this host is told by a lock whose place is the store's own")
    path = tmp_path / "begun"
    job = shared.add(call("tell_and_sleep", str(path), 0.5))
    worker = start()
    until(lambda: read_pids(path))
    sessions = Path(shared.url.partition(":///")[2].partition("?")[0] + "-sessions")
    for lifeline in sessions.iterdir():
        lifeline.unlink()  # as on another host: nobody can see whether the process lives
    worker.kill()
    worker.wait()
    killed = time.monotonic()

    start()

    until(lambda: len(read_pids(path)) == 2)
    print(f"a dead host was missed after {time.monotonic() - killed:.1f} s; its lease was {LEASE:.0f} s")
    until(lambda: shared.row(job).state is State.DONE)
    assert shared.row(job).losses == 1


def test_a_killed_child_is_missed_at_once(shared: Place, start: Start, tmp_path: Path) -> None:
    """Its job runs again in another one, charged with a crash; the others are not charged."""
    path = tmp_path / "begun"
    job = shared.add(call("tell_and_sleep", str(path), 0.5))
    others = shared.add(group(*[call("sleep", 0.05) for _ in range(10)]))
    start(2)
    until(lambda: read_pids(path))
    killed = time.monotonic()

    os.kill(read_pids(path)[0], signal.SIGKILL)

    until(lambda: len(read_pids(path)) == 2)
    print(f"a dead child's job ran again after {time.monotonic() - killed:.2f} s")
    until(lambda: shared.row(job).state is State.DONE and shared.row(others).state is State.DONE)
    assert [row.crashes for row in shared.store.jobs(Which()) if row.crashes] == [1]


def test_children_that_die_together_are_one_misfortune(shared: Place, start: Start) -> None:
    """However many have run nothing yet, the worker starts others: only what happens again and again ends it."""
    worker = start(9)
    until(lambda: len(children_of(worker.pid)) > 9)
    os.kill(worker.pid, signal.SIGSTOP)
    send(children_of(worker.pid), signal.SIGKILL)
    os.kill(worker.pid, signal.SIGCONT)

    job = shared.add(call("double", 2))

    until(lambda: shared.row(job).state is State.DONE)
    assert worker.poll() is None
