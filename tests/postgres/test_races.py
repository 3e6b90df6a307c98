"""What several steps do to the same jobs at the same moment: each race, tried often, with a connection for each side.

A try is a tree of its own; after all tries everything is looked at. `make storm` tries each 10,000 times, or as often
as STORM_TRIES says; POSTGRES=15 chooses the server.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ramify.errors import AlreadyReleased, Cycle, NotFound, RamifyError
from ramify.graph.check import find_violations
from ramify.graph.ends import decide_end
from ramify.graph.plan import Into, plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import (
    ENDED,
    Array,
    Batch,
    Claim,
    Edge,
    Ended,
    Exchange,
    Failure,
    Grown,
    JobId,
    Kind,
    Outcome,
    Page,
    Row,
    Rule,
    Session,
    State,
    Step,
    Unless,
    Value,
    Verb,
    Want,
    When,
    Which,
)
from ramify.node import AnyNode, Node, Ref
from ramify.stores.postgres import Postgres
from ramify.stores.postgres.statements import quote
from ramify.stores.postgres.transaction import Hold
from tests.postgres.server import default_version, server

pytestmark = [pytest.mark.skipif(default_version() is None, reason="no PostgreSQL here"), pytest.mark.slow]
STORM = int(os.environ.get("STORM_TRIES", "10000"))
TRIES = [100, pytest.param(STORM, marks=[pytest.mark.storm, pytest.mark.timeout(3600)])]
SIDES = 4
VALUE = Value(b"1")
ALL = Want(1000, ends=1000)


class Ring:
    """Some stores on one schema, each used by one thread, which all begin at the same moment."""

    def __init__(self, name: str, options: str = "") -> None:
        self.url = server().url(**({"options": options} if options else {}))
        self.stores = [Postgres(self.url, schema=name, durability="fast") for _ in range(SIDES)]
        self.store = self.stores[0]
        self.sessions = [f"s{number}" for number in range(SIDES)]
        for store, session in zip(self.stores, self.sessions, strict=True):
            store.enter(Session(session, pid=os.getpid()))
        self._threads = ThreadPoolExecutor(SIDES)

    def close(self) -> None:
        """Let go of everything."""
        self._threads.shutdown()
        for store in self.stores:
            store.close()

    def race(self, *acts: Callable[[Postgres], Any]) -> list[Any]:
        """Do all of this at once, each with a store of its own; return the replies, or our errors."""
        start = threading.Barrier(len(acts))

        def run(act: Callable[[Postgres], Any], store: Postgres) -> Any:
            start.wait()
            try:
                return act(store)
            except RamifyError as error:
                return error

        return list(self._threads.map(run, acts, self.stores))

    def start(self, act: Callable[[Postgres], Any]) -> "Future[Any]":
        """Begin to do this on the first side."""
        return self._threads.submit(act, self.store)

    def move_away(self, id: JobId) -> None:
        """Cancel a tree, so that it is not claimed any more."""
        self.store.move(Which(ids=(id,)), Verb.CANCEL)
        while self.store.drain():
            pass

    def add(self, node: AnyNode, into: Row | None = None) -> Batch:
        """Store a tree."""
        batch = plan(sketch([node]), make_ids, into_of(into) if into else None)
        self.store.add(batch)
        return batch

    def claim(self, side: int = 0) -> list[Claim]:
        """Claim all there is."""
        return self.stores[side].exchange(self.sessions[side], [], ALL).claims

    def work_off(self) -> list[Row]:
        """Do whatever can be done, one side alone; return all rows."""
        self.store.enter(Session(self.sessions[0], pid=os.getpid()))  # nobody renewed it meanwhile
        running = Which(states=frozenset({State.RUNNING}))
        while True:
            rows = self.store.jobs(running, Page(size=-1))
            for row in rows:
                self.store.exchange(str(row.session), [self.ended(row)], Want(0, ends=0))
            reply = self.store.exchange(self.sessions[0], [], ALL)
            if not (rows or reply.claims or reply.more):
                return self.store.jobs(Which(), Page(size=-1))

    def ended(self, row: Row) -> Ended:
        """Return how a running job ends if all goes well."""
        if not row.doomed:
            return Ended(row.id, row.attempt, State.DONE, VALUE)
        end, cause = decide_end(self.store.edges([row.id], bad=True))
        failure = None if end is State.DONE else Failure("cause", "", cause=cause)
        return Ended(row.id, row.attempt, end, None, failure)

    def row(self, id: JobId) -> Row:
        """Return one row."""
        return self.store.jobs(Which(ids=(id,)))[0]


def into_of(row: Row) -> Into:
    """Return what planning needs to know of a row that gains children."""
    return Into(row.id, row.tree, Array(row.size, row.last, row.barrier), row.lane.queue, row.priority, row.hold)


def leaf(name: str = "x", *children: AnyNode) -> AnyNode:
    """Return a call of a task of the module m."""
    return Node(f"m:{name}", (), None, children)


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    """Four sides and an empty store, in order afterwards."""
    ring = Ring(f"races {tmp_path.name}"[:60])
    try:
        yield ring
        assert find_violations(ring.store.snapshot()) == []
    finally:
        ring.close()


@pytest.fixture
def strict_ring(tmp_path: Path) -> Iterator[Ring]:
    """The same on a database whose transactions are serializable unless they say otherwise; it finds deadlocks soon."""
    options = "-c default_transaction_isolation=serializable -c deadlock_timeout=50ms"
    ring = Ring(f"strict races {tmp_path.name}"[:60], options.replace(" ", "%20").replace("=", "%3D"))
    try:
        yield ring
        assert find_violations(ring.store.snapshot()) == []
    finally:
        ring.close()


def done(claim: Claim, state: State = State.DONE) -> Ended:
    """Return the end of a claimed job."""
    return Ended(claim.row.id, claim.row.attempt, state, VALUE if state is State.DONE else None)


def end(ring: Ring, claims: Sequence[Claim], side: int = 0) -> Callable[[Postgres], Any]:
    """Report these ends, as the session of one side."""
    return lambda store: store.exchange(ring.sessions[side], [done(claim) for claim in claims], Want(0, ends=0))


@pytest.mark.parametrize("tries", TRIES)
def test_an_edge_from_a_job_that_just_ends_is_settled(ring: Ring, tries: int) -> None:
    """Whoever comes first: what is added behind an ending job becomes ready, and never waits for ever."""
    add_behind_the_ending(ring, tries)


@pytest.mark.parametrize("tries", TRIES)
def test_a_database_that_prefers_older_snapshots_changes_nothing(strict_ring: Ring, tries: int) -> None:
    """A step asks for the isolation that it needs, whatever the database's default is."""
    add_behind_the_ending(strict_ring, tries)


