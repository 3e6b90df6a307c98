"""The tables of the engine in the hashes and sorted sets of one step."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Final

import msgspec

from ramify.graph.arrive import Arrival
from ramify.graph.fit import Candidate
from ramify.model import (
    ENDED,
    Batch,
    Claim,
    Edge,
    Ended,
    Failure,
    JobId,
    Kind,
    Lane,
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
    is_good,
)
from ramify.stores.protocol import LEASE
from ramify.stores.redis.insert import digest, insert
from ramify.stores.redis.records import (
    Entry,
    Left,
    Record,
    counters,
    decode_left,
    decode_record,
    edge_key,
    encode,
    encode_edge,
    entries,
    out_key,
    read_edge,
    read_payload,
    to_record,
    to_row,
    word,
)
from ramify.stores.redis.select import select_rows
from ramify.stores.redis.transaction import Transaction
from ramify.stores.sqlite.sessions import Lifelines
from ramify.stores.tables import Place

ALL: Final = 1 << 40
PAGE: Final = 1000


class Lanes(dict[int, Lane]):
    """The lanes by their numbers: few and never changed, so each program remembers them.

    `name` gives numbers to lanes without one, and returns all lanes.
    """

    def __init__(self, name: Callable[[Sequence[Lane]], Mapping[int, Lane]]) -> None:
        super().__init__()
        self.numbers: dict[Lane, int] = {}
        self._name = name

    def learn(self, lanes: Mapping[int, Lane]) -> None:
        """Remember lanes."""
        self.update(lanes)
        self.numbers.update({lane: number for number, lane in lanes.items()})

    def number(self, lane: Lane) -> int:
        """Return the number of a lane, which is given one if it has none."""
        if lane not in self.numbers:
            self.learn(self._name([lane]))
        return self.numbers[lane]

    def forget(self) -> None:
        """Forget all; the store is another one."""
        self.clear()
        self.numbers.clear()

    def __missing__(self, number: int) -> Lane:
        self.learn(self._name([]))
        return self.get(number) or Lane()


class RedisTables:
    """See `ramify.stores.tables.Tables` for what each method promises."""

    def __init__(self, transaction: Transaction, lanes: Lanes, now: float, lifelines: Lifelines | None = None) -> None:
        self.transaction, self._lanes, self._now = transaction, lanes, now
        self._lifelines = lifelines
        self._records: dict[JobId, Record | None] = {}
        self._before: dict[JobId, tuple[list[Entry], list[tuple[str, str]]]] = {}
        self._dirty: dict[JobId, None] = {}
        self._counts: dict[str, int] = {}

    def learn_counts(self, counts: Mapping[str, int]) -> None:
        """Remember how many jobs there were when the step began, by lane and what they are shown as."""
        self._counts = dict(counts)

    def now(self) -> float:
        return self._now

    # Rows

    def _load(self, ids: Sequence[JobId]) -> None:
        missing = [id for id in ids if id not in self._records]
        if missing:
            for id, stored in zip(missing, self.transaction.get("job", missing), strict=True):
                self._records[id] = None if stored is None else decode_record(stored)

    def _find(self, id: JobId) -> Record | None:
        if id not in self._records:
            self._load([id])
        return self._records[id]

    def _get(self, id: JobId) -> Record:
        record = self._find(id)
        assert record is not None, f"job {id} is not stored"
        return record

    def _touch(self, id: JobId) -> Record:
        """Return a row that is about to change."""
        record = self._get(id)
        if id not in self._before:
            self._before[id] = (entries(id, record), counters(record))
        self._dirty[id] = None
        return record

    def flush(self) -> None:
        """Write the rows that changed and where they stand in the indexes."""
        if not self._dirty:
            return
        transaction = self.transaction
        for id in self._dirty:
            record = self._get(id)
            transaction.put("job", id, encode(record))
            old, was = self._before[id]
            new, now = self._before[id] = (entries(id, record), counters(record))
            if new != old:
                for entry in old:
                    if entry not in new:
                        transaction.remove(entry[0], entry[1])
                for entry in new:
                    if entry not in old:
                        transaction.add(*entry)
            if was != now:
                for counter in was:
                    transaction.count(*counter, -1)
                for counter in now:
                    transaction.count(*counter, 1)
        self._dirty.clear()

    def _counted(self, lane: int, name: str) -> int:
        key = f"{lane} {name}"
        return self._counts.get(key, 0) + self.transaction.counts.get(("count", key), 0)

    def rows(self, ids: Sequence[JobId]) -> list[Row]:
        self._load(ids)
        if len(ids) > 1:
            self._read_ahead(ids)
        lanes = self._lanes
        return [to_row(id, record, lanes) for id in ids if (record := self._records[id]) is not None]

    def _read_ahead(self, ids: Sequence[JobId]) -> None:
        """Read at once what the verbs of users ask of each row."""
        transaction = self.transaction
        known = [(id, record) for id in ids if (record := self._records[id]) is not None]
        here = [id for id, _ in known]
        self._read_work(here)
        transaction.get("result", here)
        transaction.get("edge", [edge_key(id, record.low) for id, record in known if record.low < record.high])
        groups = [("held", id) for id in here] + [("out", id) for id in here]
        over = [id for id, record in known if record.parent is None and record.state in ENDED]
        transaction.get("tally", [f"{what} {id}" for what in ("open", "out") for id in over])
        transaction.read_groups(groups, PAGE + 1)

    def select(self, which: Which, page: Page) -> list[Row]:
        self.flush()
        return select_rows(self.transaction, self._lanes, which, page)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            record = self._touch(row.id)
            self._records[row.id] = to_record(row, self._lanes.number(row.lane), record.low, record.high)

    def insert(self, batch: Batch, arrival: Arrival) -> None:
        places = insert(self.transaction, batch, arrival, self._lanes.number)
        own = {row.id for row in arrival.rows}
        self._count_crossing([edge for edge in arrival.edges if not (edge.before in own and edge.after in own)], 1)
        if batch.into is not None and batch.into in places:
            record = self._touch(batch.into)
            low, high = places[batch.into]
            record.low, record.high = min(record.low, low), max(record.high, high)

    def _count_crossing(self, edges: Sequence[Edge], n: int) -> None:
        """Count the edges that lead into another tree, by the tree that they come from."""
        self._load(list({job for edge in edges for job in (edge.before, edge.after)}))
        for edge in edges:
            before, after = self._records[edge.before], self._records[edge.after]
            if before is not None and after is not None and before.tree != after.tree:
                self.transaction.count("tally", f"out {before.tree}", n)

    def forget(self, ids: Sequence[JobId]) -> None:
        self.flush()
        transaction = self.transaction
        transaction.frees = True
        self._load(ids)
        [named] = transaction.ask([["ZCARD", "name"]])
        transaction.read_groups([(key, id) for key in ("out", "name") if named or key == "out" for id in ids], PAGE + 1)
        if not named:
            for id in ids:
                transaction.learn_group("name", id, [], True)
        for key in self._read_work(ids):
            job, _, verb = key.partition(" ")
            self.delist(job, Verb(verb))
        self.read_edges_ahead(ids, True, PAGE)
        self.read_edges_ahead(ids, False, PAGE)
        for id in ids:
            record = self._touch(id)
            edges = [*self.edges_into(id, None, ALL), *self.edges_out(id, None, ALL)]
            self._count_crossing(edges, -1)
            for edge in edges:
                transaction.put("edge", edge_key(edge.after, edge.place), None)
                transaction.remove("out", out_key(edge))
            for name in transaction.group("name", id, None, ALL):
                kind, known = name[len(id) + 1], name[len(id) + 2 :]
                if kind == "m":
                    transaction.remove("mark", f"{known} {id}")
                else:
                    transaction.put("request", known, None)
                transaction.remove("name", name)
            for key, member, _ in self._before[id][0]:
                transaction.remove(key, member)
            for counter in self._before[id][1]:
                transaction.count(*counter, -1)
            if record.parent is None:
                transaction.forget_count("tally", f"open {id}")
                transaction.forget_count("tally", f"out {id}")
            for key in ("job", "payload", "slots", "result"):
                transaction.put(key, id, None)
            del self._before[id], self._dirty[id]
            self._records[id] = None

    def held(self, hold: JobId, n: int) -> list[JobId]:
        self.flush()
        return [member[len(hold) + 1 :] for member in self.transaction.group("held", hold, None, n)]

    def members(self, tree: JobId, n: int) -> list[JobId]:
        self.flush()
        return [member[len(tree) + 1 :] for member in self.transaction.group("tree", tree, None, n)]

    def is_over(self, tree: JobId) -> bool:
        self.flush()
        root = self._find(tree)
        if root is None or root.state not in ENDED:
            return False
        return not any(self.transaction.counted_in("tally", f"{what} {tree}") for what in ("open", "out"))

    # Edges

    def _outs(self, job: JobId, after: Place | None, n: int) -> list[str]:
        beyond = None if after is None else f"{job} {edge_key(*after)}"
        return self.transaction.group("out", job, beyond, n)

    def _edges(self, keys: Sequence[str]) -> list[Edge]:
        found = self.transaction.get("edge", keys)
        return [read_edge(key, stored) for key, stored in zip(keys, found, strict=True) if stored is not None]

    def edges_into(self, job: JobId, after: int | None, n: int, bad: bool = False) -> list[Edge]:
        record = self._find(job)
        if record is None:
            return []
        found: list[Edge] = []
        start = record.low if after is None else max(record.low, after + 1)
        while start < record.high and len(found) < n:
            stop = min(record.high, start + min(PAGE, n - len(found) if not bad else PAGE))
            edges = self._edges([edge_key(job, place) for place in range(start, stop)])
            found += [edge for edge in edges if edge.bad] if bad else edges
            start = stop
        return found[:n]

    def edges_out(self, job: JobId, after: Place | None, n: int) -> list[Edge]:
        skip = len(job) + 1
        return self._edges([member[skip:] for member in self._outs(job, after, n)])

    def read_edges_ahead(self, ids: Sequence[JobId], out: bool, n: int) -> None:
        """Read at once what the edges of these jobs are read from, about `n` of them."""
        keys: list[str] = []
        if out:
            self.transaction.read_groups([("out", id) for id in ids], n)
            keys = [member[len(id) + 1 :] for id in ids for member in self._outs(id, None, n)]
        else:
            self._load(ids)
            for id in ids:
                record = self._records[id]
                if record is not None and len(keys) < n:
                    keys += [edge_key(id, place) for place in range(record.low, min(record.high, record.low + n))]
        self.transaction.get("edge", keys[: 2 * n])

    def lowest_place(self, job: JobId) -> int:
        return min(0, self._get(job).low)

    def successors(self, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
        found = {id: [member.split(" ")[1] for member in self._outs(id, None, ALL)] for id in ids}
        self._load([after for afters in found.values() for after in afters])
        return {
            id: [after for after in afters if self._get(after).state is not State.DONE] for id, afters in found.items()
        }

    def reopen(self, edges: Sequence[Edge]) -> None:
        for edge in edges:
            self._give(edge, None)

    def _give(self, edge: Edge, verdict: State | None) -> None:
        edge.verdict = verdict
        self.transaction.put("edge", edge_key(edge.after, edge.place), encode_edge(edge))

    # The three verbs of every job

    def end(self, session: SessionId, outcomes: Sequence[Ended]) -> list[JobId]:
        ids = [outcome.job for outcome in outcomes]
        self._load(ids)
        accepted: list[JobId] = []
        for outcome in outcomes:
            id = outcome.job
            record = self._records[id]
            if (
                record is None
                or record.state is not State.RUNNING
                or record.session != session
                or record.attempt != outcome.attempt
            ):
                continue
            self._touch(id)
            record.state, record.session, record.deadline, record.ended = outcome.state, None, None, self._now
            self._keep(id, outcome.value, outcome.failure)
            accepted.append(id)
        return accepted

    def _keep(self, id: JobId, value: Value | None, failure: Failure | None) -> None:
        left = self._left(id)
        if left is None:
            if value is None and failure is None:
                return
            left = Left()
        if value is not None:
            left.value, left.spread = value.json, value.spread
        left.failure = failure
        self.transaction.put("result", id, encode(left))

    def _left(self, id: JobId) -> Left | None:
        [stored] = self.transaction.get("result", [id])
        return None if stored is None else decode_left(stored)

    def settle(self, ended: Mapping[JobId, State], most: int) -> list[JobId] | None:
        edges: list[Edge] = []
        self.transaction.read_groups([("out", id) for id in ended], most + 1)
        for id in sorted(ended):
            last: Place | None = None
            while page := self.edges_out(id, last, most + 1):
                edges += [edge for edge in page if edge.verdict is None]
                if len(edges) > most:
                    return None
                last = (page[-1].after, page[-1].place)
                if len(page) <= most:
                    break
        return self._settle(edges, ended) if edges else []

    def settle_slice(self, job: JobId, end: State, beyond: Place | None, upto: Place) -> list[JobId]:
        found: list[Edge] = []
        last = beyond
        while page := self.edges_out(job, last, PAGE):
            found += [edge for edge in page if (edge.after, edge.place) <= upto]
            last = (page[-1].after, page[-1].place)
            if last >= upto:
                break
        return self._settle([edge for edge in found if edge.verdict is None], {job: end})

    def _settle(self, edges: Sequence[Edge], ended: Mapping[JobId, State]) -> list[JobId]:
        self._load([edge.after for edge in edges])
        first_bad: set[JobId] = set()
        bads = {edge.after: self._get(edge.after).bads for edge in edges}
        for edge in edges:
            end = ended[edge.before]
            self._give(edge, end)
            record = self._touch(edge.after)
            record.waits -= 1
            if not is_good(edge.kind, edge.when, end):
                record.bads += 1
                if edge.kind is Kind.CHILD and record.fast and bads[edge.after] == 0 and record.state not in ENDED:
                    first_bad.add(edge.after)
            if record.state is State.WAITING and record.waits == 0:
                record.state = State.READY
        return sorted(first_bad)

    def start(self, session: SessionId, ids: Sequence[JobId]) -> list[Claim]:
        self._load(ids)
        for id in ids:
            record = self._touch(id)
            record.state, record.session = State.RUNNING, session
            record.attempt += 1
            if not record.doomed:
                record.started = self._now
        return self._claims(ids)

    def _claims(self, ids: Sequence[JobId]) -> list[Claim]:
        lanes, transaction = self._lanes, self.transaction
        claims = []
        stored = zip(ids, transaction.get("payload", ids), transaction.get("slots", ids), strict=True)
        for id, payload, slots in stored:
            record = self._get(id)
            edges: list[Edge] = []
            if slots is not None and not record.doomed:
                edges = self._edges([edge_key(id, place) for place in sorted(msgspec.msgpack.decode(slots))])
            claims.append(Claim(to_row(id, record, lanes), read_payload(payload), edges))
        return claims

    # What can be claimed

    def ready_ends(self, n: int) -> list[JobId]:
        self.flush()
        return [member.partition(" ")[2] for _, member in self.transaction.lowest("ends", n)]

    def ready_lanes(self) -> list[Lane]:
        self.flush()
        lanes = self._lanes
        return [lanes[number] for number in sorted(lanes) if self._counted(number, "ready") > 0]

    def ready_in(self, lane: Lane, n: int) -> list[Candidate]:
        self.flush()
        found = self.transaction.lowest(f"ready:{self._lanes.number(lane)}", n)
        return [(int(score), *_pair(member), lane) for score, member in found]

    def running_by_lane(self) -> dict[Lane, int]:
        self.flush()
        found = ((lane, self._counted(number, "running")) for number, lane in self._lanes.items())
        return {lane: n for lane, n in found if n > 0}

    def wake_due(self, n: int) -> None:
        for due, id in self._first_due(n):
            if due > self._now:
                return
            self._touch(id).due = None

    def _first_due(self, n: int) -> list[tuple[float, str]]:
        """Return the first `n` scheduled jobs, or the first one if that is not due."""
        self.flush()
        first = self.transaction.lowest("due", 1)
        return first if not first or first[0][0] > self._now else self.transaction.lowest("due", n)

    def next_due(self) -> float | None:
        self.flush()
        return next((due for due, _ in self.transaction.lowest("due", 1)), None)

    # Results

    def keep_value(self, job: JobId, value: Value) -> None:
        left = self._left(job) or Left()
        left.value, left.spread = value.json, value.spread
        self.transaction.put("result", job, encode(left))

    def keep_failure(self, job: JobId, failure: Failure | None) -> None:
        self._keep(job, None, failure)

    def keep_progress(self, session: SessionId, progress: Sequence[Progress]) -> None:
        self._load([step.job for step in progress])
        for step in progress:
            record = self._records[step.job]
            if record is not None and record.session == session:
                left = self._left(step.job) or Left()
                left.percent, left.status = step.percent, step.status
                self.transaction.put("result", step.job, encode(left))

    # The worklist

    def first_work(self) -> Work | None:
        for _, member in self.transaction.lowest("order", 1):
            job, _, verb = member.partition(" ")
            return self.find_work(job, Verb(verb))
        return None

    def find_work(self, job: JobId, verb: Verb) -> Work | None:
        [stored] = self.transaction.get("work", [f"{job} {verb.value}"])
        if stored is None:
            return None
        cursor, origin = msgspec.msgpack.decode(stored)
        return Work(job, verb, cursor, origin)

    def purging(self) -> set[JobId]:
        return {job for _, job in self.transaction.lowest("purge", PAGE)}

    def enlist(self, work: Work) -> None:
        if self.find_work(work.job, work.verb) is None:
            transaction = self.transaction
            transaction.add("order", f"{work.job} {work.verb.value}", self._next_entry())
            if work.verb is Verb.PURGE:
                transaction.add("purge", work.job)
                transaction.frees = True
        self.advance(work)

    def _read_work(self, ids: Sequence[JobId]) -> list[str]:
        """Return the entries of these jobs on the worklist, which are found in all of it, if that is short."""
        verbs = [verb.value for verb in Verb]
        keys = [f"{id} {verb}" for id in ids for verb in verbs]
        if len(keys) > PAGE:
            entries = self.transaction.lowest("order", PAGE)
            if len(entries) < PAGE:
                there = {member for _, member in entries}
                absent = [key for key in keys if key not in there]
                self.transaction.learn("work", absent, [None] * len(absent))
        found = self.transaction.get("work", keys)
        return [key for key, stored in zip(keys, found, strict=True) if stored is not None]

    def _next_entry(self) -> float:
        pending = self.transaction.sorted.get("order", {}).values()
        return max([self.last_entry, *[score for score in pending if score is not None]]) + 1

    last_entry: float = -1
    """The number of the worklist's last entry when the step began."""

    def advance(self, work: Work) -> None:
        key = f"{work.job} {work.verb.value}"
        self.transaction.put("work", key, encode((work.cursor, work.origin)))

    def delist(self, job: JobId, verb: Verb) -> None:
        key = f"{job} {verb.value}"
        if self.transaction.get("work", [key]) != [None]:
            self.transaction.put("work", key, None)
            self.transaction.remove("order", key)
            if verb is Verb.PURGE:
                self.transaction.remove("purge", job)

    # Names

    def find_marked(self, unless: Unless) -> JobId | None:
        mark = digest(unless.mark)
        ids = [member[len(mark) + 1 :] for member in self.transaction.group("mark", mark, None, ALL)]
        self._load(ids)
        unfinished = [id for id in ids if self._get(id).state not in ENDED]
        if unfinished or unless.within is None:
            return min(unfinished, default=None)
        since = self._now - unless.within
        ended = [(self._get(id).ended or -inf, id) for id in ids if self._get(id).state is State.DONE]
        return max([(time, id) for time, id in ended if time >= since], default=(0.0, None))[1]

    def find_request(self, request: str) -> JobId | None:
        [found] = self.transaction.get("request", [digest(request)])
        return found.decode() if isinstance(found, bytes) else found

    def keep_request(self, request: str, job: JobId) -> None:
        self.transaction.put("request", digest(request), job)
        self.transaction.add("name", f"{job} r{digest(request)}")

    # Sessions and limits

    def open_session(self, session: Session) -> None:
        if self._lifelines is not None:
            self._lifelines.hold(session.id)
        self.transaction.put("session", session.id, msgspec.json.encode(session))
        self.transaction.add("lease", session.id, self._now + LEASE)
        self.transaction.remove("dead", session.id)

    def renew(self, session: SessionId) -> bool:
        if not self.is_alive(session):
            return False
        self.transaction.add("lease", session, self._now + LEASE)
        return True

    alive: SessionId | None = None
    """A session that was found alive when the step began."""

    def is_alive(self, session: SessionId) -> bool:
        return session == self.alive or self.transaction.score("lease", session) is not None

    def bury(self, session: SessionId | None) -> None:
        for lease, id in self.transaction.lowest("lease", ALL):
            if id == session or (session is None and (lease < self._now or self._is_cut(id))):
                self.transaction.remove("lease", id)
                self.transaction.add("dead", id)
                if self._lifelines is not None:
                    self._lifelines.drop(id)

    def _is_cut(self, session: SessionId) -> bool:
        """Tell whether a session of this host is known to have no process any more."""
        [about] = self.transaction.get("session", [session])
        if self._lifelines is None or about is None:
            return False
        return self._lifelines.is_cut(session, msgspec.json.decode(about, type=Session).pid)

    def take_over(self, session: SessionId, n: int) -> list[Claim]:
        dead = {id for _, id in self.transaction.lowest("dead", ALL)}
        if not dead:
            return []
        self.flush()
        running = [id for _, id in self.transaction.lowest(f"state:{State.RUNNING.value}", ALL)]
        self._load(running)
        orphans = [id for id in running if self._get(id).session in dead]
        taken = orphans[:n]
        for id in taken:
            self._touch(id).session = session
        kept = {self._get(id).session for id in orphans[n:]}
        for id in dead - kept:
            self.transaction.remove("dead", id)
            self.transaction.put("session", id, None)
        return self._claims(taken)

    def cancels(self, session: SessionId) -> list[JobId]:
        self.flush()
        return [member[len(session) + 1 :] for member in self.transaction.group("cancel", word(session), None, ALL)]

    def overdue(self, n: int) -> list[JobId]:
        self.flush()
        size = n
        while True:
            found = self.transaction.lowest("deadline", size)
            late = sorted(id for deadline, id in found if deadline <= self._now)
            if len(found) < size or len(late) < size:
                return late[:n]
            size *= 2

    def limits(self) -> dict[str, Rule]:
        return {name: Rule(n) for name, n in sorted(self._limits.items())}

    _limits: dict[str, int]

    def learn_limits(self, limits: Mapping[str, int]) -> None:
        """Remember the limits as they were when the step began."""
        self._limits = dict(limits)

    def set_limit(self, name: str, rule: Rule | None) -> None:
        self.transaction.put("limit", name, None if rule is None else str(rule.n))


def _pair(member: str) -> tuple[str, str]:
    tree, _, id = member.partition(" ")
    return tree, id
