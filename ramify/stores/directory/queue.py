"""Turns: who has lost several times is let go first. A hint, which delays others for a moment and keeps nobody out.

Without it a step that takes long would lose for ever against short ones.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ramify.stores.directory.disk import Disk

LOSSES: Final = 3
"""So many times a step is beaten before it asks the others to wait."""

LONG: Final = 0.2
"""Seconds after which it asks at the first loss: it is a long step."""

LONGEST: Final = 2.0
"""Seconds that others wait for somebody's turn to end; then he is taken for dead."""


class Queue:
    """Who asks for a turn."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._changed = -1

    @contextmanager
    def turn(self) -> Iterator["Turn"]:
        """Do a step, as often as it takes."""
        turn = Turn(self._disk)
        self._let_others()
        try:
            yield turn
        finally:
            turn.end()

    def _let_others(self) -> None:
        """Wait while others ask for a turn."""
        until = 0.0
        with suppress(OSError):
            while self._is_asked():
                now = time.monotonic()
                until = until or now + LONGEST
                if now > until:
                    for name in self._disk.list("queue"):
                        with suppress(OSError):
                            self._disk.remove(f"queue/{name}")
                    self._changed = self._disk.look("queue").st_mtime_ns  # what cannot be removed is no one's turn
                    return
                time.sleep(0.002)

    def _is_asked(self) -> bool:
        changed = self._disk.look("queue").st_mtime_ns
        if changed == self._changed:  # nothing came or went since we saw it empty
            return False
        if self._disk.list("queue"):
            return True
        self._changed = changed
        return False


class Turn:
    """One step that wants to be done."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._losses, self._began = 0, time.monotonic()
        self._name = ""

    def lost(self) -> None:
        """Note that somebody else was first; after some times ask the others to wait."""
        self._losses += 1
        if not self._name and (self._losses >= LOSSES or time.monotonic() - self._began > LONG):
            self._name = f"queue/{os.urandom(8).hex()}"
            with suppress(OSError):
                self._disk.make(self._name, b"")

    def end(self) -> None:
        """Let the others go on."""
        if self._name:
            with suppress(OSError):
                self._disk.remove(self._name)
