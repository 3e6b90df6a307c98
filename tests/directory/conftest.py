"""What tests of the directory store share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.kit import MEMORY


@pytest.fixture
def path() -> Iterator[Path]:
    """Where the queue is made: in memory, as what is durable is asked elsewhere."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder) / "queue"
