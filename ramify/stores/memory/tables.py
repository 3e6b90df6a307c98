"""Tables in dictionaries, with the indexes that a database would keep."""

import math
import sys
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Final

from msgspec.structs import replace

from ramify.declared import Declaration
from ramify.graph.arrive import Arrival
from ramify.graph.fit import Candidate
from ramify.model import (
    ENDED,
    UNDONE,
    UNIQUE,
    Batch,
    Claim,
    Edge,
    Ended,
    Failure,
    JobId,
    Kind,
    Lane,
    Line,
    Page,
    Payload,
    Progress,
    Result,
    Row,
    Rule,
    Session,
    SessionId,
    State,
    Unless,
    Value,
    Verb,
    When,
    Which,
    Work,
)
from ramify.stores.protocol import LEASE, LOG
from ramify.stores.tables import Place

_ALL: Final = sys.maxsize


class MemoryTables:
    """See `ramify.stores.tables.Tables` for what each method promises."""

    def __init__(self, clock: Callable[[], float], ring: Callable[[], None]) -> None:
        self.now, self._ring = clock, ring
        self.by_id: dict[JobId, Row] = {}
        self.payloads: dict[JobId, Payload] = {}
        self.results: dict[JobId, Result] = {}
        self.lines: dict[JobId, deque[Line]] = {}
        self.edges_by_place: dict[Place, Edge] = {}
        self.into: dict[JobId, list[int]] = {}
        self.out: dict[JobId, list[Place]] = {}
        self.marks: dict[str, set[JobId]] = {}
        self.requests: dict[str, JobId] = {}
        self.work: dict[tuple[JobId, Verb], Work] = {}
        self.sessions: dict[SessionId, tuple[Session, float]] = {}
        self.dead: dict[SessionId, Session] = {}
        self._limits: dict[str, Rule] = {}
        self._tasks: dict[str, Declaration] = {}
        self._clocks: dict[str, float] = {}
        self._ready: dict[Lane, list[tuple[int, JobId, JobId]]] = {}
        self._ends: list[tuple[JobId, JobId]] = []
        self._running: set[JobId] = set()
        self._due: list[tuple[float, JobId]] = []
        self._held: dict[JobId, list[JobId]] = {}

    def wake(self, ready: bool, ended: bool) -> None:
        self._ring()

    # Rows

    def rows(self, ids: Sequence[JobId], share: bool = False) -> list[Row]:
        return [copy(self.by_id[id]) for id in ids if id in self.by_id]

    def select(self, which: Which, page: Page) -> list[Row]:
        wanted = self.by_id.keys() if which.ids is None else set(which.ids) & self.by_id.keys()
        if which.under is not None:
            edges = (self.edges_by_place[which.under, place] for place in self.into.get(which.under, ()))
            wanted = {edge.before for edge in edges if edge.kind is Kind.CHILD} & wanted
        ids = sorted(wanted, reverse=page.newest)
        if page.after is not None:
            ids = [id for id in ids if (id < page.after if page.newest else id > page.after)]
        rows = [row for id in ids if _matches(row := self.by_id[id], which)]
        return [copy(row) for row in (rows if page.size < 0 else rows[: page.size])]

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._unindex(self.by_id[row.id])
            self.by_id[row.id] = copy(row)
            self._index(row)

    def insert(self, batch: Batch, arrival: Arrival) -> None:
        for row in arrival.rows:
            self.by_id[row.id] = copy(row)
            self._index(row)
            if row.id in batch.payloads:
                self.payloads[row.id] = batch.payloads[row.id]
            for mark in batch.marks.get(row.id, ()):
                self.marks.setdefault(mark, set()).add(row.id)
        for edge in arrival.edges:
            self.edges_by_place[edge.after, edge.place] = copy(edge)
            insort(self.into.setdefault(edge.after, []), edge.place)
            insort(self.out.setdefault(edge.before, []), (edge.after, edge.place))

    def forget(self, ids: Sequence[JobId]) -> None:
        for id in ids:
            for place in self.into.pop(id, []):
                self.out[self.edges_by_place.pop((id, place)).before].remove((id, place))
            for after, place in self.out.pop(id, []):
                del self.edges_by_place[after, place]
                self.into[after].remove(place)
            self._unindex(self.by_id.pop(id))
            self.payloads.pop(id, None)
            self.results.pop(id, None)
            self.lines.pop(id, None)
        gone = set(ids)
        self.work = {key: work for key, work in self.work.items() if work.job not in gone}
        self.marks = {mark: left for mark, jobs in self.marks.items() if (left := jobs - gone)}
        self.requests = {request: job for request, job in self.requests.items() if job not in gone}

    def held(self, hold: JobId, n: int) -> list[JobId]:
        return self._held.get(hold, [])[:n]

    def members(self, tree: JobId, n: int) -> list[JobId]:
        return sorted(id for id, row in self.by_id.items() if row.tree == tree and id != tree)[:n]

    def is_over(self, tree: JobId) -> bool:
        members = [row for row in self.by_id.values() if row.tree == tree]
        outside = [
            (row.id, self.by_id[after].state, place < 0)
            for row in members
            for after, place in self.out.get(row.id, ())
            if self.by_id[after].tree != tree
        ]
        return all(row.state in ENDED for row in members) and all(each == (tree, State.DONE, True) for each in outside)

    # Edges

    def edges(self, ids: Sequence[JobId], out: bool, bad: bool, start: Edge | None, size: int) -> list[Edge]:
        """Return copies of the first edges into or out of these jobs, by (job, other end, place), beyond `start`."""
        first = "" if start is None else start.before if out else start.after
        found: list[Edge] = []
        for id in sorted(id for id in set(ids) if id >= first):
            after = start if id == first else None
            if out:
                edges = self.edges_out(id, (after.after, after.place) if after else None, size if not bad else _ALL)
            else:
                edges = self.edges_into(id, after.place if after else None, size, bad)
            found += [edge for edge in edges if edge.bad or not bad]
            if len(found) >= size:
                break
        return found[:size]

    def edges_into(self, job: JobId, after: int | None, n: int, bad: bool = False) -> list[Edge]:
        places = self.into.get(job, [])
        start = 0 if after is None else bisect_right(places, after)
        edges = [self.edges_by_place[job, place] for place in places[start : None if bad else start + n]]
        return [copy(edge) for edge in edges if edge.bad or not bad][:n]

    def edges_out(self, job: JobId, after: Place | None, n: int) -> list[Edge]:
        keys = self.out.get(job, [])
        start = 0 if after is None else bisect_right(keys, after)
        return [copy(self.edges_by_place[key]) for key in keys[start : start + n]]

    def lowest_place(self, job: JobId) -> int:
        return min(0, *self.into.get(job, [])[:1], 0)

    def successors(self, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
        return {
            id: [after for after, _ in self.out.get(id, ()) if self.by_id[after].state is not State.DONE] for id in ids
        }

    def forgive(self, job: JobId) -> None:
        for edge in (self.edges_by_place[job, place] for place in self.into.get(job, ())):
            if edge.kind is Kind.AFTER and (edge.verdict is None or edge.verdict in UNDONE):
                edge.when = When.ENDED

    def reopen(self, edges: Sequence[Edge]) -> None:
        for edge in edges:
            self.edges_by_place[edge.after, edge.place].verdict = None

    # The three verbs of every job

    def end(self, session: SessionId, outcomes: Sequence[Ended]) -> list[JobId]:
        accepted = []
        for outcome in outcomes:
            row = self.by_id.get(outcome.job)
            if row is None or (row.state, row.session, row.attempt) != (State.RUNNING, session, outcome.attempt):
                continue
            self._unindex(row)
            row.state, row.session, row.deadline = outcome.state, None, None
            row.ended = self.now()
            if outcome.value is not None:
                self.keep_value(row.id, outcome.value)
            self.keep_failure(row.id, outcome.failure)
            accepted.append(row.id)
        return accepted

    def settle(self, ended: Mapping[JobId, State], most: int) -> list[JobId] | None:
        keys = [key for id in sorted(ended) for key in self.out.get(id, ()) if self.edges_by_place[key].verdict is None]
        return self._settle(keys, ended) if len(keys) <= most else None

    def settle_slice(self, job: JobId, end: State, beyond: Place | None, upto: Place) -> list[JobId]:
        keys = [key for key in self.out.get(job, []) if (beyond is None or key > beyond) and key <= upto]
        return self._settle([key for key in keys if self.edges_by_place[key].verdict is None], {job: end})

    def _settle(self, keys: Sequence[Place], ended: Mapping[JobId, State]) -> list[JobId]:
        touched: dict[JobId, tuple[int, bool]] = {}
        for key in keys:
            edge = self.edges_by_place[key]
            edge.verdict = ended[edge.before]
            self._settle_one(edge, touched)
        fast = [id for id, (bads, bad_child) in touched.items() if bad_child and bads == 0 and self.by_id[id].fast]
        return sorted(id for id in fast if self.by_id[id].state not in ENDED)

    def _settle_one(self, edge: Edge, touched: dict[JobId, tuple[int, bool]]) -> None:
        row = self.by_id[edge.after]
        bads, bad_child = touched.get(row.id, (row.bads, False))
        touched[row.id] = (bads, bad_child or (edge.bad and edge.kind is Kind.CHILD))
        self._unindex(row)
        row.waits -= 1
        row.bads += edge.bad
        if row.state is State.WAITING and row.waits == 0:
            row.state = State.READY
        self._index(row)

    def start(self, session: SessionId, ids: Sequence[JobId]) -> list[Claim]:
        for id in ids:
            row = self.by_id[id]
            self._unindex(row)
            row.state, row.session = State.RUNNING, session
            row.attempt += 1
            if not row.doomed:
                row.started = self.now()
            self._index(row)
        return [self._claim(self.by_id[id]) for id in ids]

    def _claim(self, row: Row) -> Claim:
        slots = (
            []
            if row.doomed
            else [edge for edge in self.edges_into(row.id, None, len(self.edges_by_place)) if edge.slots]
        )
        return Claim(copy(row), self.payloads.get(row.id, Payload()), slots)

    def start_in(self, session: SessionId, lane: Lane, n: int) -> list[Claim]:
        return self.start(session, [id for _, _, id, _ in self.ready_in(lane, n)])

    # What can be claimed

    def ready_ends(self, n: int) -> list[JobId]:
        return [id for _, id in self._ends[:n]]

    def ready_lanes(self) -> list[Lane]:
        return [lane for lane, ready in self._ready.items() if ready]

    def ready_in(self, lane: Lane, n: int) -> list[Candidate]:
        return [(priority, tree, id, lane) for priority, tree, id in self._ready.get(lane, [])[:n]]

    def running_by_lane(self) -> dict[Lane, int]:
        counts: dict[Lane, int] = {}
        for row in (self.by_id[id] for id in self._running):
            if not row.doomed:
                counts[row.lane] = counts.get(row.lane, 0) + 1
        return counts

    def running_on(self, host: str) -> list[Candidate]:
        here = {id for id, (session, _) in self.sessions.items() if session.host == host}
        here |= {id for id, session in self.dead.items() if session.host == host}
        rows = [self.by_id[id] for id in self._running if self.by_id[id].session in here]
        return [(-row.priority, row.tree, row.id, row.lane) for row in rows if not row.doomed]

    def wake_due(self, n: int) -> None:
        now = self.now()
        for _, id in [due for due in self._due[:n] if due[0] <= now]:
            self._unindex(self.by_id[id])
            self.by_id[id].due = None
            self._index(self.by_id[id])

    def next_due(self) -> float | None:
        return self._due[0][0] if self._due else None

    # Results

    def keep_value(self, job: JobId, value: Value) -> None:
        self.results.setdefault(job, Result(job)).value = value

    def keep_failure(self, job: JobId, failure: Failure | None) -> None:
        if failure is not None or job in self.results:
            self.results.setdefault(job, Result(job)).failure = failure

    def keep_progress(self, session: SessionId, progress: Sequence[Progress]) -> None:
        for step in progress:
            if step.job in self.by_id and self.by_id[step.job].session == session:
                result = self.results.setdefault(step.job, Result(step.job))
                result.percent, result.status = step.percent, step.status

    def keep_lines(self, session: SessionId, lines: Sequence[Line]) -> None:
        for line in lines:
            if line.job in self._running and self.by_id[line.job].session == session:
                log = self.lines.setdefault(line.job, deque(maxlen=LOG))
                log.append(replace(line, number=log[-1].number + 1 if log else 1))

    # The worklist

    def first_work(self) -> Work | None:
        return copy(next(iter(self.work.values()), None))

    def find_work(self, job: JobId, verb: Verb) -> Work | None:
        return copy(self.work.get((job, verb)))

    def purging(self) -> set[JobId]:
        return {work.job for work in self.work.values() if work.verb is Verb.PURGE}

    def enlist(self, work: Work) -> None:
        self.work[work.job, work.verb] = copy(work)

    def advance(self, work: Work) -> None:
        if (work.job, work.verb) in self.work:
            self.work[work.job, work.verb] = copy(work)

    def delist(self, job: JobId, verb: Verb) -> None:
        self.work.pop((job, verb), None)

    # Names

    def find_marked(self, unless: Unless) -> JobId | None:
        rows = [self.by_id[id] for id in self.marks.get(unless.mark, ())]
        since = math.inf if unless.within is None else self.now() - unless.within
        done = [(row.ended, row.id) for row in rows if row.state is State.DONE and row.ended and row.ended >= since]
        return max(done)[1] if done else min((row.id for row in rows if row.state not in ENDED), default=None)

    def keys(self, ids: Sequence[JobId]) -> dict[JobId, list[str]]:
        found: dict[JobId, list[str]] = {}
        for mark in sorted(mark for mark in self.marks if mark.startswith(UNIQUE)):
            for id in self.marks[mark].intersection(ids):
                found.setdefault(id, []).append(mark)
        return found

    def find_holder(self, key: str) -> JobId | None:
        return self.find_marked(Unless(key))

    def find_request(self, request: str) -> JobId | None:
        return self.requests.get(request)

    def keep_request(self, request: str, job: JobId) -> None:
        self.requests[request] = job

    # Sessions and limits

    def open_session(self, session: Session) -> None:
        self.sessions[session.id] = (session, self.now() + LEASE)

    def renew(self, session: SessionId) -> bool:
        if session in self.sessions:
            self.open_session(self.sessions[session][0])
        return session in self.sessions

    def is_alive(self, session: SessionId) -> bool:
        return session in self.sessions

    def bury(self, session: SessionId | None) -> None:
        now = self.now()
        for id, (known, lease) in list(self.sessions.items()):
            if id == session or (session is None and lease < now):
                del self.sessions[id]
                self.dead[id] = known

    def take_over(self, session: SessionId, n: int) -> list[Claim]:
        orphans = sorted(id for id in self._running if self.by_id[id].session in self.dead)[:n]
        for id in orphans:
            self.by_id[id].session = session
        kept = {self.by_id[id].session for id in self._running}
        self.dead = {id: known for id, known in self.dead.items() if id in kept}
        return [self._claim(self.by_id[id]) for id in orphans]

    def cancels(self, session: SessionId) -> list[JobId]:
        return sorted(id for id in self._running if self.by_id[id].session == session and self.by_id[id].cancelled)

    def overdue(self, n: int) -> list[JobId]:
        now = self.now()
        return sorted(id for id, row in self.by_id.items() if row.deadline is not None and row.deadline <= now)[:n]

    def limits(self) -> dict[str, Rule]:
        return dict(sorted(self._limits.items()))

    def set_limit(self, name: str, rule: Rule | None) -> None:
        self._limits.pop(name, None)
        if rule is not None:
            self._limits[name] = rule

    # Tasks and clocks

    def tasks(self, names: Sequence[str] | None) -> list[Declaration]:
        wanted = self._tasks if names is None else set(names) & self._tasks.keys()
        return [self._tasks[name] for name in sorted(wanted)]

    def keep_tasks(self, tasks: Sequence[Declaration]) -> None:
        self._tasks |= {task.name: task for task in tasks}

    def forget_tasks(self, names: Sequence[str]) -> None:
        for name in names:
            self._tasks.pop(name, None)

    def clocks(self) -> dict[str, float]:
        return dict(sorted(self._clocks.items()))

    def set_clock(self, name: str, now: float) -> None:
        self._clocks[name] = now

    def reset(self) -> None:
        self.__init__(self.now, self._ring)  # type: ignore[misc]

    # Indexes: what can be claimed, what runs, what is due, what is held

    def _index(self, row: Row) -> None:
        for index, key in self._entries(row):
            insort(index, key)
        if row.state is State.RUNNING:
            self._running.add(row.id)

    def _unindex(self, row: Row) -> None:
        for index, key in self._entries(row):
            position = bisect_left(index, key)
            if position < len(index) and index[position] == key:
                del index[position]
        self._running.discard(row.id)

    def _entries(self, row: Row) -> list[tuple[list[Any], Any]]:
        entries: list[tuple[list[Any], Any]] = []
        if row.hold is not None:
            entries.append((self._held.setdefault(row.hold, []), row.id))
        if row.state is State.READY and row.doomed:
            entries.append((self._ends, (row.tree, row.id)))
        elif row.state is State.READY and row.due is not None:
            entries.append((self._due, (row.due, row.id)))
        elif row.state is State.READY:
            entries.append((self._ready.setdefault(row.lane, []), (-row.priority, row.tree, row.id)))
        return entries


def _matches(row: Row, which: Which) -> bool:
    return (
        (which.tree is None or row.tree == which.tree)
        and (which.states is None or row.state in which.states)
        and (which.queues is None or row.lane.queue in which.queues)
        and (which.tasks is None or row.lane.task in which.tasks)
        and (not which.roots or row.parent is None)
        and (which.ended_before is None or (row.ended is not None and row.ended < which.ended_before))
    )
