"""Checklist R3, declared tasks: each line is a test named after its id.

The words `JobMaster`, `Dependency` and `insert_job` come with the adapter, and so do its hours, its statuses and SQL;
here the same is said in ramify's own words. Where an order is claimed, jobs are claimed one by one.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ramify import BadArguments, BadNode, BadTask, Cycle, Job, JobFailed, JobSkipped, Ramify, job, needs, same, task
from ramify.declared import MONTH
from ramify.deploy import deploy, find_wrong
from ramify.model import Page, Session, State, Want, Which
from ramify.task import declare
from ramify.tasks import Tasks
from tests.requirements import r3_tasks
from tests.requirements.r3_tasks import (
    Colour,
    after_fail,
    bar,
    baz,
    by_name,
    by_names,
    divided,
    fail_if,
    first_of,
    foo,
    large,
    limited,
    make,
    minus,
    needs_first_of,
    once,
    paint,
    plus,
    task1,
    times,
    use,
)

NAME = r3_tasks.__name__


@pytest.fixture(params=["memory:", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ramify]:
    """An app on each store, which serves the tasks of these tests."""
    url = f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else request.param
    with Ramify(url, tasks=[r3_tasks]) as app:
        yield app


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file for what jobs write."""
    return str(tmp_path / "file")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Makes a module of tasks, which this process has imported."""

    def make_module(*functions: Any, name: str = "r3_made") -> ModuleType:
        made = ModuleType(name)
        for function in functions:
            function.__module__, function.__qualname__ = name, function.__name__
            setattr(made, function.__name__, function)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make_module


def run_in_order(app: Ramify) -> list[str]:
    """Run everything, one job at a time; return the names of the functions in that order."""
    order = []
    while (taken := app.claim()) is not None:
        order.append(task_of(app, taken))
        taken.execute()
    return order


def task_of(app: Ramify, taken: Job[Any]) -> str:
    [row] = app.store.jobs(Which(ids=(taken.id,)))
    return (row.lane.task or "").rpartition(":")[2]


def jobs_of(app: Ramify, function: Any) -> list[Any]:
    """Return the rows of all jobs of a task."""
    return app.store.jobs(Which(tasks=frozenset({f"{NAME}:{function.__name__}"})), Page(size=2000))


def test_r3_01_task_bare_and_with_arguments(app: Ramify) -> None:
    """Both are known when deployed."""
    app.deploy()

    assert {f"{NAME}:task1", f"{NAME}:baz"} <= {known.name for known in app.store.tasks()}


def test_r3_02_a_task_is_called_as_a_function(path: str) -> None:
    """Calling the decorated function runs it."""
    foo(path, 3)

    assert baz(path) == "3"


def test_r3_04_the_name_of_a_task_is_that_of_its_function() -> None:
    """It is module and function."""
    assert f"{NAME}:task1" == declare(task1).name


def test_r3_06_help_of_arguments(app: Ramify) -> None:
    """`:param x: text` in the docstring is the help of the argument."""
    app.deploy()

    [found] = app.store.tasks([f"{NAME}:task1"])
    assert found.help == "Write the sum of two numbers into a file."
    assert ["where the sum goes", "one number", "another one"] == [each.help for each in found.parameters]
    assert [("file_path", "str", True), ("a", "int", True), ("b", "int", True)] == [
        (each.name, each.type, each.required) for each in found.parameters
    ]


def test_r3_07_the_annotation_lists_what_is_allowed(app: Ramify) -> None:
    """`letter: ['A', 'B', 'C'] = 'A'`."""
    app.deploy()

    letter = app.store.tasks([f"{NAME}:bar"])[0].parameters[2]
    assert (letter.name, letter.allowed, letter.default, letter.required) == ("letter", ("A", "B", "C"), "A", False)


@pytest.mark.parametrize("here", [True, False])
def test_r3_08_a_value_that_is_not_allowed(app: Ramify, here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused where the job is added, also by a program that does not have the code."""
    app.deploy()
    if not here:
        monkeypatch.delitem(sys.modules, NAME)

    with pytest.raises(BadArguments, match="letter must be one of 'A','B','C', not 'Z'"):
        app.enqueue(f"{NAME}:bar", "f", 1, letter="Z")
    with pytest.raises(BadArguments, match="x must be one of 'one','two'"):
        app.enqueue(f"{NAME}:first_of", "three", None)
    with pytest.raises(BadArguments, match="colour must be one of 'red','blue'"):
        app.enqueue(f"{NAME}:paint", "p", "A", colour="green")
    assert app.counts() == {}
    app.enqueue(f"{NAME}:paint", "p", "A", colour="blue")


