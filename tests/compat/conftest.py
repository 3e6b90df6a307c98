"""What the tests of the adapters share: a program's own directory, and its store as the settings name it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify import Ramify
from ramify.compat import connect

TASKS = "tests.compat.tasks"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, on the import path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def app(url: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ramify]:
    """The app that the adapters use without being told: one on each store, by the environment."""
    monkeypatch.setenv("RAMIFY_URL", url)
    monkeypatch.setenv("RAMIFY_TASKS", TASKS)
    app = connect.connect()
    yield app
    connect._open.cache_clear()
    app.close()
