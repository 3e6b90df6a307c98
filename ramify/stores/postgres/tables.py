"""The tables of the engine in SQL. A column of many values goes in as one array, so a statement's text is constant."""

import time
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
from ramify.stores.lifelines import Lifelines
from ramify.stores.postgres import literals
from ramify.stores.postgres.lanes import Lanes
from ramify.stores.postgres.low import CHEAP, MANY, Low
from ramify.stores.postgres.select import select_rows
from ramify.stores.postgres.server import key
from ramify.stores.postgres.statements import quote
from ramify.stores.postgres.time import ServerTime
from ramify.stores.postgres.transaction import Hold, Statements
from ramify.stores.protocol import LEASE, LOG, SLICE
from ramify.stores.rivals import group_keys
from ramify.stores.tables import Place

LOWEST: Final = -(1 << 62)
FIRST: Final[Place] = ("", LOWEST)
LAST: Final[Place] = ("~", 0)
ENDLESS: Final = 1 << 62
JOB: Final = (
    "tree", "parent", "lane", "priority", "label", "hold", "step", "state", "cancelled", "waits", "bads", "attempt",
    "session", "due", "tries", "crashes", "losses", "grown", "fast", "size", "last", "barrier", "lasts", "deadline",
    "started", "ended", "id",
)  # fmt: skip
"""The columns of `job` in the order of `changed_values`."""

_to_json = msgspec.json.Encoder().encode


