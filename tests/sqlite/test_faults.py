"""A disk that fails once, at any statement of any verb: nothing has changed, and the same call then succeeds."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from ramify.errors import NotFound, StoreDown
from ramify.model import Page, Progress, Rule, Session, State, Step, Unless, Verb, Want, Which
from ramify.node import AnyNode
from ramify.stores.protocol import LEASE, Store
from tests.sqlite.kit import NEVER, Trapped, fail, open_fast, trap
from tests.stores.kit import Clock, Desk, comparable, leaf, series, tree

Act = Callable[[Store], Any]
SLICE: Final = 3


@pytest.fixture
def disk() -> type[Trapped]:
    """Connections whose disk fails when it is told to."""
    return trap(fail)


@pytest.fixture
def desk(tmp_path: Path, disk: type[Trapped]) -> Iterator[Desk]:
    """A place to work with such a store, which must be in order afterwards."""
    clock = Clock()
    desk = Desk(
        lambda: open_fast(tmp_path / "jobs.db", clock=clock, lease_clock=clock, slice=SLICE, factory=disk), clock
    )
    yield desk
    desk.check()
    desk.store.close()


def big(label: str, **options: Any) -> AnyNode:
    """Describe a tree that takes several slices: 5 jobs, then one after them all."""
    return series(
        label, tree(f"{label} first", *[leaf(f"{label} {n}") for n in range(5)]), leaf(f"{label} last"), **options
    )


def adding(desk: Desk) -> Act:
    """A tree with all that a batch can bring: new lanes, edges from stored jobs, marks, a request."""
    desk.add(leaf("stored"))
    needed = leaf("needed").changed(unless=Unless("red"), marks=("red", "blue"))
    batch = desk.batch(
        tree("top", needed, leaf("a", needed, desk.ref("stored"), queue="q", slot="s", delay=5), big("b", timeout=9)),
        request="once",
    )
    return lambda store: store.add(batch)


def adding_a_repeated_request(desk: Desk) -> Act:
    """A tree that was added already."""
    desk.add(leaf("first"), request="once")
    batch = desk.batch(leaf("second"), request="once")
    return lambda store: store.add(batch)


def extending(desk: Desk) -> Act:
    """Children for a held job."""
    desk.add(tree("top", leaf("a"), hold=True), leaf("b"))
    batch = desk.batch(leaf("c"), leaf("d", after=desk.ref("b")), into="top")
    return lambda store: store.add(batch)


def adding_an_edge(desk: Desk) -> Act:
    """An edge into a held job."""
    desk.add(leaf("a"), leaf("b", hold=True))
    batch = desk.batch(into="b")
    batch.edges = [edge for edge in desk.needs("b", "a").edges]
    return lambda store: store.add(batch)


def entering(desk: Desk) -> Act:
    """A new session."""
    return lambda store: store.enter(Session("t"))


def leaving(desk: Desk) -> Act:
    """A session that goes while it has jobs."""
    desk.add(leaf("a"))
    desk.claim()
    return lambda store: store.leave("s")


def exchanging(desk: Desk) -> Act:
    """Ends, good and bad, that settle edges, start a fast group's cancel, and claims."""
    a, b = leaf("a"), leaf("b")
    desk.add(
        tree("top", a, b, leaf("c", a), leaf("d", b), fail="fast"), tree("other", *[leaf(str(n)) for n in range(5)])
    )
    desk.claim(4)
    outcomes = [desk.ended("a"), desk.ended("b", State.FAILED), desk.again("0"), desk.back("1")]
    return lambda store: store.exchange("s", outcomes, Want(9))


def exchanging_many(desk: Desk) -> Act:
    """The end of a job that more wait for than one step may touch."""
    a = leaf("a")
    desk.add(tree("top", a, *[leaf(str(n), after=a) for n in range(7)]))
    desk.claim()
    outcomes = [desk.ended("a")]
    return lambda store: store.exchange("s", outcomes, Want(9))


