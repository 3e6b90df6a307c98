"""What can be put right in a damaged store: only what follows from the facts that are left.

Edges and ends are facts; counters, resting states and arrays follow from them. Results that are gone, jobs that are
gone and ends that contradict each other do not follow from anything, and are left to people.
"""

from collections.abc import Iterable
from copy import copy

from ramify.checkup import Mending, Snapshot
from ramify.graph.arrive import resting_state
from ramify.graph.check import Facts, contradicts
from ramify.model import ENDED, Edge, JobId, Row, State, Verb, Work


def find_mending(snapshot: Snapshot) -> Mending:
    """Return what is to be done so that rows follow from the facts again; nothing for a store that is sound."""
    facts = Facts(snapshot)
    mending = Mending(
        drop=[work for work in snapshot.work if work.job not in facts.rows],
        reopen=[edge for row in snapshot.rows for edge in _wrong_edges(row, facts)],
    )
    reopened = {(edge.after, edge.place) for edge in mending.reopen}
    for row in snapshot.rows:
        if row.tree in facts.purging:
            continue
        mended = _mend(row, facts, reopened)
        if mended != row:
            mending.rows.append((row, mended))
        if mended.cancelled and mended.state not in ENDED | {State.RUNNING} and not facts.is_opening(row):
            mending.cancel.append(row.id)
    mending.work = [*_missing_spreads(facts, reopened), *_missing_releases(facts)]
    return mending


def _wrong_edges(row: Row, facts: Facts) -> Iterable[Edge]:
    """Return bad verdicts that are not the end of the job before, of a job that has not drawn its conclusion yet."""
    if row.state in ENDED or row.tree in facts.purging:
        return
    for edge in facts.edges_into(row):
        if edge.bad and edge.verdict != facts.rows[edge.before].state and not facts.is_spreading(edge.before):
            yield edge


def _mend(row: Row, facts: Facts, reopened: set[tuple[JobId, int]]) -> Row:
    """Return the row as it should be; its counters stay where they may count an edge or a job that is gone."""
    mended, edges = copy(row), facts.edges_into(row)
    if len(edges) == len(facts.into.get(row.id, [])) and row.id not in facts.maimed:
        open_ = [edge for edge in edges if edge.verdict is None or (edge.after, edge.place) in reopened]
        mended.waits = len(open_) + facts.is_opening(row)
        mended.bads = sum(edge.bad for edge in edges) - sum(edge.verdict is not None for edge in open_)
        _mend_array(mended, edges)
    if row.hold is not None and (row.hold not in facts.rows or row.state in ENDED):
        mended.hold = None
    if row.state in ENDED:
        mended.session = None
        mended.waits = row.waits if row.state is State.CANCELLED and row.waits == mended.waits else mended.waits
        return mended
    mended.ended = None
    if row.state is State.RUNNING and row.session in facts.sessions and not (mended.waits or mended.hold):
        return mended
    mended.session = None
    mended.state = resting_state(mended.hold, mended.waits)
    return mended


def _mend_array(row: Row, edges: Iterable[Edge]) -> None:
    children = {edge.place: edge.before for edge in edges if edge.place >= 0}
    if children.keys() == set(range(len(children))):
        row.size, row.last = len(children), children.get(len(children) - 1)


def _missing_spreads(facts: Facts, reopened: set[tuple[JobId, int]]) -> Iterable[Work]:
    """Return spreads for ended jobs that have not settled an edge: a spread passes over those that are.

    An end that the rest of the job contradicts is not passed on: who waits for it would begin too early.
    """
    found: dict[JobId, None] = {}
    for edge in facts.snapshot.edges:
        before = facts.rows.get(edge.before)
        is_open = edge.verdict is None or (edge.after, edge.place) in reopened
        if before is None or not is_open or before.state not in ENDED or facts.is_spreading(before.id):
            continue
        if not contradicts(before, facts):
            found[before.id] = None
    return [Work(job, Verb.SPREAD) for job in found]


def _missing_releases(facts: Facts) -> Iterable[Work]:
    """Return releases for jobs that hold others but are not held themselves."""
    found: dict[JobId, None] = {}
    for row in facts.snapshot.rows:
        holder = facts.rows.get(row.hold or "")
        if holder is not None and holder.hold is None and not facts.lets_go(holder.id):
            found[holder.id] = None
    return [Work(job, Verb.RELEASE) for job in found]
