"""`Job`: a stored job, watched and steered by its id. Everything is read when it is asked for, nothing is kept.

What a job ended with is put into words in `ended.py`, results are brought back to their types in `restore.py`.
"""

import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Generic, Literal, TypeVar

from ramify.context import running
from ramify.create import create, prepare
from ramify.ended import error_of, read_failure
from ramify.errors import AlreadyReleased, BadNode, Changed, NotFound, WouldDeadlock
from ramify.explain import Reason, explain
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.known import Known
from ramify.model import Batch, Edge, Failure, JobId, Kind, Line, Result, Row, State, Step, Verb, When, Which
from ramify.node import AnyNode, Before, Node, Ref
from ramify.restore import restore_result
from ramify.snapshot import snapshot
from ramify.stores.gather import gather, read_children
from ramify.stores.move import move
from ramify.stores.progress import read_progress
from ramify.stores.protocol import Store
from ramify.stores.read import MOMENT, name_row, read_edges, read_into, read_log, read_row, read_rows, wait_for_end

DEPTH: Final = 6
"""So many levels of a tree are drawn."""

T_co = TypeVar("T_co", covariant=True)


class Job(Ref[T_co], Generic[T_co]):
    """A job in a store. As an argument or in `after` of a node it stands for its result and its end."""

    __slots__ = ("_execute", "_node", "_store", "_stored")

    def __init__(
        self,
        store: Store,
        id: JobId,
        node: AnyNode | None = None,
        execute: Callable[[], None] | None = None,
        stored: float = 0.0,
    ) -> None:
        super().__init__(id)
        self._store, self._node, self._execute, self._stored = store, node, execute, stored

    @property
    def state(self) -> State:
        """Where the job stands now. Raise `NotFound` if it is not stored (any more)."""
        return self._row().state

    @property
    def error(self) -> Failure | None:
        """What went wrong in this job, in the last try so far or for good."""
        self._row()
        return read_failure(self._store, self.id)

    @property
    def progress(self) -> int | None:
        """How far the job is, in percent; None if nothing tells.

        A job by itself is as far as it says. With jobs under it, all that have ended count, and what runs as it says;
        so this goes back when jobs are added.
        """
        return read_progress(self._store, self._row())

    @property
    def status(self) -> str | None:
        """What the job says that it does; None if it does not say."""
        return self._result().status

    @property
    def parent(self) -> "Job[Any] | None":
        """The job above this one, None for the root of a tree."""
        above = self._row().parent
        return None if above is None else Job(self._store, above)

    @property
    def children(self) -> "list[Job[Any]]":
        """The jobs under this one, in order of position, added ones included."""
        self._row()
        nodes = self._node.children if self._node is not None else ()
        ids = read_children(self._store, [self.id])[self.id]
        return [Job(self._store, id, nodes[place] if place < len(nodes) else None) for place, id in enumerate(ids)]

    def result(self, timeout: float | None = None) -> T_co:
        """Wait for the end and return the result: what the function returned, or the list of a group's results.

        Raise `JobFailed`, `JobCancelled` or `JobSkipped` naming the cause, `TimedOut` if the time limit of the tree
        passed, `TimeoutError` naming what is unfinished after `timeout` seconds, and `WouldDeadlock` at once inside
        a job that this one waits for.
        """
        self._refuse_deadlock()
        row, left = wait_for_end(self._store, self.id, timeout, time.monotonic() - self._stored < MOMENT)
        if row.state is not State.DONE:
            raise error_of(self._store, row)
        stored = left.value or gather(self._store, [self.id])[self.id]
        value: T_co = restore_result(stored, self._node, row.lane.task)
        return value

    def __await__(self) -> Generator[Any, None, T_co]:
        return self._wait().__await__()

    def execute(self) -> None:
        """Run a job that `Ramify.claim` returned, in this process, and report how it ended."""
        if self._execute is None:
            raise BadNode(f"job {self.id} is not claimed here; app.claim() returns a job that this process may run")
        self._execute()

    def log(self, after: int = 0) -> list[Line]:
        """Return what the job said so far, beyond line number `after`: what it and its commands printed and logged.

        Of a long log the newest lines are kept; `number` tells what is missing.
        """
        self._row()
        return list(read_log(self._store, self.id, after))

    def release(self) -> None:
        """Let a held job and all that is held with it go. Raise `AlreadyReleased` if it is not held."""
        row = self._row()
        if row.hold is not None and row.hold != self.id:
            raise AlreadyReleased(f"{name_row(row)} is held by job {row.hold}; release that one")
        if not self._move(Verb.RELEASE):
            raise AlreadyReleased(f"{name_row(row)} is not held: it is {row.state}")

    def cancel(self) -> bool:
        """Cancel the job and all under it; return False if it had ended already.

        What has not started never runs; what runs is told, and killed if it does not stop.
        """
        self._row()
        return self._move(Verb.CANCEL)

    def retry(self) -> "list[Job[Any]]":
        """Try a failed, cancelled or skipped job again, with all in its tree that made it so; what is done stays done.

        Return those that made it so but lie in other trees: they are left alone, and may be retried themselves. Raise
        `Taken` if it is unique, and another one alike has not ended.
        """
        row = self._row()
        asks_anew = row.grown and row.step is Step.RUN  # its needs, which lie in trees of their own
        others = [] if asks_anew else self._find_outside(row)
        self._move(Verb.RETRY)
        return [Job(self._store, id) for id in others]

    def explain(self) -> Reason:
        """Return why the job does not run, or ended as it did: the first reason, in words, and what mends it."""
        return explain(self._store, self.id)

    def add(self, *nodes: AnyNode) -> "list[Job[Any]]":
        """Add nodes to the end of this job's array while it is held. Raise `AlreadyReleased` after that."""
        known = Known(self._store)
        while True:
            row = self._require_held()
            flats = sketch(nodes)
            known.prepare(flats)
            made = create(flats)
            batch = plan(flats, make_ids, read_into(self._store, row))
            try:
                aliases = self._store.add(batch)
            except Changed:  # somebody else added in between
                continue
            break
        prepare(made, batch, aliases)
        tops = [edge.before for edge in batch.edges if edge.after == self.id and edge.place >= row.size]
        return [Job(self._store, aliases.get(id, id), node) for id, node in zip(tops, nodes, strict=True)]

    def after(self, *jobs: Before, when: Literal["done", "ended", "failed"] = "done") -> "list[Job[Any]]":
        """Make this job, with all under it, wait for others, while it is held; return those.

        A node among them is stored in the same step, as a tree of its own that is held with this job. Each job under
        this one is changed in a step of its own. Raise `AlreadyReleased` if the job was let go.
        """
        self._require_held()
        stored = [self._add_before(each, When(when)) if isinstance(each, Node) else each.id for each in jobs]
        # Groups wait for what stands in them anyway, so only the lowest jobs and this one gain edges.
        for id in self._find_lowest():
            self._wait_for(id, stored, When(when))
        self._wait_for(self.id, [each.id for each in jobs if isinstance(each, Ref)], When(when))
        nodes = [each if isinstance(each, Node) else None for each in jobs]
        return [Job(self._store, id, node) for id, node in zip(stored, nodes, strict=True)]

    def tree(self) -> dict[str, Any]:
        """Return the job and all under it as a project dictionary with `id`, `status`, and `result` or `error`."""
        return snapshot(self._store, self._row())

    # Drawing takes libraries that most programs never need, so they are loaded when something is drawn.

    def draw(self, depth: int = DEPTH) -> str:
        """Return the job and `depth` levels under it as text, siblings alike folded, as `ramify tree` shows them."""
        from ramify.picture import draw_text

        return draw_text(self._store, self._row(), depth)

    def mermaid(self, depth: int = DEPTH) -> str:
        """Return the same as a Mermaid graph of at most some 200 nodes: `-->` is for children, `-.->` for `after`."""
        from ramify.picture import draw_mermaid

        return draw_mermaid(self._store, self._row(), depth)

    def _repr_html_(self) -> str | None:
        """Return the picture that a notebook shows; None if the job is not stored (any more)."""
        from ramify.picture import draw_html

        try:
            return draw_html(self._store, self._row(), DEPTH)
        except NotFound:
            return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<job {self.id}>"

    async def _wait(self) -> T_co:
        # Who awaits has loaded asyncio already; for all others it would be a fifth of what `import ramify` takes.
        import asyncio

        from ramify.awaited import each_end

        await asyncio.to_thread(self._refuse_deadlock)
        async for _ in each_end(self._store, [self.id], None):
            pass
        return await asyncio.to_thread(self.result, 0)

    def _row(self) -> Row:
        return read_row(self._store, self.id)

    def _result(self) -> Result:
        self._row()
        return next(iter(self._store.results([self.id])), Result(self.id))

    def _move(self, verb: Verb) -> bool:
        return move(self._store, Which(ids=(self.id,)), verb) > 0

    def _require_held(self) -> Row:
        row = self._row()
        if row.hold is None:
            raise AlreadyReleased(f"{name_row(row)} was let go already; only a held job can be extended")
        return row

    def _add_before(self, node: AnyNode, when: When) -> JobId:
        """Store a node that is held with this job, and that this job waits for."""
        flats = sketch([node.options(hold=self)])
        Known(self._store).prepare(flats)
        made = create(flats)
        batch = plan(flats, make_ids)
        root = batch.rows[-1].id
        batch.into = self.id
        batch.edges.append(Edge(self.id, -1, root, Kind.AFTER, when))
        aliases = self._store.add(batch)
        prepare(made, batch, aliases)
        return aliases.get(root, root)

    def _wait_for(self, id: JobId, befores: Sequence[JobId], when: When) -> None:
        if befores:
            edges = [Edge(id, -place, before, Kind.AFTER, when) for place, before in enumerate(befores, 1)]
            self._store.add(Batch(into=id, edges=edges))

    def _find_lowest(self) -> list[JobId]:
        """Return the jobs under this one that have no children."""
        lowest: list[JobId] = []
        level = [child for child in read_children(self._store, [self.id])[self.id]]
        seen = set(level)
        while level:
            children = read_children(self._store, level)
            lowest += [id for id in level if not children[id]]
            level = list(dict.fromkeys(child for id in level for child in children[id] if child not in seen))
            seen.update(level)
        return lowest

    def _find_outside(self, row: Row) -> list[JobId]:
        """Return the jobs of other trees that made this one end as it did."""
        outside: dict[JobId, None] = {}
        level, seen = [row.id], {row.id}
        while level:
            befores = list(dict.fromkeys(edge.before for edge in read_edges(self._store, level, bad=True)))
            rows = read_rows(self._store, [id for id in befores if id not in seen])
            seen.update(befores)
            outside |= {id: None for id, before in rows.items() if before.tree != row.tree}
            level = [id for id, before in rows.items() if before.tree == row.tree]
        return list(outside)

    def _refuse_deadlock(self) -> None:
        """Inside a job, walk back over what this one still waits for: meeting the running job there means for ever."""
        here = running()
        if here is None:
            return
        level: Sequence[JobId] = [self.id]
        seen = set(level)
        while level:
            if here.job in level:
                raise WouldDeadlock(
                    f"job {here.job} would wait for job {self.id}, which can only end after it; "
                    "return, and let the body of the parent use the result"
                )
            edges = read_edges(self._store, level)
            level = list(dict.fromkeys(e.before for e in edges if e.verdict is None and e.before not in seen))
            seen.update(level)
