"""Every store, alone and with slices of one row, so that whatever is done in slices is cut somewhere."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ramify.stores.protocol import SLICE
from tests.stores.kit import MEMORY, STORES, Clock, Desk

# What is cut into slices is the same for a directory as for SQLite, so it is left to the state machine there.
CASES = [(name, slice) for name in STORES for slice in (SLICE, 1) if (name, slice) != ("directory", 1)]


@pytest.fixture
def clock() -> Clock:
    """The store's time."""
    return Clock()


@pytest.fixture(params=CASES, ids=[name if slice == SLICE else f"{name}-in-slices" for name, slice in CASES])
def desk(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Desk]:
    """A place to work with an empty store; whatever a test does, the store must be in order afterwards."""
    name, slice = request.param
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        desk = Desk(partial(STORES[name], Path(folder), clock, slice), clock)
        try:
            yield desk
            desk.check()
        finally:
            desk.store.close()