def ending_doomed_jobs(desk: Desk) -> Act:
    """Jobs that are skipped or fail because of others."""
    a = leaf("a")
    desk.add(tree("top", a, leaf("b", a)))
    desk.run("a", state=State.FAILED)
    desk.claim()
    outcomes = [desk.ended("b")]
    return lambda store: store.exchange("s", outcomes, Want(9))


def growing(desk: Desk) -> Act:
    """A body that leaves its result and adds children, while its tree is held again."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim()
    desk.move(Verb.HOLD, "top")
    outcomes = [desk.grown("a", desk.batch(big("c"), leaf("d"), into="a"))]
    return lambda store: store.exchange("s", outcomes, Want(9))


def growing_needs(desk: Desk) -> Act:
    """A job that must wait for others before it runs."""
    desk.add(leaf("stored"), leaf("a"))
    desk.claim()
    outcomes = [desk.grown("a", desk.needs("a", "stored"), Step.RUN)]
    return lambda store: store.exchange("s", outcomes, Want(9))


def beating(desk: Desk) -> Act:
    """A heartbeat that tells how far a job is."""
    desk.add(leaf("a"))
    desk.claim()
    progress = [Progress(desk.ids["a"], 40, "almost")]
    return lambda store: store.beat("s", progress)


def adopting(desk: Desk) -> Act:
    """Taking over what a lost session ran."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim()
    desk.clock.advance(LEASE + 1)
    desk.enter("t")
    return lambda store: store.adopt("t", 9)


def cancelling(desk: Desk) -> Act:
    """A cancel of a tree of which one job runs."""
    desk.add(big("top"))
    desk.claim(1)
    return lambda store: store.move(Which(ids=(desk.ids["top"],)), Verb.CANCEL)


def holding(desk: Desk) -> Act:
    """A hold of a tree."""
    desk.add(big("top"))
    return lambda store: store.move(Which(ids=(desk.ids["top"],)), Verb.HOLD)


def releasing(desk: Desk) -> Act:
    """A release of a tree with a time limit."""
    desk.add(big("top", hold=True, timeout=60))
    return lambda store: store.move(Which(ids=(desk.ids["top"],)), Verb.RELEASE)


def retrying(desk: Desk) -> Act:
    """A retry of a tree in which a job failed and others were skipped."""
    desk.add(big("top"))
    desk.work(fail=["top 1"])
    return lambda store: store.move(Which(ids=(desk.ids["top"],)), Verb.RETRY)


def purging(desk: Desk) -> Act:
    """A purge of a tree that has ended."""
    desk.add(big("top"), request="once")
    desk.work()
    return lambda store: store.move(Which(ids=(desk.ids["top"],)), Verb.PURGE)


def draining(begin: Callable[[Desk], Act]) -> Callable[[Desk], Act]:
    """Return what follows from a verb, slice by slice."""

    def act(desk: Desk) -> Act:
        begin(desk)(desk.store)
        return lambda store: store.drain()

    act.__name__ = f"draining after {begin.__name__}"
    return act


def limiting(desk: Desk) -> Act:
    """A limit that is set."""
    return lambda store: store.limit("all", Rule(1))


def lifting(desk: Desk) -> Act:
    """A limit that is lifted."""
    desk.store.limit("all", Rule(1))
    return lambda store: store.limit("all", None)


def reading(name: str, *args: Any) -> Callable[[Desk], Act]:
    """Return a look at the store."""

    def act(desk: Desk) -> Act:
        desk.add(big("top"))
        desk.work(fail=["top 1"])
        filled = [[desk.ids["top"]] if arg == "ids" else arg for arg in args]
        return lambda store: getattr(store, name)(*filled)

    act.__name__ = name
    return act


WRITES = [
    adding,
    adding_a_repeated_request,
    extending,
    adding_an_edge,
    entering,
    leaving,
    exchanging,
    exchanging_many,
    ending_doomed_jobs,
    growing,
    growing_needs,
    beating,
    adopting,
    cancelling,
    holding,
    releasing,
    retrying,
    purging,
    *map(draining, [exchanging_many, cancelling, holding, releasing, retrying, purging]),
    limiting,
    lifting,
]
LOOKS = [
    reading("jobs", Which(), Page()),
    reading("edges", "ids"),
    reading("results", "ids"),
    reading("counts", Which(), "state"),
    reading("counts", Which(), "task"),
    reading("info"),
    reading("snapshot"),
]


