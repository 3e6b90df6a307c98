"""Documents that other programs put in: a project as JSON, written aside and renamed into `inbox`.

Each becomes one job of `ramify:plan`, whose argument is the document; the worker that runs it plans it, so a mistake in
it fails that job with the path to it. The job's `request` names the very file, so it is taken in once.
"""

import stat
from contextlib import suppress
from typing import Any, Final

import msgspec

from ramify.errors import RamifyError
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Batch
from ramify.node import Node
from ramify.stores.directory.disk import Disk

PLAN: Final = "ramify:plan"
MOST: Final = 1 << 20
"""Bytes of a document."""


class Inbox:
    """The documents that were put in and not taken yet."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._looked: int = 0

    def new(self) -> list[tuple[str, Batch]]:
        """Return names and batches of new documents; what is none goes to `refused`, with the reason beside it."""
        changed = self._disk.look("inbox").st_mtime_ns
        if changed == self._looked:
            return []
        found = []
        for name in self._disk.list("inbox"):
            if name.startswith(".") or not name.endswith(".json"):
                continue
            with suppress(FileNotFoundError):
                try:
                    found.append((name, self._read(name)))
                except (RamifyError, ValueError, RecursionError) as error:
                    self.refuse(name, str(error))
        if not found:
            # The time stamp moves in steps; a change in the same step as our look must not be overlooked.
            self._looked = changed if self._disk.make_probe() * 1e9 - changed > 1e9 else 0
        return found

    def taken(self, name: str, place: str) -> None:
        """Note in `taken` where the document's job is, and remove the document."""
        with suppress(FileExistsError):
            self._disk.make(f"taken/{name}", f"jobs/{place}\n".encode())
        self._disk.remove(f"inbox/{name}")

    def refuse(self, name: str, reason: str) -> None:
        """Put a document aside that is none."""
        with suppress(FileExistsError):
            self._disk.make(f"refused/{name}.why", f"{reason}\n".encode())
        with suppress(FileNotFoundError):
            self._disk.rename(f"inbox/{name}", f"refused/{name}")

    def _read(self, name: str) -> Batch:
        about = self._disk.look(f"inbox/{name}")
        if not stat.S_ISREG(about.st_mode):
            raise RamifyError("it is no plain file")
        text = self._disk.read(f"inbox/{name}")
        if len(text) > MOST:
            raise RamifyError(f"a document is at most {MOST:,} bytes, not {len(text):,}")
        document = msgspec.json.decode(text, type=dict[str, Any])
        queue = document.get("queue")
        node: Node[Any] = Node(PLAN, (document,)).options(
            label=name.removesuffix(".json")[:500] or None, queue=queue if isinstance(queue, str) else None
        )
        batch = plan(sketch([node]), make_ids)
        batch.request = f"inbox/{name}/{about.st_ino}/{about.st_mtime_ns}"
        return batch
