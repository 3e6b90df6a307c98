"""`JobQueue` and `createJobQueue`: a directory in which jobs are queued and run."""

import logging
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from importlib import resources
from typing import Any, Final

from ramify.app import Ramify
from ramify.compat.cgkit.errors import JobQueueError
from ramify.compat.cgkit.handle import JobHandle
from ramify.compat.cgkit.job import JobRoot
from ramify.compat.cgkit.place import Logger, Place
from ramify.compat.cgkit.run import home
from ramify.compat.connect import connect
from ramify.errors import StoreDown
from ramify.handle import Job
from ramify.model import Verb, Which
from ramify.node import AnyNode
from ramify.stores.move import move
from ramify.stores.read import each_row
from ramify.tasks import Tasks

TASKS: Final = "ramify.compat.cgkit.run"


class JobQueue:
    """A queue in a directory, which must exist; None is an empty one that takes no jobs. It keeps nothing in memory."""

    def __init__(self, location: str | None, logger: Logger | None = None) -> None:
        if location is not None and not isinstance(location, str):
            raise TypeError(f"a location is a path or None, not {location!r}")
        self._logger: Logger = logging.getLogger("ramify.cgkit") if logger is None else logger
        self._location = None if location is None else os.path.abspath(location)
        if self._location is not None and not os.path.isdir(self._location):
            raise ValueError(f"there is no job queue {self._location}; createJobQueue makes one")
        self._place = None if self._location is None else Place(self._location, logger)
        if self._location is not None:
            self._logger.info("attached to the job queue at %s", self._location)

    @property
    def location(self) -> str | None:
        """The directory, None if there is none."""
        return self._location

    def createJobRoot(self, jobType: str | None = None, **params: Any) -> JobRoot:
        """Begin a new hierarchy with this procedure at its top, or with none, and return it.

        No worker sees it before its `activate`. Raise what the procedure's constructor raises.
        """
        return JobRoot(self, jobType, **params)

    createJob = createJobRoot

    def listJobs(self) -> list[JobHandle]:
        """Return the tops of all hierarchies, in the order in which they are processed."""
        if self._place is None:
            return []
        place, app = self._place, self._app()
        rows = each_row(app.store, Which(queues=frozenset({place.queue}), roots=True))
        handles = [JobHandle(app.store, Job(app.store, row.id), place.location, row.label) for row in rows]
        return [job for job in handles if os.path.isdir(job.location)]

    def deleteJobs(self, jobs: JobHandle | Iterable[JobHandle] | None) -> None:
        """Remove these hierarchies; what runs is ended. None is none, and what is not there any more is no error."""
        for job in [jobs] if isinstance(jobs, JobHandle) else jobs or ():
            self._logger.info("deleting %s", job.location)
            store = self._app().store
            for verb in (Verb.CANCEL, Verb.PURGE):
                move(store, Which(ids=(job.native.id,)), verb)
            with suppress(FileNotFoundError):
                shutil.rmtree(job.location)

    def runNextAvailableJob(self, retries: int = 10) -> bool:
        """Run the next job in this process; return whether there was one, also if it failed.

        No two processes get the same job, so nothing is retried. Raise `JobQueueError` if the queue cannot be used.
        """
        if self._place is None:
            return False
        from ramify.worker import inline

        token = home.set(self._place.location)
        try:
            ran = inline.run_one(self._app().store, Tasks([TASKS]), [self._place.queue])
        except StoreDown as error:
            raise JobQueueError(str(error)) from error
        finally:
            home.reset(token)
        self._logger.info("a job was run" if ran else "no job waits")
        return ran

    def _require_place(self) -> Place:
        if self._place is None:
            raise JobQueueError("a queue without location takes no jobs")
        return self._place

    def _app(self) -> Ramify:
        return connect(self._require_place().store)

    def _store(self, node: AnyNode) -> None:
        self._app().enqueue(node.options(queue=self._require_place().queue))


def createJobQueue(
    location: str, keepJobsInRepository: bool = False, useSymLinks: bool = False, store: str | None = None
) -> None:
    """Make a directory into a queue: it is empty, or does not exist, while the one above it does.

    Jobs are kept in a directory within it, or in the `store` of this address. Raise `ValueError` for any other place.
    """
    if not isinstance(location, str):
        raise TypeError(f"a location is a path, not {location!r}")
    location = os.path.abspath(location)
    if os.path.isdir(location):
        if os.listdir(location):
            raise ValueError(f"{location} is not empty, so it cannot become a job queue")
    elif not os.path.isdir(os.path.dirname(location)):
        raise ValueError(f"{os.path.dirname(location)} does not exist, so no job queue can be made in it")
    else:
        os.mkdir(location)
    procs = os.path.join(location, "procs")
    os.mkdir(procs, 0o755)
    for ready in resources.files("ramify.compat.cgkit").joinpath("procs").iterdir():
        if ready.name.endswith(".py"):
            path = os.path.join(procs, ready.name)
            with open(path, "x") as file:
                file.write(ready.read_text())
            os.chmod(path, 0o444)
    with open(os.path.join(location, "queue.cfg"), "x") as file:
        file.write(f"[main]\nkeepJobsInRepository = {bool(keepJobsInRepository)}\nuseSymLinks = {bool(useSymLinks)}\n")
        if store is not None:
            file.write(f"\n[ramify]\nstore = {store}\n")
