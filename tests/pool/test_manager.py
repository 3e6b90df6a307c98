"""What systemd, or a pool, hears from those that it has started; and what a pool does that hears nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import environment
from tests.pool.conftest import Pool, until

Start = Callable[..., Pool]


class Ear:
    """A socket that hears what is told to a manager."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def hears(self, fact: str) -> bool:
        """Tell whether this fact was heard by now."""
        try:
            while True:
                self.heard += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return any(re.fullmatch(fact, each) for each in self.heard)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ear]:
    """A manager that only listens."""
    ear = Ear(tmp_path / "notify")
    yield ear
    ear.close()


def test_a_pool_tells_that_it_is_ready_and_lives(place: Path, pool: Start, ear: Ear) -> None:
    """READY once its workers are, WATCHDOG ever after, STOPPING when it is told to stop."""
    running = pool("-n", "2", NOTIFY_SOCKET=str(place / "notify"))

    until(lambda: ear.hears("READY=1"))
    assert "STATUS=2 of 2 workers ready" in ear.heard
    ear.heard.clear()
    until(lambda: ear.hears("WATCHDOG=1"))
    assert running.stop() == 0
    assert ear.hears("STOPPING=1")


def test_a_worker_tells_it_too(place: Path, ear: Ear) -> None:
    """A worker may be a service by itself; its jobs do not hear of the socket."""
    command = [sys.executable, "-m", "ramify.cli", "worker", "-n", "1"]
    with subprocess.Popen(command, env=environment(NOTIFY_SOCKET=str(place / "notify"))) as worker:
        until(lambda: ear.hears("READY=1"))
        ear.heard.clear()
        until(lambda: ear.hears("WATCHDOG=1"))
        worker.terminate()
        assert worker.wait(30) == 0
    assert ear.hears("STOPPING=1")


@pytest.mark.slow
def test_a_worker_that_is_stuck_is_replaced(place: Path, pool: Start) -> None:
    """A worker that is not heard for too long is killed, and another one has its place."""
    short = "import ramify.pool.pool as pool; pool.SILENCE = 8.0; from ramify.cli import main; main(['pool'])"
    with (place / "pool.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", short], env=environment(), stdout=log, stderr=log)
    running = Pool.__new__(Pool)
    running.process, running.place, running._log = process, place, place / "pool.log"
    try:
        running.is_up(1)
        [stuck] = running.workers()

        os.kill(stuck, signal.SIGSTOP)

        running.says("worker.1 has not been heard for 8 s")
        until(lambda: running.workers() != [stuck] and running.ready() == 1)
        assert running.stop() == 0
    finally:
        running.kill()
