"""What the tests of the Python face share: an app on each store that needs no server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify import Ramify

TASKS = ("tests.face.tasks", "tests.requirements.r1_tasks")


@pytest.fixture(params=["memory", "sqlite", "directory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store of each kind."""
    return {
        "memory": "memory:",
        "sqlite": f"sqlite:///{tmp_path}/jobs.db?durability=fast",
        "directory": f"dir://{tmp_path}/queue?durability=fast",
    }[str(request.param)]


@pytest.fixture
def app(url: str) -> Iterator[Ramify]:
    """An app that may run the tasks of the tests."""
    with Ramify(url, tasks=TASKS) as app:
        yield app
