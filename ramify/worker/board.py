"""A page of memory that a supervisor and one child see: what runs, and since when; what is to be cancelled; which
process groups jobs have started.
"""

import mmap
import os
import struct
from pathlib import Path
from time import monotonic
from typing import Final

_RUNNING: Final = struct.Struct("<Qd")
_COUNT: Final = struct.Struct("<Q")
_CANCELS: Final = 512
_GROUPS: Final = struct.Struct("<64i")


class Board:
    """A page of memory that both sides see. Numbers of calls begin at 1; 0 is none."""

    SIZE: Final = _RUNNING.size + _COUNT.size + _CANCELS * _COUNT.size + _GROUPS.size

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.truncate(descriptor, self.SIZE)
        self._memory = mmap.mmap(descriptor, self.SIZE)
        os.close(descriptor)

    def begin(self, number: int) -> None:
        """Note (in the child) that this call runs from now on; 0 when none does."""
        _RUNNING.pack_into(self._memory, 0, number, monotonic())

    def running(self) -> tuple[int, float]:
        """Return the call that runs and when it began, by the clock `time.monotonic`."""
        # The two numbers are not written in one step, so they count only if they are read twice alike.
        while True:
            first: tuple[int, float] = _RUNNING.unpack_from(self._memory)
            if first == _RUNNING.unpack_from(self._memory):
                return first

    def cancel(self, number: int) -> None:
        """Note (in the supervisor) that this call is to stop."""
        (count,) = _COUNT.unpack_from(self._memory, _RUNNING.size)
        _COUNT.pack_into(self._memory, _RUNNING.size + _COUNT.size * (1 + count % _CANCELS), number)
        _COUNT.pack_into(self._memory, _RUNNING.size, count + 1)

    def cancels(self) -> set[int]:
        """Return the calls that are to stop, as far as they are remembered."""
        (count,) = _COUNT.unpack_from(self._memory, _RUNNING.size)
        if not count:
            return set()
        return set(struct.unpack_from(f"<{min(count, _CANCELS)}Q", self._memory, _RUNNING.size + _COUNT.size))

    def own(self, group: int) -> None:
        """Note (in the child) that a job started this process group, which must not outlive the child."""
        self._change_groups(0, group)

    def disown(self, group: int) -> None:
        """Note (in the child) that this process group has ended."""
        self._change_groups(group, 0)

    def groups(self) -> list[int]:
        """Return the process groups that jobs started and that have not ended."""
        return read_groups(self._memory)

    def _change_groups(self, old: int, new: int) -> None:
        groups = list(_GROUPS.unpack_from(self._memory, self.SIZE - _GROUPS.size))
        if old in groups:  # else there are too many at once; those end with their own job only
            groups[groups.index(old)] = new
            _GROUPS.pack_into(self._memory, self.SIZE - _GROUPS.size, *groups)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


def read_groups(board: bytes | mmap.mmap) -> list[int]:
    """Return the process groups that stand on a board."""
    return [group for group in _GROUPS.unpack_from(board, Board.SIZE - _GROUPS.size) if group > 0]
