"""`Ramify`: a store, and the modules whose functions may run. Through it programs put work in and look at it.

It plans what is enqueued and hands out handles; how jobs run is `worker/`, what they mean is `graph/`.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, overload

from msgspec.structs import replace

from ramify import project
from ramify.build import Given, fan_out, group, job
from ramify.completed import Completed
from ramify.create import Made, create, prepare
from ramify.declared import Declaration
from ramify.deploy import deploy, find_wrong
from ramify.errors import BadNode, BadTask, NotFound
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.handle import Job
from ramify.ids import is_id, make_ids
from ramify.known import Known
from ramify.model import ENDED, Batch, JobId, Page, State, Verb, Which
from ramify.node import AnyNode, Node, read_name
from ramify.proc import Proc
from ramify.settings import read_settings
from ramify.span import read_span
from ramify.stores.address import find_open_door, mask
from ramify.stores.gather import pages
from ramify.stores.move import move
from ramify.stores.open import Engine, address_of, open_store
from ramify.stores.protocol import Store
from ramify.stores.read import each_row, wait_for
from ramify.stores.transactional import within
from ramify.tasks import Tasks

if TYPE_CHECKING:  # what runs jobs is loaded by who does: most programs only enqueue and look
    from ramify.worker.claimed import Claimed
    from ramify.worker.loop import Worker
    from ramify.worker.watch import Watch

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


class Ramify:
    """A store of jobs, and the modules whose functions may run in this process.

    What is not said here comes from the settings: `$RAMIFY_URL`, `ramify.toml` or `pyproject.toml`, else
    `sqlite:///ramify.db`. With `tasks=["__main__"]` a script that runs its jobs itself may use functions of its own.
    In place of an address it takes an engine of SQLAlchemy; `schema` is that of a PostgreSQL database, else "ramify".
    """

    def __init__(
        self, url: str | Engine | None = None, *, tasks: Sequence[str | ModuleType] = (), schema: str | None = None
    ) -> None:
        modules = [tasks] if isinstance(tasks, str) else tasks
        names = [module if isinstance(module, str) else module.__name__ for module in modules]
        self.settings = read_settings(url=address_of(url), tasks=names)
        self.url = self.settings.url
        self.store: Store = open_store(self.url, schema)
        self.tasks = Tasks(self.settings.tasks)
        self._known = Known(self.store, self.tasks.modules)
        self._claimed: list[Claimed] = []

    @overload
    def enqueue(self, what: Node[T], /, *, request: str | None = None, tx: object = None) -> Job[T]: ...
    @overload
    def enqueue(self, what: Mapping[str, Any], /, *, request: str | None = None, tx: object = None) -> Job[Any]: ...
    @overload
    def enqueue(self, what: str, /, *args: object, **kwargs: object) -> Job[Any]: ...
    @overload
    def enqueue(self, what: Callable[P, Proc[T]], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...
    @overload
    def enqueue(self, what: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...
    @overload
    def enqueue(self, what: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...
    @overload
    def enqueue(
        self, what: Callable[Concatenate[A, P], Awaitable[T]], a: Given[A], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...
    @overload
    def enqueue(
        self, what: Callable[Concatenate[A, P], T], a: Given[A], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...
    @overload
    def enqueue(
        self, what: Callable[Concatenate[A, B, P], T], a: Given[A], b: Given[B], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...
    def enqueue(self, what: Any, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Store work, all of it or nothing, and return its root: a function, "module:function", node, or project.

        The same `request` given again adds nothing and returns the first one's job. With `tx`, a connection to the
        PostgreSQL database that the jobs are in (of psycopg, psycopg2 or pg8000, SQLAlchemy or Django), they are there
        if and only if its transaction is committed. Both go with nodes and projects, as all arguments of a function are
        its own.

        Raise `BadNode`, `BadTask`, `BadArguments` or `BadValue` naming the mistake and where it is.
        """
        node = _read(what, args, kwargs, self._known.find)
        flats = sketch([node])
        self._known.prepare(flats)
        made = create(flats)
        own = {} if isinstance(what, str) or callable(what) else kwargs
        request, tx = own.get("request"), own.get("tx")
        waits = bool(made) and tx is None and not flats[-1].how.hold  # no job begins before all are prepared
        if waits:
            flats[-1].how = replace(flats[-1].how, hold=True)
        batch = plan(flats, make_ids)
        batch.request = None if request is None else read_name("request", request)
        self._refuse_main(batch)
        root = batch.rows[-1].id
        store = self.store if tx is None else within(self.store, tx)
        aliases = store.add(batch)
        handle: Job[Any] = Job(self.store, aliases.get(root, root), node, stored=time.monotonic())
        if made and root not in aliases:
            self._prepare(handle, made, batch, aliases, waits)
        return handle

    def _prepare(self, handle: Job[Any], made: Made, batch: Batch, aliases: Mapping[JobId, JobId], waits: bool) -> None:
        try:
            prepare(made, batch, aliases)
        except BaseException:
            if waits:
                handle.cancel()
            raise
        if waits:
            move(self.store, Which(ids=(handle.id,)), Verb.RELEASE)

    def job(self, id: JobId) -> Job[Any]:
        """Return the job of this id. Raise `NotFound` if there is none."""
        if not is_id(id) or not self.store.jobs(Which(ids=(id,))):
            raise NotFound(f"there is no job {id!r} in {mask(self.url)}")
        return Job(self.store, id)

    def jobs(
        self,
        *,
        states: Collection[State | str] | None = None,
        queues: Collection[str] | None = None,
        tasks: Collection[str] | None = None,
        roots: bool = False,
    ) -> Iterator[Job[Any]]:
        """Yield the jobs that match, newest first; None means any, `roots` only those without parent."""
        which = _select(states, queues, tasks, roots)
        return (Job(self.store, row.id) for row in each_row(self.store, which, newest=True))

    def counts(
        self,
        by: str = "state",
        *,
        states: Collection[State | str] | None = None,
        queues: Collection[str] | None = None,
        tasks: Collection[str] | None = None,
    ) -> dict[str, int]:
        """Return how many jobs there are by `state`, `queue` or `task`."""
        if by not in {"state", "queue", "task"}:
            raise BadNode(f"jobs are counted by 'state', 'queue' or 'task', not by {by!r}")
        return self.store.counts(_select(states, queues, tasks), by)

    def wait(self, jobs: Collection[Job[Any]], timeout: float | None = None) -> None:
        """Wait until all these jobs have ended, well or not. Raise `TimeoutError` naming those that have not."""
        for _ in wait_for(self.store, [each.id for each in jobs], timeout):
            pass

    def as_completed(self, jobs: Collection[Job[T]], timeout: float | None = None) -> Completed[T]:
        """Yield each of these jobs when it has ended, well or not. Raise `TimeoutError` naming those that have not.

        In a coroutine, `async for` does not block the event loop.
        """
        return Completed(self.store, jobs, timeout)

    def worker(
        self,
        *,
        children: int | None = None,
        queues: Sequence[str] | None = None,
        multiprocessing: bool | None = None,
        grace: float | None = None,
        burst: bool | None = None,
        units: int | None = None,
        limit: int | None = None,
        watch: Sequence["Watch"] | None = None,
    ) -> "Worker":
        """Return a worker whose `run` runs jobs in `children` processes; with `burst`, until none is left.

        What is not said here is as the settings say: by default a process for each CPU, and the queue `default`.
        `units` are those of this host: the jobs that all its workers run together take no more. `limit` is how many
        jobs this worker runs at once, where coroutines would be a hundred a child. `watch` are functions that are told
        of each `Run`, as those of `ramify.observe`.
        """
        from ramify.worker.loop import Worker
        from ramify.worker.watch import find_watch

        settings = self.settings
        return Worker(
            self.store,
            self.tasks.modules,
            children=settings.count_children() if children is None else children,
            queues=settings.queues if queues is None else queues,
            multiprocessing=settings.multiprocessing if multiprocessing is None else multiprocessing,
            grace=settings.grace if grace is None else grace,
            burst=settings.burst if burst is None else burst,
            units=settings.units if units is None else units,
            limit=settings.limit if limit is None else limit,
            watch=[find_watch(name) for name in settings.watch] if watch is None else watch,
        )

    def run_one(self, queues: Sequence[str] = ("default",), *, units: int | None = None) -> bool:
        """Run the next job in this process; return whether there was one. `units` are as for `worker`."""
        from ramify.worker import inline

        return inline.run_one(self.store, self.tasks, queues, self.settings.units if units is None else units)

    def run_until_empty(self, queues: Sequence[str] = ("default",), *, units: int | None = None) -> int:
        """Run jobs in this process until none is left that could run here; return how many ran."""
        from ramify.worker import inline

        return inline.run_until_empty(self.store, self.tasks, queues, self.settings.units if units is None else units)

    def claim(self, queues: Sequence[str] = ("default",), *, units: int | None = None) -> Job[Any] | None:
        """Take the next job into this process, which is to call its `execute`; None if there is none.

        A thread keeps it ours until then. `close` gives back what was not executed.
        """
        from ramify.worker.claimed import Claimed

        claimed = Claimed.take(self.store, self.tasks, queues, self.settings.units if units is None else units)
        if claimed is None:
            return None
        self._claimed = [other for other in self._claimed if not other.over] + [claimed]
        return Job(self.store, claimed.id, execute=claimed.execute)

    def check(self) -> list[str]:
        """Return what is wrong, in sentences: an open door, modules without tasks, needs that cannot be met, and jobs
        that this program cannot run.
        """
        names = self.tasks.names()
        wrong = [warning] if (warning := find_open_door(self.url)) else []
        wrong += [f"{module} defines no function" for module in self.tasks.modules if not _serves(names, module)]
        for task, n in sorted(self.store.counts(Which(states=frozenset({State.READY})), "task").items()):
            if task and task not in names:
                jobs = "ready job" if n == 1 else "ready jobs"
                wrong.append(f"{n:,} {jobs} of {task}, which is not served here")
        return wrong + find_wrong(self.store, self.tasks)

    def deploy(self, *, reset: bool = False) -> list[str]:
        """Write what the tasks of this app say of themselves into the store; jobs stay. With `reset`, first forget
        everything there: jobs, limits, tasks.

        Return what is wrong with them, in sentences. Raise `Cycle` if they need each other, `BadNode` if a need asks
        for an argument that there is not; then nothing was done.
        """
        return deploy(self.store, self.tasks, reset)

    def purge(self, *, older_than: float | str | timedelta) -> int:
        """Delete whole trees that ended so many seconds ago and that nothing else needs; return how many.

        Needed is a tree that a job of another one waits for, or would if it were retried, as it is not done; and one
        that took the place of a job in another tree.
        """
        seconds = read_span("older_than", older_than)
        which = Which(states=ENDED, roots=True, ended_before=self.store.info().now - seconds)
        purged, before = 0, -1
        while purged > before:  # a tree that is gone may have been the last that needed another one
            before, after = purged, None
            while rows := self.store.jobs(which, Page(after=after, newest=True)):
                after = rows[-1].id
                # A few trees in a step, or whoever works would wait for all of them.
                for some in pages(rows, 100):
                    purged += move(self.store, Which(ids=tuple(row.id for row in some)), Verb.PURGE)
        return purged

    def close(self) -> None:
        """Give back what was claimed and not executed, and let go of the store."""
        for claimed in self._claimed:
            claimed.give_back()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import asyncio  # only where there is a loop: see `Job._wait`

        await asyncio.to_thread(self.close)

    def _refuse_main(self, batch: Batch) -> None:
        """Refuse functions of the script itself unless it runs its jobs: for a worker `__main__` is another module."""
        if "__main__" in self.tasks.modules:
            return
        for row in batch.rows:
            if row.lane.task is not None and row.lane.task.startswith("__main__:"):
                raise BadTask(
                    f"{row.lane.task} belongs to the script that runs, where no worker finds it; move it to a module, "
                    "or say Ramify(…, tasks=['__main__']) if the script runs its jobs itself"
                )


