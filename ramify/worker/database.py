"""The user's database as tasks with `tx=True` see it, in the process that runs them: a transaction for each run.

It is committed with the job's outcome, in one step with it, if the job is still ours; else it never was.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import psycopg
from msgspec.structs import replace
from psycopg.pq import TransactionStatus

from ramify.errors import Lost, RamifyError, StoreDown
from ramify.known import Known
from ramify.lines import Lines
from ramify.model import Claim, Ended, Failure, JobId, Line, Outcome, Payload, Refusal, Row, State
from ramify.stores.open import open_store
from ramify.stores.transactional import Transactional
from ramify.worker.call import Call, Report
from ramify.worker.decide import decide, homes_of
from ramify.worker.trouble import explain, names_of

LOST: Final = "crashed"
"""The kind of a failure that is no fault of the job's: the run came to nothing, and there is another one."""

CLASHES: Final = {"psycopg.errors.DeadlockDetected", "psycopg.errors.SerializationFailure"}
"""Errors after which the same transaction may succeed."""

ABORTED: Final = (
    "an error in its transaction was caught, and PostgreSQL takes nothing more after one; "
    "put `with current().tx.transaction():` around what may fail"
)
OVER: Final = "it ended the transaction of current().tx itself; that is done when the function returns"


class Refused(Exception):
    """The transaction cannot be committed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Database:
    """A connection to the database that the jobs are in, opened when a run first asks for it, and then kept."""

    def __init__(self, url: str, modules: Sequence[str]) -> None:
        store = open_store(url)
        assert isinstance(store, Transactional)
        self._store, self._known = store, Known(store, modules)
        self._connection: psycopg.Connection[Any] | None = None
        self._block: psycopg.Transaction | None = None
        self._down = False

    def begin(self) -> psycopg.Connection[Any]:
        """Return the connection, in the transaction of this run. Raise `StoreDown` if the server cannot be reached."""
        if self._block is not None and self._connection is not None:
            return self._connection
        self._down = True
        connection = self._begin()
        self._down = False
        return connection

    def _begin(self) -> psycopg.Connection[Any]:
        used = self._connection
        if used is not None:
            with suppress(psycopg.Error):  # it may have been cut while nobody used it
                self._block = psycopg.Transaction(used)
                self._block.__enter__()
                return used
            self._close()
        connection: psycopg.Connection[Any] = self._store.connect()
        self._connection = connection
        try:
            self._block = psycopg.Transaction(connection)
            self._block.__enter__()
        except psycopg.Error as error:
            self._close()
            raise StoreDown(f"the database of current().tx: {error}") from error
        return connection

    def say(self, call: Call, lines: Lines) -> bool:
        """Add lines to the log of a job that is in its transaction, beside that; return whether that was done."""
        if self._block is None or call.tx is None:
            return False
        with suppress(StoreDown, ValueError):  # the supervisor does it, or says why it cannot
            self._store.append(call.tx[1], [Line(call.job, text, stream) for stream, text in lines])
            return True
        return False

    def end(self, call: Call, report: Report) -> None:
        """Commit what the run did with its outcome, or roll it back; say in the report which, and why."""
        block, self._block = self._block, None
        down, self._down = self._down, False
        connection = self._connection
        if block is None or connection is None:
            if down and report.failure is not None:
                report.failure = replace(report.failure, kind=LOST)
        elif report.failure is None:
            self._commit(call, report, connection, block)
        else:
            if connection.broken or not CLASHES.isdisjoint(report.names):
                report.failure = replace(report.failure, kind=LOST)
            self._roll_back(connection, block)

    def _commit(
        self, call: Call, report: Report, connection: psycopg.Connection[Any], block: psycopg.Transaction
    ) -> None:
        try:
            self._end(call, report, connection)
            block.__exit__(None, None, None)
            if block.status is not block.Status.COMMITTED:  # the connection broke just before
                raise StoreDown("the database of current().tx was lost before the commit")
            report.kept = True
            return
        except Refused as error:
            failure, names = error.failure, [error.failure.type]
        except (Lost, StoreDown) as error:
            failure, names = explain(error, LOST), []
        except (psycopg.Error, RamifyError) as error:  # a constraint that is checked at the end, a mistake in a node
            names = names_of(error)
            again = connection.broken or not CLASHES.isdisjoint(names)
            failure = explain(error, LOST if again else "error")
        self._close()
        report.failure, report.names, report.spawned, report.siblings = failure, names, None, None

    def _end(self, call: Call, report: Report, connection: psycopg.Connection[Any]) -> None:
        """End the job in the transaction."""
        status = connection.info.transaction_status
        if status is not TransactionStatus.INTRANS:
            raise Refused(Failure("error", ABORTED if status is TransactionStatus.INERROR else OVER))
        assert call.tx is not None
        self._known.prepare([*(report.spawned or ()), *(report.siblings or ())])
        homes = homes_of(Claim(Row(call.job, call.tree, call.parent), Payload()), report)
        within = self._store.within(connection)
        refusal = within.end(call.tx[1], call.job, homes, partial(_decide, call, report))
        if refusal is not None:
            raise Refused(_say(refusal))

    def _roll_back(self, connection: psycopg.Connection[Any], block: psycopg.Transaction) -> None:
        with suppress(psycopg.Error):
            block.__exit__(psycopg.Rollback, psycopg.Rollback(), None)
            if connection.info.transaction_status is TransactionStatus.IDLE:
                return
        self._close()

    def _close(self) -> None:
        connection, self._connection, self._block = self._connection, None, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Let go of the database."""
        self._close()
        self._store.close()


def _decide(call: Call, report: Report, rows: Mapping[JobId, Row]) -> Outcome:
    # The attempt is ours, whatever the row says: if another has the job now, the store refuses this outcome.
    row = replace(rows[call.job], attempt=call.attempt)
    outcome = decide(Claim(row, Payload()), report, {**rows, row.id: row}, 0.0)
    if isinstance(outcome, Ended) and outcome.state is State.FAILED and outcome.failure is not None:
        raise Refused(outcome.failure)
    return outcome


def _say(refusal: Refusal) -> Failure:
    if refusal.kind == "bad":
        return Failure("result", f"what it added was refused: {refusal.reason}")
    return Failure(LOST, refusal.reason or "it was not its worker's any more, so its transaction was rolled back")
