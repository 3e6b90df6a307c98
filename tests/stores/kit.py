"""What store tests are written with: stores by name, a clock that is set, and a desk at which a test works.

Jobs are named by their label: `desk.add(tree("top", leaf("a"), leaf("b")))`, `desk.claim()`, `desk.end("a")`,
`desk.states()`. Ids are numbers in the order of adding, so every run gives the same ones.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from ramify.checkup import Snapshot
from ramify.graph.check import find_violations
from ramify.graph.ends import decide_end
from ramify.graph.plan import Into, plan
from ramify.graph.sketch import sketch
from ramify.model import (
    Again,
    Array,
    Back,
    Batch,
    Charge,
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
from ramify.stores.memory import Memory
from ramify.stores.postgres import Postgres
from ramify.stores.protocol import SLICE, Store
from ramify.stores.sqlite import Sqlite
from tests.directory.kit import Broken, open_directory
from tests.postgres.server import default_version, server

EVERYTHING: Final = 1_000_000
MEMORY: Final = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""A folder that needs no disk: what is durable is another test's question."""
STEPS: Final = 10_000
"""More than any test's worklist takes."""
VALUE: Final = Value(b"1")
FAILURE: Final = Failure("error", "no luck")


class Clock:
    """The time that a test says it is."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Connection(sqlite3.Connection):
    """A connection that breaks at its n-th statement, when told to."""

    left: int = -1

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Execute a statement, or break."""
        if args[0] != "ROLLBACK":
            self._count()
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        """Execute a statement, or break."""
        self._count()
        return super().executemany(*args)

    def _count(self) -> None:
        if self.left == 0:
            self.left = -1
            raise Broken
        self.left -= self.left > 0


def open_memory(folder: Path, clock: Clock, slice: int = SLICE) -> Store:
    """Open an empty memory store."""
    return Memory(clock, slice)


def open_sqlite(folder: Path, clock: Clock, slice: int = SLICE) -> Store:
    """Open the SQLite store of a folder."""
    path = str(folder / "jobs.db")
    return Sqlite(path, durability="fast", clock=clock, lease_clock=clock, slice=slice, factory=Connection)


def open_postgres(folder: Path, clock: Clock, slice: int = SLICE) -> Store:
    """Open the PostgreSQL store of a folder: a schema of an odd name that stands for it."""
    schema = f'{hashlib.sha256(bytes(folder)).hexdigest()[:16]} "100%s".x'
    return Postgres(server().url(), schema=schema, clock=clock, slice=slice)


STORES: Final[dict[str, Callable[[Path, Clock, int], Store]]] = {
    "memory": open_memory,
    "sqlite": open_sqlite,
    "directory": open_directory,
    "redis": lambda *given: import_module("tests.stores.redis_server").open_redis(*given),
} | ({"postgres": open_postgres} if default_version() else {})
"""Every store; a new one is added here. PostgreSQL is left out only where no server can be had."""

LASTING: Final = frozenset({"sqlite", "directory", "postgres", "redis"})
"""Those whose jobs are still there when the store is opened again."""


class Names:
    """A supply of ids in ascending order, the same in every run."""

    def __init__(self) -> None:
        self.next = 1

    def __call__(self, n: int) -> list[JobId]:
        first, self.next = self.next, self.next + n
        return [f"{number:026d}" for number in range(first, first + n)]

    @property
    def peek(self) -> JobId:
        """Return the id that comes next."""
        return f"{self.next:026d}"


def leaf(label: str, *args: Any, task: str | None = None, **options: Any) -> AnyNode:
    """Describe one call, of the task `m:LABEL`."""
    return _with(Node(task or f"m:{label}", args), label, options)


def tree(label: str, *children: AnyNode, task: str | None = None, **options: Any) -> AnyNode:
    """Describe a group of nodes; with a task, that is its body."""
    return _with(Node(task, (), None, children), label, options)


def series(label: str, *children: AnyNode, **options: Any) -> AnyNode:
    """Describe a group whose children run one after the other."""
    return tree(label, *children, **options).changed(series=True)


def _with(node: AnyNode, label: str, options: dict[str, Any]) -> AnyNode:
    raw = {name: options.pop(name) for name in ("marks", "unless", "previous") if name in options}
    return node.options(label=label, **options).changed(**raw)


