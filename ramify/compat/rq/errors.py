"""What can go wrong, by the names that rq has for it."""

from ramify.errors import RamifyError


class NoSuchJobError(RamifyError, LookupError):
    """There is no such job."""


class InvalidJobOperationError(RamifyError):
    """The job is in no state for this."""
