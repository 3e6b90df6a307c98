"""What the tests of pools share: a directory with tasks and a store, and pools that run in it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramify import Ramify
from ramify.errors import NotFound
from ramify.pool.control import Ask, ask
from tests.cli.conftest import CHORES, environment

MORE = '''
import os
import sys

VERSION = 1


def where() -> list[str]:
    """Return which directory and which Python this job has."""
    return [os.getcwd(), sys.prefix]


def shout(text: str) -> None:
    print(text)


def version() -> int:
    return VERSION
'''


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class Pool:
    """A pool in a process of its own."""

    def __init__(self, place: Path, *arguments: str, **more: str) -> None:
        self.place, self._log = place, place / "pool.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ramify.cli", "pool", *arguments],
                cwd=place,
                env=environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """All that was said so far."""
        return self._log.read_text("utf-8")

    def workers(self) -> list[int]:
        """Return the pids of its workers."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sorted(int(word) for word in text.split())

    def says(self, text: str, times: int = 1) -> None:
        """Wait until this was said so often."""
        try:
            until(lambda: self.log.count(text) >= times)
        except AssertionError:
            raise AssertionError(f"{text!r} is not in:\n{self.log}") from None

    def ready(self) -> int:
        """Return how many workers are ready."""
        try:
            return sum(ask(self.place, Ask("status")).ready.values())
        except NotFound:
            return 0

    def is_up(self, n: int) -> None:
        """Wait until so many workers are ready."""
        try:
            until(lambda: self.ready() == n)
        except AssertionError:
            raise AssertionError(f"{self.ready()} of {n} workers are ready:\n{self.log}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def kill(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `chores.py` and the settings of a pool of one worker."""
    (tmp_path / "chores.py").write_text(CHORES + MORE)
    (tmp_path / "ramify.toml").write_text('tasks = ["chores"]\nworkers = 1\n')
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("RAMIFY_"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def app(place: Path) -> Iterator[Ramify]:
    """The store that the pool works on."""
    with Ramify("sqlite:///ramify.db?durability=fast") as app:
        yield app


@pytest.fixture
def pool(place: Path) -> Iterator[Callable[..., Pool]]:
    """Start a pool; it is ended with the test."""
    started: list[Pool] = []

    def start(*arguments: str, **more: str) -> Pool:
        started.append(Pool(place, *arguments, **more))
        return started[-1]

    yield start
    for each in started:
        each.kill()
