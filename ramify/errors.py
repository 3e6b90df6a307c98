"""What can go wrong, by what a caller can do about it. A class's docstring is its message where none is given."""

from typing import Any


class RamifyError(Exception):
    """Something went wrong in ramify."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class BadNode(RamifyError, ValueError):
    """The description of the work has a mistake; the message names the path to it."""


class Cycle(BadNode):
    """These jobs would wait for each other."""


class BadTask(RamifyError, LookupError):
    """The task cannot be found or may not run here."""


class BadArguments(RamifyError, TypeError):
    """The arguments do not fit the task's signature."""


class BadValue(RamifyError, ValueError):
    """A value cannot be stored as JSON."""


class TooLarge(BadValue):
    """A value is larger than a job may carry; store it elsewhere and pass its name."""


class NotFound(RamifyError, LookupError):
    """There is no such job."""


class AlreadyReleased(RamifyError):
    """The job was let go already; only a held job can be extended."""


class Taken(RamifyError):
    """Another unfinished job with the same unique key stands for this one."""


class OutsideJob(RamifyError, LookupError):
    """`current()` works only inside a running job."""


class Fail(RamifyError):
    """Raised by `current().fail(reason)`: the job fails with this reason, and is not tried again."""


class CommandFailed(RamifyError):
    """A command that a job ran did not end with exit status 0."""


class CannotStart(RamifyError):
    """The processes that should run jobs die as they start."""


class Changed(RamifyError):
    """Somebody else added to the same array meanwhile; plan again and repeat."""


class Lost(RamifyError):
    """The session was declared dead; its jobs belong to another worker now."""


class WouldDeadlock(RamifyError):
    """A job cannot wait for a job that can only run after it; return, and let the body of the parent use the result."""


class StoreDown(RamifyError, ConnectionError):
    """The store cannot be reached or refuses to write."""


class StoreFull(StoreDown):
    """The store has no room left; free some space, and the same call succeeds."""


class BadStore(RamifyError, ValueError):
    """The address of the store is wrong, or what lies there is not a store of ramify."""


class NewerSchema(BadStore):
    """The store was written by a newer ramify; upgrade this one."""


class CannotInstall(RamifyError):
    """The system does not take the service; the message says why."""


class BadSettings(RamifyError, ValueError):
    """A setting is wrong; the message names it and where it was read."""


class JobEnded(RamifyError):
    """The job ended without a result."""

    def __init__(self, message: str, job: str = "", error: Any = None) -> None:
        super().__init__(message)
        self.job = job
        self.error = error


class JobFailed(JobEnded):
    """The job failed."""


class JobCancelled(JobEnded):
    """The job was cancelled."""


class JobSkipped(JobEnded):
    """The job was skipped, because something it waited for ended otherwise than it asked."""


class TimedOut(JobCancelled, TimeoutError):
    """The time limit of the tree passed; the message names what was unfinished."""
