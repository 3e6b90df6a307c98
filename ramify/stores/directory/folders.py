"""The queue as a person sees it: a directory for each job, with plain files. Written for people, read by nobody here.

A tree appears by one rename. Each change of state is shown by who made it; if that process died before, by who writes
the next checkpoint, or whoever changes the job again.
"""

import math
import os
import stat
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec

from ramify.model import ENDED, JobId, Line, Page, Row, Which
from ramify.stores import relational as columns
from ramify.stores.directory.disk import Disk
from ramify.stores.directory.replica import Replica
from ramify.stores.protocol import LOG
from ramify.stores.sqlite.statements import SQL

AT_ONCE: Final = 1000
IN_TIME: Final = 0.1
"""A tree appears by one rename; of a large one as many jobs as are made in so many seconds, the others follow."""

MARKS: Final = {"out": "  ", "err": "! "}
"""How lines of `output` begin."""


class Folders:
    """The directories of the jobs."""

    def __init__(self, disk: Disk, replica: Replica) -> None:
        self._disk, self._replica = disk, replica
        self._lengths: dict[JobId, int] = {}

    def show(self, jobs: Sequence[JobId], until: float = math.inf) -> list[JobId]:
        """Bring the directories of these jobs up to date, as far as there is time; return whose are."""
        shown: dict[JobId, None] = {}
        there: set[str] = set()
        for row in sorted(self._replica.rows(jobs), key=lambda row: row.id, reverse=True):  # those above come first
            if row.id not in shown:
                if time.monotonic() > until:
                    return list(shown)
                with suppress(OSError):  # something else stands there, or the disk is full: what is shown is no fact
                    shown.update(dict.fromkeys(self._show(row, there)))
                shown[row.id] = None
        return [*shown, *jobs]  # those that are forgotten, too

    def _show(self, row: Row, there: set[str]) -> Collection[JobId]:
        """Bring the directory of a job up to date; return whose directories were made with it."""
        path = self._replica.folder(row.id)
        if path is None:
            return ()
        if row.parent is None and self._is_free(f"jobs/{path}"):
            return self._make_tree(row, path)
        try:
            self._disk.change(f"jobs/{path}/state", _state(row))
        except FileNotFoundError:
            self._make_with_those_above(row, there)
        else:
            if row.state in ENDED:
                self._show_end(f"jobs/{path}", row)
        return ()

    def _is_free(self, place: str) -> bool:
        """Tell whether there is no directory of this name; what else stands there is put aside."""
        try:
            about = self._disk.look(place)
        except FileNotFoundError:
            return True
        if stat.S_ISDIR(about.st_mode):
            return False
        self._disk.rename(place, f"refused/{place.replace('/', '-')}-{os.urandom(4).hex()}")
        return True

    def forget(self, paths: Sequence[str]) -> None:
        """Take the directories of trees away; `clean` removes them."""
        for path in paths:
            with suppress(FileNotFoundError):
                self._disk.rename(f"jobs/{path}", f"tmp/gone-{os.urandom(8).hex()}")

    def clean(self, until: float) -> None:
        """Remove what was taken away, for as long as there is time."""
        for name in self._disk.list("tmp"):
            if name.startswith("gone-") and not self._disk.remove_tree(f"tmp/{name}", until):
                return

    def _make_tree(self, root: Row, path: str) -> set[JobId]:
        """Make the directories of a tree aside, and put them in their place by one rename; return whose they are."""
        aside, until = f"tmp/{os.urandom(8).hex()}", time.monotonic() + IN_TIME
        made: set[JobId] = set()
        # Those above come first.
        for row in self._replica.select(Which(tree=root.tree), Page(size=AT_ONCE, newest=True)):
            place = self._replica.folder(row.id)
            if time.monotonic() > until or place is None:
                break
            with suppress(FileNotFoundError):  # a later job of one that is not made yet
                self._make(aside + place.removeprefix(path), row)
                made.add(row.id)
        try:
            self._disk.rename(aside, f"jobs/{path}")
        except OSError:  # somebody else made it
            self._disk.remove_tree(aside)
        return made

    def _make_with_those_above(self, row: Row, there: set[str]) -> None:
        """Make the directory of a job, and those it stands in as far as they are missing; note which are there."""
        missing = [row]
        while (above := missing[-1].parent) is not None:
            path = self._replica.folder(above)
            if path is None or path in there:
                break
            there.add(path)
            if self._disk.exists(f"jobs/{path}"):
                break
            missing += self._replica.rows([above])
        for one in reversed(missing):
            if (path := self._replica.folder(one.id)) is not None:
                self._make(f"jobs/{path}", one)

    def _make(self, path: str, row: Row) -> None:
        if path.rpartition("/")[0].endswith("/deep"):
            self._disk.furnish(path.rpartition("/")[0], {})
        found = self._replica.aside.execute("SELECT args FROM payload WHERE job = ?", (row.id,)).fetchone()
        about = {
            "id": row.id, "label": row.label, "task": row.lane.task, "queue": row.lane.queue,
            "priority": row.priority, "arguments": msgspec.Raw(found[0]) if found else None,
        }  # fmt: skip
        known = {name: value for name, value in about.items() if value is not None}
        label = {} if row.label is None else {"label": f"{row.label}\n".encode()}
        files = {"job.json": msgspec.json.format(msgspec.json.encode(known)) + b"\n"}
        end = self._end_of(row) if row.state in ENDED else {}
        self._disk.furnish(path, {**files, **label, "state": _state(row), **end})

    def _show_end(self, path: str, row: Row) -> None:
        if row.attempt > 1:
            self._disk.remove(f"{path}/result.json")
            self._disk.remove(f"{path}/error.json")
        if end := self._end_of(row):
            self._disk.furnish(path, end)

    def _end_of(self, row: Row) -> dict[str, bytes]:
        """Return what the job left, as a file."""
        values = self._replica.aside.execute(SQL["end.read"], (f'["{row.id}"]',)).fetchone()
        result = columns.read_result(values)
        if result.failure is not None:
            return {"error.json": msgspec.json.format(msgspec.json.encode(result.failure)) + b"\n"}
        return {"result.json": result.value.json + b"\n"} if result.value is not None else {}

    # What jobs say

    def append(self, lines: Sequence[Line]) -> None:
        """Add lines to the files of jobs that run in a session of ours."""
        by_job: dict[JobId, list[Line]] = {}
        for line in lines:
            by_job.setdefault(line.job, []).append(line)
        for job, said in by_job.items():
            path = self._replica.folder(job)
            if path is None:
                continue
            if not self._disk.exists(f"jobs/{path}"):
                self.show([self._replica.rows([job])[0].tree, job])
            with suppress(FileNotFoundError, NotADirectoryError):  # somebody put something else in its place
                self._append(f"jobs/{path}", job, said)

    def _append(self, path: str, job: JobId, lines: Sequence[Line]) -> None:
        if job not in self._lengths:
            pieces = self._pieces(path)
            self._lengths[job] = pieces[-1] * LOG + len(self._read(path, pieces[-1])) if pieces else 0
        at, left = self._lengths[job], iter(lines)
        while here := list(islice(left, LOG - at % LOG)):
            piece = at // LOG
            text = "".join(f"{MARKS.get(line.stream, MARKS['err'])}{line.text}\n" for line in map(_flat, here))
            self._disk.append(_piece(path, piece), text.encode())
            at += len(here)
            if at % LOG == 0 and piece > 0:
                self._disk.remove(_piece(path, piece - 1))
        self._lengths[job] = at

    def log(self, job: JobId, after: int, size: int) -> list[Line]:
        """Return lines of a job beyond number `after`."""
        path = self._replica.folder(job)
        if path is None or not self._disk.exists(f"jobs/{path}"):
            return []
        path = f"jobs/{path}"
        found: list[Line] = []
        for piece in self._pieces(path):
            for number, text in enumerate(self._read(path, piece), piece * LOG + 1):
                stream = "err" if text.startswith(MARKS["err"]) else "out"
                found.append(Line(job, text[2:], stream, number))
        first = max(after, found[-1].number - LOG) if found else after
        return [line for line in found if line.number > first][:size]

    def _pieces(self, path: str) -> list[int]:
        """Return the pieces of a log that are there: `output` is the first, `output.1` the next."""
        names = [name for name in self._disk.list(path) if name.partition(".")[0] == "output"]
        numbers = [name.partition(".")[2] or "0" for name in names]
        return sorted(int(number) for number in numbers if number.isdecimal())

    def _read(self, path: str, piece: int) -> list[str]:
        try:
            return self._disk.read(_piece(path, piece)).decode("utf-8", "replace").split("\n")[:-1]
        except FileNotFoundError:
            return []


def _piece(path: str, piece: int) -> str:
    return f"{path}/output.{piece}" if piece > 0 else f"{path}/output"


def _flat(line: Line) -> Line:
    return line if "\n" not in line.text else msgspec.structs.replace(line, text=line.text.replace("\n", "\\n"))


def _state(row: Row) -> bytes:
    """Return the state as `state` holds it: as long as the longest, so that it is overwritten in one piece."""
    return f"{row.state.value:<9}\n".encode()
