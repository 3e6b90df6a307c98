"""Retrying: taking an end back, and with it what followed from it."""

import pytest

from ramify.model import Charge, State, Verb
from tests.stores.kit import FAILURE, Desk, leaf, tree


def test_a_retried_job_brings_back_what_failed_because_of_it(desk: Desk) -> None:
    """A retry of a child un-fails its parents and un-skips what comes after it, at any distance."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b")).options(blocking=True), leaf("later")))
    desk.work(fail=["a"])
    before = desk.states()

    desk.move(Verb.RETRY, "a")
    order = desk.work()

    assert before == {"a": "failed", "b": "done", "group": "failed", "later": "skipped", "top": "failed"}
    assert order == ["a", "group", "later", "top"]
    assert {"done"} == set(desk.states().values())


def test_a_retry_of_a_root_retries_what_made_it_fail(desk: Desk) -> None:
    """A retry of a tree runs again whatever in it was not done, and nothing else."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b"), task="m:group"), leaf("c")))
    desk.work(fail=["a"])

    moved = desk.move(Verb.RETRY, "top")

    assert (moved, desk.work()) == (1, ["a", "group", "top"])


def test_what_is_done_never_runs_again(desk: Desk) -> None:
    """A retry of a job that is done, or has not ended, concerns nobody."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim(n=1)
    desk.end("a")

    assert desk.move(Verb.RETRY, "a", "b", "top") == 0


def test_a_retry_stays_in_its_tree(desk: Desk) -> None:
    """What lies in another tree is not retried: the job is skipped again because of it."""
    desk.add(leaf("other"))
    desk.add(tree("top", leaf("a").options(after=desk.ref("other"))))
    desk.work(fail=["other"])

    desk.move(Verb.RETRY, "top")
    desk.work()

    assert desk.states() == {"other": "failed", "a": "skipped", "top": "skipped"}


def test_a_retry_reaches_other_trees_that_waited_for_it(desk: Desk) -> None:
    """A retry of a job opens its successors wherever they are."""
    desk.add(leaf("other"))
    desk.add(tree("top", leaf("a").options(after=desk.ref("other"))))
    desk.work(fail=["other"])

    desk.move(Verb.RETRY, "other")
    desk.work()

    assert {"done"} == set(desk.states().values())


def test_a_good_verdict_is_final(desk: Desk) -> None:
    """What asked for a failure, or for any end, and got it, does not run again when the job is retried."""
    desk.add(leaf("a"))
    desk.add(leaf("b").options(after=desk.ref("a"), when="ended"))
    desk.add(leaf("c").options(after=desk.ref("a"), when="failed"))
    desk.work(fail=["a"])

    desk.move(Verb.RETRY, "a")

    assert desk.work() == ["a"]


def test_a_job_claimed_as_doomed_loses_its_session(desk: Desk) -> None:
    """When a retry takes back what doomed a job, its end is no longer wanted: the report is refused, it waits again."""
    desk.add(tree("top", leaf("a"), task="m:top"))
    desk.run("a", state=State.FAILED)
    desk.claim()
    outcome = desk.ended("top")
    desk.move(Verb.RETRY, "a")

    reply = desk.exchange(outcome)

    assert ({desk.ids["top"]}, "waiting") == (reply.refused.keys(), desk.state("top"))
    assert desk.work() == ["a", "top"]


def test_a_second_end_during_an_open_counts_once(desk: Desk) -> None:
    """A job that ends again while successors are still being told of its retry ends for all of them, once."""
    desk.add(leaf("a"))
    for name in "bcdefg":
        desk.add(leaf(name).options(after=desk.ref("a")))
    desk.work(fail=["a"])

    desk.start(Verb.RETRY, "a")
    desk.store.drain()
    desk.start(Verb.CANCEL, "a")
    desk.drain()
    desk.work()
    twice = set(desk.states().values())
    desk.move(Verb.RETRY, "a")
    desk.work()

    assert ({"cancelled", "skipped"}, {"done"}) == (twice, set(desk.states().values()))


def test_a_retry_during_a_settle_turns_it_round(desk: Desk) -> None:
    """A job that is retried while its end is still being told opens those that know of it, and no others."""
    desk.add(leaf("a"))
    for name in "bcdefg":
        desk.add(leaf(name).options(after=desk.ref("a")))
    desk.claim()
    desk.end("a", state=State.FAILED)
    desk.start(Verb.RETRY, "a")

    desk.drain()

    assert {"a": "ready"} | dict.fromkeys("bcdefg", "waiting") == desk.states()
    assert len(desk.work()) == 7


def test_charges_are_forgiven(desk: Desk) -> None:
    """A retry by hand starts the counts anew; the attempt goes on counting."""
    desk.add(leaf("a"))
    for charge in (Charge.TRY, Charge.CRASH, Charge.LOSS):
        desk.claim()
        desk.exchange(desk.again("a", charge=charge))
    desk.run("a", state=State.FAILED)
    failure = desk.failure("a")

    desk.move(Verb.RETRY, "a")

    row = desk.row("a")
    assert (failure, desk.failure("a")) == (FAILURE, None)
    assert (row.tries, row.crashes, row.losses, row.attempt, row.ended) == (0, 0, 0, 4, None)


def test_a_finished_body_is_not_run_again(desk: Desk) -> None:
    """A job whose spawned child failed waits for that child again; its own body is over and stays so."""
    desk.add(leaf("a"))
    desk.claim()
    desk.exchange(desk.grown("a", desk.batch(leaf("child"), into="a")))
    desk.work(fail=["child"])

    desk.move(Verb.RETRY, "a")
    claimed = desk.claim(n=9)
    desk.end("child")

    assert claimed == ["child"]
    assert desk.claims["a"].row.doomed
    assert desk.work() == ["a"]


def test_a_cancelled_tree_comes_back(desk: Desk) -> None:
    """A retry of a cancelled root clears its mark and those of what it had cancelled."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b")), leaf("c")))
    desk.move(Verb.CANCEL, "top")

    desk.move(Verb.RETRY, "top")
    desk.work()

    assert {"done"} == set(desk.states().values())


