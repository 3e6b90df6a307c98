"""Several processes on one file at the same moment: each job is handed out once, and nobody is stuck or early."""

import multiprocessing
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from ramify.errors import AlreadyReleased
from ramify.graph.check import find_violations
from ramify.graph.plan import Into, plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Array, Batch, Edge, Ended, Failure, Kind, Page, Rule, State, Unless, Verb, Want, When, Which
from ramify.node import Ref
from ramify.stores.sqlite import Sqlite
from tests.sqlite.kit import (
    EVERYTHING,
    VALUE,
    Process,
    done,
    needs_processes,
    opened,
    planned,
    session,
    together,
    work,
)
from tests.stores.kit import leaf, series, tree

pytestmark = needs_processes

NOTHING: Final = Want(0, ends=0)
TRIES: Final = [
    pytest.param(1000, id="quick"),
    pytest.param(10_000, id="full", marks=[pytest.mark.storm, pytest.mark.timeout(1200)]),
]


class Ledger:
    """A file outside the store to which processes write what they did, a line at a time."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.path = path

    def note(self, line: str) -> None:
        """Add a line, whole."""
        os.write(self._file, f"{line}\n".encode())

    def lines(self) -> list[str]:
        """Return all lines."""
        return self.path.read_text().splitlines()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty store."""
    with opened(tmp_path / "jobs.db"):
        return tmp_path / "jobs.db"


def by_label(store: Sqlite) -> dict[str, str]:
    """Return the states of all jobs."""
    return {row.label or "": row.state.value for row in store.jobs(Which(), Page(size=EVERYTHING))}


# Claims


def drain(number: int, path: Path, ledger: Ledger, total: int) -> None:
    """Work until everything is done, a few jobs at a time."""
    with opened(path) as store:
        store.enter(session(f"worker {number}"))
        while True:
            work(store, f"worker {number}", 7, ledger.note)
            if store.counts(Which(), "state") == {"done": total}:
                return


def test_each_job_is_handed_out_once(path: Path, ledger: Ledger) -> None:
    """Four processes that work off 5,000 jobs run each of them exactly once."""
    with opened(path) as store:
        store.add(planned(tree("top", *[leaf(str(number), task="m:x") for number in range(5000)])))

    together(drain, path, ledger, 5001, n=4)

    assert {**{str(number): 1 for number in range(5000)}, "top": 1} == Counter(ledger.lines())


def test_order_holds_across_processes(path: Path, ledger: Ledger) -> None:
    """Whoever runs a job, those before it have ended."""
    with opened(path) as store:
        for number in range(40):
            layers = [
                tree(f"{number} {layer}", *[leaf(f"{number} {layer} {n}") for n in range(4)]) for layer in range(4)
            ]
            store.add(planned(series(f"{number}", *layers)))

    together(drain, path, ledger, 40 * 21, n=4)

    seen = list[str]()
    for line in ledger.lines():
        number, _, rest = line.partition(" ")
        if len(rest) == 3 and rest[0] > "0":
            layer = int(rest[0]) - 1
            assert {f"{number} {layer} {n}" for n in range(4)} <= set(seen), line
        seen.append(line)
    assert 40 * 21 == len(seen) == len(set(seen))


# Ends


class Turn:
    """A number that two processes share, by which they meet again and again."""

    def __init__(self) -> None:
        self._value = multiprocessing.get_context("fork").Value("i", -1)

    def give(self, number: int) -> None:
        """Say that it is the turn of this one; then act up to half a millisecond later, each time a little more."""
        self._value.value = number
        until = time.perf_counter_ns() + number % 50 * 10_000
        while time.perf_counter_ns() < until:
            pass

    def wait(self, number: int) -> None:
        """Wait for that, busily, so as to act at the same moment."""
        while self._value.value < number:
            time.sleep(0)


def end_all(far: Any, path: Path, turn: Turn, state: State) -> int:
    """Claim all jobs of the first queue and end each when it is its turn; return how many reports were refused."""
    refused = 0
    with opened(path) as store:
        store.enter(session("ender"))
        claims = store.exchange("ender", [], Want(EVERYTHING, ("first",), ends=0)).claims
        far.send(len(claims))
        for number, claim in enumerate(claims):
            value, failure = (VALUE, None) if state is State.DONE else (None, Failure("error", "no"))
            outcome = Ended(claim.row.id, claim.row.attempt, state, value, failure)
            turn.wait(number)
            refused += len(store.exchange("ender", [outcome], NOTHING).refused)
    return refused


