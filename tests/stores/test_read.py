"""Reading: selections, pages and counts."""

import pytest

from ramify.errors import NotFound
from ramify.model import ENDED, Edge, Page, State, Value, Verb, When, Which
from tests.stores.kit import Clock, Desk, leaf, tree


@pytest.fixture
def some(desk: Desk) -> Desk:
    """A desk with a failed tree, a tree of which one job runs, and one that is held."""
    desk.add(tree("old", leaf("o1"), leaf("o2")))
    desk.work(fail=["o2"])
    desk.clock.advance(10.0)
    desk.add(tree("new", leaf("n1"), leaf("n2", task="m:n1", queue="night"), leaf("n3").options(delay=60.0)))
    desk.add(tree("held", leaf("h1"), hold=True))
    desk.claim()
    return desk


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Which(), "o1 o2 old n1 n2 n3 new h1 held"),
        (Which(ids=()), ""),
        (Which(states=ENDED), "o1 o2 old"),
        (Which(states=frozenset({State.FAILED})), "o2 old"),
        (Which(queues=frozenset({"night"})), "n2"),
        (Which(tasks=frozenset({"m:n1"})), "n1 n2"),
        (Which(roots=True), "old new held"),
        (Which(ended_before=1_000_005.0), "o1 o2 old"),
        (Which(ended_before=1_000_000.0), ""),
        (Which(under="f" * 26), ""),
        (Which(roots=True, states=frozenset({State.HELD})), "held"),
    ],
)
def test_jobs_are_selected_by_what_they_are(some: Desk, which: Which, expected: str) -> None:
    """Conditions are combined: a job is selected if it fits them all."""
    assert expected.split() == [some.labels[row.id] for row in some.store.jobs(which)]


def test_jobs_are_selected_by_id_and_tree(some: Desk) -> None:
    """Ids that are not stored are left out; a tree is its root and everything under it."""
    ids = (some.ids["n1"], some.ids["o1"], "f" * 26)

    assert [some.labels[row.id] for row in some.store.jobs(Which(ids=ids))] == ["o1", "n1"]
    assert [some.labels[row.id] for row in some.store.jobs(Which(tree=some.ids["held"]))] == ["h1", "held"]
    assert [some.labels[row.id] for row in some.store.jobs(Which(under=some.ids["held"]))] == ["h1"]


def test_a_job_that_has_ended_comes_with_what_it_left(some: Desk) -> None:
    """A job that has not ended is not there yet, whatever it left; one that is not stored is an error."""
    ids, store = some.ids, some.store
    done, failed, unfinished = (store.ended(ids[label]) for label in ("o1", "o2", "n1"))

    assert done is not None and failed is not None and unfinished is None
    assert (State.DONE, State.FAILED) == (done[0].state, failed[0].state)
    assert [*store.results([ids["o1"]]), *store.results([ids["o2"]])] == [done[1], failed[1]]
    assert (done[1].value is not None, failed[1].failure is not None) == (True, True)
    with pytest.raises(NotFound):
        store.ended("f" * 26)


@pytest.mark.parametrize("newest", [False, True])
def test_jobs_come_in_pages(some: Desk, newest: bool) -> None:
    """Page after page gives every job once, in order of id or newest first."""
    found: list[str] = []
    after = None
    while page := some.store.jobs(Which(), Page(after, 2, newest)):
        found += [some.labels[row.id] for row in page]
        after = page[-1].id

    expected = ["o1", "o2", "old", "n1", "n2", "n3", "new", "h1", "held"]
    assert (expected[::-1] if newest else expected) == found


@pytest.mark.parametrize(("newest", "expected"), [(True, "held h1"), (False, "o1 o2")])
def test_a_page_begins_at_any_text(some: Desk, newest: bool, expected: str) -> None:
    """What begins an id sorts before it, and with a tilde behind it beyond all that begin so."""
    start = f"{some.ids['o1'][:2]}{'~' if newest else ''}"

    assert expected.split() == [some.labels[row.id] for row in some.store.jobs(Which(), Page(start, 2, newest))]


