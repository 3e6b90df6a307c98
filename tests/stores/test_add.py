"""Adding: rows and edges, all or nothing."""

import pytest

from ramify.errors import AlreadyReleased, Changed, Cycle, NotFound
from ramify.model import Batch, Edge, Kind, Outcome, State, Verb, When
from ramify.node import Ref
from ramify.stores.directory import Directory
from ramify.stores.protocol import SLICE
from tests.stores.kit import Clock, Desk, leaf, series, tree


def test_jobs_wait_for_their_children(desk: Desk) -> None:
    """A job runs after its children, at any depth."""
    desk.add(tree("top", tree("inner", leaf("a"), leaf("b")), leaf("c"), task="m:top"))

    assert desk.states() == {"a": "ready", "b": "ready", "c": "ready", "inner": "waiting", "top": "waiting"}
    assert desk.work() == ["a", "b", "inner", "c", "top"]


def test_nothing_is_stored_of_a_batch_that_is_refused(desk: Desk) -> None:
    """A batch with an unknown predecessor leaves nothing behind."""
    with pytest.raises(NotFound, match="so nothing can wait for it"):
        desk.add(tree("top", leaf("a"), leaf("b").options(after=Ref("0" * 26))))

    assert desk.states() == {}


def test_an_edge_from_a_finished_job_is_stored_settled(desk: Desk) -> None:
    """Who comes after a job that has ended need not wait, or is doomed at once."""
    desk.add(leaf("good"))
    desk.add(leaf("bad"))
    desk.work(fail=["bad"])

    desk.add(leaf("after good").options(after=desk.ref("good")))
    desk.add(leaf("after bad").options(after=desk.ref("bad")))
    desk.add(leaf("if bad").options(after=desk.ref("bad"), when="failed"))

    assert desk.claim(n=0) == ["after bad"]
    assert {name: state for name, state in desk.states().items() if "after" in name or "if" in name} == {
        "after good": "ready",
        "after bad": "running",
        "if bad": "ready",
    }


def test_an_edge_from_an_unfinished_job_is_waited_for(desk: Desk) -> None:
    """A stored job can be waited for from another tree."""
    desk.add(leaf("first"))

    desk.add(leaf("second", desk.ref("first")))

    assert desk.state("second") == "waiting"
    assert desk.work() == ["first", "second"]


def test_a_claim_brings_the_edges_that_fill_arguments(desk: Desk) -> None:
    """The places of results in the arguments are on the edges, and come with the claim."""
    desk.add(leaf("first"))
    desk.add(leaf("second", 1, desk.ref("first"), [desk.ref("first")]))
    desk.run("first")

    desk.claim()

    [edge] = desk.claims["second"].slots
    assert (desk.ids["first"], [["args", 1], ["args", 2, 0]]) == (edge.before, edge.slots)
    assert desk.claims["second"].payload.args == b"[[1,null,[null]],{}]"


def test_a_held_tree_waits_for_its_release(desk: Desk) -> None:
    """Nothing of a held tree runs before it is released."""
    desk.add(tree("top", leaf("a"), leaf("b"), hold=True))

    assert desk.work() == []
    assert desk.states() == {"a": "held", "b": "held", "top": "held"}


def test_only_a_held_job_can_be_extended(desk: Desk) -> None:
    """A job that was let go takes no more children and waits for nothing more."""
    desk.add(leaf("a"))
    desk.add(leaf("b"))

    with pytest.raises(AlreadyReleased, match="let go already"):
        desk.add(leaf("child"), into="a")
    with pytest.raises(AlreadyReleased):
        desk.add_edge("b", "a")

    assert desk.states() == {"a": "ready", "b": "ready"}


def test_a_held_job_gains_children_and_predecessors(desk: Desk) -> None:
    """A held job can be extended until it is let go."""
    desk.add(tree("top", leaf("a"), hold=True))
    desk.add(leaf("other"))

    desk.add(leaf("b"), into="top")
    desk.add_edge("other", "top", When.ENDED)
    desk.add_edge("a", "top", When.DONE)
    desk.move(Verb.RELEASE, "top")

    assert desk.work() == ["a", "b", "other", "top"]
    assert [edge.place for edge in desk.store.edges([desk.ids["top"]])] == [-2, -1, 0, 1]


def test_children_planned_for_another_array_are_refused(desk: Desk) -> None:
    """Two programs that extend one held job at once do not take each other's positions."""
    desk.add(tree("top", leaf("a"), hold=True))
    first, second = desk.batch(leaf("b"), into="top"), desk.batch(leaf("c"), into="top")
    desk.store.add(first)

    with pytest.raises(Changed, match="2 children by now, not 1"):
        desk.store.add(second)

    assert desk.states() == {"a": "held", "b": "held", "top": "held"}


def test_a_cycle_through_stored_jobs_is_refused_with_its_path(desk: Desk) -> None:
    """An edge that would make stored jobs wait for each other is refused, and the message names them in order."""
    desk.add(tree("top", leaf("a"), leaf("b"), hold=True))
    desk.add(leaf("c", desk.ref("b")))
    desk.add_edge("a", "b")

    with pytest.raises(Cycle) as caught:
        desk.add_edge("c", "a")

    path = " → ".join(desk.ids[name] for name in ("c", "a", "b", "c"))
    assert f"these would wait for each other: {path}" == str(caught.value)
    assert len(desk.store.edges([desk.ids["b"]])) == 1


