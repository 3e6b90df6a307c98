"""Waking: what is new in the journal or the inbox is seen by the kernel here, and by a look now and then elsewhere.

On Linux inotify tells of the changes of this host at once. Those of others are found by asking for the next record, a
quarter of a second apart at most.
"""

import ctypes
import os
import struct
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from ramify.stores.directory.disk import Disk
from ramify.stores.directory.journal import Journal, folder_of
from ramify.stores.wake import Bell
from ramify.system import CLOSE_ON_EXEC, NO_WAIT

SHORTEST: Final = 0.02
LONGEST: Final = 0.25
_CREATED: Final = 0x100 | 0x80  # IN_CREATE, IN_MOVED_TO
_OVERFLOW: Final = 0x4000  # IN_Q_OVERFLOW
_NOTE: Final = struct.Struct("iIII")
_INBOX: Final = 1  # the first that is watched


class Watch:
    """Wakes who waits for others."""

    def __init__(self, disk: Disk, journal: Journal) -> None:
        self._disk, self._journal = disk, journal
        self._bell = Bell()
        self._lock = threading.Lock()
        self._notes: dict[int, tuple[int, str]] = {}
        self._known: dict[int, int] = {}
        """How many records of others each thread was woken for, whichever thread read them."""
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def ring(self) -> None:
        """Wake the threads of this process."""
        self._bell.ring()

    def wait(self, timeout: float, also: Sequence[Any]) -> bool:
        """Sleep until something is new, one of `also` can be read, or for `timeout` seconds."""
        until = time.monotonic() + timeout
        pause = SHORTEST
        notes, thread = self._notes_of_thread(), threading.get_ident()
        while True:
            left = until - time.monotonic()
            if self._known.get(thread, 0) < (known := self._journal.foreign):
                self._known[thread] = known
                return True
            with suppress(OSError):
                if self._journal.has_news():
                    return True
            if left <= 0:
                return False
            heard = self._bell.hear(min(left, pause), [*also, *notes])
            if [number for number in notes if number in heard and _tells_of_inbox(number)] or set(heard) - {*notes}:
                return True
            if not heard:
                pause = min(LONGEST, pause * 1.5)

    def _notes_of_thread(self) -> list[int]:
        """Return a descriptor that can be read when something was put into the journal or the inbox."""
        if self._libc is None:
            return []
        thread, folder = threading.get_ident(), folder_of(self._journal.number + 1)
        with self._lock:
            number, watched = self._notes.get(thread, (-1, ""))
            if number < 0:
                self._forget(self._notes.keys() - {one.ident for one in threading.enumerate()})
                number = self._libc.inotify_init1(NO_WAIT | CLOSE_ON_EXEC)
                if number < 0:  # too many of them; the look now and then is enough
                    return []
                self._add(number, "inbox")
                self._add(number, "journal")
            if watched != folder:
                self._add(number, folder)
                self._notes[thread] = (number, folder)
            return [number]

    def _add(self, number: int, folder: str) -> None:
        assert self._libc is not None
        self._libc.inotify_add_watch(number, os.fsencode(self._disk.path / folder), _CREATED)

    def _forget(self, threads: set[int]) -> None:
        for thread in threads:
            os.close(self._notes.pop(thread)[0])
            self._known.pop(thread, None)

    def close(self) -> None:
        """Forget who waits."""
        self._bell.close()
        with self._lock:
            self._forget(set(self._notes))


def _tells_of_inbox(number: int) -> bool:
    """Tell whether something was put into the inbox; of the journal we look ourselves, because most of it is ours."""
    with suppress(BlockingIOError):
        text, at = os.read(number, 65536), 0
        while at < len(text):
            watch, mask, _, length = _NOTE.unpack_from(text, at)
            if watch == _INBOX or mask & _OVERFLOW:
                return True
            at += _NOTE.size + length
    return False
