"""Unique marks: of the jobs that bear one, one is unfinished; the others are its rivals."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from ramify.errors import Taken
from ramify.model import UNIQUE, Batch, JobId, Unless
from ramify.stores.tables import Tables


class Rivals:
    """Finds the unfinished jobs that stand for jobs which have ended, and are about to be opened in the same step."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._keys: dict[JobId, list[str]] = {}
        self._holders: dict[str, JobId] = {}
        self._found: dict[JobId, JobId] = {}

    def learn(self, jobs: Iterable[JobId]) -> None:
        """Read the unique marks of these jobs."""
        if ids := list(jobs):
            self._keys |= self._tables.keys(ids)

    def find(self, job: JobId) -> JobId | None:
        """Return the unfinished job that stands for this one, which has ended. If there is none, this one does now."""
        keys = self._keys.get(job, ())
        for key in keys:
            holder = self._holders.get(key) or self._tables.find_holder(key)
            if holder is not None and holder != job:
                self._found[job] = holder
                return holder
        self._holders |= dict.fromkeys(keys, job)
        return None

    def tell(self, jobs: Sequence[JobId]) -> None:
        """Raise `Taken` if this is one job, and another stands for it: who names one is told."""
        if len(jobs) == 1 and (rival := self._found.get(jobs[0])):
            raise Taken(f"job {rival} with the same unique key has not ended: wait for its end, or cancel it")

    def forget(self) -> None:
        """Forget what was found: the rows are written."""
        self._keys.clear()
        self._holders.clear()
        self._found.clear()


def leave_taken(tables: Tables, batch: Batch, aliases: dict[JobId, JobId]) -> Batch:
    """Return the batch without unique marks that others bear: what a need asks for is added, whatever its own key."""
    marks: dict[JobId, list[str]] = {}
    seen: set[str] = set()
    for id, own in batch.marks.items():
        if id not in aliases:
            looked_for = batch.unless[id].mark if id in batch.unless else None
            keys = {mark for mark in own if mark.startswith(UNIQUE)}
            taken = {key for key in keys if key in seen or (key != looked_for and tables.find_marked(Unless(key)))}
            marks[id] = [mark for mark in own if mark not in taken]
            seen |= keys
    return replace(batch, marks=marks)


def group_keys(marked: Iterable[tuple[str, JobId]]) -> dict[JobId, list[str]]:
    """Return, of pairs of a mark and a job that bears it, the marks by job."""
    found: dict[JobId, list[str]] = {}
    for mark, job in marked:
        found.setdefault(job, []).append(mark)
    return found


def find_rivals(marked: Iterable[tuple[str, JobId]]) -> list[list[JobId]]:
    """Return, of pairs of a mark and a job that bears it, the jobs of each mark that more than one bears, in order."""
    bearers: dict[str, set[JobId]] = {}
    for mark, job in marked:
        bearers.setdefault(mark, set()).add(job)
    return sorted(sorted(jobs) for jobs in bearers.values() if len(jobs) > 1)
