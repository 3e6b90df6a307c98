"""Claiming: what is taken, and in which order."""

from ramify.model import Lane, Rule, State, Step, Verb
from tests.stores.kit import Clock, Desk, leaf, tree


def test_jobs_to_be_ended_come_first(desk: Desk) -> None:
    """A group whose children have ended is claimed before any other job, whatever the worker serves."""
    desk.add(tree("group", leaf("a"), queue="far"))
    desk.add(leaf("urgent").options(priority=9))
    desk.claim(queues=["far"])
    desk.end("a")

    assert desk.claim(queues=["default"], tasks=frozenset({"m:urgent"})) == ["group", "urgent"]


def test_queues_come_in_the_order_of_the_worker(desk: Desk) -> None:
    """The first queue that a worker lists is emptied first; those it does not list are left alone."""
    for queue in ("a", "b", "c"):
        desk.add(leaf(f"{queue}1").options(queue=queue))
        desk.add(leaf(f"{queue}2").options(queue=queue))

    assert desk.claim(queues=["c", "a"]) == ["c1", "c2", "a1", "a2"]


def test_higher_priorities_come_first_within_a_queue(desk: Desk) -> None:
    """Priority counts within a queue, not across queues."""
    desk.add(leaf("low").options(priority=-1))
    desk.add(leaf("plain"))
    desk.add(leaf("high").options(priority=1))
    desk.add(leaf("highest").options(priority=9, queue="other"))

    assert desk.claim(queues=["default", "other"]) == ["high", "plain", "low", "highest"]


def test_older_trees_finish_first(desk: Desk) -> None:
    """What an old tree has grown comes before what a younger tree had ready all along."""
    desk.add(tree("old", leaf("a")))
    desk.add(tree("young", leaf("b")))
    desk.claim(n=1)
    desk.exchange(desk.grown("a", desk.batch(leaf("spawned"), into="a")))

    assert desk.claim() == ["spawned", "b"]


def test_a_tree_is_worked_depth_first(desk: Desk) -> None:
    """Ids are given in post-order, so one worker finishes an inner group before it begins the next."""
    desk.add(tree("top", tree("one", leaf("a"), leaf("b")), tree("two", leaf("c"), leaf("d"))))

    assert desk.work() == ["a", "b", "one", "c", "d", "two", "top"]


def test_at_most_n_jobs_are_claimed(desk: Desk) -> None:
    """`n` counts jobs to be run, `ends` those to be ended."""
    for name in "abc":
        desk.add(leaf(name))
    for name in "xyz":
        desk.add(tree(name))

    assert desk.claim(n=1, ends=2) == ["x", "y", "a"]
    assert desk.claim(n=0, ends=2) == ["z"]
    assert desk.claim(n=5, ends=0) == ["b", "c"]


def test_unknown_tasks_are_left_to_others(desk: Desk) -> None:
    """A worker claims only tasks it knows."""
    desk.add(leaf("known"))
    desk.add(leaf("unknown"))

    assert desk.claim(tasks=frozenset({"m:known"})) == ["known"]
    assert desk.state("unknown") == "ready"


def test_refused_lanes_are_not_scanned(desk: Desk) -> None:
    """A thousand jobs that a worker has no units for do not hide the one that it could run."""
    desk.add(tree("heavy", *[leaf(f"h{number}", task="m:h", units=8) for number in range(1000)]))
    desk.add(leaf("light"))

    assert desk.claim(n=1, refuse=frozenset({Lane("default", "m:h", None, 8)})) == ["light"]


def test_held_waiting_and_scheduled_jobs_are_not_claimed(desk: Desk) -> None:
    """Only what is let go, waits for nothing and is due can be claimed."""
    desk.add(leaf("held").options(hold=True))
    desk.add(leaf("later").options(delay=10.0))
    desk.add(tree("waiting", leaf("later too").options(at=desk.clock.now + 5), task="m:w"))

    assert desk.claim() == []


def test_a_scheduled_job_is_claimed_when_it_is_due(desk: Desk, clock: Clock) -> None:
    """A delay passes by the store's clock, and the exchange says how long it still is."""
    desk.add(leaf("a").options(delay=10.0))
    early = desk.exchange(n=1)
    clock.advance(10.0)

    assert (early.due_in, early.claims) == (10.0, [])
    assert desk.claim() == ["a"]


def test_a_claim_counts_as_an_attempt(desk: Desk) -> None:
    """Each claim raises the attempt by one; it never falls."""
    desk.add(leaf("a"))
    desk.claim()
    desk.exchange(desk.back("a"))
    desk.claim()

    assert (desk.row("a").attempt, desk.row("a").state, desk.row("a").session) == (2, State.RUNNING, "s")


def test_a_doomed_job_is_claimed_as_if_its_body_were_over(desk: Desk) -> None:
    """A job with a bad edge is claimed to be ended: it needs neither its queue served nor its delay over."""
    desk.add(tree("top", leaf("bad"), task="m:top", queue="far"))
    desk.claim(queues=["far"])
    desk.end("bad", state=State.FAILED)

    assert desk.claim(n=0) == ["top"]
    assert (desk.claims["top"].row.step, desk.claims["top"].row.doomed) == (Step.RUN, True)


def test_what_was_claimed_is_not_claimed_again(desk: Desk) -> None:
    """A job runs in one session."""
    desk.enter("other")
    desk.add(leaf("a"))

    assert desk.claim() == ["a"]
    assert desk.claim(session="other") == []


def test_limits_are_kept_across_lanes_of_one_claim(desk: Desk) -> None:
    """A slot shared by several tasks admits as many jobs as its limit says, in the order of claims."""
    desk.store.limit("slot:disk", Rule(2))
    for name in "abc":
        desk.add(leaf(name, slot="disk"))
    desk.add(leaf("free"))

    assert desk.claim() == ["a", "b", "free"]
    desk.end("a")
    assert desk.claim() == ["c"]


def test_a_claim_shows_what_is_to_be_cancelled(desk: Desk) -> None:
    """An exchange names our running jobs that are cancelled, until they are reported."""
    desk.add(leaf("a"))
    desk.claim()
    desk.move(Verb.CANCEL, "a")

    assert [desk.ids["a"]] == desk.exchange().cancels
    desk.end("a", state=State.CANCELLED)
    assert desk.exchange().cancels == []
