"""The journal: numbered records, each a step that counts for everybody, or nobody's.

To commit is to link a whole file to the next free number: of many who try, one succeeds, and the others read what it
wrote and try again with the number after. No name is ever free again: what is not needed any more is replaced by a
tombstone, so that who slept for a year cannot write into the past.
"""

import os
import stat
import time
from contextlib import suppress
from typing import Final

from ramify.errors import BadStore, NewerSchema, StoreDown
from ramify.stores.directory import record
from ramify.stores.directory.disk import Disk
from ramify.stores.directory.record import Change, Record

SEGMENT: Final = 1000
"""Records in one directory."""

TOMBSTONE: Final = b"pruned: its effect is in a checkpoint\n"
LEAST: Final = 1 << 20
"""Bytes of records after which a checkpoint is worth its while; more if the last one was larger."""

LINKS: Final = 10_000
"""Names that one tombstone gets; file systems have a limit."""

TORN: Final = 0.03
"""Seconds after which a record that looks torn is believed to be."""

PATIENCE: Final = 5.0
"""Seconds for a name that is known to be taken to become visible here."""

NAMED: Final = 100
"""So many records that do not count are named."""

FOLDERS: Final = ("journal", "checkpoints", "tmp")


class Conflict(Exception):
    """Somebody else was first; look at what is new and do the step again."""


class Behind(Exception):
    """What is next was pruned; begin again with the newest checkpoint."""


