"""The tables of the engine in SQL. Ids go in as one JSON parameter, so a statement's text is constant and cached."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ramify.declared import Declaration
from ramify.graph.arrive import Arrival
from ramify.graph.fit import Candidate
from ramify.model import (
    Batch,
    Claim,
    Edge,
    Ended,
    Failure,
    JobId,
    Lane,
    Line,
    Page,
    Progress,
    Row,
    Rule,
    Session,
    SessionId,
    State,
    Unless,
    Value,
    Verb,
    Which,
    Work,
)
from ramify.stores import relational as columns
from ramify.stores.lifelines import Lifelines, boot_id
from ramify.stores.protocol import LEASE, LOG
from ramify.stores.rivals import group_keys
from ramify.stores.sqlite.select import select_rows
from ramify.stores.sqlite.statements import SQL
from ramify.stores.sqlite.wake import WATCHER, WORKER
from ramify.stores.tables import Place

LOWEST: Final = -(1 << 62)
FIRST: Final[Place] = ("", LOWEST)
LAST: Final[Place] = ("~", 0)

_to_json = msgspec.json.Encoder().encode


class SqliteTables:
    """See `ramify.stores.tables.Tables` for what each method promises."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: Callable[[], float],
        lease_clock: Callable[[], float],
        lifelines: Lifelines,
    ) -> None:
        self._connection = connection
        self.now = clock
        self._lease_clock, self._lifelines, self._boot = lease_clock, lifelines, boot_id()
        self._lanes: dict[int, Lane] = {}
        self._lane_ids: dict[Lane, int] = {}
        self.woken: set[str] = set()
        """Whom the store is to wake when the step is kept."""

    def _ask(self, statement: str, *values: Any) -> list[Any]:
        return self._connection.execute(SQL[statement], values).fetchall()

    def _tell(self, statement: str, *values: Any) -> int:
        return self._connection.execute(SQL[statement], values).rowcount

    def _tell_all(self, statement: str, values: Iterable[columns.Values]) -> None:
        self._connection.executemany(SQL[statement], values)

    def _one(self, statement: str, *values: Any) -> Any:
        found = self._connection.execute(SQL[statement], values).fetchone()
        return None if found is None else found[0]

    # Lanes: few, never changed, so each connection remembers them

    def refresh_lanes(self) -> dict[int, Lane]:
        """Read the lanes that were added since the last look."""
        for id, *lane in self._ask("add.lanes", max(self._lanes, default=0)):
            self._lanes[id] = Lane(*lane)
            self._lane_ids[self._lanes[id]] = id
        return self._lanes

    def forget_lanes(self) -> None:
        """Read all lanes anew at the next look."""
        self._lanes.clear()
        self._lane_ids.clear()

    def _lane_id(self, lane: Lane) -> int:
        if lane not in self._lane_ids:
            self.refresh_lanes()
        if lane not in self._lane_ids:
            self._tell("add.lane", lane.queue, lane.task, lane.slot, lane.units)
            self.refresh_lanes()
        return self._lane_ids[lane]

    def wake(self, ready: bool, ended: bool) -> None:
        self.woken |= ({WORKER} if ready else set()) | ({WATCHER} if ended else set())

    # Rows

    def rows(self, ids: Sequence[JobId], share: bool = False) -> list[Row]:
        lanes = self.refresh_lanes()
        return [columns.read_row(values, lanes) for values in self._ask("rows.read", _ids(ids))]

    def select(self, which: Which, page: Page) -> list[Row]:
        return select_rows(self._connection, which, page, self.refresh_lanes())

    def write(self, rows: Sequence[Row]) -> None:
        self._tell_all("rows.write", [columns.changed_values(row, self._lane_id(row.lane)) for row in rows])

    def insert(self, batch: Batch, arrival: Arrival) -> None:
        lanes = {row.lane: self._lane_id(row.lane) for row in arrival.rows}
        plain = [columns.plain_values(row, lanes[row.lane]) for row in arrival.rows if columns.is_plain(row)]
        self._connection.executemany(SQL["add.plain job"], plain)
        if len(plain) < len(arrival.rows):
            others = [columns.new_values(row, lanes[row.lane]) for row in arrival.rows if not columns.is_plain(row)]
            self._tell_all("add.job", others)
        takes = {edge.after for edge in arrival.edges if edge.slots}
        payloads = [(row.id, batch.payloads[row.id]) for row in arrival.rows if row.id in batch.payloads]
        self._tell_all("add.payload", [columns.payload_values(id, payload, id in takes) for id, payload in payloads])
        if arrival.edges:
            self._tell_all("add.edge", map(columns.edge_values, arrival.edges))
        if batch.marks:
            own = {row.id for row in arrival.rows}
            self._tell_all("add.mark", [(m, id) for id, marks in batch.marks.items() if id in own for m in marks])

    def forget(self, ids: Sequence[JobId]) -> None:
        for what in ("edges into", "edges out", "payload", "result", "line", "mark", "request", "work", "job"):
            self._tell(f"rows.forget {what}", _ids(ids))

    def held(self, hold: JobId, n: int) -> list[JobId]:
        return [id for (id,) in self._ask("rows.held", hold, n)]

    def members(self, tree: JobId, n: int) -> list[JobId]:
        return [id for (id,) in self._ask("rows.members", tree, n)]

    def is_over(self, tree: JobId) -> bool:
        if self._ask("rows.unfinished member", tree):
            return False
        return self._connection.execute(SQL["rows.edge out of tree"], {"tree": tree}).fetchone() is None

    # Edges

    def edges_into(self, job: JobId, after: int | None, n: int, bad: bool = False) -> list[Edge]:
        found = self._ask("edges.bad into" if bad else "edges.into", job, LOWEST if after is None else after, n)
        return [columns.read_edge(values) for values in found]

    def edges_out(self, job: JobId, after: Place | None, n: int) -> list[Edge]:
        return [columns.read_edge(values) for values in self._ask("edges.out", job, *(after or FIRST), n)]

    def lowest_place(self, job: JobId) -> int:
        lowest: int = self._one("edges.lowest", job)
        return min(0, lowest)

    def successors(self, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
        found: dict[JobId, list[JobId]] = {id: [] for id in ids}
        for before, after in self._ask("edges.successors", _ids(ids)):
            found[before].append(after)
        return found

    def forgive(self, job: JobId) -> None:
        self._tell("edges.forgive", job)

    def reopen(self, edges: Sequence[Edge]) -> None:
        self._tell_all("edges.reopen", [(edge.after, edge.place) for edge in edges])

    # The three verbs of every job

    def end(self, session: SessionId, outcomes: Sequence[Ended]) -> list[JobId]:
        alike: dict[tuple[State, int], list[JobId]] = {}
        for outcome in outcomes:
            alike.setdefault((outcome.state, outcome.attempt), []).append(outcome.job)
        now = self.now()
        found: list[tuple[JobId, int, float | None, int]] = []
        for (state, attempt), ids in alike.items():
            found += self._connection.execute(SQL["end.end"], (state.value, now, _ids(ids), attempt, session))
        # An earlier try, or a cancel that came too late, may have left a failure.
        marred = {id: attempt > 1 or marked for id, attempt, _, marked in found}
        self._tell_all("end.no deadline", [(id,) for id, _, limit, _ in found if limit is not None])
        results: list[columns.Values] = []
        cleared: list[columns.Values] = []
        for outcome in outcomes:
            if outcome.job not in marred:
                continue
            value, failure = outcome.value, columns.failure_text(outcome.failure)
            if value is not None:
                results.append((outcome.job, value.json, value.spread, failure))
            elif failure is not None:
                results.append((outcome.job, None, False, failure))
            elif marred[outcome.job]:
                cleared.append((outcome.job,))
        self._tell_all("end.result", results)
        self._tell_all("end.no failure", cleared)
        return list(marred)

    def settle(self, ended: Mapping[JobId, State], most: int) -> list[JobId] | None:
        n = self._one("settle.count", _ids(sorted(ended)), most + 1)
        if n == 0:
            return []
        return self._settle(ended, FIRST, LAST) if n <= most else None

    def settle_slice(self, job: JobId, end: State, beyond: Place | None, upto: Place) -> list[JobId]:
        return self._settle({job: end}, beyond or FIRST, upto)

    def _settle(self, ended: Mapping[JobId, State], beyond: Place, upto: Place) -> list[JobId]:
        alike: dict[State, list[JobId]] = {}
        for id, end in ended.items():
            alike.setdefault(end, []).append(id)
        between = {"from_job": beyond[0], "from_place": beyond[1], "upto_job": upto[0], "upto_place": upto[1]}
        asked = [{"jobs": _ids(sorted(ids)), "end": end.value, **between} for end, ids in alike.items()]
        tell = self._connection.execute
        first_bad: set[JobId] = set()
        for values in asked:
            if values["end"] != State.DONE:
                first_bad.update(id for (id,) in tell(SQL["settle.first bad"], values))
        for values in asked:
            tell(SQL["settle.rows"], values)
            tell(SQL["settle.edges"], values)
        return sorted(first_bad)

    def start(self, session: SessionId, ids: Sequence[JobId]) -> list[Claim]:
        self._connection.execute(SQL["claim.start"], (session, self.now(), _ids(ids)))
        return self._claims(ids)

    def start_in(self, session: SessionId, lane: Lane, n: int) -> list[Claim]:
        ids = [id for _, _, id, _ in self.ready_in(lane, n)]
        self._connection.execute(SQL["claim.start"], (session, self.now(), _ids(ids)))
        return self._claims(ids)

    def _claims(self, ids: Sequence[JobId]) -> list[Claim]:
        lanes = self.refresh_lanes()
        found = [columns.read_claim(values, lanes) for values in self._ask("claim.read", _ids(ids))]
        taking = {claim.row.id: claim for claim, takes in found if takes and not claim.row.doomed}
        for values in self._ask("edges.slots", _ids(taking)) if taking else ():
            edge = columns.read_edge(values)
            taking[edge.after].slots.append(edge)
        return [claim for claim, _ in found]

    # What can be claimed

    def ready_ends(self, n: int) -> list[JobId]:
        return [id for (id,) in self._ask("claim.ends", n)]

    def ready_lanes(self) -> list[Lane]:
        return list(self.refresh_lanes().values())

    def ready_in(self, lane: Lane, n: int) -> list[Candidate]:
        found = self._ask("claim.lane", self._lane_ids[lane], n)
        return [(priority, tree, id, lane) for priority, tree, id in found]

    def running_by_lane(self) -> dict[Lane, int]:
        lanes = self.refresh_lanes()
        return {lanes[lane]: n for lane, n in self._ask("claim.running")}

    def running_on(self, host: str) -> list[Candidate]:
        lanes = self.refresh_lanes()
        return [(priority, tree, id, lanes[lane]) for priority, tree, id, lane in self._ask("claim.running on", host)]

    def wake_due(self, n: int) -> None:
        self._tell("claim.due", self.now(), n)

    def next_due(self) -> float | None:
        due: float | None = self._one("claim.next due")
        return due

    # Results

    def keep_value(self, job: JobId, value: Value) -> None:
        self._tell("end.value", job, value.json, value.spread)

    def keep_failure(self, job: JobId, failure: Failure | None) -> None:
        if failure is None:
            self._tell("end.no failure", job)
        else:
            self._tell("end.failure", job, columns.failure_text(failure))

    def keep_progress(self, session: SessionId, progress: Sequence[Progress]) -> None:
        self._tell_all("end.progress", [(step.percent, step.status, step.job, session) for step in progress])

    def keep_lines(self, session: SessionId, lines: Sequence[Line]) -> None:
        last: dict[JobId, int] = dict(self._ask("log.ours", _ids({line.job for line in lines}), session))
        values: list[columns.Values] = []
        for line in lines:
            if line.job in last:
                last[line.job] += 1
                values.append((line.job, last[line.job], line.stream, line.text))
        self._tell_all("log.append", values)
        self._tell_all("log.cut", [(job, number - LOG) for job, number in last.items() if number > LOG])

    # The worklist

    def first_work(self) -> Work | None:
        return next((columns.read_work(values) for values in self._ask("work.first")), None)

    def find_work(self, job: JobId, verb: Verb) -> Work | None:
        return next((columns.read_work(values) for values in self._ask("work.find", job, verb.value)), None)

    def purging(self) -> set[JobId]:
        return {job for (job,) in self._ask("work.purging")}

    def enlist(self, work: Work) -> None:
        self._tell("work.enlist", work.job, work.verb.value, work.cursor, work.origin)

    def advance(self, work: Work) -> None:
        self._tell("work.advance", work.cursor, work.job, work.verb.value)

    def delist(self, job: JobId, verb: Verb) -> None:
        self._tell("work.delist", job, verb.value)

    # Names

    def find_marked(self, unless: Unless) -> JobId | None:
        found: JobId | None = None
        if unless.within is not None:
            found = self._one("names.done since", unless.mark, self.now() - unless.within)
        return found or self._one("names.unfinished", unless.mark)

    def keys(self, ids: Sequence[JobId]) -> dict[JobId, list[str]]:
        return group_keys(self._ask("names.keys", _ids(ids)))

    def find_holder(self, key: str) -> JobId | None:
        return self.find_marked(Unless(key))

    def find_request(self, request: str) -> JobId | None:
        found: JobId | None = self._one("names.request", request)
        return found

    def keep_request(self, request: str, job: JobId) -> None:
        self._tell("names.keep request", request, job)

    # Sessions and limits

    def open_session(self, session: Session) -> None:
        self._lifelines.hold(session.id)
        about = msgspec.json.encode(session).decode()
        self._tell("session.open", session.id, about, self._boot, self._lease_clock() + LEASE)

    def renew(self, session: SessionId) -> bool:
        return self._tell("session.renew", self._lease_clock() + LEASE, session) == 1

    def is_alive(self, session: SessionId) -> bool:
        return bool(self._ask("session.alive", session))

    def bury(self, session: SessionId | None) -> None:
        for known, gone in self.sessions():
            if known.id == session or (session is None and gone):
                self._tell("session.bury", known.id)
                self._lifelines.drop(known.id)

    def sessions(self) -> list[tuple[Session, bool]]:
        """Return the sessions that were not declared dead, each with whether it is."""
        found: list[tuple[Session, bool]] = []
        for id, about, boot, lease, dead in self._ask("session.all"):
            if dead:
                continue
            known = msgspec.json.decode(about, type=Session)
            gone = lease < self._lease_clock() or boot != self._boot or self._lifelines.is_cut(id, known.pid)
            found.append((known, gone))
        return found

    def take_over(self, session: SessionId, n: int) -> list[Claim]:
        orphans = [id for (id,) in self._ask("session.orphans", n)]
        if orphans:
            self._tell("session.adopt", session, _ids(orphans))
        self._tell("session.forget")
        return self._claims(orphans) if orphans else []

    def cancels(self, session: SessionId) -> list[JobId]:
        return [id for (id,) in self._ask("session.cancels", session)]

    def overdue(self, n: int) -> list[JobId]:
        return [id for (id,) in self._ask("session.overdue", self.now(), n)]

    def limits(self) -> dict[str, Rule]:
        return {name: Rule(n, until) for name, n, until in self._ask("names.limits")}

    def set_limit(self, name: str, rule: Rule | None) -> None:
        if rule is None:
            self._tell("names.drop limit", name)
        else:
            self._tell("names.set limit", name, rule.n, rule.until)

    # Tasks and clocks

    def tasks(self, names: Sequence[str] | None) -> list[Declaration]:
        found = (
            self._ask("task.all")
            if names is None
            else self._ask("task.these", msgspec.json.encode(list(names)).decode())
        )
        return [columns.read_task(about) for (about,) in found]

    def keep_tasks(self, tasks: Sequence[Declaration]) -> None:
        self._tell_all("task.keep", [(task.name, msgspec.json.encode(task).decode()) for task in tasks])

    def forget_tasks(self, names: Sequence[str]) -> None:
        self._tell("task.forget", msgspec.json.encode(list(names)).decode())

    def clocks(self) -> dict[str, float]:
        return dict(self._ask("task.clocks"))

    def set_clock(self, name: str, now: float) -> None:
        self._tell("task.set clock", name, now)

    def reset(self) -> None:
        for (table,) in self._ask("task.tables"):
            self._connection.execute(f"DELETE FROM {table}")
        self.forget_lanes()


def _ids(ids: Iterable[JobId]) -> str:
    # Ids are letters and digits, so they need no escapes; half the time of a JSON encoder for one id.
    return '["' + '","'.join(ids) + '"]' if ids else "[]"
