"""`Job` and `JobRoot`: a job as it is put together. Nothing is stored before `activate`, but a directory for each."""

import graphlib
import os
from typing import TYPE_CHECKING, Any

from ramify import build
from ramify.compat.cgkit.errors import JobQueueError
from ramify.compat.cgkit.place import spell
from ramify.compat.cgkit.run import run
from ramify.node import AnyNode

if TYPE_CHECKING:
    from ramify.compat.cgkit.queue import JobQueue


class Job:
    """A job of a hierarchy: it runs when all that it depends on has run well."""

    def __init__(self, jobRoot: "JobRoot", jobType: str | None, **params: Any) -> None:
        self._begin(jobRoot, None, jobType, params)

    def createJob(self, jobType: str | None = None, **params: Any) -> "Job":
        """Make a sub-job of this one and return it."""
        self._jobRoot._refuse_active()
        job = Job.__new__(Job)
        job._begin(self._jobRoot, None if self._jobRoot._place.keepJobsInRepository else self, jobType, params)
        self._depend(job)
        return job

    def addDependency(self, job: "Job") -> None:
        """Let this job run after another one of the same root, which may have several that depend on it."""
        self._jobRoot._refuse_active()
        if job is self:
            raise ValueError("a job cannot depend on itself")
        if job._jobRoot is not self._jobRoot:
            raise ValueError("a job cannot depend on one of another root")
        if job is self._jobRoot:
            raise ValueError("a job cannot depend on the root")
        self._depend(job)

    def _begin(self, root: "JobRoot", parent: "Job | None", type: str | None, params: dict[str, Any]) -> None:
        if type is not None and not isinstance(type, str):
            raise TypeError(f"a job type is the name of a procedure, not {type!r}")
        self._jobRoot, self._jobType, self._params = root, type, spell(params)
        self._dependencies: list[Job] = []
        proc = None if type is None else root._place.make(type, params)
        self.label = None if proc is None else proc.label
        self.location = root._make_directory(self, parent)
        if proc is not None:
            proc.postCreate(self.location)

    def _depend(self, job: "Job") -> None:
        if job in self._dependencies:
            return
        self._dependencies.append(job)
        if os.path.dirname(job.location) != self.location:
            self._jobRoot._place.link(job.location, self.location, self._jobRoot.location)

    def _node(self, before: list[AnyNode]) -> AnyNode:
        """Return what is stored of this job; its label begins with its directory."""
        place = self._jobRoot._place
        directory = os.path.relpath(self.location, place.location)
        label = directory if self.label is None else f"{directory}: {self.label}"
        if self._jobType is None:
            return build.group(*before, label=label)
        body = build.job(run, place.location, directory, self._jobType, self._params)
        return build.group(*before, body=body, label=label)


class JobRoot(Job):
    """The top of a hierarchy."""

    def __init__(self, jobQueue: "JobQueue", jobType: str | None, **params: Any) -> None:
        self._queue, self._place = jobQueue, jobQueue._require_place()
        self._active = False
        self._begin(self, None, jobType, params)

    def activate(self) -> None:
        """Store the hierarchy, all of it or nothing, for workers to run; it cannot be changed after that.

        Raise `JobQueueError` if jobs depend on each other. What a job depends on by way of another is left out.
        """
        self._refuse_active()
        todo: list[Job] = [self]
        graph: dict[Job, list[Job]] = {}
        while todo:
            job = todo.pop()
            if job not in graph:
                graph[job] = job._dependencies
                todo += job._dependencies
        try:
            order = list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            names = " → ".join(os.path.relpath(job.location, self._place.location) for job in error.args[1])
            raise JobQueueError(f"these jobs depend on each other: {names}") from None
        below: dict[Job, frozenset[Job]] = {}
        nodes: dict[Job, AnyNode] = {}
        for job in order:
            kept = [one for one in graph[job] if not any(one in below[other] for other in graph[job])]
            below[job] = frozenset(graph[job]).union(*(below[one] for one in graph[job]))
            nodes[job] = job._node([nodes[one] for one in kept])
        self._queue._store(nodes[self])
        self._active = True

    def _make_directory(self, job: Job, parent: Job | None) -> str:
        if job is self:
            return self._place.make_directory(self._place.location, first=1)
        if parent is not None:
            return self._place.make_directory(parent.location)
        repository = os.path.join(self.location, ".jobs")
        os.makedirs(repository, exist_ok=True)
        return self._place.make_directory(repository, "j", first=1)

    def _refuse_active(self) -> None:
        if self._active:
            raise JobQueueError(f"{self.location} was activated, and cannot be changed any more")
