"""Why a job ended without a result, as the exception that whoever waits for it gets."""

from ramify.errors import JobCancelled, JobEnded, JobFailed, JobSkipped, TimedOut
from ramify.model import Failure, JobId, Row, State, Which
from ramify.stores.protocol import Store
from ramify.stores.read import name_row

ERRORS = {State.FAILED: JobFailed, State.CANCELLED: JobCancelled, State.SKIPPED: JobSkipped}


def error_of(store: Store, row: Row) -> JobEnded:
    """Return the exception for a job that ended otherwise than done; it names the job that was the first cause."""
    cause, failure = find_cause(store, row)
    if failure is not None and failure.kind == "limit":
        return TimedOut(f"{name_row(row)}: {failure.message}", row.id, failure)
    message = f"{name_row(row)} was {row.state}" if row.state is not State.FAILED else f"{name_row(row)} failed"
    if cause.id != row.id:
        message += f", because {name_row(cause)} {'' if cause.state is State.FAILED else 'was '}{cause.state}"
    if failure is not None and failure.kind != "cause":
        message += f": {say(failure)}"
    error = ERRORS[row.state](message, row.id, failure)
    if failure is not None and failure.traceback:
        error.add_note(f"in the job:\n{failure.traceback}")
    return error


def find_cause(store: Store, row: Row) -> tuple[Row, Failure | None]:
    """Return the job where the trouble began, and what went wrong there."""
    seen = {row.id}
    failure = read_failure(store, row.id)
    while (before := _blame(store, row, failure)) is not None and before.id not in seen:
        row, failure = before, read_failure(store, before.id)
        seen.add(row.id)
    return row, failure


def _blame(store: Store, row: Row, failure: Failure | None) -> Row | None:
    """Return the job that made this one end as it did; None if it was its own doing, or that is not stored any more."""
    if failure is not None:
        return _find(store, failure.cause)
    above = _find(store, row.parent) if row.state is State.CANCELLED else None
    if above is None or above.state is not State.CANCELLED:
        return None
    # A job that was cancelled because of one of its children did not cancel that child.
    itself = read_failure(store, above.id)
    return None if itself is not None and itself.kind == "cause" else above


def _find(store: Store, id: JobId | None) -> Row | None:
    return next(iter(store.jobs(Which(ids=(id,)))), None) if id is not None else None


def read_failure(store: Store, id: JobId) -> Failure | None:
    """Return what went wrong in this job itself, as far as it is known."""
    return next((result.failure for result in store.results([id])), None)


def say(failure: Failure) -> str:
    """Return a failure in words."""
    if not failure.type or failure.message.startswith(failure.type):
        return failure.message
    return f"{failure.type}: {failure.message}" if failure.message else failure.type