def add_behind_the_ending(ring: Ring, tries: int) -> None:
    """Add a job behind one that ends at the same moment, again and again."""
    afters = []
    for _ in range(tries):
        before = ring.add(leaf()).rows[-1].id
        [claim] = ring.claim()
        batch = plan(sketch([leaf().options(after=Ref(before), queue="later")]), make_ids)
        afters.append(batch.rows[-1].id)

        ring.race(end(ring, [claim]), lambda store, batch=batch: store.add(batch))

    assert {State.READY} == {row.state for id in afters for row in [ring.row(id)]}


@pytest.mark.parametrize("tries", TRIES)
def test_children_that_end_together_ready_their_parent_once(ring: Ring, tries: int) -> None:
    """Four workers each end a child of the same four groups; each group is ready then, and waits for nothing."""
    for _ in range(tries // 4):
        tops = [ring.add(leaf("top", *[leaf() for _ in range(SIDES)])).rows[-1].id for _ in range(4)]
        want = Want(4, ends=0)
        claims = [ring.stores[side].exchange(ring.sessions[side], [], want).claims for side in range(SIDES)]
        assert [4] * SIDES == [len(own) for own in claims]
        mixed = [[own[number] for number in order(side)] for side, own in enumerate(claims)]

        ring.race(*[end(ring, mixed[side], side) for side in range(SIDES)])

        assert [(State.READY, 0)] * 4 == [(row.state, row.waits) for row in map(ring.row, tops)]
        end(ring, ring.claim())(ring.store)


def order(side: int) -> list[int]:
    """Return the order in which a side reports, each another one."""
    return [(side + number) % 4 for number in range(4)][:: 1 if side % 2 else -1]


@pytest.mark.parametrize("tries", TRIES)
def test_siblings_that_grow_their_group_together_are_all_counted(ring: Ring, tries: int) -> None:
    """Four workers each add a sibling to the same group at once, while two others of its children end: whoever comes
    too late for the group as he knew it plans again, and the group waits for all of them.
    """
    for number in range(tries):
        top = ring.add(leaf("top", *[leaf() for _ in range(SIDES)])).rows[-1].id
        claims = [
            ring.stores[side].exchange(ring.sessions[side], [], Want(1, ends=0)).claims[0] for side in range(SIDES)
        ]
        left = set(range(SIDES))
        while left:
            row = ring.row(top)
            outcomes = {side: outcome_of(side, claims[side], row) for side in left}

            replies = ring.race(*[report(ring, side, outcomes.get(side)) for side in range(SIDES)])

            assert all(isinstance(reply, Exchange) for reply in replies), replies
            left = {side for side in left if claims[side].row.id in replies[side].refused}
            assert all(refusal.kind == "changed" for reply in replies for refusal in reply.refused.values())
        row = ring.row(top)
        # For the two that were added, and for the two that added them, which are still to be ended.
        assert (State.WAITING, SIDES + 2, 4) == (row.state, row.size, row.waits), number
        ring.move_away(top)


def outcome_of(side: int, claim: Claim, top: Row) -> Outcome:
    """Return the end of a job, or on every other side the addition of a sibling."""
    if side % 2:
        return done(claim)
    batch = plan(sketch([leaf("sibling")]), make_ids, into_of(top))
    return Grown(claim.row.id, claim.row.attempt, batch, Step.END, VALUE)


def report(ring: Ring, side: int, outcome: Outcome | None) -> Callable[[Postgres], Any]:
    """Report an outcome as the session of one side, if there is one."""
    return lambda store: store.exchange(ring.sessions[side], [outcome] if outcome else [], Want(0, ends=0))


@pytest.mark.parametrize("tries", [20, pytest.param(STORM, marks=[pytest.mark.storm, pytest.mark.timeout(3600)])])
def test_a_deadlock_with_others_is_met_by_doing_the_step_again(strict_ring: Ring, tries: int) -> None:
    """Another program locks two of our jobs in the other order; the server ends our step, which is then done again."""
    ring = strict_ring
    met = 0
    # Whoever looks first for a deadlock, once it is there, gives way: nearly always we.
    with psycopg.connect(server().url(), autocommit=True, options="-c deadlock_timeout=10s") as other:
        for _ in range(tries):
            ring.add(leaf("top", leaf(), leaf()))
            claims = ring.claim()
            first, second = [claim.row.id for claim in claims]
            lock = f"SELECT 1 FROM {quote(ring.store.schema)}.job WHERE id = %s FOR UPDATE"
            with suppress(psycopg.errors.DeadlockDetected), other.transaction():
                other.execute(lock, [second])
                thread = ring.start(end(ring, claims))
                wait_until_blocked(other)
                other.execute(lock, [first])
                met += 1
            assert thread.result().refused == {}
            [top] = ring.claim()
            end(ring, [top])(ring.store)

    assert met > 0
    assert {State.DONE} == {row.state for row in ring.store.jobs(Which(), Page(size=-1))}


def wait_until_blocked(other: psycopg.Connection) -> None:
    """Wait until somebody waits for this connection."""
    deadline = time.monotonic() + 20
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    while other.execute(blocked).fetchone() == (0,):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("tries", TRIES)
def test_growth_against_cancel_leaves_nothing_alive(ring: Ring, tries: int) -> None:
    """What a running job adds while its tree is cancelled is cancelled, too, or was never added."""
    for number in range(tries):
        tree = ring.add(leaf("top", leaf("grows"))).rows[-1].id
        [claim] = ring.claim()
        batch = plan(sketch([leaf("child")]), make_ids, into_of(claim.row))
        grown = Grown(claim.row.id, claim.row.attempt, batch, Step.END, VALUE)

        def cancel(store: Postgres, tree: JobId = tree) -> None:
            store.move(Which(ids=(tree,)), Verb.CANCEL)
            while store.drain():
                pass

        ring.race(lambda store, grown=grown: store.exchange("s0", [grown], Want(0, ends=0)), cancel)

        rows = ring.store.jobs(Which(tree=tree))
        assert {State.CANCELLED} == {row.state for row in rows}, number


@pytest.mark.parametrize("tries", TRIES)
def test_one_job_for_one_mark(ring: Ring, tries: int) -> None:
    """Of several programs that add a job with the same mark at once, one does; the others get that one."""
    for number in range(tries):
        batches = []
        for _ in range(SIDES):
            batch = plan(sketch([leaf()]), make_ids)
            root = batch.rows[-1].id
            batch.marks, batch.unless = {root: [f"mark {number}"]}, {root: Unless(f"mark {number}")}
            batches.append(batch)

        replies = ring.race(*[lambda store, batch=batch: store.add(batch) for batch in batches])

        used = {reply.get(batch.rows[-1].id, batch.rows[-1].id) for reply, batch in zip(replies, batches, strict=True)}
        assert 1 == len(used), number
    assert tries == ring.store.counts(Which(), "state")["ready"]


@pytest.mark.parametrize("tries", TRIES)
def test_one_tree_for_one_request(ring: Ring, tries: int) -> None:
    """Of the same request made at once by several programs, one is stored."""
    for number in range(tries):
        batches = [plan(sketch([leaf()]), make_ids) for _ in range(SIDES)]
        for batch in batches:
            batch.request = f"request {number}"

        ring.race(*[lambda store, batch=batch: store.add(batch) for batch in batches])

    assert tries == ring.store.counts(Which(), "state")["ready"]


@pytest.mark.parametrize("tries", TRIES)
def test_no_job_is_claimed_twice(ring: Ring, tries: int) -> None:
    """Four workers claim and report at once; each job runs once, whoever has it."""
    n = tries * 5
    ring.store.add(plan(sketch([leaf() for _ in range(n)]), make_ids))
    seen: list[list[JobId]] = [[] for _ in range(SIDES)]

    def work(side: int) -> Callable[[Postgres], None]:
        def run(store: Postgres) -> None:
            outcomes: list[Ended] = []
            while sum(map(len, seen)) < n or outcomes:
                reply = store.exchange(ring.sessions[side], outcomes, Want(7))
                assert reply.refused == {}
                seen[side] += [claim.row.id for claim in reply.claims]
                outcomes = [done(claim) for claim in reply.claims]

        return run

    ring.race(*map(work, range(SIDES)))

    claimed = [id for own in seen for id in own]
    assert (n, n) == (len(claimed), len(set(claimed)))


@pytest.mark.parametrize("tries", TRIES)
def test_limits_hold_while_four_claim(ring: Ring, tries: int) -> None:
    """However many workers claim at once, no more jobs run than a limit allows."""
    ring.store.limit("task:m:few", Rule(3))
    ring.store.add(plan(sketch([leaf("few") for _ in range(tries * 3)]), make_ids))
    held: list[list[Claim]] = [[] for _ in range(SIDES)]
    most = 0

    def step(side: int) -> Callable[[Postgres], None]:
        def run(store: Postgres) -> None:
            reply = store.exchange(ring.sessions[side], [done(claim) for claim in held[side][:1]], Want(2))
            held[side] = held[side][1:] + reply.claims

        return run

    while ring.store.counts(Which(), "state").get("done", 0) < tries * 3:
        assert [None] * SIDES == ring.race(*map(step, range(SIDES)))
        most = max(most, sum(map(len, held)))

    assert 3 == most


@pytest.mark.parametrize("tries", TRIES)
def test_addition_against_purge(ring: Ring, tries: int) -> None:
    """A job is added behind an ended tree, or the tree is purged: never both."""
    for _ in range(tries):
        tree = ring.add(leaf("top", leaf())).rows
        while claims := ring.claim():
            end(ring, claims)(ring.store)
        batch = plan(sketch([leaf("after").options(after=Ref(tree[0].id), queue="later")]), make_ids)

        def purge(store: Postgres, id: JobId = tree[-1].id) -> None:
            store.move(Which(ids=(id,)), Verb.PURGE)
            while store.drain():
                pass

        reply, _ = ring.race(lambda store, batch=batch: store.add(batch), purge)

        there = {row.id for row in ring.store.jobs(Which(ids=(tree[0].id, tree[-1].id)))}
        assert (0 if isinstance(reply, NotFound) else 2) == len(there)
        assert isinstance(reply, NotFound | dict)


@pytest.mark.parametrize("tries", TRIES)
def test_two_edges_never_close_a_circle(ring: Ring, tries: int) -> None:
    """Of two held jobs each is made to wait for the other at once; one of them is refused."""
    for _ in range(tries):
        one, other = [ring.add(leaf().options(hold=True)).rows[-1].id for _ in range(2)]

        def link(before: JobId, after: JobId) -> Callable[[Postgres], Any]:
            edge = Edge(after, -1, before, Kind.AFTER, When.DONE)
            return lambda store: store.add(Batch(edges=[edge], into=after))

        replies = ring.race(link(one, other), link(other, one))

        assert [Cycle] == [type(reply) for reply in replies if isinstance(reply, Exception)]
    ring.store.move(Which(roots=True), Verb.RELEASE)


@pytest.mark.parametrize("tries", TRIES)
def test_extension_against_release(ring: Ring, tries: int) -> None:
    """What is added to a held job while it is let go is let go with it, or refused."""
    for _ in range(tries):
        root = ring.add(leaf("top", leaf()).options(hold=True)).rows[-1]
        batch = plan(sketch([leaf("late")]), make_ids, into_of(ring.row(root.id)))

        def release(store: Postgres, id: JobId = root.id) -> None:
            store.move(Which(ids=(id,)), Verb.RELEASE)
            while store.drain():
                pass

        reply, _ = ring.race(lambda store, batch=batch: store.add(batch), release)

        rows = ring.store.jobs(Which(tree=root.id))
        assert (2 if isinstance(reply, AlreadyReleased) else 3) == len(rows)
        assert State.HELD not in {row.state for row in rows}


@pytest.mark.parametrize("tries", TRIES)
def test_adoption_against_the_late_report(ring: Ring, tries: int) -> None:
    """A job of a session that was declared dead is ended by its old owner or adopted by the new one, never both."""
    for number in range(tries):
        session = f"late {number}"
        ring.store.enter(Session(session, pid=os.getpid()))
        ring.add(leaf())
        [claim] = ring.store.exchange(session, [], ALL).claims
        ring.stores[1].leave(session)

        def report(store: Postgres, claim: Claim = claim, session: str = session) -> Any:
            with store._write() as tables:  # the report was on its way when the session was declared dead
                return tables.end(session, [done(claim)])

        def late(store: Postgres, report: Callable[[Postgres], Any] = report) -> Any:
            return store._insist(Hold.SHARED, report, store)

        ended, adopted, _ = ring.race(late, lambda store: store.adopt("s1", 10), lambda store: store.adopt("s2", 10))

        row = ring.row(claim.row.id)
        assert bool(ended) == (row.state is State.DONE)
        assert not (ended and any(other.row.id == row.id for other in adopted))
    ring.work_off()


@pytest.mark.parametrize("tries", TRIES)
def test_everything_at_once_comes_to_an_end(ring: Ring, tries: int) -> None:
    """Workers report and grow while others add, cancel, retry and hold: in the end every job has ended."""
    stop = threading.Event()

    def work(side: int) -> Callable[[Postgres], None]:
        def run(store: Postgres) -> None:
            outcomes: list[Any] = []
            turns = 0
            while not stop.is_set() or outcomes:
                reply = store.exchange(ring.sessions[side], outcomes, Want(5))
                outcomes = []
                for claim in reply.claims:
                    turns += 1
                    row = claim.row
                    if row.doomed:
                        outcomes.append(ring.ended(row))
                    elif turns % 5 == 0 and not stop.is_set():
                        batch = plan(sketch([leaf("child"), leaf("child")]), make_ids, into_of(row))
                        outcomes.append(Grown(row.id, row.attempt, batch, Step.END, VALUE))
                    else:
                        outcomes.append(done(claim, State.FAILED if turns % 7 == 0 else State.DONE))

        return run

    def disturb(store: Postgres) -> None:
        try:
            for number in range(tries):
                leaves = [leaf() for _ in range(6)]
                root = plan(sketch([leaf("top", *leaves, leaf().options(after=leaves[0]))]), make_ids)
                store.add(root)
                which = Which(ids=(root.rows[number % 7].id, root.rows[-1].id))
                for verb in (Verb.HOLD, Verb.RELEASE) if number % 3 else (Verb.CANCEL, Verb.RETRY):
                    store.move(which, verb)
        finally:
            stop.set()

    def drain(store: Postgres) -> None:
        while not stop.is_set():
            store.drain()

    replies = ring.race(work(0), work(1), disturb, drain)

    assert [None] * 4 == replies
    ring.store.move(Which(roots=True), Verb.RELEASE)
    assert {True} == {row.state in ENDED for row in ring.work_off()}