def test_r3_08_allowed_values_from_python(app: Ramify) -> None:
    """Functions are checked by their own annotations: lists, literals, enums; a job as argument is checked later."""
    with pytest.raises(BadArguments, match="letter must be one of"):
        app.enqueue(bar, "f", 1, "Z")
    with pytest.raises(BadArguments, match="x must be one of"):
        job(first_of, "three", None)  # type: ignore[arg-type]
    app.enqueue(paint, "p", "A", Colour.BLUE)
    late = app.enqueue(job(first_of, job(baz, "f"), None))

    assert late.state == "waiting"


@pytest.mark.parametrize("here", [True, False])
def test_r3_09_an_unknown_argument(app: Ramify, here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused where the job is added."""
    app.deploy()
    if not here:
        monkeypatch.delitem(sys.modules, NAME)

    with pytest.raises(BadArguments, match="colour"):
        app.enqueue(f"{NAME}:task1", "f", 1, 2, colour="red")
    with pytest.raises(BadArguments, match=r"missing .*b"):
        app.enqueue(f"{NAME}:task1", "f", 1)
    with pytest.raises(BadTask, match="task7"):
        app.enqueue(f"{NAME}:task7")
        app.check()
    assert app.counts() == {} or here


def test_r3_10_a_limit_holds_over_all_workers(app: Ramify, tmp_path: Path) -> None:
    """With `limit=3` three jobs run at once, however many workers would run more."""
    app.deploy()
    for _ in range(12):
        app.enqueue(limited, str(tmp_path))
    taken = [app.claim() for _ in range(5)]

    assert [True, True, True, False, False] == [each is not None for each in taken]


@pytest.mark.slow
def test_r3_10_a_limit_holds_with_real_workers(tmp_path: Path) -> None:
    """Never more than three see each other, over two workers of four processes each."""
    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=[r3_tasks]) as app:
        for _ in range(40):
            app.enqueue(limited, str(tmp_path))
        workers = [Ramify(app.url, tasks=[r3_tasks]) for _ in range(2)]
        threads = [threading.Thread(target=each.worker(children=4, burst=True).run) for each in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.close()

        assert app.counts() == {"done": 40}
    seen = list(map(int, (tmp_path / "seen").read_text().split()))
    assert (len(seen), max(seen)) == (40, 3)


def test_r3_11_units_of_a_host(app: Ramify) -> None:
    """The units of what runs on a host are at most its own; a smaller job passes one that does not fit."""
    jobs = [app.enqueue(large).id, app.enqueue(job(large).options(units=4)).id, app.enqueue(once).id]
    app.store.enter(Session("s", "here", os.getpid()))

    reply = app.store.exchange("s", (), Want(9, host="here", units=5))

    assert [jobs[0], jobs[2]] == [claim.row.id for claim in reply.claims]


@pytest.mark.parametrize("here", [True, False])
def test_r3_12_all(app: Ramify, here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "ALL" for arguments in `fan_out` is one job for each allowed value, and each combination of several."""
    app.deploy()
    with monkeypatch.context() as patch:
        if not here:
            patch.delitem(sys.modules, NAME)
        both = app.enqueue(f"{NAME}:paint", "p", "ALL", colour="ALL")
        one = app.enqueue(f"{NAME}:paint", "q", letter="ALL")
    app.run_until_empty()

    expected = [f"p {letter} {colour}" for letter in "ABC" for colour in ("red", "blue")]
    assert expected == both.result(timeout=0)
    assert one.result(timeout=0) == ["q A red", "q B red", "q C red"]


def test_r3_12_all_of_a_function(app: Ramify) -> None:
    """The same for a function; without `fan_out`, "ALL" is a value like any other."""
    found = app.enqueue(paint, "p", letter="ALL")
    app.run_until_empty()

    assert found.result(timeout=0) == ["p A red", "p B red", "p C red"]  # type: ignore[comparison-overlap]
    with pytest.raises(BadArguments, match="letter must be one of"):
        app.enqueue(bar, "f", 1, "ALL")


@pytest.mark.parametrize("here", [True, False])
def test_r3_12_all_in_a_document(app: Ramify, here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a project "ALL" means the same at any depth; what holds for each job is said once, and so is their order."""
    app.deploy()
    each = {"func": f"{NAME}:paint", "kwargs": {"name": "p", "letter": "ALL"}, "blocking": True, "priority": 3}
    with monkeypatch.context() as patch:
        if not here:
            patch.delitem(sys.modules, NAME)
        whole = app.enqueue({"jobs": [{"jobs": [each, {"func": f"{NAME}:paint", "args": ("q", "B")}]}]})
        with pytest.raises(BadNode, match="'ALL' makes several jobs"):
            app.enqueue({"jobs": [{"jobs": [each], **each}]})
    paints = [row for row in app.store.jobs(Which()) if row.lane.task]
    ready = [row for row in paints if row.state is State.READY]
    app.run_until_empty()

    assert [row.priority for row in ready] == [3, 3, 3]
    assert whole.result(timeout=0) == [[["p A red", "p B red", "p C red"], "q B red"]]


def test_r3_30_nothing_to_claim(app: Ramify) -> None:
    """An empty queue gives None."""
    assert app.claim() is None


def test_r3_31_claim_and_execute(app: Ramify, path: str) -> None:
    """It runs exactly this job, and stores how it ended."""
    first, second = app.enqueue(task1, path, 1, 2), app.enqueue(once)
    taken = app.claim()
    assert taken is not None

    taken.execute()

    assert (taken, first.state, second.state, Path(path).read_text()) == (first, "done", "ready", "3")


def test_r3_32_many_claim_at_once(tmp_path: Path) -> None:
    """No job is handed out twice."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    with Ramify(url, tasks=[r3_tasks]) as app:
        for _ in range(30):
            app.enqueue(once)
    taken: list[str] = []

    def claim_all() -> None:
        with Ramify(url, tasks=[r3_tasks]) as own:
            while (found := own.claim()) is not None:
                taken.append(found.id)
                found.execute()

    threads = [threading.Thread(target=claim_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (30, 30) == (len(taken), len(set(taken)))


def test_r3_34_a_worker_that_dies(app: Ramify) -> None:
    """Its jobs run again, and its units are free."""
    found = app.enqueue(job(large))
    app.store.enter(Session("s", "here", os.getpid()))
    app.store.exchange("s", (), Want(1, host="here", units=3))
    app.store.leave("s")

    app.run_until_empty()

    assert found.state == "done"


def test_r3_35_the_value_is_stored(app: Ramify) -> None:
    """What a function returned comes back as it was."""
    found = app.enqueue(first_of, "one", None)
    app.run_until_empty()

    assert found.result() == ["one", None, 3]


def test_r3_40_a_job_done_in_time_satisfies(app: Ramify, path: str) -> None:
    """With the same argument, done less than six hours ago: nothing is added."""
    app.enqueue(foo, path, 5)
    run_in_order(app)
    found = app.enqueue(bar, path, 2)

    assert run_in_order(app) == ["bar"]
    assert (found.state, Path(path).read_text()) == ("done", "7A")


def test_r3_41_without_a_time(path: str) -> None:
    """Thirty days; a negative time is a mistake, and nothing is clamped in silence."""
    assert needs(foo).within == needs(foo, within=None).within == MONTH == 720 * 3600
    assert needs(foo, within=1).within == 1
    with pytest.raises(ValueError, match="within is at least 0"):
        needs(foo, within=-1)


def test_r3_42_a_subset_of_arguments(app: Ramify, path: str) -> None:
    """What a need does not name may be any; what it names must be equal by value, defaults included."""
    app.enqueue(make, path, number=99)
    run_in_order(app)
    app.enqueue(use, path)
    any_number = run_in_order(app)
    app.enqueue(plus, path, 98)
    equal = run_in_order(app)
    app.enqueue(plus, path, 97)
    other = run_in_order(app)

    assert (any_number, equal, other) == (["use"], ["plus"], ["make", "plus"])


def test_r3_42_defaults_are_arguments_too(app: Ramify, path: str) -> None:
    """A job that was added without an argument is known by the default of that."""
    app.enqueue(make, path)
    run_in_order(app)
    app.enqueue(plus, path, 0)

    assert run_in_order(app) == ["plus"]


def test_r3_43_a_constant(app: Ramify, path: str) -> None:
    """It is matched with, and created with."""
    app.enqueue(foo, path, 9)
    app.enqueue(bar, path, 1)
    run_in_order(app)
    app.enqueue(baz, path)

    assert run_in_order(app) == ["foo", "baz"]
    assert Path(path).read_text() == "10"


def test_r3_44_same_is_the_own_argument(app: Ramify, path: str) -> None:
    """A job for another file does not count, whether it is given by position or by name."""
    app.enqueue(make, path)
    app.enqueue(use, path=f"{path}2")

    assert run_in_order(app) == ["make", "make", "use"] or Path(f"{path}2").exists()


@pytest.mark.parametrize(("function", "made"), [(plus, 7), (minus, 5), (times, 12), (divided, 3)])
def test_r3_45_arithmetic_on_same(app: Ramify, path: str, function: Any, made: int) -> None:
    """`same + 1`, `- 1`, `* 2`, `/ 2`."""
    app.enqueue(function, path, 6)
    run_in_order(app)

    assert Path(path).read_text() == f"{made}\n"


def test_r3_45_arithmetic_that_fails(app: Ramify, path: str) -> None:
    """It fails the job with a sentence."""
    found = app.enqueue(f"{NAME}:plus", path, number=None)
    run_in_order(app)

    with pytest.raises(JobFailed, match=r"argument 'number' of what it needs: None \+ 1"):
        found.result()


def test_r3_46_same_without_such_an_argument() -> None:
    """It is a mistake where the task is declared."""
    with pytest.raises(BadArguments, match="has no argument 'file_path'"):

        @task(needs=needs(foo, file_path=same))
        def wrong(path: str) -> None: ...


@pytest.mark.parametrize("function", [by_name, by_names])
def test_r3_47_a_need_by_its_name(app: Ramify, function: Any) -> None:
    """As "module.function" or "module:function", alone or in a list; two needs of the same job are one."""
    app.enqueue(function)

    assert run_in_order(app) == ["once", function.__name__]


def test_r3_48_a_missing_job_is_added(app: Ramify, path: str) -> None:
    """With priority + 1, arguments from the need, then defaults, then the first allowed value, None if typed so."""
    found = app.enqueue(job(needs_first_of).options(priority=5))
    taken = app.claim()
    assert taken is not None

    [row] = jobs_of(app, first_of)
    assert (taken.id, row.priority, found.state) == (row.id, 6, "waiting")
    taken.execute()
    assert app.job(row.id).result() == ["one", None, 3]
    assert run_in_order(app) == ["needs_first_of"]


@pytest.mark.parametrize("runs", [True, False])
def test_r3_49_an_unfinished_job_is_waited_for(app: Ramify, path: str, runs: bool) -> None:
    """That very one, whether it runs or not; no second one is added."""
    held = app.enqueue(job(make, path).options(delay=None if runs else 0.2))
    running = app.claim() if runs else None
    found = app.enqueue(use, path)
    second = app.claim()

    assert (second, found.state, len(jobs_of(app, make))) == (None, "waiting", 1)
    if running is not None:
        running.execute()
    else:
        app.wait([held], 0.0) if held.state == "done" else app.store.wait(None, 0.25)
    while found.state != "done":
        app.run_until_empty()
    assert len(jobs_of(app, make)) == 1


def test_r3_50_a_need_that_fails(app: Ramify, path: str) -> None:
    """The parent is skipped with the cause; each parent has one attempt at it."""
    Path(path).touch()
    found = app.enqueue(after_fail, path)

    assert run_in_order(app) == ["fail_if"]
    with pytest.raises(JobSkipped, match=r"after_fail .*because .*fail_if .* failed: AssertionError"):
        found.result()
    assert run_in_order(app) == []


def test_r3_50_a_retried_parent_asks_anew(app: Ramify, path: str) -> None:
    """When the reason is gone, a retry of the parent makes the need once more."""
    Path(path).touch()
    found = app.enqueue(after_fail, path)
    run_in_order(app)
    Path(path).unlink()

    found.retry()

    assert run_in_order(app) == ["fail_if", "after_fail"]
    assert (found.result(), [row.state for row in jobs_of(app, fail_if)]) == (path, ["failed", "done"])


def test_r3_50_a_retried_need_brings_its_parents_back(app: Ramify, path: str) -> None:
    """Who retries the need helps all who were skipped because of it."""
    Path(path).touch()
    found = [app.enqueue(after_fail, path) for _ in range(3)]
    taken = app.claim()
    assert (taken is not None, app.claim()) == (True, None)  # by now all three wait
    assert taken is not None
    taken.execute()
    run_in_order(app)
    Path(path).unlink()

    [row] = jobs_of(app, fail_if)
    app.job(row.id).retry()

    assert run_in_order(app) == ["fail_if", *3 * ["after_fail"]]
    assert {"done"} == {each.state for each in found}


def test_r3_51_a_need_that_can_never_be_created(app: Ramify, path: str) -> None:
    """Deploying says so; a parent fails with that sentence, unless there is a job that satisfies it; nothing loops."""
    sentence = f"{NAME}:bar → {NAME}:foo cannot be created automatically: required `number` has no value"
    said = app.deploy()
    checked = app.check()
    found = app.enqueue(bar, path, 2)

    assert any(each.startswith(sentence) for each in said)
    assert any(each.startswith(sentence) for each in checked)
    assert run_in_order(app) == []
    with pytest.raises(JobFailed, match=r"cannot be created automatically: required `number` has no value"):
        found.result()
    app.enqueue(foo, path, 1)
    found.retry()
    assert run_in_order(app) == ["foo", "bar"]


def test_r3_52_a_chain(app: Ramify, path: str) -> None:
    """With what `bar` needs given, the order is foo, bar, baz, and baz reads what bar wrote."""
    app.enqueue(foo, path, 10)
    app.enqueue(bar, path, 5, "C")
    found = app.enqueue(baz, path)

    assert run_in_order(app) == ["foo", "bar", "baz"]
    assert found.result() == "15C"


def test_r3_53_age_counts_from_completion(app: Ramify, path: str) -> None:
    """A job made long ago and done just now is fresh."""
    [store] = [app.store]
    old = app.enqueue(job(make, path).options(hold=True))
    old.release()
    run_in_order(app)
    [row] = store.jobs(Which(ids=(old.id,)))
    app.enqueue(use, path)

    assert run_in_order(app) == ["use"]
    assert row.ended is not None


def test_r3_61_62_deploying_again_keeps_jobs(app: Ramify, module: Callable[..., ModuleType]) -> None:
    """What a task says of itself is replaced; jobs stay; tasks that are gone are forgotten."""

    def one(x: int) -> None: ...
    def two() -> None: ...

    def changed(x: int, y: int = 2) -> None: ...

    app.enqueue(once)
    deploy(app.store, Tasks([module(one, two)]))
    changed.__name__ = "one"
    deploy(app.store, Tasks([module(changed)]))

    assert ["x", "y"] == [each.name for each in app.store.tasks(["r3_made:one"])[0].parameters]
    assert app.store.tasks(["r3_made:two"]) == []
    assert app.counts() == {"ready": 1}


def test_r3_63_reset(app: Ramify) -> None:
    """Everything is gone but the tasks that are deployed now."""
    app.enqueue(once)

    app.deploy(reset=True)

    assert (app.counts(), len(app.store.tasks())) == ({}, len(app.tasks.names()))


def test_needs_that_form_a_loop_are_refused(app: Ramify, module: Callable[..., ModuleType]) -> None:
    """Deploying names the loop and writes nothing; a job of such a task fails with the same sentence."""

    @task(needs="r3_made:second")
    def first() -> None: ...

    @task(needs="r3_made:first")
    def second() -> None: ...

    with Ramify("memory:", tasks=[module(first, second)]) as own:
        with pytest.raises(Cycle, match="r3_made:first → r3_made:second → r3_made:first"):
            own.deploy()
        found = own.enqueue(first)
        own.run_until_empty()

        assert (own.store.tasks(), own.counts()) == ([], {"failed": 1})
        with pytest.raises(JobFailed, match="these tasks need each other"):
            found.result()
        assert any("need each other" in each for each in find_wrong(own.store, own.tasks))


def test_a_need_for_an_argument_that_there_is_not(app: Ramify, module: Callable[..., ModuleType]) -> None:
    """Deploying refuses it, and a constant that is not allowed."""

    @task(needs=needs(make, colour=1))
    def first() -> None: ...

    @task(needs=needs(first_of, x="three"))
    def second() -> None: ...

    for function, mistake in ((first, "'colour', which is not an argument"), (second, "it must be one of 'one','two'")):
        with Ramify("memory:", tasks=[r3_tasks, module(function)]) as own, pytest.raises(BadNode, match=mistake):
            own.deploy()


@pytest.mark.parametrize("n", [2, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_need_is_shared(app: Ramify, path: str, n: int) -> None:
    """Many parents at once have one job made, and all run after it."""
    found = [app.enqueue(use, path) for _ in range(n)]
    app.store.enter(Session("s", "here", os.getpid()))

    order = run_in_order(app) if n < 10 else app.run_until_empty()

    assert order in (["make", *n * ["use"]], n + 1)
    assert {each.result() for each in found[:10]} == {1}


def test_a_cancelled_parent_leaves_the_need_alone(app: Ramify, path: str) -> None:
    """What it needed may be needed by others."""
    first, second = app.enqueue(use, path), app.enqueue(use, path)
    taken = app.claim()
    assert taken is not None
    first.cancel()
    taken.execute()
    run_in_order(app)

    assert (first.state, second.state, len(jobs_of(app, make))) == ("cancelled", "done", 1)
