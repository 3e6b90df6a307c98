"""Walks over stored edges, a level at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from ramify.errors import Cycle
from ramify.model import JobId

T = TypeVar("T")
SHOWN: Final = 5
"""How many jobs at either end of a loop a message names."""


def check_no_cycle(
    start: JobId, befores: Iterable[JobId], successors: Callable[[list[JobId]], Mapping[JobId, list[JobId]]]
) -> None:
    """Raise `Cycle` with the path if one of `befores` can only end after `start` has.

    `successors` returns, by job, those jobs that its edges lead to which are not done: what ended otherwise may be
    retried, and then waits again.
    """
    wanted = set(befores)
    came_from: dict[JobId, JobId | None] = {start: None}
    level = [start]
    while level and wanted:
        found = next((job for job in level if job in wanted), None)
        if found is not None:
            raise Cycle(f"these would wait for each other: {name_loop([found, *_trail(found, came_from)], str)}")
        following: list[JobId] = []
        for before, afters in sorted(successors(level).items()):
            for after in afters:
                if after not in came_from:
                    came_from[after] = before
                    following.append(after)
        level = following


def name_loop(loop: Sequence[T], name: Callable[[T], str]) -> str:
    """Return a loop in words, the middle of a long one left out."""
    if len(loop) <= 2 * SHOWN:
        return " → ".join(map(name, loop))
    first, last = map(name, loop[:SHOWN]), map(name, loop[-SHOWN:])
    return " → ".join([*first, f"({len(loop) - 2 * SHOWN} more)", *last])


def _trail(job: JobId, came_from: Mapping[JobId, JobId | None]) -> list[JobId]:
    trail: list[JobId] = []
    step: JobId | None = job
    while step is not None:
        trail.append(step)
        step = came_from[step]
    return trail[::-1]
