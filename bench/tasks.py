"""The jobs that are measured: as little as a job can be."""

import time


def noop(x: int) -> int:
    """Return the argument."""
    return x


def now(_: object) -> int:
    """Return when this ran, in nanoseconds since 1970; the argument is of no interest."""
    return time.time_ns()


def total(numbers: list[int]) -> int:
    """Return a sum."""
    return sum(numbers)
