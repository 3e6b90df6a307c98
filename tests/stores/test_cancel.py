"""Cancelling: a job and all that stands under it, whatever it is doing."""

from ramify.model import Failure, State, Verb, Which
from tests.stores.kit import Clock, Desk, leaf, tree


def test_a_cancelled_tree_never_runs(desk: Desk) -> None:
    """Cancelling a root ends every job of its tree that does not run."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b")), leaf("c")))

    moved = desk.move(Verb.CANCEL, "top")

    assert (1, {"cancelled"}) == (moved, set(desk.states().values()))
    assert desk.work() == []


def test_a_running_job_is_only_asked_to_stop(desk: Desk) -> None:
    """Whichever of the outcome and the cancel reaches the store first wins."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim()
    desk.move(Verb.CANCEL, "top")
    before = desk.states()

    desk.end("a")
    desk.end("b", state=State.CANCELLED)

    assert before == {"a": "running", "b": "running", "top": "cancelled"}
    assert desk.states() == {"a": "done", "b": "cancelled", "top": "cancelled"}


def test_what_is_done_stays_done(desk: Desk) -> None:
    """Cancelling takes nothing back."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.run("a", "b")
    desk.work()

    assert desk.move(Verb.CANCEL, "top", "a") == 0
    assert {"done"} == set(desk.states().values())


def test_a_cancel_enters_a_group_that_has_failed(desk: Desk) -> None:
    """An ended job that is not done is entered too, so that a retry of what is above it does not wake what is below."""
    desk.add(tree("top", tree("group", leaf("bad"), leaf("good"), fail="fast"), leaf("c")))
    desk.claim(n=1)
    desk.end("bad", state=State.FAILED)
    desk.work()

    desk.move(Verb.CANCEL, "top")

    assert all(desk.row(name).cancelled for name in ("group", "bad", "good"))


def test_a_cancel_goes_by_parents_not_by_edges(desk: Desk) -> None:
    """A child that two groups share lives on with the parent that it stands under."""
    shared = leaf("shared")
    desk.add(tree("top", tree("one", shared, leaf("a")), tree("two", shared, leaf("b"))))

    desk.move(Verb.CANCEL, "two")

    assert (desk.state("shared"), desk.state("a"), desk.state("one")) == ("ready", "ready", "waiting")
    assert (desk.state("b"), desk.state("two")) == ("cancelled", "cancelled")


def test_a_cancel_finds_what_was_only_named(desk: Desk) -> None:
    """A node that is only somebody's argument, or only in `after`, stands under who names it first."""
    first = leaf("first")
    desk.add(leaf("last").options(after=[first, leaf("between").options(after=first)]))

    desk.move(Verb.CANCEL, "last")

    assert {"cancelled"} == set(desk.states().values())


def test_what_waited_for_a_cancelled_job_is_skipped(desk: Desk) -> None:
    """A cancel settles edges like any other end."""
    desk.add(leaf("a"))
    desk.add(leaf("b").options(after=desk.ref("a")))
    desk.add(leaf("c").options(after=desk.ref("a"), when="ended"))
    desk.move(Verb.CANCEL, "a")

    desk.work()

    assert desk.states() == {"a": "cancelled", "b": "skipped", "c": "done"}


def test_cancelling_a_held_gate_cancels_what_it_blocks(desk: Desk) -> None:
    """A gate that is cancelled before its release takes the jobs with it that wait for that release."""
    desk.add(leaf("gate").options(hold=True))
    desk.add(leaf("a").options(hold=desk.ids["gate"]))
    desk.add(tree("b", leaf("c")).options(hold=desk.ids["gate"]))

    desk.move(Verb.CANCEL, "gate")

    assert {"cancelled"} == set(desk.states().values())


def test_cancelling_a_released_gate_leaves_what_it_blocked(desk: Desk) -> None:
    """After the release the jobs are independent of their gate."""
    desk.add(leaf("gate").options(hold=True))
    desk.add(leaf("a").options(hold=desk.ids["gate"]))
    desk.move(Verb.RELEASE, "gate")

    desk.move(Verb.CANCEL, "gate")

    assert desk.states() == {"gate": "cancelled", "a": "ready"}


def test_a_cancel_during_a_release_reaches_what_is_still_held(desk: Desk) -> None:
    """Of a gate that is cancelled while its release is on the way, no job is left held."""
    desk.add(leaf("gate").options(hold=True))
    for name in "abcde":
        desk.add(leaf(name).options(hold=desk.ids["gate"]))
    desk.start(Verb.RELEASE, "gate")
    desk.start(Verb.CANCEL, "gate")

    desk.drain()

    assert {"gate": "cancelled"} | dict.fromkeys("abcde", "ready") == desk.states()


