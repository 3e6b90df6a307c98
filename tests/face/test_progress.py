"""How far jobs are, and trees of them, on every store."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify import Ramify, group, job
from tests.face.tasks import advance_until, double, spawn_doubles
from tests.urls import URLS
from tests.worker.test_worker import until


@pytest.fixture(params=URLS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ramify]:
    """An app on each store."""
    with Ramify(URLS[request.param](tmp_path), tasks=["tests.face.tasks"]) as app:
        yield app


def test_a_tree_is_as_far_as_its_jobs(app: Ramify, tmp_path: Path) -> None:
    """Half of the jobs over and one at 40 percent is 60; seen while they run, in each group, and in pictures."""
    inner = group(job(double, 1), job(advance_until, [20, 60], str(tmp_path / "go"))).options(label="inner")
    top = app.enqueue(group(inner, job(double, 2), job(double, 3), body=job(double, 4)).options(label="top"))
    assert top.progress == 0
    worker = app.worker(children=2, burst=True)
    thread = threading.Thread(target=worker.run)
    thread.start()

    until(lambda: top.progress == 100 * 3.6 // 5)
    middle = top.children[0]
    assert middle.progress == 80
    assert "top  72 %" in top.draw()
    assert "inner  80 %" in top.draw()
    assert "60 %" in top.draw()

    (tmp_path / "go").touch()
    thread.join()
    assert (top.progress, middle.progress) == (100, 100)
    assert "%" not in top.draw()


def test_a_job_by_itself_is_as_far_as_it_says(app: Ramify) -> None:
    """None as long as it says nothing, also when it is done."""
    silent, half = app.enqueue(double, 1), app.enqueue(advance_until, [50], "/")
    app.run_until_empty()

    assert (silent.progress, half.progress) == (None, 50)


def test_jobs_that_are_added_count(app: Ramify) -> None:
    """A job that has run and waits for what it added counts as over; all of it is never 100 before the end."""
    top = app.enqueue(spawn_doubles, 3)
    app.run_one()
    assert top.progress == 25
    app.run_one()
    assert top.progress == 50

    app.run_until_empty()
    assert top.progress == 100
