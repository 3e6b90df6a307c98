"""Emptying queues: taking out of them what has not begun.

What runs is left alone, and so are the jobs above it, which need its end. A tree of which nothing has begun is deleted;
of any other, what had not begun is cancelled and stays to be seen beside the rest.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from ramify.graph.fit import SUSPENDED, unexpired
from ramify.model import JobId, Page, Row, Rule, State, Step, Verb, Which
from ramify.stores.move import move
from ramify.stores.protocol import SLICE, Store
from ramify.stores.read import each_row, read_rows

UNBEGUN: Final = frozenset({State.HELD, State.WAITING, State.READY})
PAUSE: Final = 60.0
"""Seconds after which a queue goes on by itself if we die while it is emptied; renewed for each page of jobs."""


class Emptied(Struct):
    """How many jobs were deleted, how many cancelled, and how many stay because something under them runs."""

    deleted: int = 0
    cancelled: int = 0
    kept: int = 0


def empty_queues(store: Store, queues: Sequence[str]) -> Emptied:
    """Remove what has not begun from these queues. Nothing begins there meanwhile, so that no running job is met."""
    emptied = Emptied()
    info = store.info()
    limits = unexpired(info.limits, info.now)
    ours = [name for queue in queues if (name := f"{SUSPENDED}queue:{queue}") not in limits]
    try:
        seen: set[JobId] = set()
        after: JobId | None = None
        which = Which(states=UNBEGUN, queues=frozenset(queues))
        while True:
            for name in ours:
                store.limit(name, Rule(0, store.info().now + PAUSE))
            page = store.jobs(which, Page(after, SLICE))
            if not page:
                return emptied
            after = page[-1].id
            _remove(store, page, frozenset(queues), seen, emptied)
    finally:
        for name in ours:
            store.limit(name, None)


def _remove(store: Store, page: Sequence[Row], queues: frozenset[str], seen: set[JobId], emptied: Emptied) -> None:
    """Remove the trees of these jobs, or what of them has not begun. `seen` are trees of several jobs met before."""
    single = [row.id for row in page if row.id == row.tree and not row.size and not row.waits]
    whole, parts = list(single), list[Row]()
    sizes = dict.fromkeys(single, 1)
    for tree in dict.fromkeys(row.tree for row in page if row.id not in sizes):
        if tree in seen:
            continue
        seen.add(tree)
        rows = [row for row in each_row(store, Which(tree=tree, states=UNBEGUN, queues=queues)) if _is_unbegun(row)]
        if len(rows) == sum(store.counts(Which(tree=tree), "state").values()):
            whole.append(tree)
            sizes[tree] = len(rows)
        else:
            parts += rows
    free = _without_busy(store, parts, queues)
    emptied.kept += len(parts) - len(free)
    # Those above first: what is under them goes with them.
    _move(store, [*whole, *(row.id for row in reversed(free))], Verb.CANCEL)
    _move(store, whole, Verb.PURGE)
    left = read_rows(store, whole).keys()
    emptied.deleted += sum(n for tree, n in sizes.items() if tree not in left)
    emptied.cancelled += len(free) + sum(n for tree, n in sizes.items() if tree in left)


def _is_unbegun(row: Row) -> bool:
    return row.lane.task is None or row.step is Step.RUN  # else its body is over, and it waits for what that added


def _without_busy(store: Store, rows: Sequence[Row], queues: frozenset[str]) -> list[Row]:
    """Return those under which nothing runs and nothing unfinished is of another queue."""
    busy: set[JobId] = set()
    for tree in dict.fromkeys(row.tree for row in rows):
        parents = {row.id: row.parent for row in each_row(store, Which(tree=tree))}
        for row in _others(store, tree, queues):
            above = row.parent
            while above is not None and above not in busy:
                busy.add(above)
                above = parents.get(above)
    return [row for row in rows if row.id not in busy]


def _others(store: Store, tree: JobId, queues: frozenset[str]) -> Iterator[Row]:
    for row in each_row(store, Which(tree=tree, states=UNBEGUN | {State.RUNNING})):
        if row.state is State.RUNNING or row.lane.queue not in queues:
            yield row


def _move(store: Store, ids: Sequence[JobId], verb: Verb) -> None:
    for start in range(0, len(ids), SLICE):
        move(store, Which(ids=tuple(ids[start : start + SLICE])), verb)
