"""`Job`: a stored job by rq's names, and what may be done to one whose id is known."""

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from ramify import handle
from ramify.app import Ramify
from ramify.compat.connect import connect, find_own_modules
from ramify.compat.rq.errors import InvalidJobOperationError, NoSuchJobError
from ramify.context import Context, running
from ramify.ended import say
from ramify.errors import AlreadyReleased, NotFound, Taken
from ramify.ids import made_at
from ramify.model import UNDONE, JobId, Kind, Row, State, Verb, Which
from ramify.stores.move import move
from ramify.stores.read import read_edges, read_row, read_rows
from ramify.tasks import Tasks


class JobStatus(StrEnum):
    """Where a job stands, as rq says it."""

    QUEUED = "queued"
    FINISHED = "finished"
    FAILED = "failed"
    STARTED = "started"
    DEFERRED = "deferred"
    SCHEDULED = "scheduled"
    CANCELED = "canceled"


STATUS: Final = {
    State.HELD: JobStatus.DEFERRED,
    State.WAITING: JobStatus.DEFERRED,
    State.READY: JobStatus.QUEUED,
    State.RUNNING: JobStatus.STARTED,
    State.DONE: JobStatus.FINISHED,
    State.FAILED: JobStatus.FAILED,
    State.CANCELLED: JobStatus.CANCELED,
    State.SKIPPED: JobStatus.CANCELED,
}


def status_of(row: Row) -> JobStatus:
    """Return where a job stands, as rq says it."""
    if row.state is State.READY and row.due is not None and row.due > time.time():
        return JobStatus.SCHEDULED
    return STATUS[row.state]


class Job:
    """A stored job. `is_async` tells whether workers run it, or this process when it is enqueued or released."""

    def __init__(self, app: Ramify, job: handle.Job[Any], is_async: bool = True) -> None:
        self.connection, self.native, self.is_async = app, job, is_async

    @classmethod
    def fetch(cls, id: str, connection: object = None) -> "Job":
        """Return the job of this id. Raise `NoSuchJobError` if there is none."""
        app = connect(connection)
        try:
            return cls(app, app.job(id))
        except NotFound as error:
            raise NoSuchJobError(str(error)) from None

    @classmethod
    def exists(cls, id: str, connection: object = None) -> bool:
        """Tell whether there is a job of this id."""
        try:
            return bool(cls.fetch(id, connection))
        except NoSuchJobError:
            return False

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self.native.id

    def get_id(self) -> JobId:
        """Return the job's id."""
        return self.id

    def get_status(self, refresh: bool = True) -> JobStatus:
        """Return where the job stands now."""
        return status_of(self._row())

    @property
    def is_finished(self) -> bool:
        """Whether the job has returned."""
        return self.get_status() is JobStatus.FINISHED

    @property
    def is_failed(self) -> bool:
        """Whether the job failed."""
        return self.get_status() is JobStatus.FAILED

    @property
    def is_queued(self) -> bool:
        """Whether a worker may take the job now."""
        return self.get_status() is JobStatus.QUEUED

    @property
    def is_started(self) -> bool:
        """Whether the job is running."""
        return self.get_status() is JobStatus.STARTED

    @property
    def is_deferred(self) -> bool:
        """Whether the job waits to be released, or for other jobs."""
        return self.get_status() is JobStatus.DEFERRED

    @property
    def is_scheduled(self) -> bool:
        """Whether the job waits for its time."""
        return self.get_status() is JobStatus.SCHEDULED

    @property
    def is_canceled(self) -> bool:
        """Whether the job was cancelled, or skipped because of what it waited for."""
        return self.get_status() is JobStatus.CANCELED

    @property
    def result(self) -> Any:
        """What the function returned; None until then."""
        return self.return_value()

    def return_value(self, refresh: bool = False) -> Any:
        """Return what the function returned; None until then."""
        return self.native.result(0) if self.native.state is State.DONE else None

    @property
    def exc_info(self) -> str | None:
        """The traceback of a job that failed, or why there is none."""
        failure = self.native.error
        return None if failure is None else failure.traceback or say(failure)

    @property
    def origin(self) -> str:
        """The name of the queue."""
        return self._row().lane.queue

    @property
    def func_name(self) -> str | None:
        """The function, as module.function."""
        task = self._row().lane.task
        return None if task is None else task.replace(":", ".")

    @property
    def description(self) -> str:
        """What the job was called when it was enqueued, else its function."""
        return self._row().label or self.func_name or "group"

    @property
    def created_at(self) -> datetime:
        """When the job was made."""
        return datetime.fromtimestamp(made_at(self.id), UTC)

    enqueued_at = created_at

    @property
    def started_at(self) -> datetime | None:
        """When the job began to run; None before that."""
        return _moment(self._row().started)

    @property
    def ended_at(self) -> datetime | None:
        """When the job ended; None before that."""
        return _moment(self._row().ended)

    @property
    def project(self) -> dict[str, Any]:
        """The job and all under it as a project dictionary, with `id`, `status` and `result` or `error` of each."""
        return self.native.tree()

    @property
    def dependency_ids(self) -> list[JobId]:
        """The jobs that this one depends on; the job that blocks it is one of them until it is released."""
        row = self._row()
        gates = [row.hold] if row.hold is not None and row.hold != row.id else []
        edges = read_edges(self.connection.store, [self.id])
        return list(dict.fromkeys([*gates, *(edge.before for edge in edges if edge.kind is Kind.AFTER)]))

    def fetch_dependencies(self) -> "list[Job]":
        """Return the jobs that this one depends on."""
        return [Job(self.connection, self.connection.job(id)) for id in self.dependency_ids]

    @property
    def dependency(self) -> "Job | None":
        """The job that this one depends on, the first of several."""
        return next(iter(self.fetch_dependencies()), None)

    def deferred(self) -> list[str]:
        """Return `queue/id` of the jobs that this deferred one blocks, in the order they were enqueued."""
        return [f"{row.lane.queue}/{row.id}" for row in self._blocked()]

    def release(self) -> None:
        """Let a deferred job and those that it blocks go. Raise `InvalidJobOperationError` if it is not deferred."""
        queues = dict.fromkeys([row.lane.queue for row in self._blocked()] + [self.origin])
        try:
            self.native.release()
        except AlreadyReleased as error:
            raise InvalidJobOperationError(str(error)) from None
        if not self.is_async:
            run_here(self.connection, [*queues])

    def requeue(self) -> "Job":
        """Try a job again that failed or was cancelled. Raise `InvalidJobOperationError` if it did neither."""
        if self.native.state not in UNDONE:
            raise InvalidJobOperationError(f"job {self.id} is {self.get_status()}; only one that failed is requeued")
        try:
            self.native.retry()
        except Taken as error:
            raise InvalidJobOperationError(str(error)) from None
        return self

    def cancel(self) -> None:
        """Cancel the job, and those that it blocks as long as it is deferred."""
        self.native.cancel()

    def delete(self) -> None:
        """Cancel the job and forget it, and those that it blocks as long as it is deferred."""
        ids = [self.id, *(row.id for row in self._blocked())]
        self.cancel()
        for id in ids:
            move(self.connection.store, Which(ids=(id,)), Verb.PURGE)

    def refresh(self) -> None:
        """Do nothing: everything is read when it is asked for."""

    save = refresh

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Job {self.id}>"

    def _row(self) -> Row:
        try:
            return read_row(self.connection.store, self.id)
        except NotFound as error:
            raise NoSuchJobError(str(error)) from None

    def _blocked(self) -> list[Row]:
        """Return the jobs held with this one: those it runs after, and those that run after it."""
        store = self.connection.store
        before = [edge.before for edge in read_edges(store, [self.id])]
        after = [edge.after for edge in read_edges(store, [self.id], out=True)]
        rows = read_rows(store, [*before, *after])
        return [row for _, row in sorted(rows.items()) if row.hold == self.id]


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def run_here(app: Ramify, queues: list[str]) -> int:
    """Run in this process what these queues have; return how many jobs."""
    from ramify.worker import inline

    tasks = app.tasks if app.tasks.modules else Tasks(find_own_modules())
    return inline.run_until_empty(app.store, tasks, queues)


