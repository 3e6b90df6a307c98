"""What the tests of the Python face share: an app on each store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify import Ramify, system
from tests.urls import URLS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what cannot work on Windows, there and where it is hidden (`make portable`)."""
    if not system.HAS_GROUPS:
        for item in items:
            if item.get_closest_marker("posix"):
                item.add_marker(pytest.mark.skip("Windows lacks what this needs"))


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
