"""Registries: which jobs of a queue stand where. They are views; what a job is in is decided by its state alone."""

from collections.abc import Iterator
from typing import ClassVar

from ramify.compat.connect import connect
from ramify.compat.rq.job import Job, JobStatus, read_job, status_of
from ramify.model import Row, State, Which
from ramify.stores.read import each_row


class Registry:
    """The jobs of one queue, or of all queues, in some states."""

    states: ClassVar[frozenset[State]]

    def __init__(self, name: object = "default", connection: object = None, queue: object = None) -> None:
        named = name if queue is None else queue
        self.name = getattr(named, "name", named)
        self.connection = connect(getattr(named, "connection", connection))

    @property
    def count(self) -> int:
        """How many jobs there are."""
        return len(self)

    def get_job_ids(self) -> list[str]:
        """Return the ids of the jobs, the one that is over or begun first at the front."""
        return [row.id for row in sorted(self._rows(), key=self._order)]

    def remove(self, job: Job | str, delete_job: bool = False) -> None:
        """Forget the job, with `delete_job`; else do nothing: it is here as long as its state is what it is."""
        if delete_job:
            read_job(job, self.connection).delete()

    def requeue(self, job: Job | str) -> Job:
        """Try a job again that failed."""
        return read_job(job, self.connection).requeue()

    def __len__(self) -> int:
        return sum(1 for _ in self._rows())

    def __contains__(self, job: Job | str) -> bool:
        return (job if isinstance(job, str) else job.id) in self.get_job_ids()

    def _rows(self) -> Iterator[Row]:
        queues = None if self.name is None else frozenset({str(self.name)})
        for row in each_row(self.connection.store, Which(states=self.states, queues=queues)):
            if row.state is not State.READY or status_of(row) is JobStatus.SCHEDULED:
                yield row

    @staticmethod
    def _order(row: Row) -> tuple[float, str]:
        return (row.ended or row.due or row.started or 0.0, row.id)


class StartedJobRegistry(Registry):
    """Jobs that run."""

    states = frozenset({State.RUNNING})


class WIPQueue(StartedJobRegistry):
    """The jobs in progress: each from its start to its end, and nowhere else.

    Workers keep it: what a program adds or removes by hand changes nothing but the answer.
    """

    def __init__(self, name: object = None, connection: object = None) -> None:
        super().__init__(name, connection)

    def add_job(self, job: Job | str) -> None:
        """Do nothing: a job is here from the moment in which a worker takes it."""

    def remove_job(self, job: Job | str) -> int:
        """Return whether the job is here, as 1 or 0; it leaves when it ends."""
        return int(job in self)

    def remove_expired_jobs(self) -> int:
        """Give the jobs of workers that died back to their queues; return how many. Living workers do it as well."""
        from ramify.worker.inline import adopt

        return adopt(self.connection.store)


class FinishedJobRegistry(Registry):
    """Jobs that returned."""

    states = frozenset({State.DONE})


class FailedJobRegistry(Registry):
    """Jobs that failed."""

    states = frozenset({State.FAILED})


class DeferredJobRegistry(Registry):
    """Jobs that wait to be released, or for other jobs."""

    states = frozenset({State.HELD, State.WAITING})


class ScheduledJobRegistry(Registry):
    """Jobs that wait for their time."""

    states = frozenset({State.READY})


class CanceledJobRegistry(Registry):
    """Jobs that were cancelled, or skipped because of what they waited for."""

    states = frozenset({State.CANCELLED, State.SKIPPED})
