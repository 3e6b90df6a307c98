"""What can go wrong with a directory queue."""

from ramify.errors import RamifyError


class JobQueueError(RamifyError):
    """The queue cannot do this."""
