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
    seen: set[JobId] = set()
    while True:
        seen.add(row.id)
        failure = read_failure(store, row.id)
        following = failure.cause if failure is not None else row.parent if row.state is State.CANCELLED else None
        if following is None or following in seen:
            return row, failure
        before = store.jobs(Which(ids=(following,)))
        # A cancelled job blames the one above it only if that was cancelled too.
        if not before or (failure is None and before[0].state is not State.CANCELLED):
            return row, failure
        row = before[0]


def read_failure(store: Store, id: JobId) -> Failure | None:
    """Return what went wrong in this job itself, as far as it is known."""
    return next((result.failure for result in store.results([id])), None)


def say(failure: Failure) -> str:
    """Return a failure in words."""
    if not failure.type or failure.message.startswith(failure.type):
        return failure.message
    return f"{failure.type}: {failure.message}" if failure.message else failure.type
