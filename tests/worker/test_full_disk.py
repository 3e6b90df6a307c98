"""A disk that fills up under a worker: it waits, says so, loses nothing, and goes on without a restart."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ramify.errors import StoreFull
from ramify.graph.check import find_violations
from ramify.model import State, Which
from ramify.stores.open import open_store
from tests.sqlite.test_full import small_disk
from tests.worker.conftest import JOBS, Place, call
from tests.worker.test_worker import until

__all__ = ["small_disk"]
TIMES = int(os.environ.get("STORM_FULL", "1"))


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(TIMES))
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can mount a small disk")
def test_t7_a_full_disk_is_survived(small_disk: Path, tmp_path: Path, turn: int) -> None:
    """What was accepted before ends when there is room again; what found no room was refused."""
    url = f"sqlite:///{small_disk}/jobs.db"
    store = open_store(url)
    place, filler, log = Place(store, url), small_disk / "filler", tmp_path / "log"
    accepted: list[str] = []
    refused = 0
    command = [sys.executable, "-m", "ramify.cli", "worker", JOBS, "--url", url, "--children", "2"]
    with log.open("wb") as file:
        worker = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        gate = tmp_path / "gate"
        accepted += [place.add(call("wait_for", str(gate))) for _ in range(2)]
        accepted += [place.add(call("big", 150_000)) for _ in range(30)]
        left = os.statvfs(small_disk)
        filler.write_bytes(b"x" * (left.f_bavail * left.f_frsize))
        for _ in range(20):
            try:
                accepted.append(place.add(call("big", 20_000)))
            except StoreFull:
                refused += 1
        gate.touch()
        until(lambda: "no room left" in log.read_text())

        filler.unlink()
        freed = time.monotonic()
        until(lambda: not store.counts(Which(states=UNENDED), "state"))
        print(f"all was done {time.monotonic() - freed:.1f} s after there was room again")
        assert worker.poll() is None
        assert find_violations(store.snapshot()) == []
        done = {row.id for row in store.jobs(Which(states=frozenset({State.DONE})))}
        assert done == set(accepted)
        assert {1} == {row.attempt for row in store.jobs(Which())}
        worker.terminate()
        assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.wait()
        store.close()
    assert refused > 0


UNENDED = frozenset({State.HELD, State.WAITING, State.READY, State.RUNNING})
