"""What others put into a queue: found for `ramify doctor`, passed over by everything else."""

import stat
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from ramify.stores.directory.disk import Disk

FILES: Final = ("state", "label", "job.json", "output", "result.json", "error.json")
"""What is ours in the directory of a job; other files in it are somebody's, and welcome."""

LEFT: Final = 3600.0
"""Who writes a file aside for so many seconds does not write it any more."""


def find_strays(disk: Disk, folders: Collection[str], jobs: Sequence[str], now: float) -> list[str]:
    """Return, in sentences, what is none of ours at the top and in our directories, or stands where ours belongs.

    `now` is the time of the file server.
    """
    found = [f"{name}: not of ramify" for name in disk.list(".") if name not in folders and name != "ramify.json"]
    known = set(jobs)
    for name in disk.list("jobs"):
        if name not in known:
            found.append(f"jobs/{name}: the directory of no job")
    for path in jobs:
        found += _find_in(disk, f"jobs/{path}")
    journal = [f"journal/{name}" for name in _folders(disk, "journal")]
    for folder in ("checkpoints", "inbox", "sessions", "taken", *journal):
        for name in disk.list(folder):
            place = f"{folder}/{name}"
            if not _is_plain(disk, place):
                found.append(f"{place}: no plain file")
            elif folder == "inbox":
                if not name.endswith(".json"):
                    found.append(f"{place}: a document's name ends in .json")
            elif folder not in ("sessions", "taken") and not name.isdecimal():
                found.append(f"{place}: not of ramify")
    for name in disk.list("tmp"):
        with suppress(FileNotFoundError):  # whose writer is done with it
            if now - disk.look(f"tmp/{name}").st_mtime > LEFT:
                found.append(f"tmp/{name}: left by a writer that ended more than an hour ago")
    return found


def _find_in(disk: Disk, place: str) -> list[str]:
    """Return what stands in the way of showing a job."""
    try:
        names = disk.list(place)
    except FileNotFoundError:  # not shown yet
        return []
    except OSError:
        return [f"{place}: no directory, so this job is not shown"]
    files = [f"{place}/{name}" for name in names if name in FILES]
    return [f"{file}: no plain file, so it shows nothing" for file in files if not _is_plain(disk, file)]


def _is_plain(disk: Disk, place: str) -> bool:
    try:
        return stat.S_ISREG(disk.look(place).st_mode)
    except FileNotFoundError:  # it is gone meanwhile
        return True


def _folders(disk: Disk, name: str) -> list[str]:
    return [inner for inner in disk.list(name) if stat.S_ISDIR(disk.look(f"{name}/{inner}").st_mode)]
