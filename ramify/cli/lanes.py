"""The lanes of a store that hold unfinished jobs: which task waits in which queue, and how many of it may run."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ramify.graph.fit import in_force, scopes, unexpired
from ramify.model import Info, Which
from ramify.model import Lane as Own
from ramify.stores.protocol import Store
from ramify.stores.read import UNFINISHED

LONGEST: Final = 12
"""So many lanes are drawn, those with the most jobs; programs get all."""


class Lane(Struct):
    """The unfinished jobs of a task in a queue. `task` is "" for groups; `room` is how many of them may run at once."""

    queue: str
    task: str
    counts: dict[str, int]
    room: int | None


def read_lanes(store: Store, queues: Mapping[str, Mapping[str, int]], info: Info) -> list[Lane]:
    """Return the lanes of these queues, the fullest first."""
    lanes: dict[tuple[str, str], Lane] = {}
    most = in_force(unexpired(info.limits, info.now))
    for queue, states in queues.items():
        if not any(states.get(state) for state in UNFINISHED):
            continue
        which = Which(queues=frozenset({queue}), states=UNFINISHED)
        for key, n in store.counts(which, "task state").items():
            task, _, state = key.rpartition(" ")
            if (queue, task) not in lanes:
                # Limits of slots and hosts are not the lane's own.
                room = min((most[name] for name in scopes(Own(queue, task)) if name in most), default=None)
                lanes[queue, task] = Lane(queue, task, {}, room)
            lanes[queue, task].counts[state] = n
    return sorted(lanes.values(), key=lambda lane: (-sum(lane.counts.values()), lane.queue, lane.task))
