"""What a job leaves that its store cannot keep is that job's own failure; the others, and the worker, go on."""

from collections.abc import Sequence
from typing import Any

import pytest

from ramify.errors import BadValue
from ramify.model import Ended, Exchange, Outcome, Progress, Want, Which
from tests.worker.conftest import Place, call, group


def is_odd(outcome: Outcome) -> bool:
    """Tell whether the outcome holds what the store of these tests refuses: a 13, or a batch."""
    return not isinstance(outcome, Ended) or (outcome.value is not None and outcome.value.json == b"13")


@pytest.fixture
def fastidious(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place whose store refuses odd outcomes, and all progress, as one with limits of its own would."""
    exchange, beat = place.store.exchange, place.store.beat

    def refuse_odd(session: str, outcomes: Sequence[Outcome], want: Want) -> Exchange:
        if any(map(is_odd, outcomes)):
            raise BadValue("it does not take a 13")
        return exchange(session, outcomes, want)

    def refuse_progress(session: str, progress: Sequence[Progress]) -> Any:
        if progress:
            raise BadValue("it wants to hear of ends only")
        return beat(session, progress)

    monkeypatch.setattr(place.store, "exchange", refuse_odd)
    monkeypatch.setattr(place.store, "beat", refuse_progress)
    return place


def test_a_result_that_the_store_refuses_fails_its_job_alone(fastidious: Place) -> None:
    """The worker finds out which of the outcomes it was, and all others are done."""
    jobs = [fastidious.add(call("add", n)) for n in range(10, 17)]
    fastidious.work(children=2)

    states = [fastidious.row(job).state.value for job in jobs]
    assert states == ["done", "done", "done", "failed", "done", "done", "done"]
    failure = fastidious.failure(jobs[3])
    assert (failure.kind, failure.message) == ("result", "the store refused what it left: it does not take a 13")


def test_jobs_that_the_store_refuses_to_add_fail_who_added_them(fastidious: Place) -> None:
    """Neither children nor siblings are there, and the tree comes to an end."""
    root = fastidious.run(group(call("grow", 2), call("add", 1)))

    children = [row.state for row in fastidious.store.jobs(Which(under=root))]
    assert (sorted(children), fastidious.row(root).state) == (["done", "failed"], "failed")


def test_progress_that_the_store_refuses_is_given_up(fastidious: Place) -> None:
    """How far a job is is worth less than the worker that runs it."""
    assert fastidious.row(fastidious.run(call("tell"))).state == "done"