class Journal:
    """A reader's place in the journal. `number` is the last record looked at, `token` that of the last that counts."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.number, self.token, self.time = 0, "", 0.0
        self.since = 0
        """Bytes of records since the last checkpoint."""
        self.foreign = 0
        """Records and checkpoints that were read and count."""
        self.passed_over: list[str] = []
        """Records that do not count, in sentences: a power cut leaves such, and so does damage."""
        self._soft: list[int] = []
        self._size = LEAST
        self._newest = ""
        self._committing = False

    # Reading

    def start(self) -> list[Change] | None:
        """Go to the newest checkpoint that is whole and lies ahead, and return it; None if there is none."""
        for name in reversed(self._disk.list("checkpoints")):
            if not name.isdecimal() or int(name) <= self.number:
                continue
            with suppress(FileNotFoundError):  # an old one, which somebody removes
                text = self._disk.read(f"checkpoints/{name}")
                found = record.read(text)
                if found is not None:
                    head = found.head
                    _refuse_newer(head)
                    self._soft.clear()
                    self.number, self.token, self.time = head.number, head.token, head.time
                    self.since, self._size, self._newest = 0, max(LEAST, len(text)), name
                    self.foreign += 1
                    return found.changes
        return None

    def next(self) -> Record | None:
        """Return the next record that counts, None if there is none yet. Raise `Behind` if it was pruned."""
        while True:
            try:
                text = self._disk.read(name_of(self.number + 1))
            except FileNotFoundError:
                return None
            if text == TOMBSTONE:
                raise Behind
            found = self._judge(text)
            self.number += 1
            self.since += len(text)
            if found is not None:
                self._advance(found.head)
                self.foreign += 1
                return found
            if len(self.passed_over) < NAMED:
                why = "torn" if record.read(text) is None else "built on a step that is not there"
                self.passed_over.append(f"{name_of(self.number)}: {why}, so it does not count")

    def has_next(self) -> bool:
        """Tell whether there is a record that was not looked at."""
        return self._disk.exists(name_of(self.number + 1))

    def has_news(self) -> bool:
        """Tell whether others wrote a record that was not looked at. May be called while another thread commits."""
        return not self._committing and self.has_next()

    def _judge(self, text: bytes) -> Record | None:
        """Return the record if it counts."""
        found = record.read(text)
        if found is None:
            # A torn one stays torn; what only looks so, through a cache, does not.
            return None if self._stays(text) else self._judge(self._disk.read(name_of(self.number + 1)))
        _refuse_newer(found.head)
        return found if (found.head.number, found.head.follows) == (self.number + 1, self.token) else None

    def _stays(self, text: bytes) -> bool:
        for _ in range(3):
            time.sleep(TORN / 3)
            if self._disk.read(name_of(self.number + 1)) != text:
                return False
        return True

    def _advance(self, head: record.Head) -> None:
        self.token, self.time = head.token, head.time
        if head.soft:
            self._soft.append(head.number)
        else:
            self._soft.clear()

    # Writing

    def commit(self, now: float, changes: list[Change], durable: bool) -> float:
        """Make these changes the next record; return the file system's time. Raise `Conflict` if others were first."""
        number, token = self.number + 1, os.urandom(8).hex()
        if self.has_next():
            raise Conflict
        text = record.write(number, token, self.token, now, changes, not durable)
        made = f"tmp/{token}"
        self._committing = True
        try:
            written = self._disk.make(made, text, sync=durable)
            if durable:
                for soft in self._soft:  # or what we build on could be lost, and we with it
                    with suppress(FileNotFoundError):
                        self._disk.sync(name_of(soft))
            if number % SEGMENT == 0 or number == 1:
                self._make_segment(number)
            self._publish(made, number, token, written)
            if durable:
                for folder in sorted({folder_of(one) for one in (*self._soft, number)}):
                    self._disk.sync(folder)
            self.number = number
            self.since += len(text)
            self._advance(record.Head(number, token, self.token, now, "", not durable))
            return written
        finally:
            self._committing = False
            with suppress(OSError):
                self._disk.remove(made)

    def _publish(self, made: str, number: int, token: str, written: float) -> None:
        try:
            self._disk.link(made, name_of(number))
        except OSError as error:
            # It may be ours: a network file system repeats a call whose answer was lost, and reports the second.
            if isinstance(error, FileExistsError):
                self._await_next()
            if self._is_ours(made, number, token, written):
                return
            if isinstance(error, FileExistsError):
                raise Conflict from None
            raise

    def _await_next(self) -> None:
        """Wait until the next name, which is known to be taken, can be seen: a network file system may be late."""
        until = time.monotonic() + PATIENCE
        while not self._disk.exists(name_of(self.number + 1)):
            if time.monotonic() > until:
                raise StoreDown(
                    f"{self._disk.path}: record {self.number + 1} is there and cannot be seen; is it mounted?"
                )
            time.sleep(0.002)
            with suppress(FileNotFoundError):
                self._disk.list(folder_of(self.number + 1))  # a directory that is opened anew is looked at anew

    def _is_ours(self, made: str, number: int, token: str, written: float) -> bool:
        """Tell whether the record of this number is the one that we made, and wrote at this time."""
        try:
            text = self._disk.read(name_of(number))
            if text == TOMBSTONE:
                # It was pruned while we slept. To be linked, and to lose that name again, changes the file's ctime.
                return self._disk.look(made).st_ctime > written
        except OSError:
            return False
        found = record.read(text)
        return found is not None and found.head.token == token

    def _make_segment(self, number: int) -> None:
        with suppress(FileExistsError):
            self._disk.make_folder(folder_of(number))
        self._disk.sync("journal")

    # Checkpoints

    def is_due(self) -> bool:
        """Tell whether so much was written since the last checkpoint that another is worth its while."""
        if self.since < self._size:
            return False
        newest = max(self._disk.list("checkpoints"), default="")
        if newest <= self._newest:
            return True
        self._newest, self.since = newest, 0  # another process wrote one
        return False

    def keep(self, changes: list[Change]) -> None:
        """Write a checkpoint of here, and prune what two checkpoints make needless."""
        text = record.write(self.number, self.token, "", self.time, changes, False)
        made = f"tmp/{os.urandom(8).hex()}"
        try:
            now = self._disk.make(made, text, sync=True)
            with suppress(FileExistsError):  # another process saw the same
                self._disk.link(made, f"checkpoints/{self.number:09d}")
            self._disk.sync("checkpoints")
        finally:
            with suppress(OSError):
                self._disk.remove(made)
        self.since, self._size, self._newest = 0, max(LEAST, len(text)), f"{self.number:09d}"
        self._prune()
        self._sweep(now)

    def _prune(self) -> None:
        """Replace by tombstones what is older than the last checkpoint but one."""
        *old, floor, _ = ["", "", *self._disk.list("checkpoints")]
        for name in old[2:]:
            self._disk.remove(f"checkpoints/{name}")
        number = int(floor or 0)
        while number > 0:
            stone = f"tmp/{os.urandom(8).hex()}"
            self._disk.make(stone, TOMBSTONE, sync=True)
            last = max(0, number - LINKS)
            try:
                while number > last and self._bury(stone, number):
                    number -= 1
            finally:
                self._disk.remove(stone)
            if number > last:
                return

    def _bury(self, stone: str, number: int) -> bool:
        """Put a tombstone in the place of a record; return False if one is there."""
        with suppress(FileNotFoundError):
            if self._disk.look(name_of(number)).st_size == len(TOMBSTONE):
                return False
        second = f"{stone}-{number}"
        self._disk.link(stone, second)
        self._disk.rename(second, name_of(number))
        return True

    def _sweep(self, now: float) -> None:
        """Remove what writers left that died an hour ago, by the file server's own clock."""
        for name in self._disk.list("tmp"):
            with suppress(OSError):
                about = self._disk.look(f"tmp/{name}")
                if about.st_mtime < now - 3600:
                    (self._disk.remove_tree if stat.S_ISDIR(about.st_mode) else self._disk.remove)(f"tmp/{name}")


def folder_of(number: int) -> str:
    """Return the directory of a record."""
    return f"journal/{number // SEGMENT:06d}"


def name_of(number: int) -> str:
    """Return the name of a record."""
    return f"{folder_of(number)}/{number:09d}"


def _refuse_newer(head: record.Head) -> None:
    if head.format > record.FORMAT:
        raise NewerSchema(f"the queue is written by a newer ramify (format {head.format}); upgrade ramify here")


def damaged(disk: Disk) -> BadStore:
    """Return the error that says that records are missing which no checkpoint replaces."""
    return BadStore(f"{disk.path}: records are missing that no checkpoint replaces; restore the directory from a copy")
