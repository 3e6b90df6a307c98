"""The judge of stores: every kind of damage is found and named, and what ramify wrote itself is never blamed."""

from collections.abc import Callable

import pytest

from ramify.checkup import Snapshot
from ramify.graph.check import find_violations
from ramify.model import Edge, JobId, Result, State, Value, Verb, Which, Work
from ramify.stores.memory import Memory
from tests.stores.kit import Clock, Desk, leaf, tree

Ids = dict[str, JobId]


def desk_with_everything() -> Desk:
    """Return a desk with a job in every state, and every verb on the worklist."""
    clock = Clock()
    desk = Desk(lambda: Memory(clock, slice=2), clock)
    desk.add(tree("old", leaf("o1"), leaf("o2").options(blocking=True), leaf("o3"), leaf("o4")))
    desk.work(fail=["o2"])
    desk.add(tree("new", leaf("n1"), leaf("n2", task="m:n1"), tree("group", leaf("n3")), task="m:new"))
    desk.claim(n=1)
    desk.end("n1")
    desk.claim(n=1)
    desk.add(tree("held", leaf("h1"), leaf("h2").options(after=desk.ref("n2")), hold=True))
    return desk


@pytest.fixture
def desk() -> Desk:
    """A desk that nothing is wrong with."""
    return desk_with_everything()


def test_a_sound_store_is_not_blamed(desk: Desk) -> None:
    """Nothing is found in what ramify has written, whatever is under way."""
    found = find_violations(desk.store.snapshot())
    for verb, label in [(Verb.RETRY, "old"), (Verb.CANCEL, "new"), (Verb.RELEASE, "held"), (Verb.HOLD, "held")]:
        desk.start(verb, label)
        found += find_violations(desk.store.snapshot())
        while desk.store.drain():
            found += find_violations(desk.store.snapshot())

    assert found == []


def test_a_tree_that_is_half_purged_is_not_blamed(desk: Desk) -> None:
    """The jobs of a tree that is going need not fit together any more."""
    desk.start(Verb.PURGE, "old")
    desk.store.drain()

    assert len(desk.store.jobs(Which(tree=desk.ids["old"]))) == 3
    assert find_violations(desk.store.snapshot()) == []


def change(label: str, **columns: object) -> Callable[[Snapshot, Ids], None]:
    """Return damage: a row whose columns say something else."""

    def damage(snapshot: Snapshot, ids: Ids) -> None:
        [row] = [row for row in snapshot.rows if row.id == ids[label]]
        for name, value in columns.items():
            assert getattr(row, name) != value
            setattr(row, name, value)

    return damage


def change_edge(before: str, after: str, **columns: object) -> Callable[[Snapshot, Ids], None]:
    """Return damage: an edge that says something else."""

    def damage(snapshot: Snapshot, ids: Ids) -> None:
        [edge] = [edge for edge in snapshot.edges if (edge.before, edge.after) == (ids[before], ids[after])]
        for name, value in columns.items():
            assert getattr(edge, name) != value
            setattr(edge, name, value)

    return damage


def add_edge(before: str, after: str, place: int) -> Callable[[Snapshot, Ids], None]:
    """Return damage: an edge that was never added, counted by the job it leads to."""

    def damage(snapshot: Snapshot, ids: Ids) -> None:
        snapshot.edges.append(Edge(ids[after], place, ids[before]))
        [row] = [row for row in snapshot.rows if row.id == ids[after]]
        row.waits, row.size, row.last = row.waits + 1, row.size + 1, ids[before]

    return damage


def lose_row(label: str) -> Callable[[Snapshot, Ids], None]:
    """Return damage: a row that is gone."""

    def damage(snapshot: Snapshot, ids: Ids) -> None:
        snapshot.rows[:] = [row for row in snapshot.rows if row.id != ids[label]]

    return damage


def repeat_row(label: str) -> Callable[[Snapshot, Ids], None]:
    """Return damage: a row that is there twice."""

    def damage(snapshot: Snapshot, ids: Ids) -> None:
        snapshot.rows += [row for row in snapshot.rows if row.id == ids[label]]

    return damage


def lose_value(label: str) -> Callable[[Snapshot, Ids], None]:
    """Return damage: a result that is gone."""

    def damage(snapshot: Snapshot, ids: Ids) -> None:
        del snapshot.results[ids[label]]

    return damage


def make_up_value(label: str) -> Callable[[Snapshot, Ids], None]:
    """Return damage: a result that nobody returned."""

    def damage(snapshot: Snapshot, ids: Ids) -> None:
        snapshot.results[ids[label]] = Result(ids[label], Value())

    return damage


def forget_sessions(snapshot: Snapshot, ids: Ids) -> None:
    """Damage the sessions: none is known."""
    snapshot.sessions.clear()


