"""What becomes of a job after a run, a crash or a loss."""

from typing import Any

import pytest

from ramify.graph.sketch import Flat, sketch
from ramify.model import (
    Again,
    Charge,
    Claim,
    Edge,
    Ended,
    Failure,
    Grown,
    Kind,
    Payload,
    Policy,
    Result,
    Retry,
    Row,
    State,
)
from ramify.worker.call import Report
from ramify.worker.decide import decide, decide_crash, decide_interrupted, decide_loss, end, is_suspect
from tests.worker.conftest import PLAIN, call

ONCE = Policy(repeatable=False)


def claim(policy: Policy = PLAIN, **fields: Any) -> Claim:
    return Claim(Row("j", "t", attempt=1, **fields), Payload(policy=policy))


def test_result_ends_the_job() -> None:
    """A run without failure ends the job done, with its result."""
    outcome = decide(claim(), Report(1, json=b"7"), {}, 0.5)

    assert isinstance(outcome, Ended)
    assert outcome.value is not None
    assert (outcome.state, outcome.value.json) == (State.DONE, b"7")


def test_failure_of_a_cancelled_job() -> None:
    """A job that was told to stop and then failed is cancelled, not tried again."""
    report = Report(1, failure=Failure("error", "stopped"))
    outcome = decide(claim(Policy(Retry(5))), report, {}, 0.5, cancelled=True)

    assert isinstance(outcome, Ended)
    assert State.CANCELLED is outcome.state


def test_retry_is_charged() -> None:
    """A retry of the policy is charged as a try."""
    outcome = decide(claim(Policy(Retry(5, backoff=3))), Report(1, failure=Failure("error", "")), {}, 0.5)

    assert isinstance(outcome, Again)
    assert (outcome.delay, outcome.charge) == (3, Charge.TRY)


def test_job_that_may_not_be_repeated_is_not() -> None:
    """A job that runs at most once ends with its first failure, crash, loss or interruption."""
    mine = claim(ONCE)
    outcomes = [decide_crash(mine, "signal 9"), decide_loss(mine), decide_interrupted(mine, "")]

    assert {State.FAILED} == {outcome.state for outcome in outcomes if isinstance(outcome, Ended)}
    assert all(isinstance(outcome, Ended) for outcome in outcomes)


@pytest.mark.parametrize(("crashes", "final"), [(0, False), (1, False), (2, True)])
def test_third_crash_is_the_last(crashes: int, final: bool) -> None:
    """The third crash of a job fails it."""
    assert final is isinstance(decide_crash(claim(crashes=crashes), "signal 9"), Ended)


@pytest.mark.parametrize(("losses", "final"), [(0, False), (8, False), (9, True)])
def test_tenth_loss_is_the_last(losses: int, final: bool) -> None:
    """The tenth loss of a job fails it."""
    assert final is isinstance(decide_loss(claim(losses=losses)), Ended)


def test_suspects() -> None:
    """A job is a suspect from its second crash or loss on."""
    rows = [Row("j", "t"), Row("j", "t", crashes=1), Row("j", "t", crashes=2), Row("j", "t", losses=2)]

    assert [is_suspect(row) for row in rows] == [False, False, True, True]


def test_children_are_planned_into_the_job() -> None:
    """What a job spawned becomes its own children, of its queue and priority."""
    report = Report(1, spawned=sketch([call("double", 1)]))
    outcome = decide(claim(priority=7), report, {}, 0.5)

    assert isinstance(outcome, Grown)
    [row] = outcome.batch.rows
    assert (outcome.batch.into, row.parent, row.tree, row.priority) == ("j", "j", "t", 7)


def test_siblings_are_planned_into_the_parent() -> None:
    """Siblings go to the end of the parent's array, as large as it is now."""
    report = Report(1, siblings=sketch([call("double", 1)]))
    outcome = decide(claim(parent="p"), report, {"p": Row("p", "t", size=4, last="x")}, 0.5)

    assert isinstance(outcome, Grown)
    assert (outcome.batch.into, outcome.batch.planned_size) == ("p", 4)


def test_children_and_siblings_of_one_run() -> None:
    """Each go where they belong."""
    report = Report(1, spawned=sketch([call("double", 1)]), siblings=sketch([call("double", 2)]))
    outcome = decide(claim(parent="p"), report, {"p": Row("p", "t", size=4, last="x")}, 0.5)

    assert isinstance(outcome, Grown)
    assert outcome.beside is not None
    assert [("j", "j"), ("p", "p")] == [(batch.into, batch.rows[0].parent) for batch in (outcome.batch, outcome.beside)]


def test_sketch_that_waits_for_itself() -> None:
    """A job that writes nonsense into its pipe fails, and nothing of it is stored."""
    flats = [Flat("tasks:double", b"[[1],{}]", children=[1]), Flat("tasks:double", b"[[1],{}]", children=[0])]
    outcome = decide(claim(), Report(1, spawned=flats), {}, 0.5)

    assert isinstance(outcome, Ended)
    assert outcome.failure is not None
    assert "children before their parents" in outcome.failure.message


def test_end_by_bad_edges() -> None:
    """A job that only ends takes its end from its edges, and names the job that is the cause."""
    edges = [Edge("j", 0, "a", verdict=State.FAILED)]
    outcome = end(Row("j", "t", bads=1), edges, {"a": Result("a", failure=Failure("error", "no luck"))})

    assert (State.FAILED, Failure("cause", "job a ended failed: no luck", cause="a")) == (
        outcome.state,
        outcome.failure,
    )


def test_cause_is_the_first_cause() -> None:
    """A cause of a cause is passed on as it is."""
    first = Failure("cause", "job a ended failed: no luck", cause="a")
    edges = [Edge("j", -1, "b", Kind.AFTER, verdict=State.SKIPPED)]
    outcome = end(Row("j", "t", bads=1), edges, {"b": Result("b", failure=first)})

    assert (State.SKIPPED, first) == (outcome.state, outcome.failure)
