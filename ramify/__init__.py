"""ramify: durable jobs that branch."""

from ramify.app import Ramify
from ramify.build import group, job, series, shell
from ramify.context import Context, current
from ramify.errors import (
    AlreadyReleased,
    BadArguments,
    BadNode,
    BadSettings,
    BadStore,
    BadTask,
    BadValue,
    CommandFailed,
    Cycle,
    Fail,
    JobCancelled,
    JobEnded,
    JobFailed,
    JobSkipped,
    Lost,
    NewerSchema,
    NotFound,
    OutsideJob,
    RamifyError,
    StoreDown,
    StoreFull,
    Taken,
    TimedOut,
    TooLarge,
    WouldDeadlock,
)
from ramify.handle import Job
from ramify.model import Failure, Line, Retry, State, Unique
from ramify.need import needs, same
from ramify.node import Node
from ramify.proc import JobProc
from ramify.task import task

__version__ = "0.1.0"

__all__ = [
    "AlreadyReleased",
    "BadArguments",
    "BadNode",
    "BadSettings",
    "BadStore",
    "BadTask",
    "BadValue",
    "CommandFailed",
    "Context",
    "Cycle",
    "Fail",
    "Failure",
    "Job",
    "JobCancelled",
    "JobEnded",
    "JobFailed",
    "JobProc",
    "JobSkipped",
    "Line",
    "Lost",
    "NewerSchema",
    "Node",
    "NotFound",
    "OutsideJob",
    "Ramify",
    "RamifyError",
    "Retry",
    "State",
    "StoreDown",
    "StoreFull",
    "Taken",
    "TimedOut",
    "TooLarge",
    "Unique",
    "WouldDeadlock",
    "current",
    "group",
    "job",
    "needs",
    "same",
    "series",
    "shell",
    "task",
]
