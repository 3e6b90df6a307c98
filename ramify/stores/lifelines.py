"""Which sessions of this host are alive.

A session holds a POSIX lock on a file of its own for as long as its process lives; whoever can take that lock knows
that the process is gone, also across containers of one kernel. POSIX locks and not `flock`: a forked child would keep
a `flock` alive. Closing any descriptor of a file drops the process's POSIX locks on it, so a process never opens a
file that one of its own sessions holds. The lease covers what a lock cannot: a frozen process, another boot.
"""

import contextlib
import os
import pathlib
import tempfile

from ramify import system
from ramify.model import SessionId


class Lifelines:
    """The locks that this process holds for its sessions."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._held: dict[SessionId, int] = {}

    def hold(self, session: SessionId) -> None:
        """Take the session's lock, until `drop` or the end of the process."""
        if not system.CAN_LOCK or session in self._held:
            return
        self._folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._folder / session, os.O_CREAT | os.O_RDWR | system.CLOSE_ON_EXEC, 0o600)
        system.lock(descriptor)
        self._held[session] = descriptor

    def is_cut(self, session: SessionId, pid: int) -> bool:
        """Tell whether the session's process, whose number this is (0: not told), is known to be gone."""
        path = self._folder / session
        # A process of another container may have our number, so that alone does not tell that it is us.
        if not system.CAN_LOCK or (pid in (0, os.getpid()) and system.has_open(path)):
            return False
        try:
            descriptor = os.open(path, os.O_RDWR | system.CLOSE_ON_EXEC)
        except OSError:
            return False
        try:
            return system.lock(descriptor, wait=False)
        finally:
            os.close(descriptor)

    def drop(self, session: SessionId) -> None:
        """Remove the session's file, and let go of its lock if it is ours."""
        with contextlib.suppress(OSError):
            os.unlink(self._folder / session)
        descriptor = self._held.pop(session, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of every lock; the sessions are found dead by the next worker that looks."""
        while self._held:
            os.close(self._held.popitem()[1])


def boot_id() -> str:
    """Return what names this boot of this host; sessions of another boot are dead."""
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def private_folder() -> pathlib.Path:
    """Return where this user's processes of this host meet; it need not be there."""
    return pathlib.Path(tempfile.gettempdir()) / f"ramify-{system.user()}"
