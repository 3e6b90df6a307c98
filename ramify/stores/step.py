"""One atomic step of the algebra (`docs/decisions/0002-algebra.md`), over the tables of any store.

Rows are loaded once, changed in place and written when the step ends. The order in which entries are made is part of
the specification: stores are compared row by row.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Final, TypeVar

from msgspec.structs import replace

from ramify.errors import AlreadyReleased, Changed, Cycle, NotFound
from ramify.graph import walk
from ramify.graph.arrive import arrive, find_aliases, rename, resting_state, stored_befores
from ramify.model import (
    ENDED,
    UNDONE,
    Again,
    Back,
    Batch,
    Charge,
    Edge,
    Ended,
    Failure,
    Grown,
    JobId,
    Outcome,
    Page,
    Refusal,
    Row,
    SessionId,
    State,
    Verb,
    Which,
    Work,
)
from ramify.stores.rivals import Rivals, leave_taken
from ramify.stores.tables import Tables

PORTIONS: Final = 4
"""How many slices of edges a step settles at once: an entry of the worklist costs as much as a hundred edges."""

T = TypeVar("T")


class Step:
    """Loads rows, applies verbs to them, and writes what changed. Nothing is kept if the step is abandoned."""

    def __init__(self, tables: Tables, slice: int) -> None:
        self.tables, self.slice = tables, slice
        self._room = slice
        self._loaded: dict[JobId, tuple[Row, Row]] = {}
        self._ended: dict[JobId, State] = {}
        self._rivals = Rivals(tables)

    # Rows

    def load(self, ids: Iterable[JobId], share: bool = False) -> list[Row]:
        """Return these rows, as far as they exist, in the given order; changes to them are written by `flush`.

        With `share` they are only looked at, by other steps too.
        """
        ids = list(ids)
        missing = [id for id in ids if id not in self._loaded]
        for row in self.tables.rows(missing, share) if missing else ():
            self._loaded[row.id] = (row, copy(row))
        return [self._loaded[id][0] for id in ids if id in self._loaded]

    def find(self, id: JobId) -> Row | None:
        """Return one row, or None."""
        return next(iter(self.load([id])), None)

    def flush(self) -> None:
        """Write the rows that changed, and settle what ended."""
        changed = [row for row, before in self._loaded.values() if row != before]
        if changed:
            self.tables.write(changed)
        self._loaded.clear()
        self._rivals.forget()
        ended, self._ended = self._ended, {}
        self._settle(ended)

    def rest(self, row: Row) -> None:
        """Put a row that neither runs nor has ended into the state that its columns ask for."""
        if row.state not in ENDED and row.state is not State.RUNNING:
            row.state = resting_state(row.hold, row.waits)

    def _settle(self, ended: dict[JobId, State]) -> None:
        """Settle the edges out of ended jobs: a few slices of them at once, the rest through the worklist."""
        portions = [sorted(ended)] if ended else []
        groups: list[JobId] = []
        settled = 0
        while portions:
            ids = portions.pop()
            first_bad = self.tables.settle({id: ended[id] for id in ids}, self.slice) if settled < PORTIONS else None
            if first_bad is not None:
                groups += first_bad
                settled += 1
            elif len(ids) > 1 and settled < PORTIONS:
                portions += [ids[len(ids) // 2 :], ids[: len(ids) // 2]]
            else:
                for id in ids:
                    self.enlist(id, Verb.SPREAD)
        for group in groups:
            self._cancel_rest(group)

    def enlist(self, job: JobId, verb: Verb, origin: JobId | None = None) -> None:
        """Put a job on the worklist."""
        self.tables.enlist(Work(job, verb, "", origin))

    # Adding

    def insert(self, batch: Batch) -> dict[JobId, JobId]:
        """Store a batch whose conditions hold; return its aliases. Raise as `_admit` does, with nothing written."""
        aliases, befores = self._admit(batch)
        tables = self.tables
        if batch.into is not None:
            batch = self._held_as_now(batch, batch.into)
        if batch.unless:
            batch = leave_taken(tables, batch, aliases)
        lowest = tables.lowest_place(batch.into) if batch.into is not None else 0
        arrival = arrive(batch, {row.id: row.state for row in befores}, aliases, lowest, tables.now())
        tables.insert(batch, arrival)
        if batch.into is not None:
            [into] = self.load([batch.into])
            into.waits += arrival.waits
            into.bads += arrival.bads
            if batch.array is not None:
                into.size = batch.array.size
                into.last, into.barrier = rename(batch.array.last, aliases), rename(batch.array.barrier, aliases)
            self.rest(into)
        return aliases

    def _admit(self, batch: Batch) -> tuple[dict[JobId, JobId], list[Row]]:
        """Return the batch's aliases and stored predecessors. Raise `NotFound` or `Cycle` if it cannot be stored."""
        if not (batch.unless or batch.edges):  # it meets nothing that is stored
            return {}, []
        tables = self.tables
        found = {id: job for id, unless in batch.unless.items() if (job := tables.find_marked(unless)) is not None}
        # A purge that begins after we have locked a row waits for us; so what is being purged is looked up second.
        rows = self.load(found.values(), share=True)
        purging = tables.purging() if rows else set()
        going = {row.id for row in rows if row.tree in purging}
        aliases = find_aliases(batch, {id: job for id, job in found.items() if job not in going})
        if missing := [id for id, unless in batch.unless.items() if unless.required and id not in aliases]:
            task = next(row.lane.task for row in batch.rows if row.id == missing[0])
            raise NotFound(f"there is no job of {task} with these arguments, unfinished or done in time")
        befores = self.load(ids := stored_befores(batch, aliases), share=True)
        purging = tables.purging() if befores else set()
        if len(befores) < len(ids) or any(row.tree in purging for row in befores):
            known = {row.id for row in befores if row.tree not in purging}
            raise NotFound(f"job {min(set(ids) - known)} is not stored (any more), so nothing can wait for it")
        if batch.into is not None:
            undone = [row.id for row in befores if row.state is not State.DONE]  # what has ended may be retried
            walk.check_no_cycle(batch.into, undone, tables.successors)
        return aliases, befores

    def _held_as_now(self, batch: Batch, into: JobId) -> Batch:
        """Return the batch held by what holds `into`, or its tree, now. Gates and holds of its own stay as planned,
        and so do trees of their own that `into` will only wait for.
        """
        [above] = self.load([into])
        [root] = self.tables.select(Which(ids=(above.tree,)), Page())
        hold = above.hold or root.hold
        own = {row.id for row in batch.rows}.union(batch.gates)
        rows = [
            row if row.hold == hold or row.hold in own or row.tree != above.tree else replace(row, hold=hold)
            for row in batch.rows
        ]
        return replace(batch, rows=rows)

    def require_held(self, ids: Sequence[JobId]) -> None:
        """Raise `NotFound` or `AlreadyReleased` unless all these jobs are held."""
        rows = {row.id: row for row in self.load(ids)} if ids else {}
        for id in ids:
            if id not in rows:
                raise NotFound(f"job {id} is not stored")
            if rows[id].hold is None:
                raise AlreadyReleased(f"job {id} was let go already; only a held job can be extended")

    def require_extensible(self, into: JobId, batch: Batch) -> None:
        """Raise unless the batch may be added to the held job `into` as it was planned."""
        self.require_held([into])
        row = self.find(into)
        if row is not None and batch.array is not None and row.size != batch.planned_size:
            raise Changed(f"job {into} has {row.size} children by now, not {batch.planned_size}; plan again")

    # Outcomes

    def take(self, session: SessionId, outcomes: Sequence[Outcome]) -> dict[JobId, Refusal]:
        """Apply what a session reports; return what was refused, by job."""
        refused: dict[JobId, Refusal] = {}
        first = {outcome.job: outcome for outcome in reversed(outcomes)}
        ended = [outcome for outcome in first.values() if isinstance(outcome, Ended)]
        if ended:
            accepted = set(self.tables.end(session, ended))
            self._ended |= {outcome.job: outcome.state for outcome in ended if outcome.job in accepted}
            refused |= {outcome.job: Refusal("lost") for outcome in ended if outcome.job not in accepted}
        others = sorted((o for o in first.values() if not isinstance(o, Ended)), key=lambda o: o.job)
        rows = {row.id: row for row in self.load([outcome.job for outcome in others])}
        for outcome in others:
            row = rows.get(outcome.job)
            if row is None or (row.state, row.session, row.attempt) != (State.RUNNING, session, outcome.attempt):
                refused[outcome.job] = Refusal("lost")
            elif isinstance(outcome, Grown):
                refusal = self._grow(row, outcome)
                if refusal is not None:
                    refused[outcome.job] = refusal
            elif row.cancelled:
                self._end(row, State.CANCELLED, outcome.failure if isinstance(outcome, Again) else None)
            else:
                self._put_back(row, outcome)
        self.flush()
        return refused

    def _grow(self, row: Row, outcome: Grown) -> Refusal | None:
        batches = [batch for batch in (outcome.batch, outcome.beside) if batch is not None]
        for batch in batches:
            into = self.find(batch.into or row.id)
            if row.cancelled or into is None or into.cancelled:
                row.cancelled = True
                self._end(row, State.CANCELLED, None)
                return None
            if into is not row and (into.state in ENDED or into.state is State.RUNNING):
                return Refusal("bad", f"job {into.id} does not wait for this one any more; nothing can be added to it")
            if batch.array is not None and into.size != batch.planned_size:
                return Refusal("changed")
        try:
            for batch in batches:
                self.require_held(batch.gates)
            if outcome.beside is not None:
                self._admit(outcome.beside)  # or the children would be stored by the time the siblings are refused
            for batch in batches:
                self.insert(batch)
        except (AlreadyReleased, Cycle, NotFound) as error:
            return Refusal("bad", str(error))
        if outcome.value is not None:
            self.tables.keep_value(row.id, outcome.value)
        row.step, row.session, row.grown, row.state = outcome.then, None, True, State.WAITING
        self.rest(row)
        return None

    def _put_back(self, row: Row, outcome: Again | Back | Grown | Ended) -> None:
        row.session, row.state = None, State.WAITING
        if isinstance(outcome, Again):
            row.tries += outcome.charge is Charge.TRY
            row.crashes += outcome.charge is Charge.CRASH
            row.losses += outcome.charge is Charge.LOSS
            row.due = self.tables.now() + outcome.delay if outcome.delay > 0 else None
            row.grown = row.grown and outcome.charge is Charge.NOTHING
            if outcome.failure is not None:
                self.tables.keep_failure(row.id, outcome.failure)
        self.rest(row)

    def _end(self, row: Row, state: State, failure: Failure | None) -> None:
        row.state, row.session, row.hold, row.deadline = state, None, None, None
        row.ended = self.tables.now()
        self.tables.keep_failure(row.id, failure)
        self._ended[row.id] = state

    # Verbs of users

    def move(self, rows: Sequence[Row], verb: Verb, failure: Failure | None) -> int:
        """Apply a verb to loaded rows; return how many it concerned. What is being purged is left alone."""
        purging = self.tables.purging()
        rows = [row for row in rows if row.tree not in purging]
        if verb is Verb.CANCEL:
            return sum([self._cancel(row, failure) for row in rows])
        if verb is Verb.HOLD:
            return sum([self._hold(row, row.id) for row in rows])
        if verb is Verb.RETRY:
            concerned = self._retry_all(rows)
            self._rivals.tell([row.id for row in rows])
            return concerned
        apply = {Verb.RELEASE: self._release, Verb.PURGE: self._purge}[verb]
        return sum([apply(row) for row in rows])

    def _cancel(self, row: Row, failure: Failure | None) -> bool:
        if row.state is State.DONE:
            return False
        fresh = not row.cancelled
        row.cancelled = True
        if self.tables.edges_into(row.id, None, 1) or self.tables.held(row.id, 1):
            self.enlist(row.id, Verb.CANCEL, row.id)
        if row.state not in ENDED:
            opening = self.tables.find_work(row.id, Verb.SPREAD) is not None
            if row.state is not State.RUNNING and not opening:
                self._end(row, State.CANCELLED, failure)
                return fresh
            row.hold = None  # nothing holds up its end
            self.rest(row)
            if failure is not None:
                self.tables.keep_failure(row.id, failure)
        return fresh

    def _cancel_rest(self, group: JobId) -> None:
        """Cancel the children of a `fast` group; a cancel of the group itself that is on its way stays one."""
        before = self.tables.find_work(group, Verb.CANCEL)
        self.enlist(group, Verb.CANCEL, before.origin if before else None)

    def _hold(self, row: Row, origin: JobId) -> bool:
        if row.state in ENDED or row.cancelled or row.hold not in (None, origin):
            return False  # over, about to be, or held already with all that stands under it
        if row.state is State.RUNNING and row.id == origin:
            return False
        if row.id == origin:
            self.tables.delist(row.id, Verb.RELEASE)
        if self.tables.edges_into(row.id, None, 1):
            self.enlist(row.id, Verb.HOLD, origin)
        if row.state is not State.RUNNING:
            row.hold = origin
            self.rest(row)
        return True

    def _release(self, row: Row) -> bool:
        held = self.tables.held(row.id, 2)
        if not held:
            return False
        if row.hold == row.id:
            self._let_go(row)
        if held != [row.id]:
            self.enlist(row.id, Verb.RELEASE)
        return True

    def _let_go(self, row: Row) -> None:
        row.hold = None
        if row.limit is not None and row.deadline is None:
            row.deadline = self.tables.now() + row.limit
        self.rest(row)

    def _retry_all(self, rows: Sequence[Row]) -> int:
        rows = [row for row in rows if row.state in UNDONE]
        self._rivals.learn(row.id for row in rows)
        return sum([self._retry(row) for row in rows])

    def _retry(self, row: Row) -> bool:
        if self._rivals.find(row.id) is not None:
            return False
        if row.grown and row.step == "run":
            # What it waits for now are its needs, for all else was good when it asked for those. It will ask anew.
            self.tables.forgive(row.id)
            row.bads = 0
        row.cancelled, row.due, row.grown = False, None, False
        row.tries = row.crashes = row.losses = 0
        if row.limit is not None:
            row.deadline = self.tables.now() + row.limit
        if row.waits or row.bads:  # what it waits for may be about to be cancelled, or its end on the way
            self.enlist(row.id, Verb.RETRY)
        self._reopen(row)
        return True

    def _purge(self, row: Row) -> bool:
        if row.parent is not None or row.state not in ENDED or not self.tables.is_over(row.id):
            return False
        self.enlist(row.id, Verb.PURGE)
        return True

    def _reopen(self, row: Row) -> None:
        """Take an end back: the job waits again, and so does what it had settled."""
        row.state, row.ended = State.WAITING, None
        row.waits += 1
        self.rest(row)
        self.tables.keep_failure(row.id, None)
        self.tables.delist(row.id, Verb.SPREAD)
        self.enlist(row.id, Verb.SPREAD)

    # The worklist

    def drain(self) -> bool:
        """Do one slice of the worklist, oldest entry first; return whether there was anything."""
        self._room = self.slice
        while self._room > 0 and (work := self.tables.first_work()) is not None:
            self._drain_entry(work)
            self._room -= 1 + self.slice // 100  # an entry costs some ten statements, however little it touches
        return self._room < self.slice

    def _drain_entry(self, work: Work) -> None:
        apply = {
            Verb.SPREAD: self._drain_spread,
            Verb.CANCEL: self._drain_cancel,
            Verb.HOLD: self._drain_hold,
            Verb.RELEASE: self._drain_release,
            Verb.RETRY: self._drain_retry,
            Verb.PURGE: self._drain_purge,
        }[work.verb]
        if apply(work):
            self.tables.delist(work.job, work.verb)
        else:
            self.tables.advance(work)
        self.flush()

    def _drain_spread(self, work: Work) -> bool:
        [row] = self.load([work.job])
        beyond = _read_cursor(work.cursor)
        here, finished = self._take_room(self.tables.edges_out(row.id, beyond, self._room + 1))
        if here:
            work.cursor = f"{here[-1].after} {here[-1].place}"
        if row.state not in ENDED:
            self._open([edge for edge in here if edge.bad])
            if finished:
                row.waits -= 1
                self.rest(row)
                if row.cancelled:
                    self._end(row, State.CANCELLED, None)
        elif here:
            for group in self.tables.settle_slice(row.id, row.state, beyond, (here[-1].after, here[-1].place)):
                self._cancel_rest(group)
        return finished

    def _open(self, edges: Sequence[Edge]) -> None:
        rows = {row.id: row for row in self.load(dict.fromkeys(edge.after for edge in edges))}
        self.tables.reopen(edges)
        self._rivals.learn(id for id, row in rows.items() if row.state in ENDED)
        for edge in edges:
            row = rows[edge.after]
            row.waits += 1
            row.bads -= 1
            if row.state is State.RUNNING:  # claimed as doomed; its report will be refused
                row.state, row.session = State.WAITING, None
                if row.cancelled:  # like what is opened with a mark, it ends with the last slice
                    self._reopen(row)
            elif row.state in ENDED:
                # What another job stands for by now does not come back: as if it had been cancelled meanwhile.
                row.cancelled = row.cancelled or self._rivals.find(row.id) is not None
                self._reopen(row)
            self.rest(row)

    def _drain_cancel(self, work: Work) -> bool:
        members, finished = self._next_members(work)
        for row in members:
            self._cancel(row, None)
        if not finished or work.origin is None:
            return finished  # a `fast` group cancels its children, not what it is the gate of
        held, finished = self._take_room(self.tables.held(work.job, self._room + 1))
        for row in self.load(held):
            if row.state not in ENDED:
                self._cancel(row, None)
        return finished

    def _drain_hold(self, work: Work) -> bool:
        origin = self.find(work.origin or work.job)
        if origin is None or origin.hold != origin.id:
            return True  # it was let go meanwhile, or has ended
        members, finished = self._next_members(work)
        for row in members:
            self._hold(row, origin.id)
        return finished

    def _drain_release(self, work: Work) -> bool:
        held, finished = self._take_room(self.tables.held(work.job, self._room + 1))
        for row in self.load(held):
            self._let_go(row)
            if self.tables.held(row.id, 1):  # a gate in a held tree
                self.enlist(row.id, Verb.RELEASE)
        return finished

    def _drain_retry(self, work: Work) -> bool:
        [row] = self.load([work.job])
        if row.cancelled:
            return True  # a cancel came after the retry
        here, finished = self._take_room(self.tables.edges_into(work.job, _place(work), self._room + 1, bad=True))
        befores = self.load(dict.fromkeys(edge.before for edge in here))
        self._retry_all([before for before in befores if before.tree == row.tree])
        if here:
            work.cursor = str(here[-1].place)
        return finished

    def _drain_purge(self, work: Work) -> bool:
        if not work.cursor and not self.tables.is_over(work.job):
            return True  # a retry came first
        work.cursor = "begun"
        members = self.tables.members(work.job, self._room)
        self._room -= len(members)
        self.tables.forget(members or [work.job])
        return not members

    def _next_members(self, work: Work) -> tuple[list[Row], bool]:
        """Return the next slice of the jobs that stand under this one, and whether they are the last."""
        here, finished = self._take_room(self.tables.edges_into(work.job, _place(work), self._room + 1))
        if here:
            work.cursor = str(here[-1].place)
        members = [row for row in self.load(dict.fromkeys(edge.before for edge in here)) if row.parent == work.job]
        return members, finished

    def _take_room(self, found: list[T]) -> tuple[list[T], bool]:
        """Return what of it fits into this slice, and whether that is all."""
        here, finished = found[: self._room], len(found) <= self._room
        self._room -= len(here)
        return here, finished


def _place(work: Work) -> int | None:
    return int(work.cursor) if work.cursor else None


def _read_cursor(cursor: str) -> tuple[JobId, int] | None:
    after, _, place = cursor.partition(" ")
    return (after, int(place)) if cursor else None