class PostgresTables:
    """See `ramify.stores.tables.Tables` for what each method promises. One object serves one step."""

    def __init__(
        self,
        step: Statements,
        schema: str,
        lanes: Lanes,
        lifelines: Lifelines,
        channels: tuple[str, str],
        server_time: ServerTime,
        low: Low,
        clock: Callable[[], float] | None,
    ) -> None:
        self._step, self._schema, self._lanes, self._clock = step, schema, lanes, clock
        self._lifelines, self._time, self._low = lifelines, server_time, low
        self._ready_channel, self._ended_channel = channels
        self._ask, self._tell, self._one = step.ask, step.tell, step.one
        # What the last look at what can be claimed showed. What others make ready meanwhile is theirs to speak of.
        self._next_due: float | None = None
        self._ready_ends: list[JobId] = []
        self._ready_lanes: list[int] = []
        self._spares = False

    def now(self) -> float:
        if self._clock is not None:
            return self._clock()
        return self._time.now(self._step)

    def wake(self, ready: bool, ended: bool) -> None:
        if ready:
            self._step.channels.add(self._ready_channel)
        if ended:
            self._step.channels.add(self._ended_channel)

    # Rows

    def _read_rows(self, found: Iterable[columns.Values]) -> list[Row]:
        found = list(found)
        lanes = self._lanes.read({values[3] for values in found}, self._ask)
        return [columns.read_row(values, lanes) for values in found]

    def rows(self, ids: Sequence[JobId], share: bool = False) -> list[Row]:
        if not share:
            return self._read_rows(self._ask("rows.lock", [literals.names(ids)]))
        # A tree stays while something is added behind one of its jobs: whoever forgets it locks its root, too.
        self._ask("rows.keep trees", [literals.names(ids)])
        return self._read_rows(self._ask("rows.share", [literals.names(ids)]))

    def select(self, which: Which, page: Page) -> list[Row]:
        return select_rows(self._step.connection, self._schema, self._lanes, which, page)

    def write(self, rows: Sequence[Row]) -> None:
        self._tell("rows.write", [self._records(rows)])

    def _records(self, rows: Sequence[Row]) -> str:
        values = [columns.changed_values(row, self._lanes.id(row.lane)) for row in rows]
        return _to_json([dict(zip(JOB, each, strict=True)) for each in values]).decode()

    def insert(self, batch: Batch, arrival: Arrival) -> None:
        ids = {lane: self._lanes.id(lane) for lane in {row.lane for row in arrival.rows}}
        plain = [columns.plain_values(row, ids[row.lane]) for row in arrival.rows if columns.is_plain(row)]
        takes = {edge.after for edge in arrival.edges if edge.slots}
        payloads = [
            columns.payload_values(row.id, batch.payloads[row.id], row.id in takes)
            for row in arrival.rows
            if row.id in batch.payloads
        ]
        names, numbers = literals.names, literals.numbers
        if len(plain) == len(payloads) == 1:
            self._tell("add.plain alone", [*plain[0], *payloads[0], self._ready_channel])
        else:
            self._insert_plain(plain, payloads)
        if len(plain) < len(arrival.rows):
            self._tell("add.job", [self._records([row for row in arrival.rows if not columns.is_plain(row)])])
        if arrival.edges:
            after, place, before, kind, asks, slots, verdict = literals.columns(
                [columns.edge_values(edge) for edge in arrival.edges], 7
            )
            ends = [names(after), numbers(place), names(before), names(kind), names(asks)]
            self._tell("add.edge", [*ends, literals.texts(slots), literals.maybe_names(verdict)])
        if batch.marks:
            own = {row.id for row in arrival.rows}
            marks = [(mark, id) for id, marks in batch.marks.items() if id in own for mark in marks]
            self._tell("add.mark", [literals.texts([mark for mark, _ in marks]), names([id for _, id in marks])])

    def _insert_plain(self, plain: Sequence[columns.Values], payloads: Sequence[columns.Values]) -> None:
        id, tree, parent, lane, priority, state, waits = literals.columns(plain, 7)
        job, args, policy, taking = literals.columns(payloads, 4)
        names, numbers = literals.names, literals.numbers
        jobs = [names(id), names(tree), literals.maybe_names(parent), numbers(lane), numbers(priority), names(state)]
        called = [names(job), literals.blobs(args), literals.texts(policy), numbers(taking)]
        self._tell("add.plain", [*jobs, numbers(waits), *called, self._ready_channel])

    def forget(self, ids: Sequence[JobId]) -> None:
        for what in ("edges into", "edges out", "payload", "result", "line", "mark", "request", "work", "job"):
            self._tell(f"rows.forget {what}", [literals.names(ids)])

    def held(self, hold: JobId, n: int) -> list[JobId]:
        return [id for (id,) in self._ask("rows.held", [hold, n])]

    def members(self, tree: JobId, n: int) -> list[JobId]:
        return [id for (id,) in self._ask("rows.members", [tree, n])]

    def is_over(self, tree: JobId) -> bool:
        # Whoever adds behind a job of this tree holds its root, and has committed when the next statement looks.
        self._ask("rows.root", [tree])
        return bool(self._one("rows.over", {"tree": tree}))

    # Edges

    def _edges(self, statement: str, *values: Any) -> list[Edge]:
        return [columns.read_edge(found) for found in self._ask(statement, values)]

    def edges_into(self, job: JobId, after: int | None, n: int, bad: bool = False) -> list[Edge]:
        return self._edges("edges.bad into" if bad else "edges.into", job, LOWEST if after is None else after, n)

    def edges_out(self, job: JobId, after: Place | None, n: int) -> list[Edge]:
        return self._edges("edges.out", job, *(after or FIRST), n)

    def lowest_place(self, job: JobId) -> int:
        lowest: int = self._one("edges.lowest", [job])
        return min(0, lowest)

    def successors(self, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
        # Two additions could close a circle that neither sees.
        self._step.require_alone()
        found: dict[JobId, list[JobId]] = {id: [] for id in ids}
        for before, after in self._ask("edges.successors", [literals.names(ids)]):
            found[before].append(after)
        return found

    def reopen(self, edges: Sequence[Edge]) -> None:
        places = literals.numbers([edge.place for edge in edges])
        self._tell("edges.reopen", [literals.names([edge.after for edge in edges]), places])

    def forgive(self, job: JobId) -> None:
        self._tell("edges.forgive", [job])

    # The three verbs of every job

    def end(self, session: SessionId, outcomes: Sequence[Ended]) -> list[JobId]:
        alike: dict[tuple[State, int], list[Ended]] = {}
        for outcome in sorted(outcomes, key=lambda outcome: outcome.job):
            alike.setdefault((outcome.state, outcome.attempt), []).append(outcome)
        now = self.now()
        found: list[tuple[JobId]] = []
        for (state, attempt), these in alike.items():
            ids = literals.names([outcome.job for outcome in these])
            values = [outcome.value for outcome in these]
            left = [
                literals.blobs([None if value is None else value.json for value in values]),
                literals.numbers([value is not None and value.spread for value in values]),
                literals.texts([columns.failure_text(outcome.failure) for outcome in these]),
            ]
            found += self._ask("end.end", [state.value, now, ids, session, attempt, ids, *left, len(these)])
        return [id for (id,) in found]

    def settle(self, ended: Mapping[JobId, State], most: int) -> list[JobId] | None:
        return self._settle(ended, FIRST, LAST, most)

    def settle_slice(self, job: JobId, end: State, beyond: Place | None, upto: Place) -> list[JobId]:
        return self._settle({job: end}, beyond or FIRST, upto, ENDLESS) or []

    def _settle(self, ended: Mapping[JobId, State], beyond: Place, upto: Place, most: int) -> list[JobId] | None:
        jobs = [literals.names(ended), literals.names(ended.values())]
        [(n, spoilt)] = self._ask("settle.settle", [*jobs, *beyond, *upto, most + 1, most])
        return None if n > most else spoilt or []

    def start(self, session: SessionId, ids: Sequence[JobId]) -> list[Claim]:
        return self._claims(ids, self._ask("claim.start", [session, self.now(), literals.names(ids)]))

    def start_in(self, session: SessionId, lane: Lane, n: int) -> list[Claim]:
        number = self._lanes.id(lane)
        how, place = self._from(number)
        claims = self._read_claims(self._ask(f"claim.start in{how}", [session, self.now(), number, *place, n]))
        claims.sort(key=lambda claim: (-claim.row.priority, claim.row.tree, claim.row.id))
        return claims

    def _claims(self, ids: Sequence[JobId], found: Sequence[columns.Values]) -> list[Claim]:
        claims = {claim.row.id: claim for claim in self._read_claims(found)}
        return [claims[id] for id in ids]

    def _read_claims(self, found: Sequence[columns.Values]) -> list[Claim]:
        lanes = self._lanes.read({values[6] for values in found}, self._ask)
        read = [columns.read_claim(values, lanes) for values in found]
        taking = {claim.row.id: claim for claim, takes in read if takes and not claim.row.doomed}
        for edge in self._edges("edges.slots", literals.names(taking)) if taking else ():
            taking[edge.after].slots.append(edge)
        return [claim for claim, _ in read]

    # What can be claimed

    def ready_ends(self, n: int) -> list[JobId]:
        if n > SLICE:
            self._look(n)
        return self._ready_ends[:n]

    def ready_lanes(self) -> list[Lane]:
        lanes = self._lanes.read(self._ready_lanes, self._ask)
        return [lanes[id] for id in self._ready_lanes]

    def ready_in(self, lane: Lane, n: int) -> list[Candidate]:
        number = self._lanes.id(lane)
        how, place = self._from(number)
        found = self._ask(f"claim.lane{how}", [number, *place, n])
        return [(priority, tree, id, lane) for priority, tree, id in found]

    def _from(self, lane: int) -> tuple[str, Sequence[Any]]:
        """Return the statement's suffix, and from where on to look for jobs of a lane."""
        return (" from", self._low.lanes[lane]) if self._spares else ("", ())

    def running_by_lane(self) -> dict[Lane, int]:
        self._take_turn()
        found = self._ask("claim.running")
        lanes = self._lanes.read([lane for lane, _ in found], self._ask)
        return {lanes[lane]: n for lane, n in found}

    def running_on(self, host: str) -> list[Candidate]:
        self._take_turn()
        found = self._ask("claim.running on", [host])
        lanes = self._lanes.read([lane for *_, lane in found], self._ask)
        return [(priority, tree, id, lanes[lane]) for priority, tree, id, lane in found]

    def _take_turn(self) -> None:
        """Let those who claim under limits count one after the other, each when the last one's claims can be seen."""
        self._ask("step.lock", [key(self._schema, "limits")])

    def wake_due(self, n: int) -> None:
        self._look()
        if self._next_due is not None and self._next_due <= self.now():
            self._tell("claim.due", [self.now(), n])
            self._look()

    def _look(self, n: int = SLICE) -> None:
        low = self._low
        found = None if low.is_whole() else self._look_from(n)
        if found is None or (low.is_whole(empty=True) and not (found[0] or found[1])):
            found = self._look_whole(n)
        ends, lanes, self._next_due = found
        self._ready_ends = [each[-26:] for each in ends]
        self._ready_lanes = [low.remember(each) for each in lanes]
        if ends:
            low.end = ends[0][:-26], ends[0][-26:]
        if self._next_due is not None:
            low.due = self._next_due

    def _look_whole(self, n: int) -> tuple[list[str], list[str], float | None]:
        self._low.last.partial = False
        began = time.monotonic()
        [found] = self._ask("claim.ready", [n])
        took = time.monotonic() - began
        self._spares = took > CHEAP and self._one("claim.dead", [f"{quote(self._schema)}.job"]) > MANY
        if self._spares:
            self._low.spare(took)
        return found  # type: ignore[no-any-return]

    def _look_from(self, n: int) -> tuple[list[str], list[str], float | None]:
        low, self._spares = self._low, True
        low.last.partial = True
        known = low.lanes.copy()
        priorities, trees, ids = literals.columns(list(known.values()), 3)
        names, numbers = literals.names, literals.numbers
        places = [numbers(known), numbers(priorities), names(trees), names(ids)]
        [found] = self._ask("claim.ready from", [*low.end, n, *places, low.due])
        return found  # type: ignore[no-any-return]

    def next_due(self) -> float | None:
        return self._next_due

    # Results

    def keep_value(self, job: JobId, value: Value) -> None:
        self._tell("end.value", [job, value.json, value.spread])

    def keep_failure(self, job: JobId, failure: Failure | None) -> None:
        if failure is None:
            self._tell("end.no failure", [job])
        else:
            self._tell("end.failure", [job, columns.failure_text(failure)])

    def keep_progress(self, session: SessionId, progress: Sequence[Progress]) -> None:
        latest = {step.job: step for step in progress}.values()
        jobs, percents = literals.names([step.job for step in latest]), literals.numbers([s.percent for s in latest])
        self._tell("end.progress", [jobs, percents, literals.texts([step.status for step in latest]), session])

    def keep_lines(self, session: SessionId, lines: Sequence[Line]) -> None:
        last: dict[JobId, int] = dict(self._ask("log.ours", [literals.names({line.job for line in lines}), session]))
        rows: list[tuple[JobId, int, str, str]] = []
        for line in lines:
            if line.job in last:
                last[line.job] += 1
                rows.append((line.job, last[line.job], line.stream, line.text))
        jobs, numbers, streams, texts = literals.columns(rows, 4)
        values = [literals.names(jobs), literals.numbers(numbers), literals.names(streams), literals.texts(texts)]
        self._tell("log.append", values)
        for job, number in last.items():
            if number > LOG:
                self._tell("log.cut", [job, number - LOG])

    # The worklist: who touches it is alone, so what the others saw of it when they began stays true

    def _read_work(self, statement: str, *values: Any) -> Work | None:
        return next((columns.read_work(found) for found in self._ask(statement, values)), None)

    def _is_idle(self) -> bool:
        """Tell whether the worklist is known to be empty, and to stay so; raise if it is known not to be."""
        if self._step.hold is not Hold.SHARED:
            return False
        self._step.begin()
        if self._step.work is not None:
            self._step.require_alone()
        return True

    def first_work(self) -> Work | None:
        return None if self._is_idle() else self._read_work("work.first")

    def find_work(self, job: JobId, verb: Verb) -> Work | None:
        return None if self._is_idle() else self._read_work("work.find", job, verb.value)

    def purging(self) -> set[JobId]:
        return set() if self._is_idle() else {job for (job,) in self._ask("work.purging")}

    def enlist(self, work: Work) -> None:
        self._step.require_alone()
        self._tell("work.enlist", [work.job, work.verb.value, work.cursor, work.origin])

    def advance(self, work: Work) -> None:
        self._tell("work.advance", [work.cursor, work.job, work.verb.value])

    def delist(self, job: JobId, verb: Verb) -> None:
        if not self._is_idle():
            self._tell("work.delist", [job, verb.value])

    # Names

    def find_marked(self, unless: Unless) -> JobId | None:
        # Whoever looks for the same mark waits until this step is over, and sees what it added.
        self._ask("step.lock", [key(self._schema, f"mark {unless.mark}")])
        found = self._find_done(unless) or self._one("names.unfinished", [unless.mark])
        # It may have been unfinished at the first look, and done at the second.
        return found or self._find_done(unless)

    def _find_done(self, unless: Unless) -> JobId | None:
        if unless.within is None:
            return None
        found: JobId | None = self._one("names.done since", [unless.mark, self.now() - unless.within])
        return found

    def keys(self, ids: Sequence[JobId]) -> dict[JobId, list[str]]:
        return group_keys(self._ask("names.keys", [literals.names(ids)]))

    def find_holder(self, key: str) -> JobId | None:
        return self.find_marked(Unless(key))

    def find_request(self, request: str) -> JobId | None:
        self._ask("step.lock", [key(self._schema, f"request {request}")])
        found: JobId | None = self._one("names.request", [request])
        return found

    def keep_request(self, request: str, job: JobId) -> None:
        self._tell("names.keep request", [request, job])

    # Sessions and limits

    def open_session(self, session: Session) -> None:
        self._lifelines.hold(session.id)
        self._tell("session.open", [session.id, _to_json(session).decode(), self.now() + LEASE])

    def renew(self, session: SessionId) -> bool:
        return self._one("session.renew", [self.now() + LEASE, session]) is not None

    def is_alive(self, session: SessionId) -> bool:
        self._step.begin()
        return session in self._step.alive

    def bury(self, session: SessionId | None) -> None:
        if session is not None:
            self._tell("session.bury", [session])
            self._lifelines.drop(session)
            return
        self._tell("session.bury late", [self.now()])
        # Of its own host a worker knows sooner.
        for id, about, dead, _ in self._ask("session.all"):
            if not dead and self._lifelines.is_cut(id, msgspec.json.decode(about, type=Session).pid):
                self.bury(id)

    def take_over(self, session: SessionId, n: int) -> list[Claim]:
        orphans = [id for (id,) in self._ask("session.orphans", [n])]
        if not orphans and self._low.wants_orphans():
            began = time.monotonic()
            orphans = [id for (id,) in self._ask("session.unknown orphans", [n])]
            self._low.looked_for_orphans(time.monotonic() - began)
        found = self._ask("claim.adopt", [session, literals.names(orphans)]) if orphans else []
        self._tell("session.forget", [])
        return self._claims(orphans, found)

    def cancels(self, session: SessionId) -> list[JobId]:
        return [id for (id,) in self._ask("session.cancels", [session])]

    def overdue(self, n: int) -> list[JobId]:
        return [id for (id,) in self._ask("session.overdue", [self.now(), n])]

    def limits(self) -> dict[str, Rule]:
        self._step.begin()
        return self._step.limits

    def set_limit(self, name: str, rule: Rule | None) -> None:
        if rule is None:
            self._tell("names.drop limit", [name])
        else:
            self._tell("names.set limit", [name, rule.n, rule.until])

    # Tasks and clocks

    def tasks(self, names: Sequence[str] | None) -> list[Declaration]:
        found = self._ask("task.all") if names is None else self._ask("task.these", [literals.texts(names)])
        return [columns.read_task(about) for (about,) in found]

    def keep_tasks(self, tasks: Sequence[Declaration]) -> None:
        abouts = literals.texts([_to_json(task).decode() for task in tasks])
        self._tell("task.keep", [literals.texts([task.name for task in tasks]), abouts])

    def forget_tasks(self, names: Sequence[str]) -> None:
        self._tell("task.forget", [literals.texts(names)])

    def clocks(self) -> dict[str, float]:
        # Whoever would set a clock looks at it when the last one who did has committed.
        self._ask("step.lock", [key(self._schema, "clocks")])
        return dict(self._ask("task.clocks"))

    def set_clock(self, name: str, now: float) -> None:
        self._tell("task.set clock", [name, now])

    def reset(self) -> None:
        self._step.require_alone()
        self._tell("task.reset", [])
