"""What comes into the store when tasks are deployed, or a worker starts, and what it does for those who enqueue."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from ramify import BadArguments, BadTask, JobFailed, Ramify, current, group, job, needs, same, task
from ramify.deploy import declare_limits, deploy
from ramify.model import Page, Rule, Which
from ramify.stores.memory import Memory
from ramify.tasks import Tasks
from tests.requirements import r3_tasks
from tests.requirements.r3_tasks import make, use

NAME = r3_tasks.__name__
Make = Callable[..., ModuleType]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a module of tasks, which this process has imported."""

    def make_module(*functions: Any, name: str = "made") -> ModuleType:
        made = ModuleType(name)
        for function in functions:
            function.__module__, function.__qualname__ = name, function.__name__
            setattr(made, function.__name__, function)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make_module


def limited(n: int | None) -> Any:
    """Return a task with this limit."""

    @task(limit=n)
    def work() -> None: ...

    return work


def test_a_worker_brings_the_limits_of_tasks_that_were_not_deployed(module: Make) -> None:
    """The last one that starts counts, also if it has none; one that was set by hand is left alone."""
    store = Memory()
    store.limit("task:made:work", Rule(9))
    seen = []
    for n in (3, 5, None):
        declare_limits(store, Tasks([module(limited(n))]))
        seen.append(store.info().limits)

    hand = {"task:made:work": Rule(9)}
    declared = "declared:task:made:work"
    assert seen == [hand | {declared: Rule(3)}, hand | {declared: Rule(5)}, hand]


def test_what_was_deployed_goes_before_what_a_worker_says(module: Make) -> None:
    """A deployed limit is changed by deploying."""
    store = Memory()
    deploy(store, Tasks([module(limited(3))]))

    declare_limits(store, Tasks([module(limited(5))]))

    assert store.info().limits == {"declared:task:made:work": Rule(3)}


def test_working_in_this_process_brings_limits_too() -> None:
    """`claim` and `run_until_empty` keep them like any worker."""
    with Ramify("memory:", tasks=[r3_tasks]) as app:
        for _ in range(4):
            app.enqueue(r3_tasks.limited, "unused")

        assert [True, True, True, False] == [app.claim() is not None for _ in range(4)]


def test_a_deployed_task_has_its_options_by_name(module: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queue, priority, retries and the rest; those of the job go first."""

    @task(queue="slow", priority=7, retry=2, units=3)
    def work(x: int = 1) -> None: ...

    with Ramify("memory:", tasks=[module(work)]) as app:
        app.deploy()
        monkeypatch.delitem(sys.modules, "made")
        app.enqueue("made:work")
        app.enqueue({"func": "made:work", "queue": "other", "kwargs": {"x": 2}})
        [first, second] = app.store.jobs(Which(), Page(size=9))

        assert (first.lane.queue, first.priority, first.lane.units) == ("slow", 7, 3)
        assert (second.lane.queue, second.priority, second.lane.units) == ("other", 7, 3)
        with pytest.raises(BadArguments, match="made:work has no argument 'y'; there are x"):
            app.enqueue({"jobs": [{"func": "made:work", "kwargs": {"y": 2}}]})
        with pytest.raises(BadTask, match="made:other is not deployed; of made there are made:work"):
            app.enqueue("made:other")
        app.enqueue("elsewhere:anything", 1, 2, 3)


def test_a_mistake_in_what_a_job_adds_by_name(module: Make) -> None:
    """It fails that job, with the sentence."""

    def adder() -> None:
        current().spawn(job("gone:work", 1))

    def work() -> None: ...

    with Ramify("memory:", tasks=[module(adder)]) as app:
        deploy(app.store, Tasks([module(work, name="gone")]))
        del sys.modules["gone"]
        found = app.enqueue(adder)
        app.run_until_empty()

        with pytest.raises(JobFailed, match="gone:work takes 0 arguments, not 1"):
            found.result()


def test_jobs_that_are_added_by_jobs_are_found_by_needs(module: Make, tmp_path: Any) -> None:
    """A need is satisfied by a job whoever stored it: a program, a job that spawns, a tree that was extended."""
    paths = [str(tmp_path / name) for name in "ab"]

    def adder() -> None:
        current().spawn(job(make, paths[0]))

    with Ramify("memory:", tasks=[r3_tasks, module(adder)]) as app:
        app.enqueue(adder)
        held = app.enqueue(group(job(adder)).options(hold=True))
        held.add(job(make, paths[1]))
        held.release()
        app.run_until_empty()
        for path in paths:
            app.enqueue(use, path)
        before = app.counts("task")[f"{NAME}:make"]
        app.run_until_empty()

        assert app.counts("task")[f"{NAME}:make"] == before


def test_a_need_that_waits_for_who_needs_it(tmp_path: Any) -> None:
    """It would never come: the job fails with a sentence that names both."""
    with Ramify("memory:", tasks=[r3_tasks]) as app:
        whole = app.enqueue(group(job(use, str(tmp_path / "a")), body=job(make, str(tmp_path / "a"))))
        app.run_until_empty()

        with pytest.raises(JobFailed, match="it cannot wait for what it needs: these would wait for each other"):
            whole.result()


def test_an_argument_that_another_job_returns_is_not_looked_for(module: Make, tmp_path: Any) -> None:
    """Such a job bears no mark for it, so a need that names it has another one made."""
    path = str(tmp_path / "a")

    def where() -> str:
        return path

    with Ramify("memory:", tasks=[r3_tasks, module(where)]) as app:
        app.enqueue(job(make, job(where)))
        app.run_until_empty()
        app.enqueue(use, path)
        app.run_until_empty()

        assert app.counts(tasks=[f"{NAME}:make"]) == {"done": 2}


def test_a_need_of_an_argument_that_another_job_returns(module: Make, tmp_path: Any) -> None:
    """`same` is the value that came, when the job is about to run."""
    path = str(tmp_path / "a")

    def where() -> str:
        return path

    with Ramify("memory:", tasks=[r3_tasks, module(where)]) as app:
        found = app.enqueue(job(use, job(where)))
        app.run_until_empty()

        assert found.result() == 1


def test_needs_of_tasks_without_code_here(module: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has not got the needed task's code adds its job as it was deployed; another one runs it."""

    @task(queue="far")
    def far(x: int, y: int = 2) -> None: ...

    @task(needs=needs("other:far", x=same))
    def near(x: int) -> None: ...

    other = module(far, name="other")
    with Ramify("memory:", tasks=[module(near)]) as app:
        deploy(app.store, Tasks([other]))
        monkeypatch.delitem(sys.modules, "other")
        found = app.enqueue(near, 5)
        app.run_until_empty()
        [row] = app.store.jobs(Which(tasks=frozenset({"other:far"})), Page(size=9))

        assert (found.state, row.state, row.lane.queue, row.priority) == ("waiting", "ready", "far", 1)