class Desk:
    """One place from which a test adds, claims, reports and looks, with jobs by their labels."""

    def __init__(self, open_store: Callable[[], Store], clock: Clock, session: str | None = "s") -> None:
        self.open_store, self.clock = open_store, clock
        self.store = open_store()
        self.names = Names()
        self.ids: dict[str, JobId] = {}
        self.labels: dict[JobId, str] = {}
        self.claims: dict[str, Claim] = {}
        if session is not None:
            self.enter(session)

    def reopen(self) -> None:
        """Close the store and open it again, as a program does that ends and begins anew."""
        if not isinstance(self.store, Memory):
            self.store.close()
            self.store = self.open_store()

    # Adding

    def batch(self, *nodes: AnyNode, into: str | None = None, request: str | None = None) -> Batch:
        """Plan nodes: a tree of their own, or children of a stored job as it is now."""
        batch = plan(sketch(nodes), self.names, self.into(into) if into else None)
        batch.request = request
        for row in batch.rows:
            self.labels[row.id] = row.label or f"join of {self.labels.get(row.parent or '', row.parent)}"
            self.ids[self.labels[row.id]] = row.id
        return batch

    def into(self, label: str) -> Into:
        """Return what planning must know of a stored job."""
        row = self.row(label)
        array = Array(row.size, row.last, row.barrier)
        return Into(row.id, row.tree, array, row.lane.queue, row.priority, row.hold)

    def add(self, *nodes: AnyNode, into: str | None = None, request: str | None = None) -> dict[str, str]:
        """Store nodes; return the aliases, by label."""
        aliases = self.store.add(self.batch(*nodes, into=into, request=request))
        return {self.labels[id]: self.labels[job] for id, job in aliases.items()}

    def add_edge(self, before: str, after: str, when: When = When.DONE) -> None:
        """Make a stored, held job wait for another one."""
        edge = Edge(self.ids[after], -1, self.ids[before], Kind.AFTER, when)
        self.store.add(Batch(edges=[edge], into=self.ids[after]))

    def ref(self, label: str) -> Ref[Any]:
        """Return a stored job as an argument or predecessor."""
        return Ref(self.ids[label])

    # Working

    def enter(self, session: str) -> None:
        """Open a session."""
        self.store.enter(Session(session, pid=os.getpid()))

    def exchange(self, *outcomes: Outcome, session: str = "s", **want: Any) -> Exchange:
        """Report, and claim what is wanted, by default nothing; remember what was claimed."""
        reply = self.store.exchange(session, outcomes, Want(**{"ends": 0, **want}))
        for claim in reply.claims:
            self.claims[self.labels[claim.row.id]] = claim
        self.look_twice()
        return reply

    def claim(self, n: int = EVERYTHING, session: str = "s", **want: Any) -> list[str]:
        """Claim jobs; return their labels in order."""
        if "queues" in want:
            want["queues"] = tuple(want["queues"])
        reply = self.exchange(session=session, n=n, **{"ends": EVERYTHING, **want})
        return [self.labels[claim.row.id] for claim in reply.claims]

    def ended(self, label: str, state: State = State.DONE) -> Ended:
        """Return the end of a claimed job: of one to be ended, the end that its edges ask for."""
        row = self.claims[label].row
        if row.doomed:
            end, cause = decide_end(self.store.edges([row.id], bad=True))
            failure = None if end is State.DONE else Failure("cause", "", cause=cause)
            return Ended(row.id, row.attempt, end, None, failure)
        if state is State.DONE:
            return Ended(row.id, row.attempt, state, VALUE)
        return Ended(row.id, row.attempt, state, None, FAILURE)

    def grown(self, label: str, batch: Batch, then: str = Step.END, beside: Batch | None = None) -> Grown:
        """Return the report of a claimed job that adds a batch, or one of children and one of siblings."""
        row = self.claims[label].row
        return Grown(row.id, row.attempt, batch, Step(then), VALUE if then == Step.END else None, beside)

    def needs(self, label: str, *befores: str) -> Batch:
        """Return edges from stored jobs into a job, as needs are."""
        edges = [Edge(self.ids[label], -n, self.ids[before], Kind.AFTER) for n, before in enumerate(befores, 1)]
        return Batch(edges=edges, into=self.ids[label])

    def need(self, label: str, need: str, unless: Unless) -> Batch:
        """Return what a worker adds for a job that needs another: that one, with the mark, unless there is one."""
        node = leaf(need, marks=(unless.mark,), unless=unless)
        batch = self.batch(node)
        batch.into, batch.edges = self.ids[label], [Edge(self.ids[label], -1, self.ids[need], Kind.AFTER)]
        return batch

    def again(self, label: str, delay: float = 0.0, charge: str = Charge.TRY) -> Again:
        """Return the report of a claimed job that is tried again."""
        row = self.claims[label].row
        return Again(row.id, row.attempt, delay, Charge(charge), FAILURE)

    def back(self, label: str) -> Back:
        """Return the report of a claimed job that was not started."""
        row = self.claims[label].row
        return Back(row.id, row.attempt)

    def end(self, *labels: str, state: State = State.DONE, session: str = "s") -> None:
        """End claimed jobs; the store must accept that."""
        reply = self.exchange(*[self.ended(label, state) for label in labels], session=session)
        assert reply.refused == {}

    def run(self, *labels: str, state: State = State.DONE) -> None:
        """Claim these ready jobs, and no other, and end them."""
        found = self.claim(tasks=frozenset(str(self.row(label).lane.task) for label in labels), ends=0)
        assert sorted(labels) == sorted(found)
        self.end(*labels, state=state)

    def move(self, verb: Verb, *labels: str) -> int:
        """Apply a verb to jobs and all that follows from it; return how many it concerned."""
        concerned = self.start(verb, *labels)
        self.drain()
        return concerned

    def start(self, verb: Verb, *labels: str) -> int:
        """Apply a verb to jobs, and leave what follows on the worklist."""
        concerned = self.store.move(Which(ids=tuple(self.ids[label] for label in labels)), verb)
        self.look_twice()
        return concerned

    def drain(self) -> None:
        """Empty the worklist."""
        for _ in range(STEPS):
            if not self.store.drain():
                return
            self.look_twice()
        raise AssertionError(f"the worklist does not come to an end: {self.store.snapshot().work}")

    def look_twice(self) -> None:
        """Find nothing wrong between two steps, where steps are small."""
        if self.store.slice < SLICE:
            self.check()

    def work(self, fail: Sequence[str] = (), session: str = "s") -> list[str]:
        """Run everything that can run, one job at a time; return the labels in order of claims."""
        order: list[str] = []
        outcomes: list[Outcome] = []
        while True:
            reply = self.exchange(*outcomes, session=session, n=1, ends=1)
            assert reply.refused == {}
            found = [self.labels[claim.row.id] for claim in reply.claims]
            order += found
            outcomes = [self.ended(label, State.FAILED if label in fail else State.DONE) for label in found]
            if not found and not reply.more:
                return order

    # Looking

    def row(self, label: str) -> Row:
        """Return the row of a job."""
        [row] = self.store.jobs(Which(ids=(self.ids[label],)))
        return row

    def rows(self) -> list[Row]:
        """Return all rows."""
        return self.store.jobs(Which(), Page(size=-1))

    def state(self, label: str) -> str:
        """Return the state of a job."""
        return self.row(label).state.value

    def states(self) -> dict[str, str]:
        """Return the states of all jobs."""
        return {self.labels[row.id]: row.state.value for row in self.rows()}

    def failure(self, label: str) -> Failure | None:
        """Return why a job did not end done."""
        [result] = self.store.results([self.ids[label]])
        return result.failure

    def check(self) -> None:
        """Find nothing wrong."""
        assert find_violations(self.store.snapshot()) == []


def comparable(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with everything that has no order in one order."""
    results = {id: result for id, result in snapshot.results.items() if result != type(result)(id)}
    return msgspec.structs.replace(
        snapshot,
        rows=sorted(snapshot.rows, key=lambda row: row.id),
        edges=sorted(snapshot.edges, key=lambda edge: (edge.after, edge.place)),
        sessions=sorted(snapshot.sessions, key=lambda session: session.id),
        results=dict(sorted(results.items())),
    )


__all__ = [name for name in globals() if not name.startswith("_")]
