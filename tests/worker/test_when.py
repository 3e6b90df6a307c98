"""When jobs run: by a schedule, and not too late."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ramify import BadArguments, BadNode, JobSkipped, Ramify, job, task
from ramify.declared import Terms
from ramify.known import Known
from ramify.model import Batch, Clock, Page, Which
from ramify.stores.memory import Memory
from ramify.stores.protocol import Store
from ramify.tasks import Tasks
from ramify.worker.cron import Crontab, choose, ticks_after, ticks_due
from tests.worker import when_tasks
from tests.worker.when_tasks import soon

NAME = when_tasks.__name__
TASKS = Tasks([when_tasks])


def crontab(store: Store) -> Crontab:
    """Return the schedules as a worker has them."""
    return Crontab(store, TASKS, Known(store))


def set_clocks(store: Store, now: float, was: float | None = None) -> None:
    """Say up to when all schedules have been served."""
    for name in ("last", "skip", "every"):
        store.add(Batch(clock=Clock(f"cron/{NAME}:{name}", was, now)))


def labels(store: Store) -> list[str]:
    """Return the labels of all jobs but their times."""
    return sorted((row.label or "").rsplit(" ", 2)[0] for row in store.jobs(Which(), Page(size=-1)))


def test_a_new_schedule_begins_now() -> None:
    """At first nothing was missed, and the next tick is waited for."""
    store = Memory()
    schedules = crontab(store)

    schedules.tick()

    due = schedules.due_in()
    assert due is not None
    assert (store.counts(Which(), "state"), 0 < due <= 600) == ({}, True)


def test_missed_ticks() -> None:
    """When no worker was there: none, the last, or all are made up for."""
    store = Memory()
    set_clocks(store, (time.time() // 600 - 4) * 600)
    at = store.info().clocks[f"cron/{NAME}:every"]
    on_time = time.time() % 600 <= 60

    crontab(store).tick()

    assert labels(store) == ["every", "every", "every", "every", "last", *["never late"] * on_time]
    rows = store.jobs(Which(queues=frozenset({"slow"})), Page(size=9))
    assert [f"every {datetime.fromtimestamp(at + n * 600, UTC):%Y-%m-%d %H:%M}" for n in (1, 2, 3, 4)] == [
        row.label for row in rows
    ]


def test_a_long_absence_is_one_late_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more missed ticks than fit into one step, still only the last is made up for, at once."""
    store = Memory()
    was = (time.time() // 600 - 25) * 600 + 1
    set_clocks(store, was)
    monkeypatch.setattr("ramify.worker.cron.MOST", 10)

    crontab(store).tick()

    counts = store.counts(Which(), "task")
    clocks = set(store.info().clocks.values())
    assert (counts[f"{NAME}:last"], counts[f"{NAME}:every"]) == (1, 25)
    assert [at % 600 for at in clocks] == [0.0]


def test_each_tick_is_taken_once(tmp_path: Path) -> None:
    """However many workers there are, and also if a tick's job has failed or is gone."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    with Ramify(url) as app:
        set_clocks(app.store, (time.time() // 600 - 50) * 600)

    def serve() -> None:
        with Ramify(url) as own:
            crontab(own.store).tick()

    threads = [threading.Thread(target=serve) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with Ramify(url, tasks=[when_tasks]) as app:
        app.run_until_empty(queues=["default", "slow"])
        app.purge(older_than=0)
        before = app.counts()
        serve()
        assert before == app.counts() == {}


def test_every_tick_is_there_once(tmp_path: Path) -> None:
    """Fifty missed ticks are fifty jobs, when six workers come back at once."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    with Ramify(url) as app:
        set_clocks(app.store, (time.time() // 600 - 50) * 600)
        own = [Ramify(url) for _ in range(6)]
        schedules = [crontab(each.store) for each in own]
        barrier = threading.Barrier(6)

        def serve(each: Crontab) -> None:
            barrier.wait()
            each.tick()

        threads = [threading.Thread(target=serve, args=(each,)) for each in schedules]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in own:
            each.close()

        assert app.counts("queue", tasks=[f"{NAME}:every"]) == {"slow": 50}


@pytest.mark.slow
def test_a_worker_serves_schedules(tmp_path: Path) -> None:
    """A worker makes the tick and runs it."""
    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=[when_tasks]) as app:
        set_clocks(app.store, (time.time() // 600 - 1) * 600)
        worker = app.worker(children=1, queues=["default", "slow"])
        thread = threading.Thread(target=worker.run)
        thread.start()
        until = time.monotonic() + 20
        while app.counts().get("done", 0) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        worker.stop()
        thread.join()

        assert app.counts(tasks=[f"{NAME}:last"]) == {"done": 1}


@pytest.mark.slow
def test_a_worker_lives_through_a_reset(tmp_path: Path) -> None:
    """Its schedules begin anew at once, so that the next tick is not missed, and its limits hold again."""
    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=[when_tasks]) as app:
        worker = app.worker(children=1)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            _wait_for_tasks(app.store)
            app.store.reset()
            _wait_for_tasks(app.store)
        finally:
            worker.stop()
            thread.join()


def _wait_for_tasks(store: Store) -> None:
    """Wait until the store has all schedules, and the limit."""
    until = time.monotonic() + 20
    while not (len((info := store.info()).clocks) == 3 and f"declared:task:{NAME}:limited" in info.limits):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_zones() -> None:
    """Times are those of the zone; an hour that the clocks skip, or repeat, is served once."""
    terms = Terms(cron="30 2 * * *", tz="Europe/Berlin")
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp()

    days = [
        [datetime.fromtimestamp(at, UTC) for at in ticks_after(terms, after, None, 2)] for after in (spring, autumn)
    ]

    assert [[at.day for at in some] for some in days] == [[29, 30], [25, 26]]
    assert (days[0][1].hour, days[1][1].hour) == (0, 1)


def test_a_repeated_hour() -> None:
    """A schedule that begins in the second of two equal hours does not go back to the first."""
    terms = Terms(cron="30 2 * * *", tz="Europe/Berlin")
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC).timestamp()  # 2:10 in Berlin, once more

    [at] = ticks_after(terms, second, None, 1)

    assert datetime.fromtimestamp(at, UTC) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("cron", ["*/30 * * * *", "30 2 * * *", "0 3 * * *", "15 1-4 * * *"])
def test_ticks_that_have_come_are_found_from_the_end(cron: str) -> None:
    """The last one before any time is that of the schedule read forwards, also where clocks are changed."""
    every, last = (Terms(cron=cron, tz="Europe/Berlin", missed=missed) for missed in ("all", "last"))  # type: ignore[arg-type]
    for day in (datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)):
        began = day.timestamp()
        for now in (began + 1800.0 * step for step in range(1, 100)):
            forwards = ticks_due(every, began, now) if ticks_after(every, began, None, 1)[0] <= now else []
            assert ticks_due(last, began, now)[-1:] == forwards[-1:]


def test_what_is_on_time() -> None:
    """A tick of less than a minute ago was not missed, whatever is done with those that were."""
    ticks = [0.0, 60.0, 120.0]

    assert [choose(missed, ticks, 130.0) for missed in ("skip", "last", "all")] == [[120.0], [120.0], ticks]
    assert [choose(missed, ticks, 500.0) for missed in ("skip", "last", "all")] == [[], [120.0], ticks]


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        ({"cron": "61 * * * *"}, "cron is 'minute hour day month weekday'"),
        ({"cron": "* * * * *", "tz": "Mars/Olympus"}, "tz is a time zone"),
        ({"missed": "some"}, "missed is 'skip', 'last' or 'all'"),
        ({"limit": -1}, "limit is how many jobs"),
        ({"start_before": "noon"}, "start_before"),
    ],
)
def test_a_mistake_in_a_schedule(options: dict[str, Any], mistake: str) -> None:
    """It is reported where the task is declared."""
    with pytest.raises(BadNode, match=mistake):
        task(**options)


