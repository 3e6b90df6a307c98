"""Who started this process and waits to hear from it: systemd, a pool, or nobody.

It is told by datagrams to the socket `$NOTIFY_SOCKET` (sd_notify(3)) that we are ready, that we live, and how we are.
"""

import os
from contextlib import suppress
from time import monotonic
from typing import Final, Self

from ramify import system

EVERY: Final = 1.0
"""Seconds between two signs of life, at least."""


class Manager:
    """The manager of this process. `parent` is its pid if we may not outlive it."""

    def __init__(self, address: str = "", parent: int = 0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._parent = parent
        self._next = 0.0
        self._ready = False

    @classmethod
    def find(cls, parent: int = 0) -> Self:
        """Return who is named in the environment, and forget the name: what our jobs start does not answer to it."""
        return cls(os.environ.pop("NOTIFY_SOCKET", ""), parent)

    def alive(self, status: str = "") -> None:
        """Tell that we live, and the first time that we are ready."""
        now = monotonic()
        if not self._address or now < self._next:
            return
        self._next = now + EVERY
        self.tell("WATCHDOG=1", *([] if self._ready else ["READY=1"]), *([f"STATUS={status}"] if status else []))
        self._ready = True

    def wait(self, seconds: float) -> None:
        """Tell that we live, but need so many seconds more until we are ready."""
        self.tell("WATCHDOG=1", f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}", "STATUS=waits for the store")

    def tell(self, *facts: str) -> None:
        """Tell facts as sd_notify(3) writes them; one that nobody hears is lost."""
        if self._address:
            with suppress(OSError), system.local_socket() as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(facts).encode(), self._address)

    def is_gone(self) -> bool:
        """Tell whether the parent that we may not outlive is dead."""
        return bool(self._parent) and not system.is_child_of(self._parent)


NOBODY: Final = Manager()
