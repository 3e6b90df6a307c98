"""One place in a line: the worker that has it, when the next one may try, and the one that is to take over."""

import random
from collections.abc import Callable
from time import monotonic
from typing import Final

from ramify.pool.line import Line
from ramify.pool.member import Member

PROVEN: Final = 10.0
"""A worker that was ready and lived for so many seconds did not die because it cannot start."""

LONGEST_PAUSE: Final = 30.0
SILENCE: Final = 60.0
"""A worker that has not been heard for so many seconds is stuck, and killed."""


class Post:
    """Keeps one worker alive."""

    def __init__(self, line: Line, number: int) -> None:
        self.line, self.number = line, number
        self.member: Member | None = None
        self.heir: Member | None = None
        self.stale = False
        """Whether the worker is to be replaced by one that has read everything anew."""
        self.failures = 0
        self.next_birth = 0.0

    @property
    def members(self) -> list[Member]:
        """The worker and its heir, as far as they are there."""
        return [member for member in (self.member, self.heir) if member is not None]

    def tend(self, start: Callable[[Line, int], Member]) -> Member | None:
        """Start a worker if there is none; let a ready heir take over, and return the one that it replaces."""
        if self.member is None:
            self.stale = False
            if self.heir is not None:
                self.member, self.heir = self.heir, None
            elif monotonic() >= self.next_birth:
                self.member = start(self.line, self.number)
        elif self.heir is not None and self.heir.ready:
            old, self.member, self.heir, self.stale = self.member, self.heir, None, False
            self.failures = 0
            return old
        return None

    def lose(self, member: Member) -> None:
        """Accept that the worker has died; the oftener in a row, the longer before the next one."""
        self.member = None
        proven = member.ready and monotonic() > member.born + PROVEN
        self.failures = 0 if proven else self.failures + 1
        pause = min(LONGEST_PAUSE, 0.5 * 2 ** (self.failures - 1)) if self.failures else 0.0
        self.next_birth = monotonic() + pause * (0.75 + random.random() / 2)

    def is_settled(self) -> bool:
        """Tell whether its worker is ready, or has failed to be."""
        return bool(self.failures) or (self.member is not None and self.member.ready)
