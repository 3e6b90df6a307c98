"""What others put into a queue: found for `ramify doctor`, passed over by everything else."""

import stat
from collections.abc import Collection
from contextlib import suppress

from ramify.stores.directory.disk import Disk


def find_strays(disk: Disk, folders: Collection[str], trees: Collection[str]) -> list[str]:
    """Return, in sentences, what is none of ours at the top, among trees, records, checkpoints and documents."""
    found = [f"{name}: not of ramify" for name in disk.list(".") if name not in folders and name != "ramify.json"]
    for folder in ("jobs", "checkpoints", "inbox", *(f"journal/{name}" for name in _folders(disk, "journal"))):
        for name in disk.list(folder):
            place = f"{folder}/{name}"
            with suppress(FileNotFoundError):
                mode = disk.look(place).st_mode
                if folder == "jobs":
                    if not stat.S_ISDIR(mode) or name not in trees:
                        found.append(f"{place}: the directory of no job")
                elif not stat.S_ISREG(mode):
                    found.append(f"{place}: no plain file")
                elif folder == "inbox":
                    if not name.endswith(".json"):
                        found.append(f"{place}: a document's name ends in .json")
                elif not name.isdecimal():
                    found.append(f"{place}: not of ramify")
    return found


def _folders(disk: Disk, name: str) -> list[str]:
    return [inner for inner in disk.list(name) if stat.S_ISDIR(disk.look(f"{name}/{inner}").st_mode)]
