"""Results as their readers want them: a group's is the list of its children's, at any depth.

Results are stored once, where they arose; what a group returned is put together here from the stored JSON, without
decoding it and without recursion.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeVar

from ramify.errors import NotFound, TooLarge
from ramify.model import Edge, JobId, Kind, Page, Value, Which
from ramify.stores.protocol import SLICE, Store

T = TypeVar("T")
ROOM = 64 << 20


def gather(store: Store, ids: Iterable[JobId], room: int = ROOM) -> dict[JobId, Value]:
    """Return the results of these jobs, which are done. Raise `TooLarge` if they take more than `room` bytes."""
    wanted = sorted(set(ids))
    values: dict[JobId, Value] = {}
    groups: dict[JobId, list[JobId]] = {}
    level = wanted
    while level:
        without = _read_values(store, level, values, room)
        found = _read_groups(store, without)
        groups |= found
        level = sorted(set().union(*found.values()) - values.keys() - groups.keys()) if found else []
    _assemble(groups, values, room)
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


def _read_values(store: Store, ids: Sequence[JobId], values: dict[JobId, Value], room: int) -> list[JobId]:
    """Add the stored values of these jobs to `values`; return the jobs that have none."""
    without: list[JobId] = []
    left = list(ids)
    while left:
        page = store.results(left[:SLICE])
        for id, found in zip_longest(left[: len(page) or 1], (result.job for result in page)):
            if id != found:
                raise NotFound(f"job {id} is not stored (any more)")
        for result in page:
            if result.value is None:
                without.append(result.job)
            else:
                values[result.job] = result.value
        left = left[len(page) :]
    if sum(len(value.json) for value in values.values()) > room:
        raise _too_large()
    return without


def _read_groups(store: Store, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
    """Return the children of these jobs, which are groups without body."""
    groups: dict[JobId, list[JobId]] = {}
    for page in pages(ids):
        for row in store.jobs(Which(ids=tuple(page)), Page(size=len(page))):
            if row.lane.task is not None:
                raise NotFound(f"job {row.id} ({row.lane.task}) has no result: it is {row.state}")
        groups |= read_children(store, page)
    return groups


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
