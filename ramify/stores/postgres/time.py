"""The server's time, without asking for it each time."""

import time
from typing import Final

from ramify.stores.postgres.transaction import Statements

FRESH: Final = 30.0
"""For how many seconds our own clock, which nobody can set, counts on from the server's."""


class ServerTime:
    """What the server's clock said when a step last asked, and how long ago that is."""

    def __init__(self) -> None:
        self._heard: tuple[float, float] | None = None

    def now(self, step: Statements) -> float:
        """Return the server's time; ask within this step if it was not heard of lately."""
        if step.time is not None:
            self._heard = step.time
        if self._heard is None or time.monotonic() - self._heard[1] > FRESH:
            self._heard = step.time = step.one("step.now"), time.monotonic()
        then, ours = self._heard
        return then + time.monotonic() - ours
