"""Jobs that must not be there twice, and repeated submits."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramify import BadArguments, BadNode, Ramify, Retry, Unique, group, job
from ramify.model import Session, Want
from tests.requirements import r3_tasks
from tests.requirements.r3_tasks import OutOfPaint, at_most_once, flaky, once, only, report

NAME = r3_tasks.__name__


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Ramify]:
    """An app with a file of its own."""
    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=[r3_tasks]) as app:
        yield app


def test_the_same_arguments(app: Ramify) -> None:
    """An unfinished job with the same arguments, however they are given, stands for a new one."""
    first = app.enqueue(only, 1)
    same = [app.enqueue(only, 1), app.enqueue(only, x=1), app.enqueue(only, 1, y=2), app.enqueue(f"{NAME}:only", 1.0)]
    other = app.enqueue(only, 2)

    assert (set(same), app.counts()) == ({first}, {"ready": 2})
    assert other != first


def test_some_arguments(app: Ramify) -> None:
    """`unique=["customer"]` looks at these arguments only."""
    first = app.enqueue(report, "a", "monday")

    assert (app.enqueue(report, "a", day="tuesday"), app.enqueue(report, "b", "monday") == first) == (first, False)


def test_a_key(app: Ramify) -> None:
    """`unique="key"` looks at the key, whatever the arguments are."""
    first = app.enqueue(job(once).options(unique="night"))

    assert app.enqueue(job(once).options(unique="night")) == first
    assert app.enqueue(job(once).options(unique="day")) != first
    assert app.enqueue(once) != first


def test_what_has_ended_is_done_again(app: Ramify) -> None:
    """Uniqueness is among unfinished jobs, unless `within` says for how long a done one counts."""
    first = app.enqueue(only, 1)
    app.run_until_empty()
    again = app.enqueue(only, 1)
    app.run_until_empty()
    within = app.enqueue(job(only, 1).options(unique=Unique(within="1h")))

    assert (again == first, within == again) == (False, True)


def test_unique_in_a_tree(app: Ramify) -> None:
    """In a tree the earlier job takes the place of the new one; it stays in its own tree."""
    first = app.enqueue(only, 1)
    whole = app.enqueue(group(job(only, 1), job(only, 2)))
    app.run_until_empty()

    assert (whole.state, whole.children[0], app.counts()) == ("done", first, {"done": 3})


def test_two_alike_in_one_tree(app: Ramify) -> None:
    """They are one job, in two places; in a project document too."""
    whole = app.enqueue(group(group(job(only, 1)), job(only, 1), job(only, 2)))
    alike = {"func": f"{NAME}:only", "args": 3}
    project = app.enqueue({"jobs": [alike, {"jobs": [alike]}]})
    inner, second, other = whole.children
    app.run_until_empty()

    assert inner.children == [second]
    assert project.children[1].children == project.children[:1]
    assert ([[None], None, None], [None, [None]]) == (whole.result(), project.result())
    assert (second == other, app.counts()) == (False, {"done": 7})


def test_unique_cannot_wait(app: Ramify) -> None:
    """A job that may be replaced has no say in what the other one waits for."""
    with pytest.raises(BadNode, match="cannot wait for others"):
        app.enqueue(job(only, 1).options(after=job(once)))
    with pytest.raises(BadArguments, match="unique names 'colour'"):
        app.enqueue(job(once).options(unique=["colour"]))
    with pytest.raises(BadNode, match="unique cannot be 1"):
        job(once).options(unique=1)  # type: ignore[arg-type]


def test_unique_by_name_without_the_code(app: Ramify, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was deployed tells a program that has no code which jobs are unique, and their queue and priority."""
    app.deploy()
    first = app.enqueue(only, 1)
    monkeypatch.delitem(__import__("sys").modules, NAME)
    with Ramify(app.url) as other:
        assert other.enqueue(f"{NAME}:only", x=1).id == first.id


def add_many(url: str, n: int, barrier: Any) -> None:
    """Enqueue one unique job again and again."""
    with Ramify(url, tasks=[r3_tasks]) as app:
        barrier.wait()
        for _ in range(n):
            app.enqueue(only, 1)


@pytest.mark.slow
def test_one_key_from_many_processes(app: Ramify) -> None:
    """Eight processes that enqueue the same at once leave one job."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(8)
    processes = [context.Process(target=add_many, args=(app.url, 50, barrier)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == 8 * [0]
    assert app.counts() == {"ready": 1}


def test_a_request_is_stored_once(app: Ramify) -> None:
    """A submit that is repeated with its request id returns the first one's job."""
    first = app.enqueue(job(once), request="r-1")

    assert (app.enqueue(job(once), request="r-1"), app.counts()) == (first, {"ready": 1})


def test_retry_on_some_errors(app: Ramify, tmp_path: Path) -> None:
    """`Retry(on=…)` tries again what fails with these exceptions, or ones derived from them."""
    app.enqueue(flaky, str(tmp_path / "a"), "connection")
    app.enqueue(flaky, str(tmp_path / "b"), "other")
    app.run_until_empty()

    assert ["xxx", "x"] == [(tmp_path / name).read_text() for name in "ab"]


def test_retry_on_classes(app: Ramify, tmp_path: Path) -> None:
    """`on` takes the exceptions themselves, too."""
    retry = Retry(1, backoff=0, on=(ConnectionError, OutOfPaint))
    for name, how in (("a", "connection"), ("b", "other"), ("c", "own")):
        app.enqueue(job(flaky, str(tmp_path / name), how).options(retry=retry))
    app.run_until_empty()

    assert ["xx", "x", "xx"] == [(tmp_path / name).read_text() for name in "abc"]


def test_at_most_once(app: Ramify) -> None:
    """A task that must not be repeated fails at its first error, and when its worker dies, whatever its retries."""
    error, lost = app.enqueue(at_most_once), app.enqueue(at_most_once)
    taken = app.claim()
    assert taken is not None
    taken.execute()
    app.store.enter(Session("s", "here", os.getpid()))
    app.store.exchange("s", (), Want(1))
    app.store.leave("s")
    app.run_until_empty()

    assert (error.state, lost.state) == ("failed", "failed")
    assert "its worker was lost" in str(lost.error)


@pytest.mark.parametrize(
    ("retry", "mistake"),
    [
        (Retry(-1), "retry.times is a whole number"),
        (Retry(1, backoff=-1), "retry.backoff is at least 0"),
        (Retry(1, backoff=(1, -1)), "retry.backoff is at least 0"),
        (Retry(1, backoff=()), "retry.backoff is a number of seconds"),
        (Retry(1, jitter=2), "retry.jitter is a share from 0 to 1"),
        (Retry(1, on="OSError"), "retry.on lists exceptions"),  # type: ignore[arg-type]
        (Retry(1, on=OSError), "retry.on lists exceptions"),  # type: ignore[arg-type]
        (Retry(1, on=(int,)), "retry.on lists exceptions"),
    ],
)
def test_a_mistake_in_a_retry(retry: Retry, mistake: str) -> None:
    """It is reported where it stands."""
    with pytest.raises(BadNode, match=mistake):
        job(once).options(retry=retry)