def test_counts_are_those_of_the_rows(some: Desk) -> None:
    """Jobs are counted by state, queue or task; a ready job whose time has not come is scheduled."""
    store = some.store

    states = {"done": 1, "failed": 2, "running": 1, "ready": 1, "scheduled": 1, "waiting": 1, "held": 2}
    assert states == store.counts(Which(), "state")
    assert store.counts(Which(), "queue") == {"default": 8, "night": 1}
    assert store.counts(Which(states=frozenset({State.RUNNING})), "queue state") == {"default running": 1}
    assert store.counts(Which(under=some.ids["new"]), "task state") == {
        "m:n1 ready": 1,
        "m:n1 running": 1,
        "m:n3 scheduled": 1,
    }
    assert store.counts(Which(tree=some.ids["new"]), "task") == {"": 1, "m:n1": 2, "m:n3": 1}


def test_edges_are_read_by_their_ends(some: Desk) -> None:
    """Edges into jobs come by job and place, edges out of them by job, successor and place."""
    ids = [some.ids["old"], some.ids["new"]]

    into = [(edge.after, edge.place) for edge in some.store.edges(ids)]
    out = [some.labels[edge.after] for edge in some.store.edges([some.ids["o1"], some.ids["h1"]], out=True)]

    assert [(ids[0], 0), (ids[0], 1), (ids[1], 0), (ids[1], 1), (ids[1], 2)] == into
    assert out == ["old", "held"]


def test_bad_edges_can_be_read_alone(some: Desk) -> None:
    """The edges that doom a job are found without reading the others."""
    bad = some.store.edges([some.ids["old"], some.ids["new"]], bad=True)

    assert [(some.ids["o2"], State.FAILED)] == [(edge.before, edge.verdict) for edge in bad]


@pytest.mark.parametrize("out", [False, True])
def test_edges_come_in_pages(desk: Desk, out: bool) -> None:
    """Page after page gives every edge once, in order."""
    shared = leaf("shared")
    desk.add(tree("top", shared, *[tree(f"g{number}", shared, leaf(f"x{number}")) for number in range(5)]))
    ids = sorted(desk.labels)
    found: list[Edge] = []
    start = None
    while page := desk.store.edges(ids, out=out, start=start, size=3):
        found += page
        start = page[-1]

    assert desk.store.edges(ids, out=out) == found
    assert len({(edge.after, edge.place) for edge in found}) == 16


def test_results_come_in_pages_by_size(desk: Desk) -> None:
    """Reading stops before the values exceed the room, but not before the first; each job is named once."""
    for label in "abc":
        desk.add(leaf(label))
    desk.claim()
    for label in "abc":
        row = desk.claims[label].row
        desk.exchange(desk.ended(label).__class__(row.id, row.attempt, State.DONE, Value(b'"12345678"')))
    ids = [desk.ids[label] for label in "cbaa"]

    pages = [[desk.labels[result.job] for result in desk.store.results(ids, room)] for room in (1, 20, 29, 30, 1000)]

    assert pages == [["a"], ["a", "b"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c"]]


def test_a_job_without_result_has_an_empty_one(desk: Desk) -> None:
    """Every stored job has a result to read, and an unknown one has none."""
    desk.add(leaf("a"))

    [result] = desk.store.results([desk.ids["a"], "f" * 26])

    assert (desk.ids["a"], None, None, None, None) == (
        result.job,
        result.value,
        result.failure,
        result.percent,
        result.status,
    )


def test_what_is_read_is_a_copy(desk: Desk) -> None:
    """Changing what was read changes nothing that is stored."""
    desk.add(tree("top", leaf("a")))
    desk.row("a").state = State.DONE
    desk.store.edges([desk.ids["top"]])[0].verdict = State.DONE
    desk.store.snapshot().rows.clear()

    assert (desk.state("a"), len(desk.rows())) == ("ready", 2)
    assert [edge.verdict for edge in desk.store.edges([desk.ids["top"]])] == [None]


def test_every_kind_of_edge_comes_back_as_it_was(desk: Desk) -> None:
    """Kind, end asked for, place and slots are kept."""
    desk.add(leaf("a"))
    for when in When:
        desk.add(leaf(f"after {when}").options(after=desk.ref("a"), when=when.value))
    desk.add(leaf("uses", [1, {"x": desk.ref("a")}], desk.ref("a")))

    edges = {desk.labels[edge.after]: edge for edge in desk.store.edges([desk.ids["a"]], out=True)}

    assert list(When) == [edges[f"after {when}"].when for when in When]
    assert edges["uses"].slots == [["args", 0, 1, "x"], ["args", 1]]


def test_a_moved_selection_tells_how_many_it_concerned(some: Desk, clock: Clock) -> None:
    """A verb applies to whatever a selection finds."""
    moved = some.store.move(Which(states=frozenset({State.FAILED})), Verb.RETRY)

    assert moved == 2