def read_job(job: Job | str, connection: object = None) -> Job:
    """Return the job, which may be named by its id."""
    return job if isinstance(job, Job) else Job.fetch(job, connection)


def release_job(job: Job | str, queue_or_name: object = None, connection: object = None) -> None:
    """Let a deferred job and those that it blocks go, each to its own queue.

    Raise `NoSuchJobError` or `InvalidJobOperationError`, also for another queue than the job's own.
    """
    released = read_job(job, connection)
    name = queue_or_name if isinstance(queue_or_name, str | None) else getattr(queue_or_name, "name", None)
    if name not in (None, released.origin):
        raise InvalidJobOperationError(f"job {released.id} is of queue {released.origin!r}, and is released there")
    released.release()


def deferred(job: Job | str, connection: object = None) -> list[str]:
    """Return `queue/id` of the jobs that a deferred one blocks."""
    return read_job(job, connection).deferred()


def requeue_job(job_id: str, connection: object = None) -> Job:
    """Try a job again that failed."""
    return Job.fetch(job_id, connection).requeue()


def cancel_job(job_id: str, connection: object = None) -> None:
    """Cancel a job."""
    Job.fetch(job_id, connection).cancel()


class CurrentJob:
    """The job that runs here, as far as its function may know: a job's process has no connection."""

    def __init__(self, context: Context) -> None:
        self.native, self.id = context, context.job

    def get_id(self) -> JobId:
        """Return the job's id."""
        return self.id

    @property
    def is_canceled(self) -> bool:
        """Whether somebody cancelled the job."""
        return self.native.cancelled


def get_current_job(connection: object = None) -> CurrentJob | None:
    """Return the job that runs here, None outside of jobs."""
    context = running()
    return None if context is None else CurrentJob(context)
