"""`rq-manager`, trees of jobs as dictionaries: `from ramify.compat.rq_manager import Queue, manager`.

The dictionaries are the native ones; no job of a manager runs, so no worker is occupied by one.
"""

from typing import Any

from ramify import project
from ramify.compat.rq import Queue
from ramify.compat.rq.job import Job

manager = project.read
"""What `Queue.enqueue(manager, project)` takes in the place of a function: the project itself becomes the job."""


def getProjectResults(job: Job, timeout: float | None = None) -> Any:
    """Wait for the end of a project and return its results, by position in its arrays.

    Raise `TimeoutError` naming the unfinished jobs after the project's own time limit or `timeout` seconds, and
    `JobFailed` naming the first job that failed.
    """
    return job.native.result(timeout)


__all__ = ["Queue", "getProjectResults", "manager"]