def test_a_job_that_waits_for_itself_is_refused(desk: Desk) -> None:
    """The shortest cycle is one edge."""
    desk.add(leaf("a").options(hold=True))

    with pytest.raises(Cycle):
        desk.add_edge("a", "a")


def test_a_cycle_that_a_retry_would_close_is_refused(desk: Desk) -> None:
    """What has ended and is not done may be retried, so a held job that it waited for may not wait for it."""
    desk.add(tree("top", leaf("a"), hold=True))
    desk.move(Verb.CANCEL, "top")
    desk.move(Verb.RETRY, "a")
    desk.move(Verb.HOLD, "a")

    with pytest.raises(Cycle):
        desk.add_edge("top", "a")


def test_a_path_through_done_jobs_is_no_cycle(desk: Desk) -> None:
    """What is done never runs again, so nothing waits for it any more."""
    desk.add(leaf("a"))
    desk.add(leaf("b").options(after=desk.ref("a"), when="failed"))
    desk.run("a", state=State.FAILED)
    desk.run("b")
    desk.move(Verb.RETRY, "a")
    desk.move(Verb.HOLD, "a")

    desk.add_edge("b", "a")
    desk.move(Verb.RELEASE, "a")

    assert desk.work() == ["a"]


def test_a_repeated_request_adds_nothing(desk: Desk) -> None:
    """A batch whose reply was lost may be sent again: the first one's root is returned."""
    first = desk.batch(tree("top", leaf("a")), request="r")
    again = desk.batch(tree("top again", leaf("a again")), request="r")

    assert desk.store.add(first) == {}
    assert {desk.ids["top again"]: desk.ids["top"]} == desk.store.add(again)
    assert desk.states() == {"a": "ready", "top": "waiting"}


def test_a_gate_must_be_held(desk: Desk) -> None:
    """A job can only be blocked by a gate that has not been let go."""
    desk.add(leaf("gate").options(hold=True))
    desk.add(leaf("open"))

    desk.add(leaf("a").options(hold=desk.ids["gate"]))
    with pytest.raises(AlreadyReleased):
        desk.add(leaf("b").options(hold=desk.ids["open"]))
    with pytest.raises(NotFound):
        desk.add(leaf("c").options(hold="0" * 26))

    assert desk.states() == {"gate": "held", "open": "ready", "a": "held"}


def test_queue_priority_and_delay_are_stored(desk: Desk, clock: Clock) -> None:
    """What a claim goes by is on the row; a delay counts from the moment of adding, by the store's clock."""
    desk.add(tree("top", leaf("a"), queue="night", priority=3, delay=60.0))

    row = desk.row("a")
    assert ("night", 3, clock.now + 60.0) == (row.lane.queue, row.priority, row.due)


def test_a_time_limit_counts_from_the_moment_of_letting_go(desk: Desk, clock: Clock) -> None:
    """The deadline of a tree is set when it may begin."""
    desk.add(tree("at once", leaf("a"), timeout=60.0))
    desk.add(tree("later", leaf("b"), timeout=60.0, hold=True))
    before = desk.row("later").deadline
    clock.advance(100.0)

    desk.move(Verb.RELEASE, "later")

    assert (clock.now - 40.0, None, clock.now + 60.0) == (
        desk.row("at once").deadline,
        before,
        desk.row("later").deadline,
    )


def test_a_batch_can_be_added_after_it_was_refused(desk: Desk) -> None:
    """A refused batch is not spoilt: the same one can be added once the reason is gone."""
    desk.add(tree("top", leaf("a"), hold=True))
    batch = Batch(edges=[Edge(desk.ids["top"], -1, desk.names.peek, Kind.AFTER)], into=desk.ids["top"])
    with pytest.raises(NotFound):
        desk.store.add(batch)

    desk.add(leaf("late"))
    desk.store.add(batch)

    assert desk.row("top").waits == 2


def test_series_run_one_after_the_other(desk: Desk) -> None:
    """Each child of a series waits for the one before."""
    desk.add(series("top", leaf("a"), leaf("b"), leaf("c")))

    assert desk.claim() == ["a"]


@pytest.mark.slow
def test_a_tree_of_100_000_children_is_added_worked_and_purged(desk: Desk) -> None:
    """A wide tree takes no more than a slice per step, and no time that grows with its square."""
    if desk.store.slice < SLICE:  # type: ignore[attr-defined]
        pytest.skip("takes 50,000 steps with slices of two")
    n = 10_000 if isinstance(desk.store, Directory) else 100_000  # it makes a directory for each
    desk.add(tree("top", *[leaf(f"n{number}", task="m:n") for number in range(n)]))

    worked = 0
    outcomes: list[Outcome] = []
    while (reply := desk.exchange(*outcomes, n=1000, ends=1000)).claims or reply.more:
        worked += len(reply.claims)
        outcomes = [desk.ended(desk.labels[claim.row.id]) for claim in reply.claims]
    moved = desk.move(Verb.PURGE, "top")

    assert (worked, moved, desk.rows()) == (n + 1, 1, [])


def test_what_is_added_to_a_held_job_is_held_with_it(desk: Desk) -> None:
    """Children planned while a job was held by its root are let go with it, whatever holds it by then."""
    desk.add(tree("top", tree("group", leaf("a")), hold=True))
    batch = desk.batch(leaf("b"), into="group")
    desk.move(Verb.RELEASE, "top")
    desk.move(Verb.HOLD, "group")

    desk.store.add(batch)

    assert desk.row("b").hold == desk.ids["group"]