@pytest.mark.parametrize("tries", TRIES)
def test_job_is_added_after_one_that_ends(path: Path, tries: int) -> None:
    """A job that is added after one that ends at this moment is never stuck, and never claimed before that end."""
    turn, early = Turn(), 0
    with opened(path) as store:
        batches = [planned(leaf(f"first {number}", queue="first")) for number in range(tries)]
        for batch in batches:
            store.add(batch)
        process = Process(end_all, path, turn, State.DONE)
        process.hear()
        store.enter(session("adder"))
        outcomes: list[Any] = []

        for number, batch in enumerate(batches):
            after = planned(leaf("second", after=Ref(batch.rows[0].id), queue="second"))
            turn.give(number)
            store.add(after)
            claims = store.exchange("adder", outcomes, Want(9, ("second",))).claims
            outcomes = done(claims)
            edges = store.edges([claim.row.id for claim in claims])
            early += sum(row.state is not State.DONE for row in store.jobs(Which(ids=tuple(e.before for e in edges))))

        assert process.hear() == process.wait() == 0
        store.exchange("adder", outcomes, NOTHING)
        work(store, "adder", queues=("second",))
        assert (0, {"done": 2 * tries}) == (early, store.counts(Which(), "state"))
        assert [] == find_violations(store.snapshot())


@pytest.mark.parametrize("tries", TRIES)
def test_edge_is_added_to_a_held_job(path: Path, tries: int) -> None:
    """An edge into a held job, from one that ends at this moment, is stored open and settled then, or settled."""
    turn = Turn()
    with opened(path) as store:
        batches = [planned(leaf(f"first {number}", queue="first")) for number in range(tries)]
        for batch in batches:
            store.add(batch)
        held = planned(leaf("held", hold=True, queue="second"))
        store.add(held)
        [row] = held.rows
        process = Process(end_all, path, turn, State.DONE)
        process.hear()

        for number, batch in enumerate(batches):
            edge = Edge(row.id, -1, batch.rows[0].id, Kind.AFTER, When.DONE)
            turn.give(number)
            store.add(Batch(into=row.id, edges=[edge]))

        assert process.hear() == process.wait() == 0
        assert [] == find_violations(store.snapshot())
        store.move(Which(ids=(row.id,)), Verb.RELEASE)
        store.enter(session("adder"))
        work(store, "adder", queues=("second",))
        assert {"done": tries + 1} == store.counts(Which(), "state")


@pytest.mark.parametrize("tries", TRIES)
def test_cancel_within_completion(path: Path, tries: int) -> None:
    """A cancel and an end at the same moment leave one outcome, and who cancels is told whether it came in time."""
    turn = Turn()
    with opened(path) as store:
        batches = [planned(leaf(str(number), queue="first")) for number in range(tries)]
        for batch in batches:
            store.add(batch)
        process = Process(end_all, path, turn, State.DONE)
        process.hear()
        told = []

        for number, batch in enumerate(batches):
            turn.give(number)
            told.append(store.move(Which(ids=(batch.rows[0].id,)), Verb.CANCEL))

        assert process.hear() == process.wait() == 0
        assert [] == find_violations(store.snapshot())
        rows = store.jobs(Which(), Page(size=EVERYTHING))
        assert {(State.DONE, 1)} == {(row.state, row.attempt) for row in rows}, "what ran was done, though it was asked"
        assert told == [row.cancelled for row in rows]


def test_cancel_within_failure(path: Path, tries: int = 300) -> None:
    """A tree that is cancelled while its job fails ends cancelled or failed, whole, and nothing of it is left to do."""
    turn = Turn()
    with opened(path) as store:
        batches = [
            planned(tree(f"top {number}", leaf(f"{number}", queue="first"), leaf("other"))) for number in range(tries)
        ]
        for batch in batches:
            store.add(batch)
        process = Process(end_all, path, turn, State.FAILED)
        process.hear()

        for number, batch in enumerate(batches):
            turn.give(number)
            store.move(Which(ids=(batch.rows[-1].id,)), Verb.CANCEL)
            while store.drain():
                pass

        assert process.hear() == process.wait() == 0
        assert [] == find_violations(store.snapshot())
        counts = store.counts(Which(), "state")
        assert {"failed": tries, "cancelled": 2 * tries} == counts


