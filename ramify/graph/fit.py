"""Which ready jobs may start: limits, the units of a host, and the order of claims. Pure; a store brings the
candidates and the counts.

What a limit counts is its *scope*: `all`, `queue:NAME`, `task:NAME`, `slot:NAME` or `host:NAME`. The name of a limit is
its scope if it was set by hand; what tasks declare, and what is suspended, stands beside that under names of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

from ramify.model import JobId, Lane, Rule, Want

Candidate = tuple[int, JobId, JobId, Lane]
"""(minus priority, tree, id, lane)"""

DECLARED: Final = "declared:"
"""Begins the name of a limit that a task declares: it holds unless another was set by hand."""

SUSPENDED: Final = "suspended:"
"""Begins the name of a limit that suspends: nothing of its scope starts, whatever else it is limited to."""


def scopes(lane: Lane) -> tuple[str, ...]:
    """Return the names of the limits that a running job of this lane counts against."""
    own = ("all", f"queue:{lane.queue}", f"task:{lane.task}")
    return own if lane.slot is None else (*own, f"slot:{lane.slot}")


def unexpired(limits: Mapping[str, Rule], now: float) -> dict[str, Rule]:
    """Return the limits whose time is not over."""
    return {name: rule for name, rule in limits.items() if rule.until is None or rule.until > now}


def in_force(limits: Mapping[str, Rule]) -> dict[str, int]:
    """Return how many may run, by scope: what is suspended goes before what was set by hand, that before the rest."""
    found: dict[str, int] = {}
    rank = {DECLARED: 0, "": 1, SUSPENDED: 2}
    for name in sorted(limits, key=lambda name: rank[_source(name)]):
        found[name.removeprefix(_source(name))] = limits[name].n
    return found


def _source(name: str) -> str:
    return next((source for source in (DECLARED, SUSPENDED) if name.startswith(source)), "")


class Host:
    """One host: what runs there, and how many units it has (None: no matter)."""

    def __init__(self, name: str, units: int | None = None, running: Sequence[Candidate] = ()) -> None:
        self.name, self.units, self.running = name, units, running


class Room:
    """How many more jobs may start, by limit, and by the units of the host that asks."""

    def __init__(self, limits: Mapping[str, Rule], running: Mapping[Lane, int], host: Host | None = None) -> None:
        self._left = in_force(limits)
        self._own = (f"host:{host.name}",) if host and f"host:{host.name}" in self._left else ()
        for lane, n in running.items() if limits else ():
            for name in scopes(lane):
                if name in self._left:
                    self._left[name] -= n
        self.units = Units(host.units, host.running) if host and host.units is not None else None
        for name in self._own if host else ():
            self._left[name] -= len(host.running if host else ())

    @property
    def is_endless(self) -> bool:
        """Whether there is no limit at all."""
        return not self._left and self.units is None

    def left(self, lane: Lane, most: int) -> int:
        """Return how many jobs of this lane may start as far as limits go, at most `most`."""
        if self.units is not None and lane.units > self.units.all:
            return 0
        if not self._left:
            return most
        names = scopes(lane) + self._own
        return max(0, min([most, *(self._left[name] for name in names if name in self._left)]))

    def take(self, lane: Lane) -> bool:
        """Count one more running job of this lane, if there is room for it."""
        if not self.left(lane, 1):
            return False
        for name in scopes(lane) + self._own:
            if name in self._left:
                self._left[name] -= 1
        return True


class Units:
    """The units of a host. A job that finds too few lets smaller ones pass, which may use no more than it leaves.

    So it waits only for what ran before it came first, and not for ever.
    """

    def __init__(self, units: int, running: Sequence[Candidate]) -> None:
        self.all = units
        self._free = units - sum(lane.units for *_, lane in running)
        self._running = running
        self._for_later: float = inf

    def take(self, candidate: Candidate, rank: Mapping[str, int]) -> bool:
        """Use units for this job, if it may have them; candidates come in order."""
        units = candidate[3].units
        if units <= min(self._free, self._for_later):
            self._free -= units
            self._for_later -= units
            return True
        if self._for_later == inf:
            place = _place(candidate, rank)
            later = sum(other[3].units for other in self._running if _place(other, rank) > place)
            self._for_later = self.all - units - later
        return False


def _place(candidate: Candidate, rank: Mapping[str, int]) -> tuple[float, int, JobId, JobId]:
    return (rank.get(candidate[3].queue, inf), *candidate[:3])


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
    for candidate in ordered:
        lane = candidate[3]
        if len(chosen) == want.n:
            break
        if room.left(lane, 1) and (room.units is None or room.units.take(candidate, rank)):
            room.take(lane)
            chosen.append(candidate[2])
    return chosen
