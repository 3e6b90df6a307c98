"""What becomes of a batch when it meets what is stored: replaced rows, edges that are settled already, states, times.

Stores look the facts up under their lock, ask here, and write what comes back. Asking twice gives the same answer, so
a step that failed may be repeated with the same batch.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from ramify.model import ENDED, Batch, Edge, JobId, Row, State, is_good


class Arrival(Struct):
    """Rows and edges to insert, and what the edges into the stored job `batch.into` add to its counters."""

    rows: list[Row]
    edges: list[Edge]
    waits: int = 0
    bads: int = 0


def resting_state(hold: JobId | None, waits: int) -> State:
    """Return the state of a row that neither runs nor has ended."""
    if hold is not None:
        return State.HELD
    return State.WAITING if waits else State.READY


def find_aliases(batch: Batch, stored: Mapping[JobId, JobId]) -> dict[JobId, JobId]:
    """Return the rows that are not added, each with the job that stands for it: a stored one, as found by its `unless`,
    else an earlier row that bears the mark, as if that had come in a batch before. Such rows wait for nothing, so no
    cycle comes of it.
    """
    aliases: dict[JobId, JobId] = {}
    bearers: dict[str, JobId] = {}
    for id in sorted(batch.unless):
        alias = stored.get(id) or bearers.get(batch.unless[id].mark)
        if alias is not None:
            aliases[id] = alias
        else:
            bearers |= {mark: id for mark in batch.marks.get(id, ()) if mark not in bearers}
    return aliases


def stored_befores(batch: Batch, aliases: Mapping[JobId, JobId]) -> list[JobId]:
    """Return the stored jobs that edges of the batch start at, aliases included, in order."""
    own = {row.id for row in batch.rows} - aliases.keys()
    return sorted({aliases.get(edge.before, edge.before) for edge in batch.edges} - own)


def rename(id: JobId | None, aliases: Mapping[JobId, JobId]) -> JobId | None:
    """Return the job that stands for this one."""
    return None if id is None else aliases.get(id, id)


def arrive(
    batch: Batch, states: Mapping[JobId, State], aliases: Mapping[JobId, JobId], lowest_place: int, now: float
) -> Arrival:
    """Return what to store. `states` are those of all stored predecessors, `lowest_place` that of edges into `into`."""
    rows, edges = batch.rows, batch.edges
    if aliases:
        rows = [_with_children_renamed(row, aliases) for row in rows if row.id not in aliases]
        edges = [_started_at(edge, aliases.get(edge.before)) for edge in edges]
    if batch.into is not None and lowest_place < 0:
        edges = [_moved_below(edge, lowest_place) if edge.after == batch.into else edge for edge in edges]
    arrival = Arrival(rows, edges)
    if states:
        _settle_early(arrival, states)
    for edge in edges if batch.into is not None else ():
        if edge.after == batch.into:
            arrival.waits += edge.verdict is None
            arrival.bads += edge.bad
    for row in arrival.rows:
        row.state = resting_state(row.hold, row.waits)
    arrival.rows = [_with_times(row, batch.delays.get(row.id), now) for row in arrival.rows]
    return arrival


def _settle_early(arrival: Arrival, states: Mapping[JobId, State]) -> None:
    """Give edges from ended jobs their verdict and recount the rows they lead to."""
    touched = set()
    for edge in arrival.edges:
        state = states.get(edge.before)
        if state is not None:
            edge.verdict = state if state in ENDED else None
            touched.add(edge.after)
    counts = {id: [0, 0] for id in touched}
    for edge in arrival.edges:
        if edge.after in counts:
            counts[edge.after][0] += edge.verdict is None
            counts[edge.after][1] += edge.verdict is not None and not is_good(edge.kind, edge.when, edge.verdict)
    # Copies: should this step fail, the batch still says what it was planned to say.
    arrival.rows = [_with_counts(row, *counts[row.id]) if row.id in counts else row for row in arrival.rows]


def _with_counts(row: Row, waits: int, bads: int) -> Row:
    return msgspec.structs.replace(row, waits=waits, bads=bads)


def _with_times(row: Row, delay: float | None, now: float) -> Row:
    """Return the row with its times by the store's clock; most rows have none."""
    if row.due is None and row.limit is None and delay is None:
        return row
    due = row.due if delay is None else now + delay
    deadline = now + row.limit if row.limit is not None and row.hold is None else None
    return msgspec.structs.replace(row, due=None if due is None or due <= now else due, deadline=deadline)


def _with_children_renamed(row: Row, aliases: Mapping[JobId, JobId]) -> Row:
    last, barrier = rename(row.last, aliases), rename(row.barrier, aliases)
    if (last, barrier) == (row.last, row.barrier):
        return row
    return msgspec.structs.replace(row, last=last, barrier=barrier)


def _started_at(edge: Edge, alias: JobId | None) -> Edge:
    return edge if alias is None else msgspec.structs.replace(edge, before=alias)


def _moved_below(edge: Edge, lowest_place: int) -> Edge:
    return edge if edge.place >= 0 else msgspec.structs.replace(edge, place=edge.place + lowest_place)
