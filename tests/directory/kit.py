"""What tests of the directory store are written with: disks that break, lie or remember, and stores on them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ramify.stores.directory import Directory
from ramify.stores.directory.disk import Disk


class Broken(Exception):
    """What a disk raises that breaks when it is told to."""


class Breaking(Disk):
    """A disk that breaks at its n-th write before a step counts, when told to."""

    left = -1

    def make(self, name: str, text: bytes, sync: bool = False) -> float:
        """Write a new file, or break."""
        if name.startswith("tmp/") and name.count("/") == 1:  # what is shown to people is no part of a step
            self._count()
        return super().make(name, text, sync)

    def link(self, old: str, new: str) -> None:
        """Give a file a second name, or break."""
        self._count()
        super().link(old, new)

    def _count(self) -> None:
        if self.left == 0:
            self.left = -1
            raise Broken
        self.left -= self.left > 0


def open_directory(folder: Path, clock: Callable[[], float], slice: int) -> Directory:
    """Open the queue of a folder, on a disk that can break."""
    return Directory(
        str(folder / "queue"), durability="fast", clock=clock, lease_clock=clock, slice=slice, disk=Breaking
    )


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[Directory]:
    """Open a queue for the length of a block, without waiting for the disk."""
    store = Directory(str(path), **{"durability": "fast", **options})
    try:
        yield store
    finally:
        store.close()
