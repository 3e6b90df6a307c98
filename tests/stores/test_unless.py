"""Freshness and uniqueness: a row that is not added because an earlier job stands for it."""

from ramify.model import State, Unless, Verb
from tests.stores.kit import Clock, Desk, leaf, tree


def test_an_unfinished_job_with_the_mark_stands_for_the_new_one(desk: Desk) -> None:
    """As long as it has not ended, there is one job with a mark."""
    desk.add(leaf("first", marks=("red",)))

    aliases = desk.add(leaf("second", unless=Unless("red"), marks=("red",)))

    assert (aliases, desk.states()) == ({"second": "first"}, {"first": "ready"})


def test_a_job_that_has_ended_does_not_count_without_a_time(desk: Desk) -> None:
    """Uniqueness is among unfinished jobs."""
    desk.add(leaf("first", marks=("red",)))
    desk.work()

    assert desk.add(leaf("second", unless=Unless("red"), marks=("red",))) == {}


def test_a_job_done_in_time_is_used_again(desk: Desk, clock: Clock) -> None:
    """Freshness asks whether a job was done within so many seconds, by the store's clock."""
    desk.add(leaf("first", marks=("red",)))
    desk.work()

    clock.advance(60.0)
    fresh = desk.add(leaf("second", unless=Unless("red", 60.0)))
    clock.advance(0.1)
    stale = desk.add(leaf("third", unless=Unless("red", 60.0)))

    assert (fresh, stale) == ({"second": "first"}, {})


def test_a_job_that_was_not_done_is_never_fresh(desk: Desk) -> None:
    """What failed, was cancelled or skipped is done again."""
    desk.add(leaf("first", marks=("red",)))
    desk.run("first", state=State.FAILED)

    assert desk.add(leaf("second", unless=Unless("red", 60.0))) == {}


def test_the_oldest_unfinished_then_the_latest_done_is_used(desk: Desk, clock: Clock) -> None:
    """Of several jobs with the mark, the one that will be ready first is taken, else the freshest."""
    for name in ("one", "two"):
        desk.add(leaf(name, marks=("red",)))
        clock.advance(1.0)
        desk.work()
    done = desk.add(leaf("a", unless=Unless("red", 60.0)))
    desk.add(leaf("three", marks=("red",)))
    desk.add(leaf("four", marks=("red",)))

    assert (done, desk.add(leaf("b", unless=Unless("red", 60.0)))) == ({"a": "two"}, {"b": "three"})


def test_marks_are_compared_whole(desk: Desk) -> None:
    """A job with several marks is found by each of them, and by no other."""
    desk.add(leaf("first", marks=("red", "green")))

    aliases = [desk.add(leaf(mark, unless=Unless(mark))) for mark in ("red", "green", "re", "blue")]

    assert aliases == [{"red": "first"}, {"green": "first"}, {}, {}]


def test_edges_out_of_a_replaced_row_start_at_the_job_that_stands_for_it(desk: Desk) -> None:
    """An alias out of a batch is waited for, and its result handed over; it stays in its own tree."""
    desk.add(tree("old", leaf("first", marks=("red",))))
    second = leaf("second", unless=Unless("red"))

    desk.add(tree("new", second, leaf("user", second)))

    [edge] = desk.store.edges([desk.ids["user"]])
    assert (desk.ids["first"], [["args", 0]]) == (edge.before, edge.slots)
    assert desk.row("old").tree == desk.row("first").tree
    assert desk.work() == ["first", "old", "user", "new"]


def test_an_alias_that_has_ended_counts_at_once(desk: Desk) -> None:
    """Who comes after a job that was done in time does not wait for it."""
    desk.add(leaf("first", marks=("red",)))
    desk.work()

    desk.add(tree("new", leaf("second", unless=Unless("red", 60.0))))

    assert desk.work() == ["new"]


def test_an_alias_may_be_the_last_of_an_array(desk: Desk) -> None:
    """What is added to the array later finds the job that stands there, as its previous one and as its barrier."""
    desk.add(leaf("first", marks=("red",)))
    desk.add(tree("new", leaf("a"), leaf("second", unless=Unless("red")).options(blocking=True)))
    desk.claim(tasks=frozenset({"m:a"}))

    reply = desk.exchange(desk.grown("a", desk.batch(leaf("next", previous=True), into="new")))

    assert reply.refused == {}
    assert (desk.ids["next"], desk.ids["first"]) == (desk.row("new").last, desk.row("new").barrier)
    assert [desk.ids["first"]] == [edge.before for edge in desk.store.edges([desk.ids["next"]])]


def test_an_alias_may_be_the_last_that_was_added(desk: Desk) -> None:
    """The same for an array that a running job extends."""
    desk.add(leaf("first", marks=("red",)))
    desk.add(leaf("a"))
    desk.claim(tasks=frozenset({"m:a"}))

    desk.exchange(desk.grown("a", desk.batch(leaf("second", unless=Unless("red")).options(blocking=True), into="a")))

    assert 2 * (desk.ids["first"],) == (desk.row("a").last, desk.row("a").barrier)


def test_a_replaced_root_is_the_job_that_stands_for_it(desk: Desk) -> None:
    """A whole batch may come down to an earlier job; a request remembers that."""
    desk.add(leaf("first", marks=("red",)))

    assert desk.add(leaf("second", unless=Unless("red")), request="r") == {"second": "first"}
    assert desk.add(leaf("third", unless=Unless("red")), request="r") == {"third": "first"}
    assert desk.states() == {"first": "ready"}


def test_two_children_may_stand_for_one_job(desk: Desk) -> None:
    """The same earlier job may take several places in an array."""
    desk.add(leaf("first", marks=("red",)))
    desk.add(tree("new", leaf("b", unless=Unless("red")), leaf("c", unless=Unless("red"))))
    desk.run("first", state=State.FAILED)
    desk.work()
    failed = desk.state("new")

    desk.move(Verb.RETRY, "first")
    desk.work()

    assert (failed, desk.state("new")) == ("failed", "done")


def test_a_cancel_does_not_reach_an_alias(desk: Desk) -> None:
    """The job that stands for a replaced one belongs to another tree, and lives on."""
    desk.add(tree("old", leaf("first", marks=("red",))))
    desk.add(tree("new", leaf("second", unless=Unless("red")), leaf("b")))

    desk.move(Verb.CANCEL, "new")

    assert desk.states() == {"first": "ready", "old": "waiting", "b": "cancelled", "new": "cancelled"}
