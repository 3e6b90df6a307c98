"""How far a job is with all that is under it: what has ended counts whole, what runs as it says."""

from collections.abc import Iterable
from typing import Final

from ramify.model import ENDED, JobId, Page, Row, State, Step, Which
from ramify.stores.protocol import SLICE, Store
from ramify.stores.read import read_results

MANY: Final = 10_000
"""Jobs that are looked at one by one; those of a whole tree are counted by the store, however many there are."""


def read_progress(store: Store, row: Row, most: int = MANY) -> int | None:
    """Return, in percent, how far the job and all under it are; what it says itself if nothing is under it.

    Groups without a body are no work, so they do not count. None if nothing tells, or more than `most` jobs are under a
    job that is no root. It goes back when jobs are added or tried again.
    """
    counted = _count_tree(store, row) if row.parent is None else _count_under(store, row, most)
    if counted is None:
        return None
    over, total, running = counted
    if total - bool(row.lane.task) == 0:
        return next((result.percent for result in store.results([row.id])), None)
    told = sum(result.percent or 0 for result in read_results(store, running))
    # Nothing is all done as long as something is left to do.
    return min(int(100 * over + told) // total, 100 if over == total else 99)


Counted = tuple[int, int, list[JobId]]
"""How many jobs are over, of how many, and some that run."""


def _count_tree(store: Store, root: Row) -> Counted:
    over = total = 0
    running = False
    for key, n in store.counts(Which(tree=root.tree), "task state").items():
        task, _, state = key.rpartition(" ")
        if task:
            total += n
            over += n if state in ENDED else 0
            running = running or state == State.RUNNING
    over += _has_run(root)
    which = Which(tree=root.tree, states=frozenset({State.RUNNING}))
    return over, total, [row.id for row in store.jobs(which, Page(size=SLICE))] if running else []


def _count_under(store: Store, top: Row, most: int) -> Counted | None:
    found = [top]
    level = [top.id]
    while level:
        rows = [row for id in level for row in _read_under(store, id, most - len(found))]
        found += rows
        if len(found) > most:
            return None
        level = [row.id for row in rows]
    work = [row for row in found if row.lane.task]
    over = sum(row.state in ENDED or _has_run(row) for row in work)
    return over, len(work), [row.id for row in work if row.state is State.RUNNING]


def _read_under(store: Store, id: JobId, room: int) -> Iterable[Row]:
    after: JobId | None = None
    while room >= 0 and (page := store.jobs(Which(under=id), Page(after=after))):
        yield from page
        room -= len(page)
        after = page[-1].id


def _has_run(row: Row) -> bool:
    """Tell whether the job only waits for jobs that it added."""
    return bool(row.lane.task) and row.step is Step.END and row.state not in ENDED
