"""Walks over stored edges, a level at a time."""

from collections.abc import Callable, Iterable, Mapping

from ramify.errors import Cycle
from ramify.model import JobId


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
            raise Cycle(f"these would wait for each other: {' → '.join([found, *_trail(found, came_from)])}")
        following: list[JobId] = []
        for before, afters in sorted(successors(level).items()):
            for after in afters:
                if after not in came_from:
                    came_from[after] = before
                    following.append(after)
        level = following


def _trail(job: JobId, came_from: Mapping[JobId, JobId | None]) -> list[JobId]:
    trail: list[JobId] = []
    step: JobId | None = job
    while step is not None:
        trail.append(step)
        step = came_from[step]
    return trail[::-1]
