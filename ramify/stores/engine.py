"""The verbs of the contract, as steps over tables: what every store with transactions shares."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

from ramify.checkup import Findings, Mending
from ramify.declared import Declaration
from ramify.errors import Changed, Lost
from ramify.graph.fit import DECLARED, Host, Room, choose, in_force, open_lanes, serves, unexpired
from ramify.model import (
    Batch,
    Beat,
    Claim,
    Clock,
    Exchange,
    Failure,
    JobId,
    Line,
    Outcome,
    Page,
    Progress,
    Result,
    Row,
    Rule,
    Session,
    SessionId,
    Verb,
    Want,
    Which,
)
from ramify.stores.protocol import SLICE, Store
from ramify.stores.read import read_end
from ramify.stores.step import Step
from ramify.stores.tables import Tables

LOOKED_INTO: Final = 16
"""How many lanes of others an exchange looks into before it wakes them; if there are more, it just wakes them."""


class Engine(ABC):
    """A store over tables. A subclass opens atomic steps, and reads."""

    slice: int = SLICE
    elsewhere: bool = False

    @abstractmethod
    def _write(self, durable: bool = True) -> AbstractContextManager[Tables]:
        """Open an atomic step: what it wrote is kept when the block ends, and nothing of it if the block raises.

        Those whom the step said to `wake` are woken once it is kept.

        A step that is not `durable` may be lost in a power cut, as if it had never been.
        """

    def add(self, batch: Batch) -> dict[JobId, JobId]:
        with self._write() as tables:
            if batch.request is not None and (root := tables.find_request(batch.request)) is not None:
                return {batch.rows[-1].id: root}
            if batch.clock is not None:
                _require_clock(tables, batch.clock)
            step = Step(tables, self.slice)
            step.require_held(batch.gates)
            if batch.into is not None:
                step.require_extensible(batch.into, batch)
            aliases = step.insert(batch)
            if batch.request is not None:
                tables.keep_request(batch.request, aliases.get(batch.rows[-1].id, batch.rows[-1].id))
            if batch.clock is not None:
                tables.set_clock(batch.clock.name, batch.clock.now)
            step.flush()
            tables.wake(ready=True, ended=False)
        return aliases

    def enter(self, session: Session) -> None:
        with self._write(durable=False) as tables:
            tables.open_session(session)

    def leave(self, session: SessionId) -> None:
        with self._write(durable=False) as tables:
            tables.bury(session)
            tables.wake(ready=True, ended=False)

    def exchange(self, session: SessionId, outcomes: Sequence[Outcome], want: Want) -> Exchange:
        reply = Exchange()
        # A claim that is lost in a power cut is an unclaimed job, so only outcomes need the disk.
        with self._write(durable=bool(outcomes)) as tables:
            require_alive(tables, session)
            step = Step(tables, self.slice)
            if outcomes:
                reply.refused = step.take(session, outcomes)
            drained = step.drain()
            tables.wake_due(self.slice)
            reply.claims = self._claim(tables, session, want)
            reply.cancels = tables.cancels(session)
            reply.more = tables.first_work() is not None
            due = tables.next_due()
            reply.due_in = None if due is None else max(0.0, due - tables.now())
            if outcomes or drained:
                tables.wake(_leaves_work(tables, want, reply), ended=True)
        return reply

    def _claim(self, tables: Tables, session: SessionId, want: Want) -> list[Claim]:
        chosen = tables.ready_ends(want.ends) if want.ends else []
        if want.n > 0:
            limits = unexpired(tables.limits(), tables.now())
            host = None
            if want.units is not None or (limits and f"host:{want.host}" in in_force(limits)):
                host = Host(want.host, want.units, tables.running_on(want.host))
            room = Room(limits, tables.running_by_lane() if limits else {}, host)
            lanes = open_lanes(tables.ready_lanes(), want, room)
            if room.is_endless and len(lanes) == 1:  # there is nothing to choose from
                return (tables.start(session, chosen) if chosen else []) + tables.start_in(session, lanes[0], want.n)
            candidates = [found for lane in lanes for found in tables.ready_in(lane, room.left(lane, want.n))]
            chosen = chosen + choose(candidates, want, room)
        return tables.start(session, chosen) if chosen else []

    def beat(self, session: SessionId, progress: Sequence[Progress]) -> Beat:
        with self._write(durable=False) as tables:
            if not tables.renew(session):
                raise _lost(session)
            if progress:
                tables.keep_progress(session, progress)
            return Beat(tables.cancels(session), tables.overdue(self.slice))

    def append(self, session: SessionId, lines: Sequence[Line]) -> None:
        with self._write(durable=False) as tables:
            tables.keep_lines(session, lines)
            tables.wake(ready=False, ended=True)

    def adopt(self, session: SessionId, n: int) -> list[Claim]:
        with self._write(durable=False) as tables:
            if not tables.renew(session):  # or it might bury itself
                raise _lost(session)
            tables.bury(None)
            return tables.take_over(session, n)

    def move(self, which: Which, verb: Verb, failure: Failure | None = None) -> int:
        with self._write() as tables:
            step = Step(tables, self.slice)
            found = [row.id for row in tables.select(which, Page(size=-1))]
            concerned = step.move(step.load(found), verb, failure)
            step.flush()
            tables.wake(ready=True, ended=True)
        return concerned

    def drain(self) -> bool:
        with self._write() as tables:
            Step(tables, self.slice).drain()
            more = tables.first_work() is not None
            tables.wake(ready=True, ended=True)
        return more

    def ended(self: Store, id: JobId) -> tuple[Row, Result] | None:
        return read_end(self, id)

    def examine(self) -> Findings:
        return Findings()  # a snapshot shows all that can go wrong, unless a subclass knows better

    def reindex(self) -> int:
        return 0  # tables keep their indexes themselves

    def mend(self, mending: Mending) -> int:
        with self._write() as tables:
            now = {row.id: row for row in tables.rows([before.id for before, _ in mending.rows])}
            rows = [after for before, after in mending.rows if now.get(before.id) == before]
            if rows:
                tables.write(rows)
            tables.reopen(mending.reopen)
            for work in mending.drop:
                tables.delist(work.job, work.verb)
            there = {row.id for row in tables.rows([work.job for work in mending.work])}
            for work in mending.work:
                if work.job in there:
                    tables.enlist(work)
            step = Step(tables, self.slice)
            cancelled = step.move(step.load(mending.cancel), Verb.CANCEL, None)
            step.flush()
            tables.wake(ready=True, ended=True)
        return len(rows) + len(mending.reopen) + len(mending.drop) + len(there) + cancelled

    def limit(self, name: str, rule: Rule | None) -> None:
        with self._write() as tables:
            tables.set_limit(name, rule)
            tables.wake(ready=True, ended=False)

    def declare(self, tasks: Sequence[Declaration], gone: Sequence[str] = ()) -> None:
        with self._write() as written:
            written.keep_tasks(tasks)
            written.forget_tasks(gone)
            for task in tasks:
                written.set_limit(f"{DECLARED}task:{task.name}", None if task.limit is None else Rule(task.limit))
            for name in gone:
                written.set_limit(f"{DECLARED}task:{name}", None)
            written.wake(ready=True, ended=False)

    def reset(self) -> None:
        with self._write() as tables:
            tables.reset()
            tables.wake(ready=True, ended=True)


def _leaves_work(tables: Tables, want: Want, reply: Exchange) -> bool:
    """Tell whether there may be something left for others: this worker took all it wanted, or does not serve it."""
    if reply.more or len(reply.claims) >= want.n:
        return True
    others = [lane for lane in tables.ready_lanes() if not serves(want, lane)]
    return len(others) > LOOKED_INTO or any(tables.ready_in(lane, 1) for lane in others)


def _require_clock(tables: Tables, clock: Clock) -> None:
    now = tables.clocks().get(clock.name)
    if now != clock.was:
        raise Changed(f"the clock {clock.name} stands at {now}, not at {clock.was}; somebody else has set it")


def require_alive(tables: Tables, session: SessionId) -> None:
    """Raise `Lost` unless the session may report."""
    if not tables.is_alive(session):
        raise _lost(session)


def _lost(session: SessionId) -> Lost:
    return Lost(f"session {session} is not alive; its jobs belong to another worker now")
