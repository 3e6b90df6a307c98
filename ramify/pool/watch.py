"""Which files have changed: the Python files and the settings of some directories."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Final

EVERY: Final = 1.0
SETTINGS: Final = ("ramify.toml", "pyproject.toml")


class Watch:
    """Looks at the files of some directories once a second."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = sorted(set(directories))
        self._seen = self._look()
        self.next = monotonic() + EVERY

    def changed(self) -> str | None:
        """Return a file that has changed, appeared or gone since the last look; None without one or too soon."""
        if monotonic() < self.next:
            return None
        before, self._seen = self._seen, self._look()
        self.next = monotonic() + EVERY
        return min((path for path, _ in before.items() ^ self._seen.items()), default=None)

    def _look(self) -> dict[str, int]:
        return dict(entry for directory in self._directories for entry in _files(str(directory)))


def _files(directory: str) -> Iterator[tuple[str, int]]:
    """Yield the files that matter and when they changed; hidden folders and environments are passed over."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith((".", "__pycache__")) and entry.name != "node_modules":
                yield from _files(entry.path)
        elif entry.name.endswith(".py") or entry.name in SETTINGS:
            try:
                yield entry.path, entry.stat().st_mtime_ns
            except OSError:
                continue