def test_a_tree_that_is_retried_while_a_cancel_is_on_its_way_comes_back(desk: Desk) -> None:
    """A cancel and then a retry, in a hurry: what the cancel reaches afterwards is retried as well."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b"), leaf("c")), leaf("d"), leaf("e")))
    desk.start(Verb.CANCEL, "top")
    desk.start(Verb.RETRY, "top")

    desk.drain()
    desk.work()

    assert {"done"} == set(desk.states().values())


def test_only_its_own_retry_clears_a_mark(desk: Desk) -> None:
    """A cancelled group that is opened by a retry of its child ends cancelled again."""
    desk.add(tree("top", tree("group", leaf("a")), leaf("b")))
    desk.run("a", state=State.FAILED)
    desk.move(Verb.CANCEL, "group")

    desk.move(Verb.RETRY, "a")
    desk.work()

    assert (desk.state("a"), desk.state("group"), desk.state("top")) == ("done", "cancelled", "cancelled")


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_an_edge_added_while_a_retry_is_told_is_open(desk: Desk, state: State) -> None:
    """Whoever comes to wait for a job that is being retried waits for its new end."""
    desk.add(leaf("a"))
    for name in "bcd":
        desk.add(leaf(name).options(after=desk.ref("a")))
    desk.run("a", state=state)
    desk.start(Verb.RETRY, "a")

    desk.add(leaf("late").options(after=desk.ref("a")))
    desk.drain()

    assert desk.state("late") == "waiting"
    desk.work()
    assert {"done"} == set(desk.states().values())


def test_a_retried_job_does_not_wait_for_an_old_delay(desk: Desk) -> None:
    """A job that was cancelled while it was scheduled runs at once when it is retried by hand."""
    desk.add(leaf("a").options(delay=60.0))
    desk.move(Verb.CANCEL, "a")

    desk.move(Verb.RETRY, "a")

    assert desk.claim() == ["a"]
