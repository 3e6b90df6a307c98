"""`JobHandle`: a stored job by cgkit's names; everything is read when it is asked for."""

import os
import re
from typing import Any

from ramify import handle
from ramify.compat.cgkit.files import Files
from ramify.errors import NotFound
from ramify.ids import made_at
from ramify.model import ENDED, Row, State
from ramify.stores.protocol import Store
from ramify.stores.read import read_row, read_rows


class JobHandle(Files):
    """A job of the queue whose directory is `place`."""

    def __init__(self, store: Store, native: handle.Job[Any], place: str, label: str | None) -> None:
        self._store, self.native, self._place = store, native, place
        directory, _, self._text = (label or "").partition(": ")
        super().__init__(os.path.join(place, directory))

    @property
    def label(self) -> str:
        """What the procedure says it is about to do, else "Job" and the number."""
        return self._text or f"Job {self.number}"

    @property
    def number(self) -> int:
        """The number of the job in its directory, −1 if it has none."""
        digits = re.search(r"\d+$", os.path.basename(self.location))
        return int(digits[0]) if digits else -1

    @property
    def submitTime(self) -> float:
        """When the job was activated, in seconds since 1970."""
        return made_at(self.native.id)

    @property
    def startTime(self) -> float | None:
        """When the job began to run; None before that."""
        return self._row().started

    @property
    def endTime(self) -> float | None:
        """When the job ended; None before that."""
        return self._row().ended

    @property
    def progress(self) -> int | None:
        """How much is done, from 0 to 100; None if that cannot be read."""
        try:
            return 100 if self.native.state is State.DONE else self.native.progress or 0
        except NotFound:
            return None

    @property
    def statusLine(self) -> str:
        """What the job says that it does."""
        return self.native.status or ""

    def isWaiting(self) -> bool:
        """Tell whether the job has not begun."""
        return not self.isRunning() and not self.isFinished()

    def isRunning(self) -> bool:
        """Tell whether the job runs."""
        return self.native.state is State.RUNNING

    def isFinished(self) -> bool:
        """Tell whether the job is over, well or not; `hasError` tells how."""
        return self.native.state in ENDED

    def hasError(self, recursive: bool = False) -> bool:
        """Tell whether the job, or with `recursive` one under it, went wrong."""
        error = self.native.error
        own = self.native.state is State.FAILED and (error is None or error.kind != "cause")
        if own or os.path.exists(self.errorMarkerFile):
            return True
        return recursive and any(job.hasError(True) for job in self.listSubJobs())

    def listSubJobs(self) -> "list[JobHandle]":
        """Return the jobs right under this one, in order."""
        children = self.native.children
        rows = read_rows(self._store, [child.id for child in children])
        return [JobHandle(self._store, child, self._place, rows[child.id].label) for child in children]

    def __str__(self) -> str:
        state = "finished" if self.isFinished() else "running" if self.isRunning() else "waiting"
        return f"{os.path.basename(self.location)} ({state})"

    def _row(self) -> Row:
        return read_row(self._store, self.native.id)
