"""Reading selections: rows by id, tree or state, a page at a time, edges of several jobs, and lines of a log."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from ramify.model import Edge, JobId, Kind, Lane, Line, Page, Row, State, Which
from ramify.stores.protocol import LOG
from ramify.stores.redis.records import decode_record, edge_key, read_edge, read_row
from ramify.stores.redis.transaction import Transaction

if TYPE_CHECKING:
    from ramify.stores.redis.tables import RedisTables

SIZE: Final = 1000
SHOWN: Final = {"ends": "ready", "ending": "running"}
"""What counts as something else in the store than where it is shown."""

Source = tuple[str, str]
"""A sorted set, and the text that its members of interest begin with."""


def select_rows(transaction: Transaction, lanes: dict[int, Lane], which: Which, page: Page) -> list[Row]:
    """Return a page of the selected rows in order of id, or newest first."""
    found: list[Row] = []
    size = SIZE if page.size < 0 else page.size
    for ids in _pages(transaction, which, page, min(size, SIZE)):
        for id, stored in zip(ids, transaction.ask([["HMGET", "job", *ids]])[0], strict=True):
            if stored is not None:
                row = read_row(id, stored, lanes)
                if _matches(row, which):
                    found.append(row)
        if 0 <= page.size <= len(found):
            return found[: page.size]
    return found


def count_rows(transaction: Transaction, lanes: dict[int, Lane], which: Which, by: str) -> dict[str, int]:
    """Return how many of the selected rows there are, by `state`, `queue` or `task`."""
    counts: dict[str, int] = {}
    if (
        which.ids is None
        and which.tree is None
        and which.under is None
        and not which.roots
        and which.ended_before is None
    ):
        for lane, shown, n in read_counts(transaction):
            state = "ready" if shown == "scheduled" else SHOWN.get(shown, shown)
            if _serves(lanes[lane], which) and (which.states is None or state in which.states):
                key = _key(lanes[lane], SHOWN.get(shown, shown), by)
                counts[key] = counts.get(key, 0) + n
        return counts
    for row in select_rows(transaction, lanes, which, Page(size=-1)):
        scheduled = row.state is State.READY and row.due is not None
        key = _key(row.lane, "scheduled" if scheduled else row.state.value, by)
        counts[key] = counts.get(key, 0) + 1
    return counts


def read_counts(transaction: Transaction) -> Iterator[tuple[int, str, int]]:
    """Yield (lane, shown state, number of jobs)."""
    [flat] = transaction.ask([["HGETALL", "count"]])
    for name, n in zip(flat[::2], flat[1::2], strict=True):
        lane, shown = name.decode().split(" ")
        if int(n):
            yield int(lane), shown, int(n)


def select_edges(
    tables: "RedisTables", ids: Sequence[JobId], out: bool, bad: bool, start: Edge | None, size: int
) -> list[Edge]:
    """Return the first edges into or out of these jobs, by (job, other end, place), beyond `start`."""
    first = "" if start is None else start.before if out else start.after
    found: list[Edge] = []
    asked = sorted(id for id in set(ids) if id >= first)
    tables.read_edges_ahead(asked[:size], out, size)
    for id in asked:
        after = start if id == first else None
        left = size - len(found)
        if out and bad:
            found += [edge for edge in tables.edges_out(id, _end(after), 1 << 40) if edge.bad][:left]
        elif out:
            found += tables.edges_out(id, _end(after), left)
        else:
            found += tables.edges_into(id, after.place if after else None, left, bad)
        if len(found) >= size:
            break
    return found


def _end(edge: Edge | None) -> tuple[JobId, int] | None:
    return (edge.after, edge.place) if edge else None


def _key(lane: Lane, shown: str, by: str) -> str:
    words = {"state": shown, "queue": lane.queue, "task": lane.task or ""}
    return " ".join(words[word] for word in by.split(" "))


def _serves(lane: Lane, which: Which) -> bool:
    return (which.queues is None or lane.queue in which.queues) and (which.tasks is None or lane.task in which.tasks)


def _matches(row: Row, which: Which) -> bool:
    return (
        _serves(row.lane, which)
        and (which.tree is None or row.tree == which.tree)
        and (which.states is None or row.state in which.states)
        and (not which.roots or row.parent is None)
        and (which.ended_before is None or (row.ended is not None and row.ended < which.ended_before))
    )


def _pages(transaction: Transaction, which: Which, page: Page, size: int) -> Iterator[list[JobId]]:
    """Yield ids that may be selected, in order, so many at a time."""
    if which.ids is not None or which.under is not None:
        given = sorted({id for id in _named(transaction, which) if _is_beyond(id, page)}, reverse=page.newest)
        yield from (given[start : start + SIZE] for start in range(0, len(given), SIZE))
        return
    sources: list[Source] = [
        (f"state:{state.value}", "") for state in State if which.states is None or state in which.states
    ]
    roots: list[JobId] = []
    if which.tree is not None:
        sources = [("tree", f"{which.tree} ")]
        roots = [which.tree] if _is_beyond(which.tree, page) else []
    last = page.after
    while True:
        found = {id for ids in _read(transaction, sources, last, size, page.newest) for id in ids}
        first = sorted(found | set(roots), reverse=page.newest)[:size]
        if not first:
            return
        yield first
        roots = [id for id in roots if id not in first]
        last = first[-1]


def _named(transaction: Transaction, which: Which) -> set[JobId]:
    """Return the ids that a selection names: those given, the children of a job, or what is both."""
    named = None if which.ids is None else set(which.ids)
    if which.under is None:
        return named or set()
    [[stored]] = transaction.ask([["HMGET", "job", which.under]])
    if stored is None:
        return set()
    record = decode_record(stored)
    keys = [edge_key(which.under, place) for place in range(record.low, record.high)]
    edges = zip(keys, transaction.get("edge", keys), strict=True)
    under = [read_edge(key, found) for key, found in edges if found is not None]
    children = {edge.before for edge in under if edge.kind is Kind.CHILD}
    return children if named is None else children & named


def _is_beyond(id: JobId, page: Page) -> bool:
    return page.after is None or (id < page.after if page.newest else id > page.after)


def _read(
    transaction: Transaction, sources: Sequence[Source], last: JobId | None, size: int, newest: bool
) -> Iterator[list[JobId]]:
    commands: list[list[str | int]] = []
    for key, begin in sources:
        low, high = (f"[{begin}", f"({begin[:-1]}!") if begin else ("-", "+")
        if newest:
            commands.append(["ZREVRANGEBYLEX", key, f"({begin}{last}" if last else high, low, "LIMIT", 0, size])
        else:
            commands.append(["ZRANGEBYLEX", key, f"({begin}{last}" if last else low, high, "LIMIT", 0, size])
    for (_, begin), members in zip(sources, transaction.ask(commands), strict=True):
        yield [member.decode()[len(begin) :] for member in members]


def select_lines(transaction: Transaction, job: JobId, after: int, size: int) -> list[Line]:
    """Return the first lines of a job's log beyond one number, at most `size`."""
    [told] = transaction.get("told", [job])
    last = int(told or 0)
    first = max(after, last - LOG) + 1
    numbers = range(first, min(last, first + size - 1) + 1)
    found = transaction.get("said", [f"{job} {number}" for number in numbers])
    lines = [(number, *msgspec.msgpack.decode(said)) for number, said in zip(numbers, found, strict=True) if said]
    return [Line(job, text, stream, number) for number, stream, text in lines]
