"""What jobs had started does not outlive a supervisor, however that ends and wherever it went.

`make storm` runs the full size: STORM_ORPHANS=200.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from ramify.model import Verb, Which
from ramify.stores.read import UNFINISHED
from ramify.worker.process import children_of
from tests.worker.conftest import Place, call
from tests.worker.test_worker import is_alive, shared, start_process, until

__all__ = ["shared"]
TIMES = int(os.environ.get("STORM_ORPHANS", "1"))


@pytest.mark.slow
@pytest.mark.timeout(60 + 15 * TIMES)
def test_t13_a_dead_supervisor_leaves_nothing(shared: Place, tmp_path: Path) -> None:
    """Killed with -9, a supervisor leaves none of what its jobs had started, in sessions of their own or orphaned."""
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"STORM_SEED={seed}")
    rng = random.Random(seed)
    slowest = 0.0
    for turn in range(TIMES):
        paths = [tmp_path / f"{turn}-{number}" for number in range(2)]
        for path in paths:
            shared.add(call("scatter", str(path)))
        process = start_process(shared.url)
        until(lambda: all(path.exists() for path in paths))  # noqa: B023
        started = [int(word) for path in paths for word in path.read_text().split()]
        # What lost its parent is looked for once a second.
        time.sleep(1.5 + rng.random())

        process.kill()
        process.wait()
        killed = time.monotonic()
        until(lambda: not any(map(is_alive, started)), 2)  # noqa: B023
        slowest = max(slowest, time.monotonic() - killed)

        shared.store.move(Which(states=UNFINISHED), Verb.CANCEL)  # or the next one would run them again
    print(f"{TIMES} supervisors killed; the last of what they left was gone after {slowest:.2f} s at most")


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(TIMES))
def test_a_dead_guard_is_replaced(shared: Place, tmp_path: Path, turn: int) -> None:
    """If the guard is killed before the supervisor is, another one has taken its place."""
    skip_in_short_runs(shared)
    path = tmp_path / "pids"
    shared.add(call("scatter", str(path)))
    process = start_process(shared.url)
    until(path.exists)
    started = [int(word) for word in path.read_text().split()]
    [guard] = [pid for pid in children_of(process.pid) if "board" not in _files_of(pid) and pid not in started]

    os.kill(guard, signal.SIGKILL)
    until(lambda: guard not in children_of(process.pid))
    time.sleep(1.5)  # what has lost its parent is told to the new one within a second
    process.kill()
    process.wait()

    until(lambda: not any(map(is_alive, started)), 2)


def skip_in_short_runs(place: Place) -> None:
    """One store where children are forked and one where they are started afresh are enough."""
    if TIMES == 1 and not place.url.startswith(("sqlite", "postgres")):
        pytest.skip("the full size is run by `make storm`")


def _files_of(pid: int) -> str:
    """Return what the process has mapped: a child has the board that it shares with its supervisor."""
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(TIMES))
def test_what_nobody_could_end_is_ended_by_the_next(shared: Place, tmp_path: Path, turn: int) -> None:
    """If supervisor and guard are killed together, the next worker on the host ends what they left."""
    skip_in_short_runs(shared)
    path = tmp_path / "pids"
    job = shared.add(call("scatter", str(path)))
    process = start_process(shared.url)
    until(path.exists)
    started = [int(word) for word in path.read_text().split()]
    os.kill(process.pid, signal.SIGSTOP)
    family = children_of(process.pid)
    [guard] = [pid for pid in family if "board" not in _files_of(pid) and pid not in started]

    for pid in (guard, process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    shared.store.move(Which(ids=(job,)), Verb.CANCEL)
    other = start_process(shared.url)
    until(lambda: other.pid in {session.pid for session in shared.store.info().sessions})

    # What had lost its parent cannot be found any more once the supervisor is gone: only the guard was told of it.
    until(lambda: not any(map(is_alive, {*family, *started[:2]} - {started[2]})))
    other.terminate()
    assert other.wait(20) == 0
    for pid in filter(is_alive, started):
        os.kill(pid, signal.SIGKILL)


def test_a_child_without_a_job_dies_with_its_supervisor(shared: Place) -> None:
    """Nothing is left of a supervisor that is killed as it starts."""
    for n in range(3):
        process = start_process(shared.url)
        until(lambda: len(children_of(process.pid)) > n)  # noqa: B023
        children = children_of(process.pid)

        process.kill()
        process.wait()

        until(lambda: not any(map(is_alive, children)), 2)  # noqa: B023


def test_a_child_leads_a_session_of_its_own(shared: Place) -> None:
    """Or the kernel would hang up on it while it is being stopped, and leave to nobody what it had started."""
    process = start_process(shared.url)
    until(lambda: len(children_of(process.pid)) == 3)
    *_, first, second = children_of(process.pid)  # the guard comes first

    until(lambda: os.getsid(first) == first and os.getsid(second) == second)

    process.terminate()
    assert process.wait(20) == 0
