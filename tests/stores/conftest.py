"""Every store, alone and with slices of two rows, so that whatever is done in slices is cut somewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify.stores.protocol import SLICE, Store
from tests.stores.kit import STORES, Clock, Desk

CASES = [(name, slice) for name in STORES for slice in (SLICE, 2)]


@pytest.fixture
def clock() -> Clock:
    """The store's time."""
    return Clock()


@pytest.fixture(params=CASES, ids=[name if slice == SLICE else f"{name}-in-slices" for name, slice in CASES])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """An empty store."""
    name, slice = request.param
    store = STORES[name](tmp_path, clock, slice)
    yield store
    store.close()


@pytest.fixture
def desk(store: Store, clock: Clock) -> Iterator[Desk]:
    """A place to work with the store; whatever a test does, the store must be in order afterwards."""
    desk = Desk(store, clock)
    yield desk
    desk.check()
