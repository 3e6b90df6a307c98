"""Where to begin to look for what is ready, while a transaction that stays open keeps the server from cleaning up.

What was ready once is then still in the index, in front of what is ready now, and each look walks over all of it. Once
that shows, most looks begin where the last ones found something. They may miss what came in before that place (into an
older tree, at another priority), so looks over everything go on: for a twentieth of the time, and where others find
something, at most once a second.
"""

import threading
import time
from typing import Final

from ramify.model import JobId

CHEAP: Final = 0.004
"""Seconds: looks that take less always go over everything."""

MANY: Final = 10_000
"""So many dead rows show that it was not the machine that was slow."""

SHARE: Final = 20
PAUSE: Final = 1.0

Place = tuple[int, JobId, JobId]
"""Priority, tree and id of a job that was found in a lane."""


class Last(threading.local):
    """The last look of this thread: whether it may have missed something."""

    partial = False


class Low:
    """What a process remembers of its looks into one store, whatever step they were part of."""

    def __init__(self) -> None:
        self.lanes: dict[int, Place] = {}
        """Where each lane begins, by its number."""
        self.end: tuple[JobId, JobId] = ("", "")
        """Tree and id of the first job that can only be ended."""
        self.due = 0.0
        self.last = Last()
        self._next_whole = self._next_empty = self._next_orphans = 0.0

    def is_whole(self, empty: bool = False) -> bool:
        """Tell whether the next look goes over everything; `empty` says that the last one found nothing otherwise."""
        return time.monotonic() >= (self._next_empty if empty else self._next_whole)

    def look_everywhere(self) -> None:
        """Let the next look go over everything."""
        self._next_whole = 0.0

    def spare(self, seconds: float) -> None:
        """Go over everything no sooner than this look over everything allows, which took so long."""
        now = time.monotonic()
        self._next_whole = now + max(PAUSE, SHARE * seconds)
        self._next_empty = now + SHARE * seconds

    def remember(self, found: str) -> int:
        """Note where a lane begins (its number, priority, tree and id); return its number."""
        number, priority, tree, id = found.split(" ")
        self.lanes[int(number)] = int(priority), tree, id
        return int(number)

    def wants_orphans(self) -> bool:
        """Tell whether it is time to look for jobs of sessions that nobody knows."""
        return time.monotonic() >= self._next_orphans

    def looked_for_orphans(self, seconds: float) -> None:
        """Do that again at once if it took hardly any time, else when it has taken a small share of the time."""
        self._next_orphans = time.monotonic() + (0.0 if seconds < CHEAP else max(PAUSE, SHARE * seconds))
