"""Which ready jobs may start: limits and the order of claims. Pure; a store brings the candidates and the counts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ramify.model import JobId, Lane, Rule, Want

SUSPEND: Final = "suspend:"
"""Before the name of a limit: a limit of its own beside that one."""

Candidate = tuple[int, JobId, JobId, Lane]
"""(minus priority, tree, id, lane)"""


def scopes(lane: Lane) -> tuple[str, ...]:
    """Return the names of the limits that a running job of this lane counts against."""
    own = ("all", f"queue:{lane.queue}", f"task:{lane.task}")
    return own if lane.slot is None else (*own, f"slot:{lane.slot}")


def in_force(limits: Mapping[str, Rule], now: float) -> dict[str, Rule]:
    """Return the limits that count now, by what they limit: the lower of a limit and a suspension."""
    found: dict[str, Rule] = {}
    for name, rule in limits.items():
        scope = name.removeprefix(SUSPEND)
        if (rule.until is None or rule.until > now) and (scope not in found or rule.n < found[scope].n):
            found[scope] = rule
    return found


class Room:
    """How many more jobs may start, by limit."""

    def __init__(self, limits: Mapping[str, Rule], running: Mapping[Lane, int]) -> None:
        self._left = {name: rule.n for name, rule in limits.items()}
        for lane, n in running.items() if limits else ():
            for name in scopes(lane):
                if name in self._left:
                    self._left[name] -= n

    @property
    def is_endless(self) -> bool:
        """Whether there is no limit at all."""
        return not self._left

    def left(self, lane: Lane, most: int) -> int:
        """Return how many jobs of this lane may start, at most `most`."""
        if not self._left:
            return most
        return max(0, min([most, *(self._left[name] for name in scopes(lane) if name in self._left)]))

    def take(self, lane: Lane) -> bool:
        """Count one more running job of this lane, if there is room for it."""
        if not self.left(lane, 1):
            return False
        for name in scopes(lane):
            if name in self._left:
                self._left[name] -= 1
        return True


def serves(want: Want, lane: Lane) -> bool:
    """Tell whether a worker that wants this looks into the lane at all."""
    return lane.queue in want.queues and lane not in want.refuse and (want.tasks is None or lane.task in want.tasks)


def open_lanes(lanes: Iterable[Lane], want: Want, room: Room) -> list[Lane]:
    """Return the lanes that this worker serves and that have room, in the order of its queues."""
    rank = {queue: number for number, queue in enumerate(want.queues)}
    found = [lane for lane in lanes if serves(want, lane) and room.left(lane, 1)]
    return sorted(found, key=lambda lane: rank[lane.queue])


def choose(candidates: Sequence[Candidate], want: Want, room: Room) -> list[JobId]:
    """Return the ids to claim, in order: queues as the worker lists them, priority, tree, id."""
    rank = {queue: number for number, queue in enumerate(want.queues)}
    ordered = sorted(candidates, key=lambda c: (rank[c[3].queue], c[0], c[1], c[2]))
    if room.is_endless:
        return [id for _, _, id, _ in ordered[: want.n]]
    chosen: list[JobId] = []
    for _, _, id, lane in ordered:
        if len(chosen) == want.n:
            break
        if room.take(lane):
            chosen.append(id)
    return chosen
