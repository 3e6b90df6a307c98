"""Nodes: `job`, `group`, `series` and `options`, before anything is stored."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ramify import BadNode, Job, Node, Ramify, Retry, group, job, series
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Batch, When
from tests.face.tasks import add, double, total


def planned(node: Node[Any]) -> Batch:
    return plan(sketch([node]), make_ids)


def waits(node: Node[Any]) -> list[int]:
    """How many edges each row of the plan waits for, in order of id."""
    return [row.waits for row in planned(node).rows]


def test_options_return_a_copy() -> None:
    """The node itself stays as it is; other options stay with the copy."""
    node = job(double, 1).options(queue="a")
    changed = node.options(priority=3)

    assert (node.how.priority, changed.how.priority, changed.how.queue) == (None, 3, "a")
    assert (changed.task, changed.args, changed.function) == (node.task, node.args, double)


def test_times_are_seconds_or_their_types() -> None:
    """`delay` and `timeout` take seconds or a timedelta, `at` a timestamp or a date."""
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)

    assert job(double, 1).options(delay=timedelta(minutes=2)).how.delay == 120
    assert job(double, 1).options(delay=1.5).how.delay == 1.5
    assert job(double, 1).options(at=noon).how.at == noon.timestamp()
    assert job(double, 1).options(at=17).how.at == 17
    assert job(double, 1).options(at=date(2030, 1, 1)).how.at == datetime(2030, 1, 1).timestamp()
    assert job(double, 1).options(at="2030-01-01T12:00:00+00:00").how.at == noon.timestamp()
    assert job(double, 1).options(timeout=timedelta(hours=1)).how.policy.timeout == 3600


def test_start_before_is_a_time_or_a_span() -> None:
    """A date is a time, and so are the seconds of today; a timedelta or a text like that of `delay` counts from now."""
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)

    times = [job(double, 1).options(start_before=each).how.policy for each in (noon, noon.timestamp(), str(noon))]
    spans = [job(double, 1).options(start_before=each).how.policy for each in (timedelta(minutes=5), "5m", "300s")]

    assert {(policy.start_before, policy.start_within) for policy in times} == {(noon.timestamp(), None)}
    assert {(policy.start_before, policy.start_within) for policy in spans} == {(None, 300.0)}


def test_the_timeout_of_a_group_is_that_of_the_whole() -> None:
    """A node with children limits its subtree, a single call its run."""
    whole = group(job(double, 1), timeout=5)

    assert (whole.how.limit, whole.how.policy.timeout) == (5, None)
    assert job(double, 1).options(timeout=5).how.limit is None
    assert group(job(double, 1), body=job(add, 1).options(timeout=3), timeout=9).how.limit == 9


def test_after_adds_to_what_was_there() -> None:
    """`after` names one node or job or several, with the end that is asked for; a second call adds to the first."""
    a, b, c = job(double, 1), job(double, 2), job(double, 3)

    how = job(double, 4).options(after=a).options(after=[b, c], when="failed").how

    assert how.after == ((a, When.DONE), (b, When.FAILED), (c, When.FAILED))


def test_a_gate_may_be_given_as_a_job(app: Ramify) -> None:
    """`hold` takes True, an id, or the job whose release lets this one go."""
    gate = app.enqueue(job(double, 1).options(hold=True))

    assert job(double, 1).options(hold=gate).how.hold == gate.id
    assert job(double, 1).options(hold=gate.id).how.hold == gate.id


def test_a_number_of_retries_is_a_retry() -> None:
    """`retry=3` means three times with the usual pauses."""
    assert job(double, 1).options(retry=3).how.policy.retry == Retry(times=3)
    assert job(double, 1).options(retry=Retry(2, backoff=9)).how.policy.retry == Retry(2, 9)


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        ({"delay": -1}, "delay is at least 0 seconds"),
        ({"delay": "soon"}, "delay is a number of seconds, not 'soon'"),
        ({"delay": math.nan}, "delay is a number of seconds"),
        ({"delay": 1, "at": 2}, "a delay or a time, not both"),
        ({"at": "noon"}, "at is a date of the years 1 to 9999.* not 'noon'"),
        ({"at": datetime.min}, "at is a date of the years 1 to 9999"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at is a date of the years 1 to 9999"),
        ({"at": math.inf}, "at is a date of the years 1 to 9999"),
        ({"at": 10**5000}, "at is a date of the years 1 to 9999"),
        ({"delay": 1e308}, "delay is longer than a thousand years"),
        ({"delay": 10**5000}, "delay is longer than a thousand years"),
        ({"retry": Retry(3, backoff=1e308)}, "retry.backoff is a number of seconds"),
        ({"start_before": -1e300}, "start_before is a date of the years 1 to 9999"),
        ({"start_before": 60}, r"start_before=60 lies in 1970.*timedelta\(minutes=1\), or '1m'"),
        ({"start_before": timedelta.max}, "start_before is longer than a thousand years"),
        ({"queue": "界" * 167}, "queue is a text of at most 500 bytes, not 501"),
        ({"priority": 1.5}, "priority is a whole number"),
        ({"priority": True}, "priority is a whole number"),
        ({"units": -1}, "units is a whole number from 0"),
        ({"queue": ""}, "queue is a text that is not empty"),
        ({"queue": "a\0"}, "queue has characters that cannot be stored"),
        ({"label": "\ud800"}, "label has characters that cannot be stored"),
        ({"label": 3}, "label is a text"),
        ({"retry": -1}, "retry is a whole number"),
        ({"timeout": -1}, "timeout is at least 0"),
        ({"when": "failed"}, "name that job too"),
        ({"after": "01j00000000000000000000000"}, "after names nodes and jobs"),
        ({"blocking": 1}, "blocking cannot be 1"),
        ({"hold": 1}, "hold cannot be 1"),
        ({"fail": "slowly"}, "fail is 'finish' or 'fast', not 'slowly'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], mistake: str) -> None:
    """`BadNode` says which option is wrong and what it may be."""
    with pytest.raises(BadNode, match=mistake):
        job(double, 1).options(**options)


def test_a_wrong_end_is_named() -> None:
    """`when` is one of three ends."""
    with pytest.raises(BadNode, match="when is 'done', 'ended' or 'failed', not 'never'"):
        job(double, 1).options(after=job(double, 2), when="never")  # type: ignore[arg-type]


def test_a_node_as_argument_is_waited_for() -> None:
    """A node in the arguments, at any depth, is one job that runs before, however often it is named."""
    a = job(double, 1)

    assert waits(group(a, job(double, a))) == [0, 1, 2]
    assert waits(job(total, [a, a, 3])) == [0, 1]
    assert len(planned(group(a, job(add, a, y=a))).rows) == 3


def test_series_runs_one_after_the_other() -> None:
    """Each node of a series waits for the one before, and a node of it that is named elsewhere stays one job."""
    a, b, c = job(double, 1), job(double, 2), job(double, 3)

    assert waits(series(a, b, c)) == [0, 1, 1, 3]
    assert waits(series(a, job(double, a), c)) == [0, 1, 1, 3]


def test_a_body_runs_after_the_children() -> None:
    """A group with a body is one job that waits for the children."""
    a, b = job(double, 1), job(double, 2)

    assert waits(group(a, b, body=job(total, [a, b]))) == [0, 0, 2]


@pytest.mark.parametrize(
    ("make", "mistake"),
    [
        (lambda: group([job(double, 1)]), r"a list of nodes is spread: group\(\*nodes\)"),
        (lambda: group(double), "is not a node; make one with job"),
        (lambda: group(body=double), "double at .* is not a node; make one with job"),
        (lambda: group(body=group()), "the body of a group is one call"),
        (lambda: group(Job(None, "01j")), "job 01j is stored already"),
        (lambda: list(job(double, 1)), "is work to be done, not its result"),
    ],
)
def test_what_is_no_node_is_refused_with_the_remedy(make: Any, mistake: str) -> None:
    """`BadNode` says what to write instead."""
    with pytest.raises(BadNode, match=mistake):
        make()
