"""Holding and releasing: a tree starts together or not at all."""

from ramify.model import State, Verb
from tests.stores.kit import Desk, leaf, tree


def test_a_release_lets_the_whole_tree_go(desk: Desk) -> None:
    """One release lets go everything that it holds, in whatever queue."""
    desk.add(tree("top", leaf("a"), tree("group", leaf("b").options(queue="other")), hold=True))

    moved = desk.move(Verb.RELEASE, "top")

    assert (moved, desk.states()) == (1, {"a": "ready", "b": "ready", "group": "waiting", "top": "waiting"})


def test_a_released_job_still_waits_for_its_predecessors(desk: Desk) -> None:
    """A release takes dependencies into account."""
    desk.add(leaf("first"))
    desk.add(leaf("second").options(hold=True, after=desk.ref("first")))

    desk.move(Verb.RELEASE, "second")

    assert desk.state("second") == "waiting"


def test_a_held_job_does_not_start_when_its_predecessors_end(desk: Desk) -> None:
    """Being let go and waiting for nothing are both needed to be ready."""
    desk.add(leaf("first"))
    desk.add(leaf("second").options(hold=True, after=desk.ref("first")))
    desk.run("first")
    before = desk.state("second")

    desk.move(Verb.RELEASE, "second")

    assert (before, desk.state("second")) == ("held", "ready")


def test_a_gate_lets_go_what_it_blocks(desk: Desk) -> None:
    """Releasing a gate releases the jobs that were blocked by it, each in its own queue; the gate runs after them."""
    desk.add(leaf("gate").options(hold=True))
    desk.add(leaf("a").options(hold=desk.ids["gate"], queue="a"))
    desk.add(leaf("b").options(hold=desk.ids["gate"], queue="b"))
    desk.add_edge("a", "gate")
    desk.add_edge("b", "gate")

    desk.move(Verb.RELEASE, "gate")

    assert desk.states() == {"a": "ready", "b": "ready", "gate": "waiting"}
    assert desk.claim(queues=["default", "a", "b"]) == ["a", "b"]


def test_a_gate_in_a_held_tree_is_let_go_with_what_it_blocks(desk: Desk) -> None:
    """A release that lets a gate go is a release of the gate."""
    desk.add(tree("top", leaf("gate"), hold=True))
    desk.add(leaf("a").options(hold=desk.ids["gate"]))

    desk.move(Verb.RELEASE, "top")

    assert desk.states() == {"gate": "ready", "a": "ready", "top": "waiting"}


def test_a_held_part_of_a_tree_waits_for_a_release_of_its_own(desk: Desk) -> None:
    """A release of the root leaves what was held for itself."""
    desk.add(tree("top", leaf("a"), leaf("b").options(hold=True), hold=True))

    desk.move(Verb.RELEASE, "top")
    before = desk.states()
    desk.move(Verb.RELEASE, "b")

    assert before == {"a": "ready", "b": "held", "top": "waiting"}
    assert desk.state("b") == "ready"


def test_a_second_release_concerns_nobody(desk: Desk) -> None:
    """Releasing twice runs nothing twice."""
    desk.add(tree("top", leaf("a"), hold=True))

    assert [desk.move(Verb.RELEASE, "top"), desk.move(Verb.RELEASE, "top")] == [1, 0]


def test_a_tree_can_be_put_on_hold(desk: Desk) -> None:
    """What has not started waits for a release; what runs goes on; what has ended stays."""
    desk.add(tree("top", leaf("a"), leaf("b"), tree("group", leaf("c"), leaf("d"))))
    desk.claim(n=2)
    desk.end("a")

    moved = desk.move(Verb.HOLD, "top")
    held = desk.states()
    desk.end("b")
    desk.move(Verb.RELEASE, "top")

    assert moved == 1
    assert held == {"a": "done", "b": "running", "c": "held", "d": "held", "group": "held", "top": "held"}
    assert desk.work() == ["c", "d", "group", "top"]


def test_a_release_overtakes_a_hold_that_is_on_its_way(desk: Desk) -> None:
    """A tree that is put on hold and released at once is not held afterwards, at any depth."""
    inner = tree("inner", leaf("a"), leaf("b"), leaf("c"))
    desk.add(tree("top", tree("outer", inner, leaf("d"), leaf("e")), leaf("f")))
    desk.start(Verb.HOLD, "top")
    desk.store.drain()
    desk.start(Verb.RELEASE, "top")

    desk.drain()

    assert "held" not in desk.states().values()


def test_a_hold_overtakes_a_release_that_is_on_its_way(desk: Desk) -> None:
    """A tree that is released and put on hold at once is held afterwards."""
    desk.add(tree("top", tree("outer", leaf("a"), leaf("b")), leaf("c"), leaf("d"), hold=True))
    desk.start(Verb.RELEASE, "top")
    desk.store.drain()
    desk.start(Verb.HOLD, "top")

    desk.drain()

    assert {"held"} == set(desk.states().values())


def test_a_hold_leaves_alone_what_is_cancelled(desk: Desk) -> None:
    """A hold that comes while a cancel is on its way holds nothing that the cancel will not end."""
    desk.add(tree("top", leaf("a"), leaf("b"), leaf("c"), leaf("d")))
    desk.start(Verb.HOLD, "top")
    desk.start(Verb.CANCEL, "top")
    desk.start(Verb.RETRY, "a", "top")

    desk.drain()

    assert "held" not in desk.states().values()


def test_a_running_job_cannot_be_held(desk: Desk) -> None:
    """Holding concerns what has not started."""
    desk.add(leaf("a"))
    desk.claim()

    assert desk.move(Verb.HOLD, "a") == 0
    desk.exchange(desk.back("a"))
    assert desk.state("a") == "ready"


def test_a_held_group_ends_after_its_release(desk: Desk) -> None:
    """A held group whose children have all ended is ended once it is let go."""
    desk.add(tree("top", leaf("a")))
    desk.claim()
    desk.move(Verb.HOLD, "top")
    desk.end("a", state=State.FAILED)
    before = desk.work()

    desk.move(Verb.RELEASE, "top")

    assert (before, desk.work(), desk.state("top")) == ([], ["top"], "failed")


def test_what_was_held_for_itself_stays_so(desk: Desk) -> None:
    """Putting a tree on hold and releasing it leaves alone the part that waits for a release of its own."""
    desk.add(tree("top", leaf("a"), tree("part", leaf("b"), hold=True)))
    desk.move(Verb.HOLD, "top")

    desk.move(Verb.RELEASE, "top")

    assert desk.states() == {"a": "ready", "b": "held", "part": "held", "top": "waiting"}


def test_a_tree_on_hold_can_be_held_again(desk: Desk) -> None:
    """What had run when the tree was put on hold, and was given back, is held by the next call."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim(n=1)
    desk.move(Verb.HOLD, "top")
    desk.exchange(desk.back("a"))
    between = desk.state("a")

    desk.move(Verb.HOLD, "top")

    assert (between, desk.state("a")) == ("ready", "held")
