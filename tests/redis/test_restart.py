"""Workers and the server they work on."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ramify import Ramify
from ramify.errors import StoreDown
from tests.redis.conftest import Start

COMMAND = [sys.executable, "-m", "ramify.cli", "worker", "statistics", "-n", "1"]


def test_r2_19_workers_go_on_after_a_restart_of_the_server(start: Start) -> None:
    """A server that is restarted under its workers is connected to again; nobody restarts a worker."""
    server = start("--appendonly", "yes")
    with Ramify(server.url(), tasks=["statistics"]) as app:
        worker = app.worker(children=1)
        thread = threading.Thread(target=worker.run)
        thread.start()
        assert app.enqueue("statistics:mean", [3, 5]).result(timeout=20) == 4

        server.kill()
        time.sleep(0.2)  # so that the worker has noticed
        server.start()
        end = time.monotonic() + 20
        while True:
            try:
                result = app.enqueue("statistics:mean", [4, 6]).result(timeout=20)
                break
            except StoreDown:
                assert time.monotonic() < end
        worker.stop()
        thread.join(20)

    assert result == 5
    assert not thread.is_alive()


@pytest.mark.slow
def test_a_worker_waits_for_a_server_that_is_not_there_yet(start: Start, tmp_path: Path) -> None:
    """It says so, and begins when the server has; so containers may be started in any order."""
    server = start("--appendonly", "yes")
    server.kill()
    said = tmp_path / "said"
    environment = os.environ | {"RAMIFY_URL": server.url()}
    with said.open("wb") as file:
        worker = subprocess.Popen(COMMAND, env=environment, stderr=file)
    try:
        end = time.monotonic() + 20
        while b"trying again" not in said.read_bytes():
            assert time.monotonic() < end and worker.poll() is None
            time.sleep(0.05)

        server.start()

        with Ramify(server.url(), tasks=["statistics"]) as app:
            assert 4 == app.enqueue("statistics:mean", [3, 5]).result(timeout=20)
    finally:
        worker.terminate()
        assert 0 == worker.wait(20)


def test_a_burst_waits_for_no_server(tmp_path: Path) -> None:
    """Who asks for what there is to be run, and no more, is told at once that there is no server."""
    environment = os.environ | {"RAMIFY_URL": f"unix://{tmp_path}/nowhere"}

    worker = subprocess.run([*COMMAND, "--burst"], env=environment, capture_output=True, timeout=40, check=False)

    assert (2, True) == (worker.returncode, b"nowhere" in worker.stderr)
