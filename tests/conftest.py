"""What the tests of the Python face share: an app on each store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify import Ramify
from tests.urls import URLS

TASKS = ("tests.face.tasks", "tests.requirements.r1_tasks")


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store of each kind."""
    return URLS[request.param](tmp_path)


@pytest.fixture
def app(url: str) -> Iterator[Ramify]:
    """An app that may run the tasks of the tests."""
    with Ramify(url, tasks=TASKS) as app:
        yield app