def test_a_schedule_gives_no_arguments() -> None:
    """A task with a schedule can be called without."""
    with pytest.raises(BadArguments, match="nobody gives it 'x'"):

        @task(cron="* * * * *")
        def wrong(x: int) -> None: ...


def test_start_before() -> None:
    """What nobody has begun by then is skipped, with a sentence; what is in time runs."""
    now = datetime.now(UTC)
    with Ramify("memory:", tasks=[when_tasks]) as app:
        late = app.enqueue(job(soon).options(start_before=now - timedelta(seconds=1)))
        later = app.enqueue(job(soon).options(start_before=timedelta(0)))
        in_time = app.enqueue(soon)
        app.run_until_empty()

        assert in_time.result() == "in time"
        for each in (late, later):
            with pytest.raises(JobSkipped, match=r"nobody had begun it by .* UTC, its start_before"):
                each.result()


def test_a_delay_and_a_time() -> None:
    """A job that is to run later is not claimed before."""
    with Ramify("memory:", tasks=[when_tasks]) as app:
        app.enqueue(job(soon).options(delay="2h"))
        app.enqueue(job(soon).options(at=datetime.now(UTC) + timedelta(hours=1)))
        past = app.enqueue(job(soon).options(at=0))
        app.run_until_empty()

        assert (past.state, app.counts()) == ("done", {"scheduled": 2, "done": 1})
