"""`rq`, its fork with deferred jobs included, said with ramify: `from ramify.compat.rq import Queue, Worker, …`.

A connection is a Redis connection, the address of any store, or a `Ramify`; without one the settings name the store.
"""

from ramify.compat.rq.errors import InvalidJobOperationError, NoSuchJobError
from ramify.compat.rq.job import (
    Job,
    JobStatus,
    cancel_job,
    deferred,
    get_current_job,
    release_job,
    requeue_job,
)
from ramify.compat.rq.queue import Queue, Retry, job
from ramify.compat.rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
    WIPQueue,
)
from ramify.compat.rq.worker import SimpleWorker, SpawnWorker, Worker, is_suspended, resume, suspend

__all__ = [
    "CanceledJobRegistry",
    "DeferredJobRegistry",
    "FailedJobRegistry",
    "FinishedJobRegistry",
    "InvalidJobOperationError",
    "Job",
    "JobStatus",
    "NoSuchJobError",
    "Queue",
    "Retry",
    "ScheduledJobRegistry",
    "SimpleWorker",
    "SpawnWorker",
    "StartedJobRegistry",
    "WIPQueue",
    "Worker",
    "cancel_job",
    "deferred",
    "get_current_job",
    "is_suspended",
    "job",
    "release_job",
    "requeue_job",
    "resume",
    "suspend",
]
