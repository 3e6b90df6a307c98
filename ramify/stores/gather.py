"""Results as their readers want them: a group's is the list of its children's, at any depth.

Results are stored once, where they arose; what a group returned is put together here from the stored JSON, without
decoding it and without recursion.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from ramify.errors import NotFound, TooLarge
from ramify.model import Edge, JobId, Kind, Page, Value, Which
from ramify.stores.protocol import SLICE, Store

T = TypeVar("T")
ROOM = 64 << 20


def gather(store: Store, ids: Iterable[JobId], room: int = ROOM) -> dict[JobId, Value]:
    """Return the results of these jobs, which are done. Raise `TooLarge` if they take more than `room` bytes."""
    wanted = sorted(set(ids))
    children = _read_groups(store, wanted)
    leaves = {id for id in wanted if id not in children}.union(*children.values()) - children.keys()
    values = _read_values(store, sorted(leaves), room)
    _assemble(children, values, room)
    return {id: values[id] for id in wanted}


def pages(items: Sequence[T], size: int = SLICE) -> Iterator[Sequence[T]]:
    """Cut a sequence into pages."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def read_children(store: Store, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
    """Return the children of these jobs in order of position; an empty list for one without."""
    children: dict[JobId, list[JobId]] = {id: [] for id in ids}
    start: Edge | None = None
    while page := store.edges(ids, start=start):
        for edge in page:
            if edge.kind is Kind.CHILD and edge.place >= 0:
                children[edge.after].append(edge.before)
        start = page[-1]
    return children


def _read_groups(store: Store, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
    """Return, for every group without body among and under `ids`, its children."""
    groups: dict[JobId, list[JobId]] = {}
    seen = set(ids)
    level = list(ids)
    while level:
        bodiless: list[JobId] = []
        for page in pages(level):
            rows = store.jobs(Which(ids=tuple(page)), Page(size=len(page)))
            if len(rows) < len(page):
                missing = set(page) - {row.id for row in rows}
                raise NotFound(f"job {min(missing)} is not stored (any more)")
            bodiless += [row.id for row in rows if row.lane.task is None]
        found: dict[JobId, list[JobId]] = {}
        for page in pages(bodiless):
            found |= read_children(store, page)
        groups |= found
        level = sorted(set().union(*found.values()) - seen) if found else []
        seen.update(level)
    return groups


def _read_values(store: Store, ids: Sequence[JobId], room: int) -> dict[JobId, Value]:
    values: dict[JobId, Value] = {}
    left = list(ids)
    while left:
        page = store.results(left[:SLICE])
        if not page:
            raise NotFound(f"the result of job {left[0]} is not stored (any more)")
        for result in page:
            values[result.job] = result.value or Value()
            room -= len(values[result.job].json)
        if room < 0:
            raise _too_large()
        left = left[len(page) :]
    return values


def _assemble(children: dict[JobId, list[JobId]], values: dict[JobId, Value], room: int) -> None:
    """Add to `values` what the groups returned, inner ones first."""
    for top in children:
        stack = [top]
        while stack:
            group = stack[-1]
            missing = [child for child in children[group] if child not in values]
            if missing:
                stack += missing
                continue
            stack.pop()
            text = b"[" + b",".join([values[child].json for child in children[group]]) + b"]"
            if len(text) > room:
                raise _too_large()
            values[group] = Value(text)


def _too_large() -> TooLarge:
    return TooLarge("the results together take more than a job may be given; pass fewer, or store them in files")
