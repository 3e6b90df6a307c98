"""What time it is says the store, on every host: none of them is trusted with its own clock."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify.known import Known
from ramify.model import Batch, Page, Which
from ramify.model import Clock as ClockStep
from ramify.stores.protocol import SLICE, Store
from ramify.tasks import Tasks
from ramify.worker.cron import Crontab
from tests.stores.kit import MEMORY, STORES, Clock
from tests.worker import when_tasks

NAME = f"{when_tasks.__name__}:skip"
TICK = 600.0
NOW = 1000 * TICK + 7
"""The store's time, decades before that of the host on which these tests run."""


@pytest.fixture
def clock() -> Clock:
    """The store's clock."""
    return Clock(NOW)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Store]:
    """An empty store of each kind."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = STORES[request.param](Path(folder), clock, SLICE)
        yield store
        store.close()


def crontab(store: Store, clock: Clock) -> Crontab:
    """Return the schedules as a worker has them whose seconds are as long as the store's."""
    return Crontab(store, Tasks([when_tasks]), Known(store), clock)


def count(store: Store) -> int:
    """Return how many jobs a schedule has made."""
    return len(store.jobs(Which(tasks=frozenset({NAME})), Page(size=-1)))


def test_ticks_come_by_the_clock_of_the_store(store: Store, clock: Clock) -> None:
    """A host whose clock is decades ahead adds each job in its time, and leaves the next one to others."""
    wrong, right = crontab(store, clock), crontab(store, clock)
    wrong.tick()
    begun = store.info().clocks[f"cron/{NAME}"]
    clock.advance(TICK)
    wrong.tick()
    first = count(store)
    clock.advance(TICK)
    right.tick()
    wrong.tick()

    assert abs(begun - NOW) < 60
    assert (first, count(store)) == (1, 2)


def test_a_clock_that_was_set_ahead_is_set_back(store: Store, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """What a wrong clock once said silences a schedule no longer than until the next look, and is told."""
    store.add(Batch(clock=ClockStep(f"cron/{NAME}", None, NOW + 30 * 86_400)))
    schedules = crontab(store, clock)

    with caplog.at_level(logging.WARNING, "ramify.worker"):
        schedules.tick()
    clock.advance(TICK)
    schedules.tick()

    assert [record.message for record in caplog.records if "set back" in record.message] != []
    assert count(store) == 1


def test_a_worker_that_waits_for_a_tick_looks_again(store: Store, clock: Clock) -> None:
    """A store whose clock is set is heard of in minutes, whatever a schedule waits for."""
    store.add(Batch(clock=ClockStep(f"cron/{NAME}", None, NOW)))
    schedules = crontab(store, clock)
    schedules.tick()

    due = schedules.due_in()
    assert due is not None
    assert due <= TICK
