"""Reporting: an outcome counts once, wholly, and only from who holds the job."""

import pytest

from ramify.errors import Lost
from ramify.model import Ended, Failure, Refusal, State, Value, Verb, Which
from tests.stores.kit import FAILURE, VALUE, Desk, leaf, tree


def test_an_end_readies_what_waited_for_it(desk: Desk) -> None:
    """Ending a job and readying its successors is one step, and the same step claims them."""
    desk.add(leaf("a"))
    desk.add(leaf("b").options(after=desk.ref("a")))
    desk.claim()

    reply = desk.exchange(desk.ended("a"), n=1)

    assert [desk.ids["b"]] == [claim.row.id for claim in reply.claims]


def test_two_ends_in_one_step_count_twice(desk: Desk) -> None:
    """A successor of two jobs that end in the same exchange waits for two less."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim()

    desk.end("a", "b")
    desk.drain()

    assert (desk.row("top").waits, desk.state("top")) == (0, "ready")


def test_a_few_slices_of_edges_are_settled_with_the_ends(desk: Desk) -> None:
    """Jobs that end together and each fit a slice need no worklist, as long as they are not many slices."""
    desk.add(tree("top", leaf("a"), leaf("b"), leaf("c"), leaf("d")))
    desk.claim()

    reply = desk.exchange(*[desk.ended(label) for label in "abcd"])

    assert (False, [], 0) == (reply.more, desk.store.snapshot().work, desk.row("top").waits)


def test_what_is_too_much_for_a_step_is_settled_all_the_same(desk: Desk) -> None:
    """Of many jobs that end together the last ones may go on the worklist, and count no less."""
    labels = [f"leaf {n}" for n in range(11)]
    desk.add(tree("top", *map(leaf, labels)))
    desk.claim()

    desk.end(*labels)
    desk.drain()

    assert (0, "ready") == (desk.row("top").waits, desk.state("top"))


def test_a_repeated_report_is_refused_and_changes_nothing(desk: Desk) -> None:
    """After a lost reply the report can be sent again: it is refused, and the store is as it was."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim()
    outcome = desk.ended("a")
    desk.exchange(outcome)
    before = desk.store.snapshot()

    reply = desk.exchange(outcome)

    assert {desk.ids["a"]: Refusal("lost")} == reply.refused
    assert before == desk.store.snapshot()


@pytest.mark.parametrize("kind", ["ended", "grown", "again", "back"])
def test_only_the_session_and_attempt_that_hold_a_job_report_it(desk: Desk, kind: str) -> None:
    """A report from another session, or of an earlier attempt, is refused and changes nothing."""
    desk.enter("other")
    desk.add(leaf("a"))
    desk.claim()
    early = _outcome(desk, kind)
    desk.exchange(desk.back("a"))
    desk.claim()
    late = _outcome(desk, kind)
    before = desk.store.snapshot()

    stale = desk.exchange(early)
    foreign = desk.exchange(late, session="other")

    assert 2 * [{desk.ids["a"]: Refusal("lost")}] == [stale.refused, foreign.refused]
    assert before == desk.store.snapshot()
    assert desk.exchange(late).refused == {}


def _outcome(desk: Desk, kind: str) -> object:
    if kind == "grown":
        return desk.grown("a", desk.batch(leaf("child"), into="a"))
    return {"ended": desk.ended, "again": desk.again, "back": desk.back}[kind]("a")


def test_of_two_reports_on_one_job_the_first_counts(desk: Desk) -> None:
    """One exchange ends a job once."""
    desk.add(leaf("a"))
    desk.claim()
    row = desk.claims["a"].row

    desk.exchange(desk.ended("a"), Ended(row.id, row.attempt, State.FAILED, None, FAILURE))

    assert desk.state("a") == "done"


def test_outcomes_of_one_exchange_count_each_for_itself(desk: Desk) -> None:
    """A refused report does not keep the others from counting."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim()
    stale = Ended(desk.ids["a"], 7, State.DONE, VALUE)

    reply = desk.exchange(stale, desk.ended("b"))

    assert {desk.ids["a"]} == reply.refused.keys()
    assert (desk.state("a"), desk.state("b")) == ("running", "done")


def test_a_result_is_kept_with_its_end(desk: Desk) -> None:
    """What a job returned can be read as soon as it is done; so can why it failed."""
    desk.add(leaf("a"))
    desk.add(leaf("b"))
    desk.claim()
    row = desk.claims["a"].row
    desk.exchange(Ended(row.id, row.attempt, State.DONE, Value(b"[1,2]", spread=True)))
    desk.end("b", state=State.FAILED)

    first, second = desk.store.results([desk.ids["a"], desk.ids["b"]])

    assert (Value(b"[1,2]", spread=True), None) == (first.value, first.failure)
    assert (second.value, second.failure) == (None, FAILURE)


def test_the_end_of_a_finished_body_keeps_its_value(desk: Desk) -> None:
    """A job whose body is over ends with the value that the body left."""
    desk.add(leaf("a"))
    desk.claim()
    desk.exchange(desk.grown("a", desk.batch(leaf("child"), into="a")))
    desk.work()

    [result] = desk.store.results([desk.ids["a"]])
    assert (desk.state("a"), result.value) == ("done", VALUE)


def test_a_job_that_is_done_at_last_shows_no_failure(desk: Desk) -> None:
    """The failure of an earlier try is gone when a later one succeeds, also if it ends without a value of its own."""
    desk.add(leaf("a"))
    desk.add(leaf("b"))
    desk.claim()
    desk.exchange(desk.again("a"), desk.again("b"))
    desk.claim()
    desk.exchange(desk.ended("a"), desk.grown("b", desk.batch(leaf("child"), into="b")))
    desk.work()

    assert (desk.failure("a"), desk.failure("b")) == (None, None)


def test_a_cancel_that_came_too_late_leaves_no_failure(desk: Desk) -> None:
    """A job that was cancelled while its end was on the way is done, and says nothing of the cancel."""
    desk.add(tree("group"))
    desk.claim()
    desk.store.move(Which(ids=(desk.ids["group"],)), Verb.CANCEL, Failure("limit", "too long"))

    desk.end("group")

    assert (desk.state("group"), desk.failure("group")) == ("done", None)


def test_a_dead_session_is_told_so(desk: Desk) -> None:
    """A session that left, or never came, may not report or claim."""
    desk.store.leave("s")

    with pytest.raises(Lost):
        desk.exchange()
    with pytest.raises(Lost):
        desk.exchange(session="unknown")


def test_an_exchange_says_whether_there_is_more_to_do(desk: Desk) -> None:
    """`more` is true as long as the worklist is not empty, and each exchange does a slice of it."""
    desk.add(tree("top", leaf("a"), leaf("b"), leaf("c"), hold=True))
    desk.start(Verb.RELEASE, "top")

    replies = [desk.exchange()]
    while replies[-1].more:
        replies.append(desk.exchange())

    assert desk.states() == {"a": "ready", "b": "ready", "c": "ready", "top": "waiting"}


def test_an_edge_is_settled_once_however_often_the_job_runs(desk: Desk) -> None:
    """A job that failed, was retried and is done counts once for its successor."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim()
    desk.end("a", state=State.FAILED)
    desk.move(Verb.RETRY, "a")
    desk.claim()
    desk.end("a")

    assert (desk.row("top").waits, desk.row("top").bads) == (1, 0)
    desk.end("b")
    assert desk.work() == ["top"]