def _read(
    what: object, args: tuple[Any, ...], kwargs: dict[str, Any], find: Callable[[str], Declaration | None]
) -> AnyNode:
    if isinstance(what, list | tuple):
        raise BadNode("a list is not one job: enqueue group(*nodes), or each node for itself")
    if isinstance(what, Node | Mapping):
        if args or kwargs.keys() - {"request", "tx"}:
            raise BadNode(f"arguments go with a function; {what!r:.80} has its own")
        return what if isinstance(what, Node) else project.read(what, find)
    if not (isinstance(what, str) or callable(what)):
        raise BadNode(f"{what!r:.80} is not work; give a function, 'module:function', a node or a project dictionary")
    node = job(what, *args, **kwargs)
    task = None if node.function or node.children or not node.task else find(node.task)
    nodes = fan_out(node, task.fan_out, task.parameters) if task and task.fan_out else [node]
    return node if nodes == [node] else group(*nodes)


def _select(
    states: Collection[State | str] | None,
    queues: Collection[str] | None,
    tasks: Collection[str] | None,
    roots: bool = False,
) -> Which:
    for name, given in (("states", states), ("queues", queues), ("tasks", tasks)):
        if isinstance(given, str):
            raise BadNode(f"{name} lists them, as [{given!r}]")
    for state in states or ():
        if state not in set(State):
            raise BadNode(f"there is no state {state!r}; there are {', '.join(State)} (scheduled jobs are ready ones)")
    return Which(
        states=None if states is None else frozenset(map(State, states)),
        queues=None if queues is None else frozenset(queues),
        tasks=None if tasks is None else frozenset(tasks),
        roots=roots,
    )


def _serves(names: Collection[str], module: str) -> bool:
    return any(name.startswith(f"{module}:") for name in names)
