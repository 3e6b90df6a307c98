"""From what happened to a claimed job to the outcome that is reported. Policy only: nothing here runs or stores.

What ended badly is tried again by `graph.retry`; what was added is planned by `graph.plan`; jobs that only end are
decided by `graph.ends`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from ramify.graph.ends import decide_end
from ramify.graph.plan import Into, plan
from ramify.graph.retry import delay_before_retry
from ramify.graph.sketch import Flat
from ramify.ids import make_ids
from ramify.model import (
    Again,
    Array,
    Charge,
    Claim,
    Edge,
    Ended,
    Failure,
    Grown,
    JobId,
    Outcome,
    Result,
    Row,
    State,
    Value,
)
from ramify.worker.call import Report
from ramify.worker.trouble import explain

MAX_CRASHES: Final = 3
MAX_LOSSES: Final = 10
LONGEST_PAUSE: Final = 60.0
"""Seconds before a job that lost its database is tried again, at most; a server may take minutes to come back."""
FINAL: Final = "ramify.errors.Fail"


def decide(claim: Claim, report: Report, homes: Mapping[JobId, Row], luck: float, cancelled: bool = False) -> Outcome:
    """Return the outcome of a run. `homes` are rows that gain nodes, as they are stored now (see `homes_of`)."""
    row = claim.row
    if report.failure is not None:
        if cancelled:
            return Ended(row.id, row.attempt, State.CANCELLED, failure=report.failure)
        if report.failure.kind == "crashed":
            return _decide_again(claim, report.failure, min(LONGEST_PAUSE, 0.25 * 2**row.losses))
        return decide_failure(claim, report.failure, report.names, luck)
    value = Value(report.json, report.spread)
    if not (report.siblings or report.spawned):
        return Ended(row.id, row.attempt, State.DONE, value)
    try:
        batches = [
            plan(flats, make_ids, _into(homes.get(home, row) if home == row.id else homes[home]))
            for home, flats in _added(claim, report).items()
        ]
    except Exception as error:  # noqa: BLE001 -- a job may write into its pipe: a sketch that makes no sense is its own fault
        return Ended(row.id, row.attempt, State.FAILED, failure=explain(error, "result"))
    return Grown(row.id, row.attempt, batches[0], value=value, beside=batches[1] if batches[1:] else None)


def homes_of(claim: Claim, report: Report) -> list[JobId]:
    """Return which stored jobs the report adds nodes to."""
    return [] if report.failure is not None else list(_added(claim, report))


def _added(claim: Claim, report: Report) -> dict[JobId, list[Flat]]:
    """Return what the report adds, by the job that gains it. The siblings of a root are its children."""
    row, spawned, siblings = claim.row, report.spawned or [], report.siblings or []
    if row.parent is None:
        spawned, siblings = _joined(spawned, siblings), []
    added = {row.id: spawned, row.parent or "": siblings}
    return {home: flats for home, flats in added.items() if flats}


def _into(home: Row) -> Into:
    return Into(home.id, home.tree, Array(home.size, home.last, home.barrier), home.lane.queue, home.priority)


def _joined(first: list[Flat], second: list[Flat]) -> list[Flat]:
    """Return two sketches as one: numbers in the second move up."""
    offset = len(first)
    return first + [
        replace(
            flat,
            parent=flat.parent + (offset if flat.parent >= 0 else 0),
            children=[child + offset for child in flat.children],
            after=[(before + offset if isinstance(before, int) else before, when) for before, when in flat.after],
            slots=[(before + offset if isinstance(before, int) else before, path) for before, path in flat.slots],
        )
        for flat in second
    ]


def decide_failure(claim: Claim, failure: Failure, names: Sequence[str], luck: float) -> Outcome:
    """Return another try if the job's policy has one left, else the end."""
    row, policy = claim.row, claim.payload.policy
    delay = None
    if policy.repeatable and FINAL not in names:
        delay = delay_before_retry(policy.retry, row.tries, failure, names, luck)
    if delay is None:
        return Ended(row.id, row.attempt, State.FAILED, failure=failure)
    return Again(row.id, row.attempt, delay, Charge.TRY, failure)


def decide_crash(claim: Claim, death: str) -> Outcome:
    """Return what becomes of a job whose process died under it; `death` says how (`signal 9, 812 MB at most`)."""
    row = claim.row
    crashes = row.crashes + 1
    times = f"{crashes} times" if crashes > 1 else "once"
    failure = Failure("crashed", f"its process died {times}, the last time by {death}")
    if not claim.payload.policy.repeatable or crashes >= MAX_CRASHES:
        return Ended(row.id, row.attempt, State.FAILED, failure=failure)
    return Again(row.id, row.attempt, 0.0, Charge.CRASH, failure)


def decide_loss(claim: Claim) -> Outcome:
    """Return what becomes of a job whose worker was lost."""
    row = claim.row
    losses = row.losses + 1
    failure = Failure("crashed", f"its worker was lost, {losses} times so far")
    if row.cancelled:
        return Ended(row.id, row.attempt, State.CANCELLED, failure=failure)
    return _decide_again(claim, failure)


def _decide_again(claim: Claim, failure: Failure, delay: float = 0.0) -> Outcome:
    """Return another try, unless the job was lost too often: with its worker, or with the database that it ends in."""
    row = claim.row
    if not claim.payload.policy.repeatable or row.losses + 1 >= MAX_LOSSES:
        return Ended(row.id, row.attempt, State.FAILED, failure=failure)
    return Again(row.id, row.attempt, delay, Charge.LOSS, failure)


def decide_interrupted(claim: Claim, why: str) -> Outcome:
    """Return what becomes of a job that was stopped through no fault of its own."""
    row = claim.row
    failure = Failure("crashed", f"it was stopped: {why}")
    if not claim.payload.policy.repeatable:
        return Ended(row.id, row.attempt, State.FAILED, failure=failure)
    return Again(row.id, row.attempt, 0.0, Charge.NOTHING, failure)


def is_suspect(row: Row) -> bool:
    """Tell whether the job may be what kills its processes, so that it must run alone."""
    return row.crashes >= MAX_CRASHES - 1 or row.losses >= MAX_CRASHES - 1


def end(row: Row, bad_edges: Sequence[Edge], causes: Mapping[JobId, Result]) -> Ended:
    """Return the end of a job that no longer runs, from its bad edges and what the jobs before them left."""
    state, before = decide_end(bad_edges)
    if before is None:
        return Ended(row.id, row.attempt, state)
    verdict = next(edge.verdict for edge in bad_edges if edge.before == before)
    left = causes.get(before)
    failure = left.failure if left else None
    if failure is not None and failure.kind == "cause":
        return Ended(row.id, row.attempt, state, failure=failure)
    told = f": {failure.message}" if failure is not None else ""
    message = f"job {before} ended {verdict.value if verdict else 'otherwise than asked'}{told}"
    return Ended(row.id, row.attempt, state, failure=Failure("cause", message, cause=before))
