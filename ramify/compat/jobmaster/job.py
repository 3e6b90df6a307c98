"""`Job`: a stored job by jobmaster's names and numbers."""

from typing import Any, Final

from ramify import handle
from ramify.ended import say
from ramify.ids import made_at
from ramify.model import JobId, State
from ramify.stores.protocol import Store
from ramify.stores.read import read_row

STATUS: Final = {
    State.HELD: 1,
    State.WAITING: 1,
    State.READY: 1,
    State.RUNNING: 2,
    State.DONE: 3,
    State.FAILED: 4,
    State.SKIPPED: 4,
    State.CANCELLED: 5,
}
WORDS: Final = ("local", "waiting", "running", "complete", "failed", "cancelled")


class Job:
    """A stored job. One that `pop_job` returned can be executed."""

    def __init__(self, store: Store, native: handle.Job[Any]) -> None:
        self._store, self.native = store, native

    @property
    def job_id(self) -> JobId:
        """The job's id."""
        return self.native.id

    @property
    def status(self) -> int:
        """Where the job stands: local 0, waiting 1, running 2, complete 3, failed 4, cancelled 5."""
        return STATUS[self.native.state]

    @property
    def status_str(self) -> str:
        """The same in a word."""
        return WORDS[self.status]

    @property
    def task(self) -> str | None:
        """The task, as module:function."""
        return read_row(self._store, self.native.id).lane.task

    @property
    def priority(self) -> int:
        """The job's priority; higher goes first."""
        return read_row(self._store, self.native.id).priority

    @property
    def created_at(self) -> float:
        """When the job was made, in seconds since 1970."""
        return made_at(self.native.id)

    @property
    def result(self) -> Any:
        """What the function returned; None until then."""
        return self.native.result(0) if self.native.state is State.DONE else None

    @property
    def message(self) -> str | None:
        """What there is to say of the end: the result as text, or what went wrong."""
        if self.native.state is State.DONE:
            return str(self.result)
        error = self.native.error
        return None if error is None else say(error)

    def execute(self) -> "Job":
        """Run the job in this process and record how it ended."""
        self.native.execute()
        return self

    def __repr__(self) -> str:
        return f"<Job {self.job_id} {self.task} ({self.status_str})>"
