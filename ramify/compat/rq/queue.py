"""`Queue`: rq's way of putting work in, and `job`, its decorator.

A call becomes one node. A job that is `blocked_by` a deferred one is held with it, and runs before it: the deferred one
waits for it. `blocked_by_order="after"` turns that around.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from ramify import build, model, project
from ramify.app import Ramify
from ramify.compat.connect import connect
from ramify.compat.rq.errors import InvalidJobOperationError
from ramify.compat.rq.job import Job, JobStatus, read_job, release_job, run_here, status_of
from ramify.compat.rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from ramify.empty import empty_queues
from ramify.errors import AlreadyReleased
from ramify.model import State, Which
from ramify.node import AnyNode, Ref
from ramify.stores.read import each_row

UNUSED: Final = ("result_ttl", "failure_ttl")
"""What rq forgets by itself stays here until `ramify purge`; these are taken and change nothing."""

REFUSED: Final = ("group_id", "job_id", "meta", "on_failure", "on_stopped", "on_success", "pipeline", "repeat")
"""Options of rq that have no counterpart; taken for what they are, not for arguments of the function."""


class Retry:
    """How often a job that failed is tried again, and how many seconds after, each time or one after the other."""

    def __init__(self, max: int, interval: float | Sequence[float] = 0) -> None:
        self.max, self.interval = max, interval


class Queue:
    """A queue by its name. With `is_async=False` (once called `async`) this process runs what it enqueues at once."""

    def __init__(
        self,
        name: str = "default",
        default_timeout: float | str | None = None,
        connection: object = None,
        is_async: bool = True,
        **options: Any,
    ) -> None:
        self.name = name
        self.connection: Ramify = connect(connection)
        self._timeout = default_timeout
        self._is_async = bool(options.pop("async", is_async))
        if options:
            raise TypeError(f"a queue takes no {', '.join(options)} here")
        self.started_job_registry = StartedJobRegistry(name, self.connection)
        self.finished_job_registry = FinishedJobRegistry(name, self.connection)
        self.failed_job_registry = FailedJobRegistry(name, self.connection)
        self.deferred_job_registry = DeferredJobRegistry(name, self.connection)
        self.scheduled_job_registry = ScheduledJobRegistry(name, self.connection)
        self.canceled_job_registry = CanceledJobRegistry(name, self.connection)

    @classmethod
    def all(cls, connection: object = None) -> "list[Queue]":
        """Return the queues that have jobs."""
        app = connect(connection)
        return [cls(name, connection=app) for name in sorted(app.counts("queue"))]

    def enqueue(self, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Store a call and return its job. What is an option of the job, as `depends_on`, is not the function's.

        With `args` or `kwargs` among the keyword arguments, those are the function's arguments.
        """
        args, kwargs, options = _split(args, kwargs)
        return self.enqueue_call(f, args, kwargs, **options)

    enque = enqueue

    def enqueue_call(
        self,
        func: Callable[..., Any] | str,
        args: Sequence[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        *,
        blocked_by: Job | str | None = None,
        blocked_by_order: str = "before",
        **options: Any,
    ) -> Job:
        """Store a call and return its job. Raise `InvalidJobOperationError` if the job that blocks it is let go."""
        # A manager's job is its project.
        node = func(*args or ()) if func is project.read else build.job(func, *args or (), **kwargs or {})
        node = self._with_options(node, **options)
        after = _read_jobs(options.get("depends_on"), self.connection)
        when = "ended" if getattr(options.get("depends_on"), "allow_failure", False) else "done"
        if blocked_by is None:
            return self._store(node.options(after=after, when=when) if after else node)  # type: ignore[arg-type]
        gate = read_job(blocked_by, self.connection).native
        if after and gate.id not in {job.id for job in after}:
            raise ValueError(f"a job depends on the one that blocks it: depends_on is {gate.id}, or left out")
        if blocked_by_order not in ("before", "after"):
            raise ValueError(f"blocked_by_order is 'before' or 'after', not {blocked_by_order!r}")
        others = [job for job in after if job.id != gate.id]
        try:
            if blocked_by_order == "after":
                return self._store(node.options(hold=gate, after=[gate, *others]))
            [stored] = gate.after(node.options(after=others) if others else node)
        except AlreadyReleased as error:
            raise InvalidJobOperationError(str(error)) from None
        return Job(self.connection, stored, self._is_async)

    def enqueue_at(self, moment: datetime, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Store a call that is to run at this time."""
        args, kwargs, options = _split(args, kwargs)
        return self.enqueue_call(f, args, kwargs, at=moment, **options)

    def enqueue_in(self, pause: timedelta, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Store a call that is to run so much later."""
        args, kwargs, options = _split(args, kwargs)
        return self.enqueue_call(f, args, kwargs, delay=pause, **options)

    def release_job_here(self, job: Job | str) -> None:
        """Let a deferred job of this queue, and those that it blocks, go."""
        release_job(job, self, self.connection)

    def fetch_job(self, job_id: str) -> Job | None:
        """Return the job of this id, None if there is none."""
        return Job.fetch(job_id, self.connection) if Job.exists(job_id, self.connection) else None

    def get_job_ids(self) -> list[str]:
        """Return the jobs that a worker may take, in the order in which it does."""
        rows = each_row(self.connection.store, Which(states=frozenset({State.READY}), queues=frozenset({self.name})))
        due = [row for row in rows if status_of(row) is JobStatus.QUEUED]
        return [row.id for row in sorted(due, key=lambda row: (-row.priority, row.tree, row.id))]

    job_ids = property(get_job_ids)

    def get_jobs(self) -> list[Job]:
        """Return the jobs that a worker may take."""
        return [Job(self.connection, self.connection.job(id)) for id in self.get_job_ids()]

    jobs = property(get_jobs)

    @property
    def count(self) -> int:
        """How many jobs a worker may take, now or when their time has come."""
        return self.connection.counts(states=["ready"], queues=[self.name]).get("ready", 0)

    def is_empty(self) -> bool:
        """Tell whether there is nothing for a worker."""
        return self.count == 0

    def empty(self) -> int:
        """Remove what has not begun; return how many jobs."""
        emptied = empty_queues(self.connection.store, [self.name])
        return emptied.deleted + emptied.cancelled

    def __len__(self) -> int:
        return self.count

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    def _with_options(
        self,
        node: AnyNode,
        *,
        deferred: bool = False,
        depends_on: object = None,
        timeout: float | str | None = None,
        job_timeout: float | str | None = None,
        ttl: float | None = None,
        at: datetime | None = None,
        delay: timedelta | None = None,
        at_front: bool = False,
        description: str | None = None,
        retry: Retry | None = None,
        **unused: Any,
    ) -> AnyNode:
        if strange := unused.keys() - UNUSED:
            raise TypeError(f"enqueue takes no {', '.join(sorted(strange))} here")
        seconds = job_timeout or timeout or self._timeout
        return node.options(
            queue=self.name,
            hold=deferred or None,
            at=at,
            delay=delay,
            timeout=None if seconds == -1 else seconds,
            start_before=None if ttl is None else timedelta(seconds=ttl),
            priority=1 if at_front else None,
            label=description,
            retry=None if retry is None else _read_retry(retry),
        )

    def _store(self, node: AnyNode) -> Job:
        job = Job(self.connection, self.connection.enqueue(node), self._is_async)
        if not self._is_async:
            run_here(self.connection, [self.name])
        return job


_OPTIONS: Final = (
    "at_front",
    "blocked_by",
    "blocked_by_order",
    "deferred",
    "depends_on",
    "description",
    "job_timeout",
    "retry",
    "timeout",
    "ttl",
    *UNUSED,
    *REFUSED,
)
"""What `enqueue` takes for an option of the job, where the function may have an argument of that name too."""


def _split(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """Return the function's arguments, positional and named, and the options of the job."""
    options: dict[str, Any] = {name: kwargs.pop(name) for name in _OPTIONS if name in kwargs}
    if "args" not in kwargs and "kwargs" not in kwargs:
        return args, kwargs, options
    if args:
        raise TypeError("arguments are given as they are, or as `args` and `kwargs`, not both")
    return tuple(kwargs.pop("args", None) or ()), kwargs.pop("kwargs", None) or {}, options


def _read_retry(retry: Retry) -> model.Retry:
    pauses = retry.interval
    return model.Retry(retry.max, tuple(pauses) if isinstance(pauses, Sequence) else pauses, 1, jitter=0)


def _read_jobs(depends_on: Any, app: Ramify) -> list[Ref[Any]]:
    """Return the jobs: one, its id, several, or the `dependencies` of an object that has them."""
    if depends_on is None:
        return []
    given = getattr(depends_on, "dependencies", depends_on)
    several = [given] if isinstance(given, Job | str) or not isinstance(given, Iterable) else given
    return [read_job(each, app).native for each in several]


def job(queue: Queue | str, connection: object = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Give a function `delay`, which enqueues a call of it with these options. It stays callable as it was."""

    def give(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def delay(*args: Any, **kwargs: Any) -> Job:
            to = queue if isinstance(queue, Queue) else Queue(queue, connection=connection)
            return to.enqueue_call(function, args, kwargs, **options)

        function.delay = delay  # type: ignore[attr-defined]
        return function

    return give