def lose_edge(before: str, after: str) -> Callable[[Snapshot, Ids], None]:
    """Return damage: an edge that is gone."""

    def damage(snapshot: Snapshot, ids: Ids) -> None:
        snapshot.edges[:] = [e for e in snapshot.edges if (e.before, e.after) != (ids[before], ids[after])]

    return damage


def invent_work(snapshot: Snapshot, ids: Ids) -> None:
    """Damage the worklist: it names a job that is not stored."""
    snapshot.work.append(Work("nobody", Verb.SPREAD))


def purge_unfinished(snapshot: Snapshot, ids: Ids) -> None:
    """Damage the worklist: it purges a tree that is not over."""
    snapshot.work.append(Work(ids["new"], Verb.PURGE, "begun"))


@pytest.mark.parametrize(
    ("damage", "label", "wrong"),
    [
        (change("new", waits=1), "new", "waits is 1, but it waits for 2"),
        (change("old", bads=1), "old", "bads is 1, but 3 of its edges are bad"),
        (change("n3", waits=1), "n3", "waits is 1, but it waits for 0"),
        (change("n3", state=State.WAITING), "n3", "is waiting, but waits is 0"),
        (change("new", state=State.READY), "new", "is ready, but waits is 2"),
        (change("h1", hold=None), "h1", "is held, but waits is 0 and hold is None"),
        (change("n3", state=State.RUNNING), "n3", "its session is None"),
        (change("n2", session=None), "n2", "is running, but its session is None"),
        (change("n2", session="unknown"), "n2", "runs in session unknown"),
        (forget_sessions, "n2", "runs in session s"),
        (change("n2", attempt=0), "n2", "was never claimed"),
        (change("n2", attempt=-1), "n2", "negative charge"),
        (change("n3", crashes=4), "n3", "crashed 4 times"),
        (change("n3", losses=11), "n3", "was lost 11 times"),
        (change("n3", cancelled=True), "n3", "is cancelled, but still ready"),
        (change("n1", state=State.READY, ended=None), "n1", "is ready, but has a value"),
        (change("o2", state=State.DONE), "old", "says failed, but that job is done"),
        (change("old", state=State.DONE), "old", "is done, but its edges say failed"),
        (change("old", state=State.SKIPPED), "old", "is skipped, but its edges say failed"),
        (change("old", ended=None), "old", "ended is None"),
        (change("n3", ended=1.0), "n3", "ended is 1.0"),
        (change("old", waits=1), "old", "is failed, but waits is 1"),
        (change("o1", hold="o1"), "o1", "its hold o1 is not stored"),
        (change_edge("n1", "new", verdict=None), "new", "is open, though that job has ended done"),
        (change_edge("n1", "new", verdict=State.RUNNING), "new", "says running"),
        (change_edge("n2", "new", verdict=State.FAILED), "new", "says failed, but that job is running"),
        (change_edge("n2", "new", place=7), "new", "size is 3, but 3 children stand at 0 to 7"),
        (change_edge("n2", "new", place=0), "new", "place 0 is taken twice"),
        (change_edge("n2", "h2", place=3), "h2", "among its children"),
        (change("new", size=4), "new", "size is 4"),
        (change("new", last="nobody"), "new", "its last child is nobody"),
        (change("new", barrier="nobody"), "new", "barrier nobody is not among its children"),
        (lose_edge("n2", "new"), "n2", "no edge leads into its parent"),
        (lose_row("n3"), "group", "which is not stored"),
        (lose_row("n3"), "group", "has an edge to"),
        (lose_row("new"), "n1", "its parent"),
        (lose_row("new"), "group", "its tree"),
        (repeat_row("n3"), "n3", "stored twice"),
        (lose_value("n1"), "n1", "is done, but has no value"),
        (make_up_value("o2"), "o2", "is failed, but has a value"),
        (make_up_value("n3"), "n3", "is ready, but has a value"),
        (add_edge("new", "n3", 0), "n3", "waits for itself"),
        (invent_work, "nobody", "the worklist would spread it"),
        (purge_unfinished, "n3", "is ready while its tree is purged"),
        (change("held", hold=None, state=State.WAITING), "h1", "which is waiting and will not let it go"),
    ],
)
def test_damage_is_found_and_named(desk: Desk, damage: Callable[[Snapshot, Ids], None], label: str, wrong: str) -> None:
    """Whatever is changed behind the store's back, the job is named and what is wrong with it."""
    snapshot = desk.store.snapshot()

    damage(snapshot, desk.ids)

    found = find_violations(snapshot)
    assert [line for line in found if line.startswith(f"job {desk.ids.get(label, label)}: ") and wrong in line], found


def test_a_cycle_is_named_in_its_order(desk: Desk) -> None:
    """Jobs that wait for each other are listed in the order in which they wait."""
    snapshot = desk.store.snapshot()
    add_edge("new", "n3", 0)(snapshot, desk.ids)

    [found] = [line for line in find_violations(snapshot) if "itself" in line]

    path = " → ".join(desk.ids[label] for label in ("n3", "group", "new", "n3"))
    assert found.endswith(path)
