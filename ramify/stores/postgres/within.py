"""The store as seen from a transaction of the caller's: jobs added there, and a job's end, are there if and only if
that transaction is committed. Nothing here commits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

import psycopg

from ramify.errors import BadStore, StoreDown
from ramify.model import Batch, Grown, JobId, Refusal, SessionId
from ramify.stores.engine import Engine, require_alive
from ramify.stores.postgres.borrowed import Borrowed, BorrowedStatements
from ramify.stores.postgres.server import Clash, raise_translated, wait_a_little
from ramify.stores.postgres.tables import PostgresTables
from ramify.stores.postgres.transaction import Alone, Hold
from ramify.stores.step import Step
from ramify.stores.tables import Tables
from ramify.stores.transactional import Decide

MakeTables: TypeAlias = Callable[[Borrowed, Hold], tuple[BorrowedStatements, PostgresTables]]

TRIES: Final = 10
"""How often the end of a job begins anew that others are in the way of. What the caller holds they may wait for."""

USUAL: Final = "read committed"


class Within(Engine):
    """What can be done to the store in a transaction of the caller's: `add`, and `end`."""

    def __init__(self, connection: object, make_tables: MakeTables, slice: int) -> None:
        self.slice = slice
        self._borrowed, self._make_tables = Borrowed(connection), make_tables
        self._hold = Hold.NONE

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[Tables]:
        self._borrowed.require_transaction()
        try:
            with self._borrowed.savepoint():
                step, tables = self._make_tables(self._borrowed, self._hold)
                yield tables
                step.ring()
        except (psycopg.Error, OSError) as error:
            raise_translated(error, "the database of tx=")

    def add(self, batch: Batch) -> dict[JobId, JobId]:
        if batch.unless or batch.request is not None:
            self._require_usual_isolation("a job that must not be there twice")
        try:
            return super().add(batch)
        except Clash as clash:
            raise StoreDown(f"others were in the way of this transaction: {clash}; do it again") from clash

    def end(self, session: SessionId, job: JobId, homes: Sequence[JobId], decide: Decide) -> Refusal | None:
        self._require_usual_isolation("the end of a job")
        self._hold = Hold.SHARED
        for n in range(TRIES):
            try:
                return self._end(session, job, homes, decide)
            except Alone:
                self._hold = Hold.ALONE
            except Clash:
                wait_a_little(n)
        raise StoreDown(f"others were in the way of the end of job {job} {TRIES} times")

    def _end(self, session: SessionId, job: JobId, homes: Sequence[JobId], decide: Decide) -> Refusal | None:
        with self._write() as tables:
            require_alive(tables, session)
            step = Step(tables, self.slice)
            rows = {row.id: row for row in step.load(dict.fromkeys([*homes, job]))}
            if job not in rows:
                return Refusal("lost")
            outcome = decide(rows)
            if isinstance(outcome, Grown) and rows[job].cancelled:
                return Refusal("cancelled", "it was cancelled before its transaction was committed")
            refused = step.take(session, [outcome])
            tables.wake(ready=True, ended=True)
            return refused.get(job)

    def _require_usual_isolation(self, what: str) -> None:
        # An older snapshot does not show what others have just added, so there would be two, or one waits for ever.
        self._borrowed.require_transaction()
        if (isolation := self._borrowed.isolation()) != USUAL:
            raise BadStore(
                f"{what} needs a transaction at {USUAL.upper()}, which is the server's default; this one is at "
                f"{isolation.upper()}"
            )