def look(store: Store) -> tuple[Any, Any]:
    """Return all that a store says."""
    return comparable(store.snapshot()), store.info()


@pytest.mark.parametrize("begin", WRITES, ids=lambda begin: begin.__name__)
def test_disk_fails_once(desk: Desk, disk: type[Trapped], begin: Callable[[Desk], Act]) -> None:
    """Wherever the disk fails, `StoreDown` is raised, nothing has changed, and the same call then does all of it."""
    act = begin(desk)
    before = look(desk.store)
    failures = 0
    for n in count():
        disk.arm(n)
        try:
            act(desk.store)
        except StoreDown as error:
            assert "jobs.db: disk I/O error" in str(error)
            assert before == look(desk.store)
            failures += 1
        else:
            break
    disk.arm(NEVER)

    assert failures > 2
    assert (begin is adding_a_repeated_request) == (before == look(desk.store)), "the last call does something"
    desk.drain()
    desk.check()


@pytest.mark.parametrize("begin", LOOKS, ids=[f"{number} {begin.__name__}" for number, begin in enumerate(LOOKS)])
def test_disk_fails_under_a_reader(desk: Desk, disk: type[Trapped], begin: Callable[[Desk], Act]) -> None:
    """Wherever the disk fails, `StoreDown` is raised, and the same look then succeeds, as does a step."""
    act = begin(desk)
    expected = act(desk.store)
    for n in count():
        disk.arm(n)
        try:
            found = act(desk.store)
        except StoreDown:
            disk.arm(NEVER)
            desk.store.limit("all", None)
        else:
            break
    disk.arm(NEVER)

    assert (expected, True) == (found, n > 2)


def test_refusals_change_nothing(desk: Desk) -> None:
    """What is refused by its own fault leaves nothing behind either: no lanes, no jobs."""
    desk.add(leaf("a"))
    batch = desk.batch(tree("top", leaf("b", task="m:new", queue="new"), leaf("c", after=desk.ref("a"))))
    for edge in batch.edges:
        edge.before = edge.before if edge.before != desk.ids["a"] else "0" * 25 + "x"
    before = desk.store.snapshot()

    with pytest.raises(NotFound):
        desk.store.add(batch)

    assert before == desk.store.snapshot()


def test_lanes_of_a_step_that_was_not_kept(tmp_path: Path, disk: type[Trapped]) -> None:
    """A queue that was new in a step whose commit failed is new again, so no job gets into another one's queue."""
    mine = Desk(lambda: open_fast(tmp_path / "jobs.db", factory=disk), Clock())
    other = Desk(lambda: open_fast(tmp_path / "jobs.db"), Clock(), session=None)
    other.names.next = 100
    batch = mine.batch(leaf("a", queue="mine"))
    disk.arm(text="COMMIT")
    with pytest.raises(StoreDown):
        mine.store.add(batch)
    other.add(leaf("b", queue="other"))

    mine.store.add(batch)

    assert {"mine", "other"} == {row.lane.queue for row in other.rows()} == {row.lane.queue for row in mine.rows()}
    assert ["a"] == mine.claim(queues=["mine"])
    mine.store.close()
    other.store.close()


def test_release_between_two_tries(desk: Desk, disk: type[Trapped]) -> None:
    """What a job adds to a tree on hold is held with it, but not if the tree was let go before it could be added."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim(1)
    desk.move(Verb.HOLD, "top")
    outcome = desk.grown("a", desk.batch(leaf("c"), into="a"))
    disk.arm(text="COMMIT")
    with pytest.raises(StoreDown):
        desk.exchange(outcome)
    desk.move(Verb.RELEASE, "top")

    desk.exchange(outcome)

    assert ["b", "c", "a", "top"] == desk.work()
