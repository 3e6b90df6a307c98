"""What `current()` offers inside a job."""

import asyncio

import pytest

from ramify import BadNode, Fail, OutsideJob, current, job
from ramify.context import Context, entered, running
from tests.face.tasks import double

Reports = list[tuple[int | None, str | None]]


def context(reports: Reports, parent: str | None = "parent", cancelled: bool = False) -> Context:
    return Context("job", "tree", parent, 2, lambda: cancelled, lambda *report: reports.append(report))


def test_outside_of_a_job_there_is_none() -> None:
    """`current()` raises `OutsideJob`, before and after a job."""
    with entered(context([])) as here:
        assert current() is running() is here

    assert running() is None
    with pytest.raises(OutsideJob, match="only inside a running job"):
        current()


def test_coroutines_have_each_their_own() -> None:
    """Jobs that run at the same time in one thread do not see each other."""

    async def run(name: str) -> str:
        with entered(Context(name, "tree", None, 1, lambda: False, lambda percent, status: None)):
            await asyncio.sleep(0)
            return current().job

    async def run_both() -> list[str]:
        return await asyncio.gather(run("a"), run("b"))

    assert asyncio.run(run_both()) == ["a", "b"]


def test_what_is_spawned_is_collected() -> None:
    """Children and siblings are kept apart; a job without a group has no siblings, so they are its children."""
    a, b, c = job(double, 1), job(double, 2), job(double, 3)
    inner, root = context([]), context([], parent=None)

    inner.spawn(a, b)
    inner.spawn_sibling(c)
    root.spawn_sibling(c)

    assert (inner.spawned, inner.siblings) == ([a, b], [c])
    assert (root.spawned, root.siblings) == ([c], [])
    with pytest.raises(BadNode, match="is not a node"):
        inner.spawn(double)  # type: ignore[arg-type]


def test_progress_is_percent_of_the_whole() -> None:
    """Progress is reported from 0 to 100, of a total or as percent, and never back; a status is a line beside it."""
    reports: Reports = []
    here = context(reports)

    here.progress(-1)
    here.progress(1, 3)
    here.progress(40)
    here.progress(30)
    here.progress(5, 0)
    here.progress(1000)
    here.status("cutting")

    assert reports == [(0, None), (33, None), (40, None), (100, None), (None, "cutting")]


def test_a_job_knows_itself() -> None:
    """Job, tree, parent and attempt are those of the run, and `key` names this run only."""
    here = context([], cancelled=True)

    assert (here.job, here.tree, here.parent, here.attempt, here.key) == ("job", "tree", "parent", 2, "job-2")
    assert here.cancelled
    assert not context([]).cancelled


def test_a_job_may_give_up() -> None:
    """`fail` raises what the runner takes for a failure without another try."""
    with pytest.raises(Fail, match="no paper"):
        context([]).fail("no paper")