def test_the_reason_of_a_cancel_is_kept(desk: Desk) -> None:
    """A job that is cancelled for a reason shows it; those under it show none of their own."""
    desk.add(tree("top", leaf("a")))
    reason = Failure("limit", "took longer than 60 s")

    desk.store.move(Which(ids=(desk.ids["top"],)), Verb.CANCEL, reason)
    desk.drain()

    assert (reason, None) == (desk.failure("top"), desk.failure("a"))


def test_trees_past_their_time_limit_are_named(desk: Desk, clock: Clock) -> None:
    """A heartbeat names the jobs whose deadline has passed, until they have ended."""
    desk.add(tree("top", leaf("a"), timeout=60.0))
    early = desk.store.beat("s", []).overdue
    clock.advance(60.0)
    desk.enter("late")

    overdue = desk.store.beat("late", []).overdue
    desk.move(Verb.CANCEL, "top")

    assert ([], [desk.ids["top"]], []) == (early, overdue, desk.store.beat("late", []).overdue)


def test_a_second_cancel_concerns_nobody(desk: Desk) -> None:
    """Cancelling twice is cancelling once."""
    desk.add(tree("top", leaf("a")))

    assert [desk.move(Verb.CANCEL, "top"), desk.move(Verb.CANCEL, "top")] == [1, 0]


def test_a_marked_job_that_is_opened_ends_cancelled(desk: Desk) -> None:
    """When a retry of a child takes a claimed group's bad edge back, a cancel that it was asked for still counts."""
    desk.add(tree("top", leaf("a"), task="m:top"))
    desk.run("a", state=State.FAILED)
    desk.claim()
    desk.move(Verb.CANCEL, "top")
    desk.move(Verb.RETRY, "a")

    desk.work()

    assert desk.states() == {"a": "done", "top": "cancelled"}


def test_a_cancel_while_a_retry_is_on_its_way_wins(desk: Desk) -> None:
    """A job that is cancelled while its successors are being told of its retry ends cancelled after all of them."""
    desk.add(tree("top", leaf("a"), leaf("b").options(after=leaf("x")), hold=True))
    desk.move(Verb.CANCEL, "top")
    desk.start(Verb.RETRY, "a")
    desk.start(Verb.HOLD, "a")
    desk.start(Verb.CANCEL, "a")

    desk.drain()

    assert {"cancelled"} == set(desk.states().values())


def test_many_held_jobs_on_their_way_back_do_not_stop_a_cancel(desk: Desk) -> None:
    """Jobs that are held, opening and cancelled all at once do not keep the worklist busy for ever."""
    desk.add(tree("top", *[leaf(name) for name in "abcdef"]))
    desk.move(Verb.CANCEL, "top")
    desk.start(Verb.CANCEL, "top")
    for name in ("a", "b", "c", "d", "e", "f", "top"):
        desk.start(Verb.RETRY, name)
    desk.start(Verb.HOLD, "top")
    for name in "abcdef":
        desk.add(leaf(f"held {name}").options(hold=desk.ids["top"]))
    desk.start(Verb.CANCEL, "top")

    desk.drain()

    assert set(desk.states().values()) == {"cancelled"}


def test_a_cancelled_job_on_its_way_back_cannot_be_held(desk: Desk) -> None:
    """A job that is cancelled while its retry is told is about to end, so nothing holds it up."""
    desk.add(leaf("a").options(hold=True))
    desk.add(leaf("b").options(after=desk.ref("a")))
    desk.move(Verb.CANCEL, "a")
    desk.start(Verb.RETRY, "a")
    desk.start(Verb.HOLD, "a")
    desk.start(Verb.CANCEL, "a")

    held = (desk.state("a"), desk.start(Verb.HOLD, "a"))

    assert held == ("waiting", 0)


def test_what_a_gate_blocks_is_cancelled_though_the_gate_comes_back(desk: Desk) -> None:
    """Jobs blocked by a fast group are cancelled with it, also if it is retried and fails before they are reached."""
    desk.add(tree("gate", leaf("a"), leaf("b"), leaf("c"), fail="fast"))
    desk.claim(n=1)
    desk.move(Verb.HOLD, "gate")
    desk.add(leaf("blocked").options(hold=desk.ids["gate"]))
    desk.start(Verb.CANCEL, "gate")
    desk.start(Verb.RETRY, "gate")
    desk.end("a", state=State.FAILED)

    desk.drain()
    desk.work()

    assert desk.state("blocked") == "cancelled"
