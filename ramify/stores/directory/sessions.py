"""Leases without clocks: each session counts in a file of its own, and who sees no change for a lease buries it.

The lease is measured by the observer's own clock from when it last saw the count change. On the same host, boot and
process namespace the system knows at once that a process is gone.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ramify.model import Session, SessionId
from ramify.stores.directory.disk import Disk
from ramify.stores.lifelines import boot_id
from ramify.stores.protocol import LEASE

_WIDTH = 20


class Home(Struct, frozen=True):
    """Where a process lives: what together names it among all hosts."""

    boot: str
    space: str
    pid: int
    born: str


class Sessions:
    """The files of the sessions, and when each was last seen to change."""

    def __init__(self, disk: Disk, clock: Callable[[], float]) -> None:
        self._disk, self._clock = disk, clock
        self._seen: dict[SessionId, tuple[bytes, float]] = {}
        self._counts: dict[SessionId, int] = {}

    def open(self, session: Session) -> None:
        """Begin to count for a session of this process."""
        home = _home(os.getpid())
        about = msgspec.json.encode({"home": home, "host": session.host, "pid": session.pid})
        self._counts[session.id] = 0
        self._disk.remove(_name(session.id))
        self._disk.make(_name(session.id), _count(0) + about + b"\n")
        self._seen[session.id] = (_count(0), self._clock())

    def renew(self, session: SessionId) -> None:
        """Count on."""
        self._counts[session] = self._counts.get(session, 0) + 1
        with contextlib.suppress(FileNotFoundError):
            self._disk.change(_name(session), _count(self._counts[session]))
        self._seen[session] = (_count(self._counts[session]), self._clock())

    def silent(self, sessions: Sequence[Session]) -> list[SessionId]:
        """Return those sessions whose process is gone, or which have not counted for a lease."""
        ids = {session.id for session in sessions}
        self._seen = {id: seen for id, seen in self._seen.items() if id in ids}
        return [session.id for session in sessions if self._is_silent(session.id)]

    def close(self, session: SessionId) -> None:
        """Remove the file of a session that is over."""
        with contextlib.suppress(OSError):
            self._disk.remove(_name(session))

    def _is_silent(self, session: SessionId) -> bool:
        try:
            count, _, about = self._disk.read(_name(session)).partition(b"\n")
        except FileNotFoundError:
            count, about = b"gone", b""
        if session not in self._counts and _is_gone(about):
            return True
        before, since = self._seen.get(session, (b"", 0.0))
        if before.strip() != count.strip():
            self._seen[session] = (count, self._clock())
            return False
        return self._clock() > since + LEASE


def _name(session: SessionId) -> str:
    return f"sessions/{session.replace('/', '_')}"


def _count(number: int) -> bytes:
    return b"%-*d\n" % (_WIDTH, number)


def _home(pid: int) -> Home:
    space, born = "", ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
        born = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return Home(boot_id(), space, pid, born)


def _is_gone(about: bytes) -> bool:
    """Tell whether a session's process is known to have ended; of another host or container nothing is known."""
    try:
        home = msgspec.json.decode(about, type=dict[str, msgspec.Raw])["home"]
        known = msgspec.json.decode(home, type=Home)
    except (ValueError, KeyError):  # no JSON, no text, or not ours
        return False
    here = _home(known.pid)
    return (
        bool(here.boot and here.space)
        and (here.boot, here.space) == (known.boot, known.space)
        and known.born != here.born
    )
