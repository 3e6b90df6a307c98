"""Damage to the database itself: pages and indexes, words and JSON that cannot be read, rows that belong to nobody.

And a writer that was stopped, and keeps all others out.
"""

import sqlite3
import stat
from pathlib import Path
from typing import Final

from ramify.checkup import Findings
from ramify.stores.damage import NAMED, find_in_tables, tell
from ramify.stores.sqlite.statements import SQL
from ramify.stores.sqlite.turn import find_stopped_writer

MENDED_IN: Final = (3, 51, 3)
"""The first SQLite without a defect by which a checkpoint of the log may lose a commit of another process."""


def examine(connection: sqlite3.Connection, path: Path, sidecar: Path) -> Findings:
    """Return what is wrong with the file, seen at one moment. It only reads, so workers go on meanwhile."""
    found = examine_tables(connection)
    said = [text for (text,) in connection.execute(f"PRAGMA integrity_check({NAMED})") if text != "ok"]
    found.wrong = [f"{path.name}: {text}" for text in said] + found.wrong
    if stopped := find_stopped_writer(sidecar):
        found.wrong.append(stopped)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        found.notes.append(f"{path} can be read by others than its owner; `chmod 600 {path}` ends that")
    if sqlite3.sqlite_version_info < MENDED_IN:
        wanted = ".".join(map(str, MENDED_IN))
        found.notes.append(
            f"SQLite {sqlite3.sqlite_version} has a rare defect that {wanted} has not (a commit may be lost when two "
            "processes reset the log at once); a newer Python brings a newer one"
        )
    return found


def examine_tables(connection: sqlite3.Connection) -> Findings:
    """Return what is wrong with the rows, wherever the tables are."""
    return tell(find_in_tables(SQL, lambda name: connection.execute(SQL[name])))
