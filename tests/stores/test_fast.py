"""Groups with `fail="fast"`: the first bad child cancels the rest."""

from ramify.model import State, Verb
from tests.stores.kit import Desk, leaf, tree


def test_the_first_bad_child_cancels_the_others(desk: Desk) -> None:
    """What did not run does not run; what runs is asked to stop; the group fails, and is not cancelled."""
    desk.add(tree("group", leaf("a"), leaf("b"), tree("inner", leaf("c")), fail="fast"))
    desk.claim(n=2)

    desk.end("a", state=State.FAILED)
    desk.drain()
    cancels = [desk.labels[id] for id in desk.exchange().cancels]
    desk.end("b", state=State.CANCELLED)
    desk.work()

    assert cancels == ["b"]
    assert desk.states() == {"a": "failed", "b": "cancelled", "c": "cancelled", "inner": "cancelled", "group": "failed"}


def test_another_group_lets_its_children_finish(desk: Desk) -> None:
    """By default a bad child does not disturb its siblings."""
    desk.add(tree("group", leaf("a"), leaf("b")))

    desk.work(fail=["a"])

    assert desk.states() == {"a": "failed", "b": "done", "group": "failed"}


def test_a_skipped_predecessor_does_not_cancel_children(desk: Desk) -> None:
    """Only a bad child counts, not what the group itself waits for."""
    desk.add(leaf("x"))
    desk.add(tree("group", leaf("a")).options(fail="fast"))
    desk.add(leaf("z"))
    desk.move(Verb.HOLD, "group")
    desk.add_edge("x", "group")
    desk.run("x", "z", state=State.FAILED)
    desk.drain()
    desk.move(Verb.RELEASE, "group")

    assert desk.state("a") == "ready"


def test_cancelled_siblings_come_back_with_a_retry_of_the_group(desk: Desk) -> None:
    """A retry of the group runs again what failed and what was cancelled because of it."""
    desk.add(tree("group", leaf("a"), leaf("b"), leaf("c"), fail="fast"))
    desk.claim(n=1)
    desk.end("a", state=State.FAILED)
    desk.work()

    desk.move(Verb.RETRY, "group")
    desk.work()

    assert {"done"} == set(desk.states().values())


def test_a_held_fast_group_is_not_cancelled_by_its_child(desk: Desk) -> None:
    """A fast group that was put on hold, and what it is the gate of, waits for its release as before."""
    desk.add(tree("group", leaf("a"), leaf("b"), fail="fast"))
    desk.claim(n=1)
    desk.move(Verb.HOLD, "group")
    desk.add(leaf("gated").options(hold=desk.ids["group"]))

    desk.end("a", state=State.FAILED)
    desk.drain()
    held = desk.states()
    desk.move(Verb.RELEASE, "group")
    desk.work()

    assert held == {"a": "failed", "b": "cancelled", "group": "held", "gated": "held"}
    assert (desk.state("group"), desk.state("gated")) == ("failed", "done")


def test_each_fast_group_above_is_told_by_the_one_below(desk: Desk) -> None:
    """A failure travels up one hop at a time, and each fast group cancels its own rest."""
    desk.add(tree("top", tree("inner", leaf("a"), leaf("b"), fail="fast"), leaf("c"), fail="fast"))
    desk.claim(n=1)
    desk.end("a", state=State.FAILED)
    desk.drain()

    desk.claim(n=0)
    desk.end("inner")
    desk.drain()

    assert tuple(map(desk.state, ("top", "inner", "b", "c"))) == ("ready", "failed", "cancelled", "cancelled")
    assert desk.work() == ["top"]