def test_cancel_of_what_runs_is_told(path: Path) -> None:
    """A cancel that comes while a job runs is told with the next beat or exchange, and its outcome still counts."""
    with opened(path) as store, opened(path) as other:
        store.enter(session("s"))
        store.add(planned(leaf("a")))
        [claim] = store.exchange("s", [], Want(1)).claims

        other.move(Which(), Verb.CANCEL)

        assert [claim.row.id] == store.beat("s", []).cancels == store.exchange("s", [], NOTHING).cancels
        assert {} == store.exchange("s", done([claim]), NOTHING).refused
        assert {"done": 1} == store.counts(Which(), "state")


def test_release_within_extension(path: Path, tries: int = 100) -> None:
    """What is added to a tree that is let go at this moment is let go with it, or refused."""
    turn = Turn()
    with opened(path) as store:
        batches = [planned(tree("top", leaf("a"), hold=True)) for _ in range(tries)]
        for batch in batches:
            store.add(batch)
        tops = [batch.rows[-1].id for batch in batches]
        process = Process(release_all, path, turn, tops)
        process.hear()
        sizes = []

        for number, top in enumerate(tops):
            turn.give(number)
            sizes.append(extend(store, top))

        process.hear()
        process.wait()
        rows = {row.id: row for row in store.jobs(Which(), Page(size=EVERYTHING))}
        assert {None} == {row.hold for row in rows.values()}
        assert sizes == [rows[top].size for top in tops]
        assert [] == find_violations(store.snapshot())


def extend(store: Sqlite, top: str) -> int:
    """Add children to a held job until it is let go; return how many it has then."""
    size = 1
    try:
        while True:
            last = store.edges([top])[-1].before
            into = Into(top, top, Array(size, last), hold=top)
            store.add(plan(sketch([leaf("more")]), make_ids, into))
            size += 1
    except AlreadyReleased:
        return size


def release_all(far: Any, path: Path, turn: Turn, tops: list[str]) -> None:
    """Let each tree go when it is its turn."""
    with opened(path) as store:
        far.send("ready")
        for number, top in enumerate(tops):
            turn.wait(number)
            store.move(Which(ids=(top,)), Verb.RELEASE)
            while store.drain():
                pass


# Names


def add_marked(number: int, path: Path, mark: str) -> str:
    """Add a job unless there is one with this mark; return which stands for it."""
    with opened(path) as store:
        batch = planned(leaf(f"{number}").changed(marks=(mark,), unless=Unless(mark)))
        aliases = store.add(batch)
        return aliases.get(batch.rows[0].id, batch.rows[0].id)


def test_same_mark_from_eight_processes(path: Path) -> None:
    """Eight processes that add the same thing at the same moment get one job."""
    for turn in range(10):
        found = together(add_marked, path, f"mark {turn}", n=8)

        assert 1 == len(set(found))
        with opened(path) as store:
            assert turn + 1 == len(store.jobs(Which()))


def add_requested(number: int, path: Path, request: str) -> str:
    """Add a tree with a request; return its root."""
    with opened(path) as store:
        batch = planned(tree(f"top {number}", leaf("a"), leaf("b")))
        batch.request = request
        root = batch.rows[-1].id
        return store.add(batch).get(root, root)


def test_same_request_from_eight_processes(path: Path) -> None:
    """Eight processes that repeat a request at the same moment get one tree, and all of it."""
    for turn in range(10):
        found = together(add_requested, path, f"request {turn}", n=8)

        assert 1 == len(set(found))
        with opened(path) as store:
            assert 3 * (turn + 1) == len(store.jobs(Which()))
            assert [] == find_violations(store.snapshot())


# Limits


def work_within(number: int, path: Path, ledger: Ledger, total: int) -> int:
    """Work off everything, and look at how many run in all after each claim; return the most."""
    most = 0
    with opened(path) as store:
        store.enter(session(f"worker {number}"))
        outcomes: list[Any] = []
        while store.counts(Which(), "state") != {"done": total}:
            outcomes = done(store.exchange(f"worker {number}", outcomes, Want(5, ends=0)).claims)
            most = max(most, store.counts(Which(), "state").get("running", 0))
            for outcome in outcomes:
                ledger.note(outcome.job)
    return most


def test_limits_hold_across_processes(path: Path, ledger: Ledger) -> None:
    """However many processes claim, no more run at one moment than the limit says, and all of them do run."""
    with opened(path) as store:
        store.limit("all", Rule(3))
        for number in range(400):
            store.add(planned(leaf(str(number), task="m:x")))

    most = together(work_within, path, ledger, 400, n=4)

    assert (3, 400) == (max(most), len(set(ledger.lines())))
    assert 400 == len(ledger.lines())
