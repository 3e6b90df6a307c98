"""What readers of any store share: rows and edges a page at a time, and waiting for ends."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Final

from ramify.errors import BadNode, NotFound, WouldDeadlock
from ramify.graph.plan import Into
from ramify.model import ENDED, Array, Edge, JobId, Kind, Line, Page, Result, Row, State, Which
from ramify.stores.gather import pages
from ramify.stores.protocol import SLICE, Store

UNFINISHED: Final = frozenset(State) - ENDED
NAMED: Final = 5
"""How many unfinished jobs a message names."""
SHORTEST, LONGEST = 0.02, 1.0
"""Seconds between two looks for ends, where no hint comes."""
MOMENT: Final = 0.001
"""Seconds in which a job that was just stored has hardly ended."""


def read_row(store: Store, id: JobId) -> Row:
    """Return the row of one job. Raise `NotFound` if it is not stored."""
    rows = store.jobs(Which(ids=(id,)))
    if not rows:
        raise NotFound(f"job {id} is not stored (any more)")
    return rows[0]


def read_rows(store: Store, ids: Sequence[JobId]) -> dict[JobId, Row]:
    """Return those of the jobs that are stored."""
    return {row.id: row for page in pages(ids) for row in store.jobs(Which(ids=tuple(page)))}


def each_row(store: Store, which: Which, newest: bool = False) -> Iterator[Row]:
    """Yield all selected rows, in order of id or newest first."""
    after: JobId | None = None
    while page := store.jobs(which, Page(after=after, newest=newest)):
        yield from page
        after = page[-1].id


def read_end(store: Store, id: JobId) -> tuple[Row, Result] | None:
    """Return a job that has ended and what it left, None while it has not. Raise `NotFound` if it is not stored."""
    row = read_row(store, id)
    return (row, next(iter(store.results([id])), Result(id))) if row.state in ENDED else None


def read_edges(store: Store, ids: Sequence[JobId], *, out: bool = False, bad: bool = False) -> Iterator[Edge]:
    """Yield the edges into these jobs, or out of them, or only those with a bad verdict."""
    for some in pages(ids):
        start: Edge | None = None
        while page := store.edges(some, out=out, bad=bad, start=start):
            yield from page
            start = page[-1] if len(page) == SLICE else None
            if start is None:
                break


def read_results(store: Store, ids: Iterable[JobId]) -> Iterator[Result]:
    """Yield what these jobs left, in order of id."""
    left = sorted(ids)
    while left and (page := store.results(left[:SLICE])):
        yield from page
        left = [id for id in left if id > page[-1].job]


def read_log(store: Store, job: JobId, after: int = 0) -> Iterator[Line]:
    """Yield the lines of the job's log beyond number `after`."""
    while page := store.log(job, after):
        yield from page
        after = page[-1].number


def read_into(store: Store, row: Row) -> Into:
    """Return what planning needs to know of a stored job that gains children."""
    # Edges come by place, and those of children begin at 0.
    edges = takewhile(lambda edge: edge.place < 0, read_edges(store, [row.id]))
    gates = tuple((edge.before, edge.when) for edge in edges if edge.kind is Kind.AFTER and not edge.slots)
    array = Array(row.size, row.last, row.barrier)
    return Into(row.id, row.tree, array, row.lane.queue, row.priority, row.hold, gates)


def wait_for(store: Store, ids: Iterable[JobId], timeout: float | None) -> Iterator[Row]:
    """Yield each of these jobs once, when it has ended. Raise `TimeoutError` naming what has not in time.

    The store's hints are backed up by a poll that gets slower to one second. Raise `NotFound` for an unknown job.
    """
    patience = _Patience(store, timeout)
    left = list(dict.fromkeys(ids))
    while left:
        rows = read_rows(store, left)
        missing = next((id for id in left if id not in rows), None)
        if missing is not None:
            raise NotFound(f"job {missing} is not stored (any more)")
        ended = [rows[id] for id in left if rows[id].state in ENDED]
        left = [id for id in left if rows[id].state not in ENDED]
        yield from ended
        if ended:
            patience.begin_again()
        else:
            patience.wait(rows.values)


def wait_for_end(store: Store, id: JobId, timeout: float | None, new: bool = False) -> tuple[Row, Result]:
    """Return a job, once it has ended, and what it left; raise as `wait_for` does.

    One that was stored just now (`new`) has hardly ended, so the first look waits for a hint, or for a moment.
    """
    patience = _Patience(store, timeout)
    if new:
        store.wait(None, MOMENT if timeout is None else max(0.0, min(MOMENT, timeout)))
    while (found := store.ended(id)) is None:
        patience.wait(lambda: [read_row(store, id)])
    return found


class _Patience:
    """How long somebody waits for ends who began now."""

    def __init__(self, store: Store, timeout: float | None) -> None:
        check_timeout(timeout)
        self._store, self._timeout = store, timeout
        self._end = math.inf if timeout is None else time.monotonic() + timeout
        self.begin_again()

    def begin_again(self) -> None:
        """Look often again, as something has ended."""
        self._pause = SHORTEST

    def wait(self, unfinished: Callable[[], Iterable[Row]]) -> None:
        """Sleep until a hint, or for a pause that is longer each time. Raise `TimeoutError` if the time has passed."""
        remaining = min(self._pause, self._end - time.monotonic())
        if remaining <= 0:
            names = name_unfinished(self._store, unfinished())
            raise TimeoutError(f"after {self._timeout:g} s these have not ended: {names}")
        if self._pause >= LONGEST and self._end == math.inf:
            refuse_lonely(self._store)
        self._store.wait(None, remaining)
        self._pause = min(LONGEST, self._pause * 1.5)


def check_timeout(timeout: float | None) -> None:
    """Raise `BadNode` unless this is a number of seconds that passes, or None for ever."""
    if timeout is not None and math.isnan(timeout):
        raise BadNode(f"timeout is a number of seconds, not {timeout}")


def refuse_lonely(store: Store) -> None:
    """Raise if the jobs live in this process and nothing in it runs them."""
    info = store.info()
    if info.facts.get("store") == "memory" and not info.sessions:
        raise WouldDeadlock(
            "nothing in this process works on memory:; call app.run_until_empty(), then ask for results"
        )


def name_unfinished(store: Store, rows: Iterable[Row]) -> str:
    """Return, in words, the tasks that are unfinished in the trees of these jobs."""
    names: list[str] = []
    more = 0
    for tree in sorted({row.tree for row in rows}):
        which = Which(tree=tree, states=UNFINISHED)
        found = store.jobs(which, Page(size=200))
        # A group is unfinished because of what stands under it, so that is named.
        names += [f"{name_row(row)} {row.state}" for row in found if row.lane.task] or [name_row(row) for row in found]
        more += sum(store.counts(which, "state").values()) - len(found)
    more += len(names[NAMED:])
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more else "")


def name_row(row: Row) -> str:
    """Return how messages call a job: its label or task, and its id."""
    return f"{row.label or row.lane.task or 'group'} ({row.id})"
