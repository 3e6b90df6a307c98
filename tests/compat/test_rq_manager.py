"""rq-manager's three names, over the native projects of `tests/requirements/test_r1.py`."""

import threading
from pathlib import Path
from typing import Any

import pytest

from ramify import BadNode, JobFailed, Ramify, TimedOut
from ramify.compat.rq_manager import Queue, getProjectResults, manager
from tests.compat.tasks import boom, double


def run(app: Ramify, project: dict[str, Any]) -> Any:
    """Do as the document does, with what is there of workers in between."""
    managed = Queue().enqueue(manager, project)
    app.run_until_empty()
    return getProjectResults(managed)


def test_r1_01_a_manager_completes_a_project(app: Ramify) -> None:
    """`q.enqueue(manager, project)` and `getProjectResults(job)` return [2, 4]."""
    assert run(app, {"jobs": [{"func": double, "args": 1}, {"func": double, "args": 2}]}) == [2, 4]


def test_r1_01_results_are_waited_for(app: Ramify) -> None:
    """`getProjectResults` blocks until somebody has run the jobs."""
    managed = Queue().enqueue(manager, {"jobs": [{"func": double, "args": 1}]})
    worker = threading.Timer(0.05, app.run_until_empty)

    worker.start()
    results = getProjectResults(managed, timeout=20)
    worker.join()

    assert results == [2]


def test_r1_02_both_spellings_of_enqueue(app: Ramify) -> None:
    """The document's typo `enque` does the same."""
    managed = Queue().enque(manager, {"jobs": [{"func": double, "args": 1}]})
    app.run_until_empty()

    assert getProjectResults(managed) == [2]


def test_r1_08_an_empty_project_returns_an_empty_list(app: Ramify) -> None:
    assert run(app, {"jobs": []}) == []


def test_r1_10_a_function_beside_jobs_runs_after_them(app: Ramify) -> None:
    """The original forgets the function; here it is the body, which runs last and gives the result."""
    assert run(app, {"jobs": [{"jobs": [{"func": double, "args": 1}], "func": double, "args": 4}]}) == [8]


def test_r1_11_a_mistake_is_named_before_anything_is_stored(app: Ramify) -> None:
    """With the path to it, where the original dies in the worker."""
    with pytest.raises(BadNode, match=r"jobs\[1\]: neither 'func' nor 'jobs'"):
        Queue().enqueue(manager, {"jobs": [{"func": double, "args": 1}, {}]})

    assert app.counts() == {}


def test_r1_14_the_projects_time_is_what_its_loops_took(app: Ramify) -> None:
    """`maxLoop * sleepTime` seconds are a time limit; nothing loops."""
    assert run(app, {"jobs": [{"func": double, "args": 1}], "maxLoop": 60, "sleepTime": 1, "loop": 0}) == [2]


def test_r1_15_what_became_of_each_job_can_be_read(app: Ramify) -> None:
    """`project` of the job is the dictionary with what the original writes into it."""
    managed = Queue().enqueue(manager, {"jobs": [{"func": double, "args": 1}]})
    app.run_until_empty()

    [node] = managed.project["jobs"]
    assert (node["status"], node["result"]) == ("done", 2)
    assert node["id"] == managed.native.children[0].id


def test_r1_36_a_failed_job_is_the_cause(app: Ramify) -> None:
    """The original loops until its time is over; here what went wrong is raised."""
    project = {"jobs": [{"func": boom, "args": "no luck"}, {"func": double, "previousJobArgs": True}]}

    with pytest.raises(JobFailed, match="no luck"):
        run(app, project)


@pytest.mark.slow
def test_r1_61_the_end_of_the_time_names_what_is_unfinished(app: Ramify, place: Path) -> None:
    """A `TimeoutError` where the original raises `KeyError`."""
    from ramify.compat.rq import Worker

    node = {"func": "tests.compat.tasks:wait_for", "args": str(place / "never")}
    managed = Queue().enqueue(manager, {"jobs": [node], "maxLoop": 1, "sleepTime": 0.2})
    Worker().work(burst=True)

    with pytest.raises(TimedOut, match="wait_for"):
        getProjectResults(managed)
