"""What jobs had started does not outlive a supervisor, however that ends and wherever it went."""

import os
import random
import time
from pathlib import Path

import pytest

from ramify.model import Verb, Which
from ramify.stores.read import UNFINISHED
from tests.worker.conftest import Place, call
from tests.worker.test_worker import is_alive, shared, start_process, until

__all__ = ["shared"]
TIMES = int(os.environ.get("STORM_ORPHANS", "4"))


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
