"""All that the store asks of a file system, in a few calls, each of which a network file system does in one step.

Names are relative to the queue's directory, which is held open: no link leads out of it, whoever put it there. A call
that a network file system repeats may report an error though the first one did what it should; whoever calls looks.
"""

import errno
import math
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ramify.system import CLOSE_ON_EXEC, FOLDER, NO_FOLLOW, NO_WAIT, write_at

_READ: Final = os.O_RDONLY | CLOSE_ON_EXEC | NO_FOLLOW | NO_WAIT
_FOLDER: Final = os.O_RDONLY | CLOSE_ON_EXEC | NO_FOLLOW | FOLDER
_MAKE: Final = os.O_WRONLY | CLOSE_ON_EXEC | NO_FOLLOW | os.O_CREAT | os.O_EXCL
_CHANGE: Final = os.O_WRONLY | CLOSE_ON_EXEC | NO_FOLLOW | NO_WAIT


class Disk:
    """A directory. `durable` waits for the disk where `sync` is asked for."""

    def __init__(self, path: Path, durable: bool = True) -> None:
        self.path, self._durable = path, durable
        self._root = os.open(path, os.O_RDONLY | CLOSE_ON_EXEC | FOLDER)
        self._kept: dict[str, int] = {}
        """The directories in it, which stay as long as the queue does."""

    # Reading

    def read(self, name: str) -> bytes:
        """Return what is in a file; nothing if it is no plain file. Raise `FileNotFoundError` if there is none."""
        with self._at(name) as (folder, last):
            try:
                file = os.open(last, _READ, dir_fd=folder)
            except OSError as error:
                if isinstance(error, FileNotFoundError | PermissionError) or not self._is_odd(folder, last):
                    raise
                return b""
        try:
            about = os.fstat(file)
            if not stat.S_ISREG(about.st_mode):
                return b""
            text = os.read(file, about.st_size + 1)
            while more := os.read(file, 1 << 20):
                text += more
            return text
        finally:
            os.close(file)

    def exists(self, name: str) -> bool:
        """Tell whether there is anything of this name."""
        try:
            self.look(name)
        except FileNotFoundError:
            return False
        return True

    def look(self, name: str) -> os.stat_result:
        """Return what the file system says of a name, of a link as such."""
        with self._at(name) as (folder, last):
            return os.stat(last, dir_fd=folder, follow_symlinks=False)

    def list(self, name: str) -> list[str]:
        """Return the names in a directory, in order."""
        # Opened anew: what a network file system remembers of a directory is looked at again then.
        with self._at(name) as (above, last):
            folder = os.open(last or ".", _FOLDER, dir_fd=above)
        try:
            return sorted(os.listdir(folder))
        finally:
            os.close(folder)

    # Writing

    def make(self, name: str, text: bytes, sync: bool = False) -> float:
        """Write a new file; return the time that the file system gave it."""
        with self._at(name) as (folder, last):
            file = os.open(last, _MAKE, 0o666, dir_fd=folder)
        try:
            view = memoryview(text)
            while view:
                view = view[os.write(file, view) :]
            if sync and self._durable:
                os.fsync(file)
            return os.fstat(file).st_mtime
        finally:
            os.close(file)

    def furnish(self, name: str, files: Mapping[str, bytes]) -> None:
        """Make a directory, unless it is there, and small new files in it; those that are there stay as they are."""
        with self._at(name) as (above, last):
            with suppress(FileExistsError):
                os.mkdir(last, 0o777, dir_fd=above)
            folder = os.open(last, _FOLDER, dir_fd=above)
        try:
            for each, text in files.items():
                with suppress(FileExistsError):
                    file = os.open(each, _MAKE, 0o666, dir_fd=folder)
                    try:
                        os.write(file, text)
                    finally:
                        os.close(file)
        finally:
            os.close(folder)

    def change(self, name: str, text: bytes) -> None:
        """Overwrite the beginning of a plain file. Raise `FileNotFoundError` if there is none."""
        with self._at(name) as (folder, last):
            file = os.open(last, _CHANGE, dir_fd=folder)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                write_at(file, text, 0)
        finally:
            os.close(file)

    def append(self, name: str, text: bytes) -> None:
        """Add to the end of a plain file, which is made if it is not there."""
        with self._at(name) as (folder, last):
            file = os.open(last, _CHANGE | os.O_CREAT | os.O_APPEND, 0o666, dir_fd=folder)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                os.write(file, text)
        finally:
            os.close(file)

    def link(self, old: str, new: str) -> None:
        """Give a file a second name. Raise `FileExistsError` if that is taken: of many, one succeeds."""
        with self._at(old) as (folder, last), self._at(new) as (other, name):
            os.link(last, name, src_dir_fd=folder, dst_dir_fd=other, follow_symlinks=False)

    def rename(self, old: str, new: str) -> None:
        """Move a file or a directory; a file takes the place of what has that name."""
        with self._at(old) as (folder, last), self._at(new) as (other, name):
            os.rename(last, name, src_dir_fd=folder, dst_dir_fd=other)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError), self._at(name) as (folder, last):
            os.unlink(last, dir_fd=folder)

    def remove_tree(self, name: str, until: float = math.inf) -> bool:
        """Remove a directory and all in it; links in it are removed, not followed. Return False if time ran out."""
        left = [name]
        while left:
            if time.monotonic() > until:
                return False
            folder = left[-1]
            try:
                inner = [f"{folder}/{entry}" for entry in self.list(folder) if not self._remove_plain(folder, entry)]
                if inner:
                    left += inner
                    continue
                with self._at(folder) as (above, last):
                    os.rmdir(last, dir_fd=above)
            except FileNotFoundError:  # somebody else removes it too
                pass
            left.pop()
        return True

    def _remove_plain(self, folder: str, entry: str) -> bool:
        """Remove an entry that is no directory; return False if it is one."""
        if stat.S_ISDIR(self.look(f"{folder}/{entry}").st_mode):
            return False
        self.remove(f"{folder}/{entry}")
        return True

    def make_folder(self, name: str) -> None:
        """Make a directory. Raise `FileExistsError` if the name is taken."""
        with self._at(name) as (folder, last):
            os.mkdir(last, 0o777, dir_fd=folder)

    def sync(self, name: str) -> None:
        """Wait until the names in a directory, or what is in a file, are on the disk."""
        if not self._durable:
            return
        with self._at(name) as (folder, last):
            file = os.open(last, _READ, dir_fd=folder)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def make_probe(self) -> float:
        """Return the file server's time: what it gives to a file just written."""
        name = f"tmp/{os.urandom(8).hex()}"
        now = self.make(name, b"")
        self.remove(name)
        return now

    def close(self) -> None:
        """Let go of the directory."""
        while self._kept:
            os.close(self._kept.popitem()[1])
        os.close(self._root)

    # Ways

    @contextmanager
    def _at(self, name: str) -> Iterator[tuple[int, str]]:
        """Open the directory that a name stands in, step by step, through real directories only."""
        above, _, last = name.rpartition("/")
        if last == "..":
            above = f"{above}/.."
        with self._opened(above) as folder:
            yield folder, last

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        steps = name.split("/") if name not in ("", ".") else []
        if ".." in steps:  # only a forger writes such names
            raise OSError(errno.ELOOP, "it leads out of the queue", name)
        folder = self._kept.get(steps[0]) if steps else self._root
        if folder is None:
            made = os.open(steps[0], _FOLDER, dir_fd=self._root)
            folder = self._kept.setdefault(steps[0], made)
            if folder != made:  # another thread opened it meanwhile
                os.close(made)
        opened = -1
        try:
            for step in steps[1:]:
                inner = os.open(step, _FOLDER, dir_fd=folder)
                if opened >= 0:
                    os.close(opened)
                folder = opened = inner
            yield folder
        finally:
            if opened >= 0:
                os.close(opened)

    @staticmethod
    def _is_odd(folder: int, last: str) -> bool:
        """Tell whether a name stands for something else than a plain file."""
        try:
            return not stat.S_ISREG(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode)
        except OSError:
            return False
