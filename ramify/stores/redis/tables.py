"""The tables of the engine in the hashes and sorted sets of one step."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from ramify.graph.arrive import Arrival
from ramify.graph.fit import Candidate
from ramify.graph.retry import retries_of
from ramify.model import (
    ENDED,
    UNDONE,
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
    Progress,
    Row,
    Session,
    SessionId,
    State,
    Value,
    Verb,
    When,
    Which,
    is_good,
)
from ramify.stores.protocol import LOG
from ramify.stores.redis.edges import ALL, PAGE
from ramify.stores.redis.insert import insert
from ramify.stores.redis.lists import Lists
from ramify.stores.redis.records import (
    KEYS,
    Left,
    decode_left,
    edge_key,
    encode,
    out_key,
    read_payload,
    to_row,
)
from ramify.stores.redis.select import select_rows
from ramify.stores.tables import Place


class RedisTables(Lists):
    """See `ramify.stores.tables.Tables` for what each method promises."""

    def wake(self, ready: bool, ended: bool) -> None:
        self.woken |= ({"ready"} if ready else set()) | ({"ended"} if ended else set())

    # Rows

    def rows(self, ids: Sequence[JobId], share: bool = False) -> list[Row]:
        self._load(ids)
        if len(ids) > 1:
            self._read_ahead(ids)
        lanes = self._lanes
        return [to_row(id, record, lanes) for id in ids if (record := self._records[id]) is not None]

    def retries(self, ids: Sequence[JobId]) -> dict[JobId, int]:
        """Return how often these jobs may be tried again; one whose policy cannot be read is left out."""
        allowed: dict[JobId, int] = {}
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            for id, stored in zip(page, self.transaction.ask([["HMGET", "payload", *page]])[0], strict=True):
                with suppress(ValueError):
                    if stored is not None:
                        allowed[id] = retries_of(read_payload(stored).policy)
        return allowed

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

    def insert(self, batch: Batch, arrival: Arrival) -> None:
        places = insert(self.transaction, batch, arrival, self._lanes.number)
        own = {row.id for row in arrival.rows}
        self._count_crossing([edge for edge in arrival.edges if not (edge.before in own and edge.after in own)], 1)
        if batch.into is not None and batch.into in places:
            record = self._touch(batch.into)
            low, high = places[batch.into]
            record.low, record.high = min(record.low, low), max(record.high, high)

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
        told = self._count_lines(ids)
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
            self._cut_lines(id, told[id], told[id])
            for key in ("job", "payload", "slots", "result", "told"):
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
        if self.transaction.counted_in("tally", f"open {tree}"):
            return False
        out = self.transaction.counted_in("tally", f"out {tree}")
        if not out:
            return True
        edges = self.edges_out(tree, None, ALL)
        self._load([edge.after for edge in edges])
        outside = [(row, edge) for edge in edges if (row := self._get(edge.after)).tree != tree]
        return len(outside) == out and all(row.state is State.DONE and edge.place < 0 for row, edge in outside)

    def forgive(self, job: JobId) -> None:
        for edge in self.edges_into(job, None, ALL):
            if edge.kind is Kind.AFTER and (edge.verdict is None or edge.verdict in UNDONE):
                edge.when = When.ENDED
                self._give(edge, edge.verdict)

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

    def start_in(self, session: SessionId, lane: Lane, n: int) -> list[Claim]:
        return self.start(session, [id for _, _, id, _ in self.ready_in(lane, n)])

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

    def keep_lines(self, session: SessionId, lines: Sequence[Line]) -> None:
        jobs = list({line.job for line in lines})
        self._load(jobs)
        ours = [id for id in jobs if (record := self._records[id]) is not None and record.session == session]
        before = self._count_lines(ours)
        last = dict(before)
        for line in lines:
            if line.job in last:
                last[line.job] += 1
                self.transaction.put("said", f"{line.job} {last[line.job]}", encode((line.stream, line.text)))
        for id, number in last.items():
            self.transaction.put("told", id, str(number))
            self._cut_lines(id, before[id], number - LOG)

    def _count_lines(self, ids: Sequence[JobId]) -> dict[JobId, int]:
        return {id: int(told or 0) for id, told in zip(ids, self.transaction.get("told", ids), strict=True)}

    def _cut_lines(self, id: JobId, told: int, upto: int) -> None:
        """Delete what is left of the first lines of a log that has told so many."""
        for number in range(max(1, told - LOG + 1), upto + 1):
            self.transaction.put("said", f"{id} {number}", None)

    # Sessions

    def running_on(self, host: str) -> list[Candidate]:
        self.flush()
        [flat] = self.transaction.ask([["HGETALL", "session"]])
        known = [msgspec.json.decode(about, type=Session) for about in flat[1::2]]
        here = {session.id for session in known if session.host == host}
        running = [id for _, id in self.transaction.lowest(f"state:{State.RUNNING.value}", ALL)]
        self._load(running)
        rows = [(id, record) for id in running if (record := self._get(id)).session in here and not record.doomed]
        return [(-record.priority, record.tree, id, self._lanes[record.lane]) for id, record in rows]

    def reset(self) -> None:
        self.transaction.drop([*KEYS, *[f"ready:{number}" for number in self._lanes]])
        self._records.clear()
        self._before.clear()
        self._dirty.clear()

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
            self.transaction.put("traded", id, None)
        return self._claims(taken)


def _pair(member: str) -> tuple[str, str]:
    tree, _, id = member.partition(" ")
    return tree, id
