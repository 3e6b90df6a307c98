"""Every store takes the same random steps, and none may differ from memory or break an invariant.

After each step the stores are compared row by row and judged by `find_violations`; in the end everything is worked
off, let go, and purged. `STORM=5000 pytest tests/stores/test_machine.py` explores for longer, memory alone unless
`STORES=memory,sqlite` says otherwise.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ramify.checkup import Snapshot
from ramify.declared import Declaration
from ramify.errors import BadNode, RamifyError
from ramify.graph.check import find_violations
from ramify.graph.ends import decide_end
from ramify.graph.fit import in_force
from ramify.graph.plan import Into, plan
from ramify.graph.sketch import sketch
from ramify.model import (
    ENDED,
    UNDONE,
    Again,
    Array,
    Back,
    Batch,
    Charge,
    Edge,
    Ended,
    Exchange,
    Failure,
    Grown,
    JobId,
    Kind,
    Outcome,
    Page,
    Progress,
    Row,
    Rule,
    Session,
    SessionId,
    State,
    Step,
    Unless,
    Verb,
    Want,
    When,
    Which,
)
from ramify.model import Clock as ClockStep
from ramify.node import Node
from ramify.stores.protocol import Store
from tests.stores.kit import FAILURE, LASTING, MEMORY, STORES, VALUE, Broken, Clock, Names, comparable
from tests.stores.trees import KEYS, QUEUES, TASKS, forests

LIMITS: Final = ("all", "queue:a", "task:m:x", "slot:only", "host:x", "declared:task:m:x", "suspended:queue:a")
HOSTS: Final = ("x", "y")
UNITS: Final = 3
VERBS: Final = (Verb.CANCEL, Verb.CANCEL, Verb.RETRY, Verb.RETRY, Verb.HOLD, Verb.RELEASE, Verb.RELEASE, Verb.PURGE)
Act = Callable[[Store], Any]


class Stores(RuleBasedStateMachine):
    """All stores, side by side."""

    kinds: Sequence[str] = tuple(STORES)

    def __init__(self) -> None:
        super().__init__()
        self.whole = False
        self.stores: dict[str, Store] = {}
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)

    @initialize(slice=st.integers(1, 3), data=st.data())
    def open(self, slice: int, data: st.DataObject) -> None:
        """Open every store, empty; a session and a tree are there from the beginning."""
        self.clock, self.slice = Clock(), slice
        self.stores = {name: self.open_store(name) for name in self.kinds}
        self.names = Names()
        self.sessions: list[SessionId] = []
        self.gone: list[SessionId] = []
        self.decided: dict[tuple[JobId, int], Ended] = {}
        self.planned: dict[tuple[JobId, int], Grown] = {}
        self.past: list[Outcome] = []
        self.before = self.now = self.look()
        self.enter()
        self.add(data)

    def open_store(self, name: str) -> Store:
        """Open one store."""
        return STORES[name](Path(self.folder.name), self.clock, self.slice)

    # Steps on all stores

    def do(self, act: Act, breaks_at: int = 0) -> Any:
        """Do the same with every store; return or raise what all of them return or raise."""
        self.whole, self.before = False, self.now
        note(describe(self.before))
        replies = {name: self.attempt(name, act, breaks_at) for name in self.stores}
        self.now = self.look()
        assert find_violations(self.now) == []
        first, *others = replies.values()
        for other in others:
            assert _plain(first) == _plain(other)
        self.whole = True
        if isinstance(first, RamifyError):
            assert self.before == self.now
            raise first
        return first

    def try_to(self, act: Act, breaks_at: int = 0) -> Any:
        """Do something that may rightly be refused; return the error then."""
        try:
            return self.do(act, breaks_at)
        except RamifyError as error:
            return error

    def attempt(self, name: str, act: Act, breaks_at: int) -> Any:
        """Do something with one store; if it breaks on the way, nothing may have changed, and it is done again."""
        store = self.stores[name]
        connection = _connection(store)
        try:
            if connection is not None and breaks_at:
                connection.left = breaks_at
                try:
                    return act(store)
                except Broken:
                    assert self.before == comparable(store.snapshot())
                finally:
                    connection.left = -1
            return act(store)
        except RamifyError as error:
            return error

    def look(self) -> Snapshot:
        """Return the snapshot that all stores give."""
        first, *others = [comparable(store.snapshot()) for store in self.stores.values()]
        for other in others:
            for field in first.__struct_fields__:
                assert getattr(first, field) == getattr(other, field)
        return first

    def rows(self, *states: State) -> list[Row]:
        """Return all rows, or those in some states."""
        return [row for row in self.now.rows if not states or row.state in states]

    def pick(self, data: st.DataObject, rows: Sequence[Row]) -> Row:
        """Return one of these rows."""
        [row] = self.pick_some(data, rows, 1, 1)
        return row

    def pick_some(self, data: st.DataObject, rows: Sequence[Row], least: int, most: int) -> list[Row]:
        """Return some of these rows, some perhaps more than once."""
        by_id = {row.id: row for row in rows}
        ids = [row.id for row in rows]
        drawn = data.draw(st.lists(st.sampled_from(ids), min_size=least, max_size=most)) if ids else []
        return [by_id[id] for id in drawn]

    def pick_session(self, data: st.DataObject) -> SessionId:
        """Return a session, most often one that is alive."""
        return data.draw(st.sampled_from(self.sessions * 3 + self.gone[-1:]))

    # Adding

    @rule(data=st.data(), request=st.sampled_from([None, None, "one", "two"]), breaks_at=st.integers(0, 9))
    def add(self, data: st.DataObject, request: str | None = None, breaks_at: int = 0) -> None:
        """Add a tree; if the reply is lost, once more."""
        batch = self.plan(data, None, 1)
        if batch is not None:
            batch.request = request
            self.try_to(lambda store: store.add(deepcopy(batch)), breaks_at)
            if request:
                self.try_to(lambda store: store.add(deepcopy(batch)))

    @precondition(lambda self: self.rows(State.HELD))
    @rule(data=st.data(), breaks_at=st.integers(0, 9))
    def extend(self, data: st.DataObject, breaks_at: int) -> None:
        """Add children to a job, most often a held one."""
        row = self.pick(data, self.rows(State.HELD) * 3 + self.rows())
        batch = self.plan(data, self.into(row), 2)
        if batch is not None:
            self.try_to(lambda store: store.add(deepcopy(batch)), breaks_at)

    @precondition(lambda self: self.rows(State.HELD))
    @rule(data=st.data(), when=st.sampled_from(list(When)))
    def add_edge(self, data: st.DataObject, when: When) -> None:
        """Make a held job wait for another."""
        after = self.pick(data, self.rows(State.HELD)).id
        before = self.pick(data, self.rows()).id
        self.try_to(lambda store: store.add(Batch(edges=[Edge(after, -1, before, Kind.AFTER, when)], into=after)))

    def plan(self, data: st.DataObject, into: Into | None, most: int) -> Batch | None:
        """Return a random batch, None if its description has a mistake."""
        stored = [row.id for row in self.now.rows]
        gates = [row.id for row in self.rows(State.HELD)]
        nodes = data.draw(forests(stored, gates, most))
        if len({id(node) for node in nodes}) < len(nodes):
            return None
        try:
            return plan(sketch(nodes), self.names, into)
        except BadNode:
            return None

    def into(self, row: Row) -> Into:
        """Return what planning into a stored job must know."""
        edges = [edge for edge in self.now.edges if edge.after == row.id and edge.kind is Kind.AFTER and not edge.slots]
        gates = tuple((edge.before, edge.when) for edge in edges)
        array = Array(row.size, row.last, row.barrier)
        return Into(row.id, row.tree, array, row.lane.queue, row.priority, row.hold, gates)

    # Working

    @rule(data=st.data(), times=st.integers(1, 4))
    def work(self, data: st.DataObject, times: int) -> None:
        """Workers report and claim."""
        for _ in range(times):
            self.exchange(data)

    @rule(data=st.data())
    def work_more(self, data: st.DataObject) -> None:
        """Workers report and claim much."""
        self.work(data, 6)

    def exchange(self, data: st.DataObject) -> None:
        """Report some jobs, rightly or not, and claim others; if the reply is lost, report again."""
        session = self.pick_session(data)
        outcomes = self.draw_outcomes(data, session)
        want = self.draw_want(data, session)
        running = self.rows(State.RUNNING)
        breaks_at = data.draw(st.sampled_from([0, 0, 1, 2, 3, 5, 8, 12, 17, 23, 30]))

        reply = self.try_to(lambda store: store.exchange(session, deepcopy(outcomes), want), breaks_at)

        if isinstance(reply, Exchange):
            self.check_reply(session, outcomes, running, reply, want)
            self.past += outcomes
            if data.draw(st.integers(1, 5)) == 5:
                again = self.do(lambda store: store.exchange(session, deepcopy(outcomes), Want(ends=0)))
                assert {outcome.job for outcome in outcomes} - reply.refused.keys() <= again.refused.keys()

    def draw_want(self, data: st.DataObject, session: SessionId) -> Want:
        """Return what a worker may ask for, most often much."""
        host, units = _host(session), data.draw(st.sampled_from([None, None, UNITS]))
        n, ends = data.draw(st.sampled_from([(9, 9), (9, 9), (2, 9), (1, 1), (9, 0), (0, 9), (0, 0)]))
        queues = data.draw(st.permutations(QUEUES))
        if data.draw(st.integers(1, 4)) < 4:
            return Want(n, tuple(queues), ends=ends, host=host, units=units)
        lanes = list(dict.fromkeys(row.lane for row in self.now.rows))
        refuse = frozenset(data.draw(st.lists(st.sampled_from(lanes), max_size=1))) if lanes else frozenset()
        tasks = data.draw(st.sampled_from([None, frozenset(TASKS[:1])]))
        return Want(n, tuple(queues[: data.draw(st.integers(1, 3))]), tasks, refuse, ends, host, units)

    def draw_outcomes(self, data: st.DataObject, session: SessionId) -> list[Outcome]:
        """Return reports on running jobs, most often all of the session's, and now and then stale ones or another's."""
        running = self.rows(State.RUNNING)
        rows = [row for row in running if row.session == session]
        how = data.draw(st.sampled_from(["all", "all", "some", "any"]))
        if how != "all":
            rows = self.pick_some(data, rows if how == "some" else running, 0, 3)
        drawn = [self.draw_outcome(data, row) for row in rows]
        outcomes = [outcome for outcome in drawn if outcome is not None]
        if self.past and data.draw(st.integers(1, 6)) == 6:
            outcomes.insert(0, data.draw(st.sampled_from(self.past)))
        return outcomes

    def draw_outcome(self, data: st.DataObject, row: Row) -> Outcome | None:
        """Return a report on a running job."""
        attempt = row.attempt - (data.draw(st.integers(1, 16)) == 16)
        if row.doomed:
            return self.end_of(row, attempt)
        kind = data.draw(
            st.sampled_from(["done", "done", "done", "failed", "failed", "cancelled", *3 * ["grown"], "again", "back"])
        )
        if kind == "done":
            return Ended(row.id, attempt, State.DONE, VALUE)
        if kind in ("failed", "cancelled"):
            return Ended(row.id, attempt, State(kind), None, FAILURE)
        if kind == "again":
            charges = [Charge.NOTHING, Charge.TRY]
            charges += [Charge.CRASH] * (row.crashes < 3) + [Charge.LOSS] * (row.losses < 3)
            delay, charge = data.draw(st.sampled_from([0.0, 0.0, 5.0])), data.draw(st.sampled_from(charges))
            return Again(row.id, attempt, delay, charge, FAILURE)
        if kind == "back":
            return Back(row.id, attempt)
        planned = self.planned.pop((row.id, attempt), None) or self.draw_grown(data, row, attempt)
        if planned is None or data.draw(st.integers(1, 4)) < 4:
            return planned
        self.planned[row.id, attempt] = planned  # and reported later, when it may fit no more
        return None

    def draw_grown(self, data: st.DataObject, row: Row, attempt: int) -> Grown | None:
        """Return a report that adds children, siblings or needs; sometimes planned for an array that has changed."""
        sibling = row.parent is not None and data.draw(st.booleans())
        target = next(other for other in self.now.rows if other.id == (row.parent if sibling else row.id))
        then = data.draw(st.sampled_from([Step.END, Step.END, Step.RUN]))
        if then is Step.RUN:
            return Grown(row.id, attempt, self.draw_needs(data, row), then)
        batch = self.plan(data, self.into(target), 2)
        if batch is None:
            return None
        batch.planned_size += data.draw(st.integers(1, 8)) == 8
        beside = self.plan(data, self.into(row), 2) if sibling and data.draw(st.booleans()) else None
        if beside is not None:
            batch, beside = beside, batch
        return Grown(row.id, attempt, batch, then, VALUE, beside)

    def draw_needs(self, data: st.DataObject, row: Row) -> Batch:
        """Return what a running job needs: stored jobs, and one with a mark, which is added if there is none."""
        batch = Batch(into=row.id)
        if data.draw(st.booleans()):
            mark, within = data.draw(st.sampled_from(KEYS)), data.draw(st.sampled_from([None, 10.0]))
            unless = Unless(mark, within, required=data.draw(st.integers(1, 4)) == 4)
            batch = plan(sketch([Node("m:x").changed(marks=(mark,), unless=unless)]), self.names)
            batch.into = row.id
        others = self.pick_some(data, [other for other in self.now.rows if other.id != row.id], 0, 2)
        befores = dict.fromkeys([new.id for new in batch.rows] + [other.id for other in others])
        batch.edges = [Edge(row.id, -place, before, Kind.AFTER) for place, before in enumerate(befores, 1)]
        return batch

    def end_of(self, row: Row, attempt: int) -> Ended:
        """Return the end that a worker decided on when it claimed the job."""
        ended = self.decided.get((row.id, row.attempt)) or self.decide(row)
        return Ended(row.id, attempt, ended.state, None, ended.failure)

    def decide(self, row: Row) -> Ended:
        """Decide how a job ends whose body is over or never runs."""
        edges = self.stores["memory"].edges([row.id], bad=True)
        end, cause = decide_end(edges)
        failure = None if end is State.DONE else Failure("cause", "", cause=cause)
        ended = Ended(row.id, row.attempt, end, None, failure)
        self.decided[row.id, row.attempt] = ended
        return ended

    def check_reply(
        self, session: SessionId, outcomes: Sequence[Outcome], running: list[Row], reply: Exchange, want: Want
    ) -> None:
        """Refused is what is not ours, and no limit is overrun."""
        ours = {(row.id, row.attempt) for row in running if row.session == session}
        first = {outcome.job: outcome for outcome in reversed(outcomes)}
        for outcome in first.values():
            if (outcome.job, outcome.attempt) not in ours:
                assert reply.refused[outcome.job].kind == "lost"
            elif not isinstance(outcome, Grown):
                assert outcome.job not in reply.refused
        for claim in reply.claims:
            if claim.row.doomed:
                self.decide(claim.row)
        started = [claim.row for claim in reply.claims if not claim.row.doomed]
        now = [row for row in self.rows(State.RUNNING) if not row.doomed]
        for name, most in in_force(self.now.limits).items():
            if any(_counts(row, name) for row in started):
                assert sum(_counts(row, name) for row in now) <= most
        if started and want.units is not None:
            assert sum(row.lane.units for row in now if _host(row.session) == want.host) <= want.units

    @precondition(lambda self: not self.now.work)
    @rule(data=st.data(), n=st.integers(1, 5), queues=st.permutations(QUEUES), k=st.integers(1, 3))
    def claim(self, data: st.DataObject, n: int, queues: Sequence[str], k: int) -> None:
        """Claims come in the order that was promised: first what only ends, then by queue, priority, tree and id."""
        session = self.pick_session(data)
        ready = [row for row in self.rows(State.READY) if row.doomed or row.due is None or row.due <= self.clock.now]
        ends = sorted((row for row in ready if row.doomed), key=lambda row: (row.tree, row.id))
        served = [row for row in ready if not row.doomed and row.lane.queue in queues[:k]]
        served.sort(key=lambda row: (queues.index(row.lane.queue), -row.priority, row.tree, row.id))
        late = sum(row.due is not None for row in ready)
        want = Want(n, tuple(queues[:k]), ends=n, host=_host(session))

        reply = self.try_to(lambda store: store.exchange(session, [], want))

        if isinstance(reply, Exchange):
            self.check_reply(session, [], [], reply, want)
            if late <= self.slice and not self.now.limits:
                expected = [row.id for row in (*ends[:n], *served[:n])]
                assert [claim.row.id for claim in reply.claims] == expected

    # Verbs

    @precondition(lambda self: self.now.rows)
    @rule(data=st.data(), verbs=st.lists(st.sampled_from(VERBS), min_size=1, max_size=3), breaks_at=st.integers(0, 9))
    def move(self, data: st.DataObject, verbs: Sequence[Verb], breaks_at: int) -> None:
        """Cancel, hold, release, retry or purge; one may overtake the other."""
        for verb in verbs:
            pool = {
                Verb.RELEASE: [row for row in self.now.rows if row.hold == row.id],
                Verb.PURGE: [row for row in self.now.rows if row.parent is None],
                Verb.RETRY: self.rows(*UNDONE),
            }.get(verb, self.now.rows)
            rows = self.pick_some(data, pool or self.now.rows, 1, 2)
            which = Which(tree=rows[0].tree) if data.draw(st.integers(1, 8)) == 8 else _these(rows)
            failure = FAILURE if verb is Verb.CANCEL else None
            self.try_to(partial(_move, which, verb, failure), breaks_at)
            if not self.now.rows:
                return

    @precondition(lambda self: self.now.work)
    @rule(n=st.integers(1, 9), breaks_at=st.integers(0, 20))
    def drain(self, n: int, breaks_at: int) -> None:
        """Some of the worklist is done."""
        for _ in range(n):
            self.do(lambda store: store.drain(), breaks_at)

    # Sessions, time and limits

    @rule(
        data=st.data(),
        event=st.sampled_from(["enter", "leave", "beat", "adopt", "time", "time", "lapse", "limit", "task", "reopen"]),
        breaks_at=st.integers(0, 9),
    )
    def happen(self, data: st.DataObject, event: str, breaks_at: int) -> None:
        """Something happens around the work."""
        if event == "time":
            self.clock.advance(data.draw(st.sampled_from([0.5, 5.0])))
        elif event == "limit":
            rule = data.draw(st.sampled_from([None, None, None, Rule(0), Rule(1), Rule(2)]))
            self.limit(data.draw(st.sampled_from(LIMITS)), rule)
        elif event == "task":
            self.change_task(data, breaks_at)
        elif event == "adopt":
            self.adopt(self.pick_session(data), data.draw(st.integers(1, 3)), breaks_at)
        elif event == "beat":
            self.beat(data, self.pick_session(data))
        elif event == "leave":
            self.leave(data.draw(st.sampled_from(self.sessions)))
        else:
            {"enter": self.enter, "lapse": self.lapse, "reopen": self.reopen}[event]()
        if not self.sessions:
            self.enter()

    def enter(self) -> None:
        """A worker begins."""
        session = f"session {len(self.sessions) + len(self.gone):03d}"
        self.sessions.append(session)
        self.do(lambda store: store.enter(Session(session, _host(session), os.getpid())))

    def leave(self, session: SessionId) -> None:
        """A worker goes, with or without jobs."""
        self.do(lambda store: store.leave(session))
        self.sessions.remove(session)
        self.gone.append(session)

    def change_task(self, data: st.DataObject, breaks_at: int) -> None:
        """A task is declared, forgotten, or its schedule goes on; a clock moves only from where it stands."""
        task = Declaration(name=TASKS[0], limit=data.draw(st.sampled_from([None, 1, 2])), asked=(("x",),))
        gone = data.draw(st.sampled_from([(), (), TASKS[:1]]))
        self.do(lambda store: store.declare([] if gone else [task], gone), breaks_at)
        batch = plan(sketch([Node("m:x")]), self.names)
        was, now = [data.draw(st.sampled_from([None, 1.0, 2.0])) for _ in range(2)]
        batch.clock = ClockStep("c", was, now or 3.0)
        self.try_to(lambda store: store.add(deepcopy(batch)), breaks_at)
        self.do(lambda store: (store.tasks(), store.tasks(TASKS), store.info().clocks))

    def lapse(self) -> None:
        """No worker is heard of for longer than a lease, but one, which adopts."""
        self.clock.advance(31.0)
        self.adopt(self.sessions[-1], 2, 0)

    def adopt(self, session: SessionId, n: int, breaks_at: int) -> None:
        """A worker takes over what dead ones ran."""
        claims = self.try_to(lambda store: store.adopt(session, n), breaks_at)
        if not isinstance(claims, RamifyError):
            assert all(claim.row.session == session for claim in claims)

    def beat(self, data: st.DataObject, session: SessionId) -> None:
        """A worker lives, and tells how far its jobs are."""
        progress = [Progress(row.id, 50, "half") for row in self.pick_some(data, self.rows(State.RUNNING), 0, 2)]
        self.try_to(lambda store: store.beat(session, progress))

    def reopen(self) -> None:
        """All programs end, and one begins anew. A store may know that at once, or when the leases have passed."""
        for session in list(self.sessions):
            self.leave(session)
        for name in LASTING & self.stores.keys():
            self.stores[name].close()
            self.stores[name] = self.open_store(name)

    def limit(self, name: str, rule: Rule | None) -> None:
        """A limit is set or lifted."""
        self.do(lambda store: store.limit(name, rule))

    # Looking

    @precondition(lambda self: self.now.rows)
    @rule(data=st.data(), out=st.booleans(), bad=st.booleans(), size=st.integers(1, 5), newest=st.booleans())
    def read(self, data: st.DataObject, out: bool, bad: bool, size: int, newest: bool) -> None:
        """All stores answer alike."""
        ids = [row.id for row in self.pick_some(data, self.now.rows, 1, 4)]
        row = self.pick(data, self.now.rows)
        selections = [
            Which(),
            Which(ids=tuple(ids)),
            Which(tree=row.tree),
            Which(states=ENDED),
            Which(queues=frozenset({row.lane.queue}), roots=True),
            Which(tasks=frozenset({TASKS[0]}), ended_before=self.clock.now - 5),
        ]
        which = data.draw(st.sampled_from(selections))
        page = Page(data.draw(st.sampled_from([None, *ids])), size, newest)
        self.do(lambda store: (store.jobs(which, page), store.results(ids)))
        self.do(lambda store: [store.counts(which, by) for by in ("state", "queue", "task")])
        edges = self.do(lambda store: store.edges(ids, out=out, bad=bad, size=size))
        if edges:
            self.do(lambda store: store.edges(ids, out=out, bad=bad, start=edges[-1]))
        self.do(lambda store: (store.info().sessions, store.info().limits, store.info().worklist))

    # The end

    def teardown(self) -> None:
        """Work everything off, let go what is held, and purge: every job ends, and nothing remains."""
        try:
            if self.whole:
                self.finish()
        finally:
            for store in self.stores.values():
                store.close()
            self.folder.cleanup()

    def finish(self) -> None:
        """Do what `teardown` says."""
        for name in LIMITS:
            self.limit(name, None)
        self.work_off()
        while holds := {row.hold for row in self.rows(State.HELD)}:
            self.release(sorted(holds))
            self.work_off()
        assert [row for row in self.now.rows if row.state not in ENDED] == []
        self.purge_all()

    def release(self, holds: Sequence[JobId]) -> None:
        """Let go what these jobs hold."""
        assert self.do(lambda store: store.move(Which(ids=tuple(holds)), Verb.RELEASE)) == len(holds)

    def work_off(self) -> None:
        """Let a last worker do everything that can be done."""
        self.clock.advance(1000)
        self.enter()
        self.do(lambda store: store.adopt(self.sessions[-1], 1000))
        while self.work_on():
            assert self.before != self.now, "this never ends"
        assert self.rows(State.READY, State.RUNNING) == []

    def work_on(self) -> bool:
        """Report everything that runs and claim everything that is ready; return whether there is more to do."""
        outcomes = [
            self.end_of(row, row.attempt) if row.doomed else Ended(row.id, row.attempt, State.DONE, VALUE)
            for row in self.rows(State.RUNNING)
        ]
        reply = self.do(lambda store: store.exchange(self.sessions[-1], outcomes, Want(1000, QUEUES)))
        assert reply.refused == {}
        return bool(reply.claims or reply.more or outcomes)

    def purge_all(self) -> None:
        """Purge trees until none can be purged: what remains only keeps each other."""
        while self.do(lambda store: store.move(Which(roots=True), Verb.PURGE)):
            while self.do(lambda store: store.drain()):
                pass
        trees = {row.id: row.tree for row in self.now.rows}
        keepers = {trees[edge.before] for edge in self.now.edges if trees[edge.before] != trees[edge.after]}
        assert keepers == set(trees.values())
        if not trees:
            assert (self.now.edges, self.now.work, self.now.results) == ([], [], {})


def describe(snapshot: Snapshot) -> str:
    """Return a snapshot as short lines, for whoever reads a counterexample."""
    short = {row.id: row.id.lstrip("0") for row in snapshot.rows}
    lines = []
    for row in snapshot.rows:
        edges = [edge for edge in snapshot.edges if edge.after == row.id]
        into = [f"{short[e.before]}:{e.place}:{e.kind[0]}{e.when[0]}={e.verdict}" for e in edges]
        flags = f"{'marked ' * row.cancelled}{'fast ' * row.fast}{f'held by {short[row.hold]} ' if row.hold else ''}"
        lines.append(f"{short[row.id]} under {short.get(row.parent)}: {row.state} {row.step} {flags}← {' '.join(into)}")
    work = [f"{work.verb} {short.get(work.job)} {work.cursor.lstrip('0')}" for work in snapshot.work]
    return "\n".join([*lines, f"worklist: {', '.join(work)}"])


def _counts(row: Row, limit: str) -> bool:
    kind, _, name = limit.partition(":")
    lane = row.lane
    return {"all": "", "queue": lane.queue, "task": lane.task, "slot": lane.slot, "host": _host(row.session)}[
        kind
    ] == name


def _host(session: SessionId | None) -> str:
    """Return the host of a session: they take turns."""
    return HOSTS[int((session or "0").split()[-1]) % 2]


def _these(rows: Sequence[Row]) -> Which:
    return Which(ids=tuple(row.id for row in rows))


def _move(which: Which, verb: Verb, failure: Failure | None, store: Store) -> int:
    return store.move(which, verb, failure)


def _connection(store: Store) -> Any:
    """Return what of a store can be made to break."""
    file = getattr(store, "_file", None)
    return getattr(store, "_disk", None) or (file.connection if file else None)


def _plain(reply: Any) -> Any:
    return (type(reply), str(reply)) if isinstance(reply, Exception) else reply


ROOMY = dict(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
TestStores = pytest.mark.slow(pytest.mark.timeout(600)(Stores.TestCase))
TestStores.settings = settings(max_examples=100, stateful_step_count=20, **ROOMY)

if "STORM" in os.environ:

    class Storm(Stores):
        """The same for longer, and on the stores that one names."""

        kinds = os.environ.get("STORES", "memory").split(",")

    TestStorm = pytest.mark.timeout(0)(Storm.TestCase)
    TestStorm.settings = settings(
        max_examples=int(os.environ["STORM"]), report_multiple_bugs=False, stateful_step_count=40, **ROOMY
    )
