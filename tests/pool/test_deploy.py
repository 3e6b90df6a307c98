"""From one version of the code to the next: mixed workers, tasks that one of them does not know, and renamed ones."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ramify import Ramify
from ramify.graph.check import find_violations
from ramify.model import State
from tests.cli.conftest import run, start
from tests.pool.conftest import Pool, until

Start = Callable[..., Pool]
ROLLS = int(os.environ.get("STORM_ROLLS", "1"))
STOPS = int(os.environ.get("STORM_STOPS", "10"))

OLD = """
import time

def both(n: int) -> int:
    time.sleep(0.01)
    return n

def pay(n: int) -> int:
    return n
"""
NEW = """
import time
from ramify import task

def both(n: int) -> int:
    time.sleep(0.01)
    return n

@task(aliases=["shop:pay"])
def charge(n: int) -> int:
    return n
"""


def test_mixed_versions_each_run_what_they_know(place: Path, app: Ramify, pool: Start) -> None:
    """A task that only the next version knows waits for it, and is named meanwhile."""
    (place / "shop.py").write_text(OLD)
    (place / "ramify.toml").write_text('tasks = ["shop"]\nworkers = 1\n')
    running = pool()
    running.is_up(1)
    new, old = app.enqueue("shop:charge", 1), app.enqueue("shop:pay", 2)

    assert old.result(timeout=30) == 2
    assert new.state == "ready"
    assert "not served here" in run("worker", "--burst").err

    (place / "shop.py").write_text(NEW + "# the next version\n")
    assert run("pool", "reload").code == 0
    assert new.result(timeout=30) == 1


def test_a_renamed_task_runs_the_jobs_of_its_old_name(place: Path, app: Ramify) -> None:
    """Jobs that were stored before the renaming are run by the function that has the new name."""
    (place / "shop.py").write_text(NEW)
    job = app.enqueue("shop:pay", 3)

    reply = run("worker", "shop", "--burst", "-n", "1")

    assert (job.state, job.result(), "not served" in reply.err) == ("done", 3, False)


@pytest.mark.slow
@pytest.mark.timeout(60 + 60 * ROLLS)
def test_t12_a_roll_under_load_loses_and_charges_nothing(place: Path, app: Ramify, pool: Start) -> None:
    """While workers of both versions run, every job ends, none twice, and no try is charged."""
    (place / "shop.py").write_text(OLD)
    (place / "ramify.toml").write_text('tasks = ["shop"]\nworkers = 2\n')
    running = pool()
    running.is_up(2)
    jobs = []
    for roll in range(ROLLS):
        before = set(running.workers())
        jobs += [app.enqueue("shop:both", n) for n in range(100)] + [app.enqueue("shop:pay", n) for n in range(20)]
        (place / "shop.py").write_text((OLD, NEW)[(roll + 1) % 2] + f"# roll {roll}\n")
        os.utime(place / "shop.py", (roll, roll))
        running.process.send_signal(signal.SIGHUP)
        until(lambda: len(running.workers()) == 2 and not before & set(running.workers()), 60)  # noqa: B023

    app.wait(jobs, timeout=60)

    _check(app, len(jobs))


@pytest.mark.slow
@pytest.mark.timeout(90 + 8 * STOPS)
def test_t12_stops_at_random_moments_lose_and_charge_nothing(place: Path, app: Ramify, pool: Start) -> None:
    """Stopped anywhere with SIGTERM, workers exit in time, and whoever comes next does the rest."""
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"STORM_SEED={seed}")
    rng = random.Random(seed)
    (place / "shop.py").write_text(OLD)
    (place / "ramify.toml").write_text('tasks = ["shop"]\nworkers = 1\nchildren = 2\ngrace = 0.02\n')
    jobs = [app.enqueue("shop:both", n) for n in range(60 * STOPS)]
    for _ in range(STOPS):
        running = pool()
        if rng.random() < 0.8:
            running.is_up(1)
        app.store.wait(None, rng.uniform(0, 0.3))
        assert running.stop() in (0, -signal.SIGTERM)  # the latter before it has begun

    with start("worker", "shop", "--burst", "-n", "2") as last:
        last.communicate(timeout=30 + 3 * STOPS)

    assert last.returncode == 0
    app.wait(jobs, timeout=30)
    _check(app, len(jobs))


def _check(app: Ramify, n: int) -> None:
    snapshot = app.store.snapshot()
    assert find_violations(snapshot) == []
    assert [row.state for row in snapshot.rows] == [State.DONE] * n
    assert sum(row.tries + row.crashes + row.losses for row in snapshot.rows) == 0
