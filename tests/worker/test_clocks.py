"""What time it is says the store, on every host: none of them is trusted with its own clock."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify.cli.lanes import read_lanes
from ramify.explain import explain
from ramify.graph.fit import SUSPENDED
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.known import Known
from ramify.model import Batch, Page, Rule, Which
from ramify.model import Clock as ClockStep
from ramify.stores.protocol import SLICE, Store
from ramify.tasks import Tasks
from ramify.worker.cron import Crontab
from tests.stores.kit import MEMORY, STORES, Clock, leaf
from tests.worker import when_tasks
from tests.worker.conftest import group

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


def test_limits_are_in_force_by_the_clock_of_the_store(store: Store, clock: Clock) -> None:
    """What is shown of a limit for some time, and of a job that is due, is what a claim goes by."""
    store.limit("queue:default", Rule(2, clock.now + 60))
    store.limit(f"{SUSPENDED}queue:default", Rule(0, clock.now + 30))
    now, later = leaf("now"), leaf("later").options(delay=30)
    store.add(batch := plan(sketch([group(now, later)]), make_ids))
    ids = {row.label: row.id for row in batch.rows}

    def look() -> list[object]:
        [*_, lane] = read_lanes(store, {"default": store.counts(Which(), "state")}, store.info())
        return [lane.room, explain(store, ids["now"]).kind, explain(store, ids["later"]).kind]

    first = look()
    clock.advance(40)
    second = look()
    clock.advance(40)

    assert ([0, "suspended", "due"], [2, "unserved", "unserved"]) == (first, second)
    assert [None, "unserved", "unserved"] == look()


def test_a_worker_that_waits_for_a_tick_looks_again(store: Store, clock: Clock) -> None:
    """A store whose clock is set is heard of in minutes, whatever a schedule waits for."""
    store.add(Batch(clock=ClockStep(f"cron/{NAME}", None, NOW)))
    schedules = crontab(store, clock)
    schedules.tick()

    due = schedules.due_in()
    assert due is not None
    assert due <= TICK
