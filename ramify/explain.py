"""Why a job does not run, or how it ended: the first reason, in words, and the command that mends it.

It reads what the store has and changes nothing. What made a job end badly is found in `ended.py`.
"""

import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, takewhile
from typing import Final

from msgspec import Struct

from ramify.ended import error_of, find_cause, read_failure, say
from ramify.graph.fit import SUSPENDED, in_force, scopes, unexpired
from ramify.model import ENDED, Info, JobId, Kind, Page, Row, Rule, Session, State, Step, Which
from ramify.span import LAST
from ramify.stores.protocol import SLICE, Store
from ramify.stores.read import UNFINISHED, name_row, read_edges, read_row, read_rows

LOOKED_AT: Final = 100
"""So many of the jobs that one waits for are looked at, and so many jobs in each step further down."""

NAMED: Final = 5
BUILT_IN: Final = "ramify:"


class Reason(Struct, frozen=True):
    """Why a job stands where it stands. `kind` is one word, `text` says it in full.

    `job` is where the reason lies, which may be a job that this one waits for. `command` are the words after `ramify`
    that mend it; none if time or a worker will. `others` are the jobs that use up a limit.
    """

    kind: str
    text: str
    job: JobId
    command: tuple[str, ...] = ()
    others: tuple[JobId, ...] = ()

    @property
    def obstacle(self) -> bool:
        """Whether somebody must do something, as the job would stay where it is for ever."""
        return bool(self.command) or self.kind == "unknown"

    def __str__(self) -> str:
        return f"{self.text}\n  ramify {shlex.join(self.command)}" if self.command else self.text


def explain(store: Store, id: JobId) -> Reason:
    """Return the first reason why the job does not run, or why it ended as it did. Raise `NotFound`."""
    row = read_row(store, id)
    return _explain_end(store, row) if row.state in ENDED else _Search(store).explain(row)


def modules_of(workers: Iterable[Session]) -> list[str]:
    """Return the modules that these workers serve."""
    return sorted({task.partition(":")[0] for worker in workers for task in worker.tasks})


def spell(seconds: float) -> str:
    """Return a length of time as people say it."""
    minutes, seconds = divmod(round(min(max(0.0, seconds), LAST)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days:,} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def spell_moment(when: float) -> str:
    """Return a time as people say it here: without the day if that is today."""
    try:
        then = time.localtime(when)
    except (OverflowError, ValueError, OSError):  # years with more digits than a clock knows
        return "the end of time"
    return time.strftime("%H:%M:%S" if then[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M:%S", then)


def _explain_end(store: Store, row: Row) -> Reason:
    if row.state is State.DONE:
        was = f"was done {spell(time.time() - row.ended)} ago" if row.ended is not None else "is done"
        return Reason("done", f"{name_row(row)} {was}", row.id, ("result", row.id))
    cause, _ = find_cause(store, row)
    # What lies in its own tree is retried with it, and what lies in another brings it back.
    mend = row if cause.tree == row.tree else cause
    return Reason(row.state.value, str(error_of(store, row)), cause.id, ("retry", mend.id))


class _Search:
    """One look at the store: what is limited, who works, and the way down to what a job waits for."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def info(self) -> Info:
        return self.store.info()

    @cached_property
    def limits(self) -> Mapping[str, Rule]:
        return unexpired(self.info.limits, self.info.now)

    @cached_property
    def workers(self) -> list[Session]:
        return [session for session in self.info.sessions if session.id not in self.info.lost]

    def explain(self, row: Row) -> Reason:
        """Return the nearest obstacle, else what goes on in the first job that it waits for."""
        first: Reason | None = None
        level, seen = [row], {row.id}
        while level:
            further: list[Row] = []
            for each in level:
                reason = self._explain_here(each)
                if reason is None:
                    found = [before for before in self._befores(each) if before.id not in seen]
                    seen.update(before.id for before in found)
                    further += found
                elif each is row:
                    return reason
                elif reason.obstacle:
                    return _waiting_for(row, reason)
                else:
                    first = first or reason
            level = further[:LOOKED_AT]
        if first is not None:
            return _waiting_for(row, first)
        text = f"{name_row(row)} waits for what the store still has to pass on"
        return Reason("passing", text, row.id, () if self.workers else self._worker(row))

    def _explain_here(self, row: Row) -> Reason | None:
        """Return why this job does not run, if the reason lies in itself and not in those that it waits for."""
        name = name_row(row)
        if row.state in ENDED:
            return Reason("passing", f"{name} is {row.state}, which the store still has to pass on", row.id)
        if row.state is State.RUNNING:
            return self._explain_running(row)
        if row.hold is not None:
            gate = read_rows(self.store, [row.hold]).get(row.hold, row)
            by = f" by {name_row(gate)}" if gate is not row and gate.id != row.id else ""
            return Reason("held", f"{name} is held{by}", row.hold, ("release", row.hold))
        if row.bads and not row.cancelled:
            return self._explain_doomed(row)
        if row.state is State.WAITING:
            return None
        if row.step is Step.END or row.cancelled:
            command = () if self.workers else self._worker(row)
            return Reason("ending", f"{name} is about to end: any worker does that", row.id, command)
        return self._explain_ready(row)

    def _explain_running(self, row: Row) -> Reason:
        worker = next((session for session in self.info.sessions if session.id == row.session), None)
        if worker is None or worker.id in self.info.lost:
            where = f" ({worker.host}:{worker.pid})" if worker is not None else ""
            text = f"{name_row(row)} was running, but its worker{where} is gone; the next one takes it over"
            return Reason("lost", text, row.id, () if self.workers else self._worker(row))
        since = f" for {spell(self.info.now - row.started)}" if row.started is not None else ""
        text = f"{name_row(row)} has been running{since} on {worker.host}:{worker.pid}"
        text += ", and was told to stop" if row.cancelled else ""
        return Reason("running", text, row.id)

    def _explain_doomed(self, row: Row) -> Reason:
        edge = next(read_edges(self.store, [row.id], bad=True), None)
        before = read_rows(self.store, [edge.before]).get(edge.before) if edge is not None else None
        if before is None or before.state not in ENDED:
            return Reason("passing", f"{name_row(row)} waits for what the store still has to pass on", row.id)
        if before.state is State.DONE:
            text = f"{name_row(row)} was to run if {name_row(before)} failed, but that is done"
            return Reason("doomed", text, before.id)
        cause, failure = find_cause(self.store, before)
        was = "failed" if before.state is State.FAILED else f"was {before.state}"
        why = f" with {say(failure)}" if failure is not None and failure.kind != "cause" else ""
        because = f" because of {name_row(cause)}" if cause.id != before.id else ""
        text = f"{name_row(row)} waits for {name_row(before)}, which {was}{because}{why}"
        return Reason("doomed", text, cause.id, ("retry", before.id if cause.tree == before.tree else cause.id))

    def _explain_ready(self, row: Row) -> Reason:
        if row.due is not None and row.due > self.info.now:
            text = f"{name_row(row)} is due in {spell(row.due - self.info.now)}, at {spell_moment(row.due)}"
            failure = read_failure(self.store, row.id) if row.tries else None
            return Reason("due", text + (f"; its last try ended with {say(failure)}" if failure else ""), row.id)
        return self._explain_limit(row) or self._explain_workers(row)

    def _explain_limit(self, row: Row) -> Reason | None:
        limits = in_force(self.limits)
        for scope in scopes(row.lane):
            if scope not in limits:
                continue
            if (rule := self.limits.get(SUSPENDED + scope)) is not None:
                until = f" until {spell_moment(rule.until)}" if rule.until is not None else ""
                kind, _, name = scope.partition(":")
                command = ("resume", *((f"--{kind}", name) if name else ()))
                what = f"{kind} {name}" if name else "everything"
                text = f"{name_row(row)} may not start: {what} is suspended{until}"
                return Reason("suspended", text, row.id, command)
            if (reason := _explain_full(row, scope, limits[scope], self._running(scope))) is not None:
                return reason
        return None

    def _explain_hosts(self, row: Row, workers: Iterable[Session]) -> Reason | None:
        """Return why no host of these workers has room for the job; what time mends goes first."""
        reasons: list[Reason] = []
        for host, units in dict.fromkeys((worker.host, worker.units) for worker in workers):
            reason = self._explain_host(row, host, units)
            if reason is None:
                return None
            reasons.append(reason)
        return next((reason for reason in reasons if not reason.obstacle), reasons[0])

    def _explain_host(self, row: Row, host: str, units: int | None) -> Reason | None:
        scope, limits, running = f"host:{host}", in_force(self.limits), list[Row]()
        if units is not None or scope in limits:
            sessions = {session.id for session in self.info.sessions if session.host == host}
            everything = self.store.jobs(Which(states=frozenset({State.RUNNING})), Page(size=SLICE))
            running = [each for each in everything if not each.doomed and each.session in sessions]
        if scope in limits and (reason := _explain_full(row, scope, limits[scope], running)) is not None:
            return reason
        used, own = sum(each.lane.units for each in running), row.lane.units
        if units is None or used + own <= units:
            return None
        if own > units:
            text = f"{name_row(row)} takes {own:,} units of a host, and {host} has {units:,}"
            return Reason("units", text, row.id, (*self._worker(row), "--units", str(own)))
        text = f"{name_row(row)} takes {own:,} units, and of the {units:,} of host {host} {used:,} are in use"
        return Reason("units", text + _used_by(running), row.id, (), tuple(each.id for each in running))

    def _running(self, scope: str) -> list[Row]:
        kind, _, name = scope.partition(":")
        which = Which(
            states=frozenset({State.RUNNING}),
            queues=frozenset({name}) if kind == "queue" else None,
            tasks=frozenset({name}) if kind == "task" else None,
        )
        return [row for row in self.store.jobs(which, Page(size=SLICE)) if not row.doomed and scope in scopes(row.lane)]

    def _explain_workers(self, row: Row) -> Reason:
        name, queue, task = name_row(row), row.lane.queue, row.lane.task or ""
        if not self.workers:
            return Reason("unserved", f"{name} is ready, but no worker is there", row.id, self._worker(row))
        here = [worker for worker in self.workers if queue in worker.queues]
        if not here:
            return Reason("unserved", f"{name} is ready, but nobody serves queue {queue}", row.id, self._worker(row))
        able = [worker for worker in here if task.startswith(BUILT_IN) or task in worker.tasks]
        if not able:
            served = modules_of(here)
            text = f"{name} is ready, but no worker knows task {task}: those of queue {queue} serve {', '.join(served)}"
            # They know the module, and it has no such function, so another worker would not know it either.
            missing = task.partition(":")[0] in served
            text += ", which has no such function" if missing else ""
            return Reason("unknown", text, row.id, () if missing else self._worker(row))
        if (reason := self._explain_hosts(row, able)) is not None:
            return reason
        ready = self.store.counts(Which(states=frozenset({State.READY}), queues=frozenset({queue})), "state")
        text = f"{name} is ready; a worker takes it when it is its turn, {ready.get('ready', 0):,} are ready in {queue}"
        return Reason("ready", text, row.id)

    def _worker(self, row: Row) -> tuple[str, ...]:
        """Return the command for a worker that serves this job."""
        tasks = [row.lane.task] if row.lane.task else sorted(self.store.counts(Which(tree=row.tree), "task"))
        module = next((task.rpartition(":")[0] for task in tasks if task and not task.startswith(BUILT_IN)), "MODULE")
        queue = ("--queue", row.lane.queue) if row.lane.queue != "default" else ()
        return ("worker", module, *queue)

    def _befores(self, row: Row) -> Sequence[Row]:
        """Return jobs that this one still waits for: those it comes after, and its children."""
        afters = takewhile(lambda edge: edge.kind is Kind.AFTER, read_edges(self.store, [row.id]))
        pending = [edge.before for edge in islice(afters, SLICE) if edge.verdict is None]
        found = read_rows(self.store, list(dict.fromkeys(pending))[:LOOKED_AT])
        return [*found.values(), *self._children(row)]

    def _children(self, row: Row) -> Iterator[Row]:
        yield from self.store.jobs(Which(under=row.id, states=UNFINISHED), Page(size=LOOKED_AT))


def _explain_full(row: Row, scope: str, n: int, running: Sequence[Row]) -> Reason | None:
    """Return that the limit on the scope is in use, if it is."""
    if len(running) < n:
        return None
    text = f"{name_row(row)} may not start: the limit of {n} on {scope} is in use{_used_by(running)}"
    command = ("limit", scope, str(len(running) + 1))
    return Reason("limit", text, row.id, command, tuple(each.id for each in running))


def _used_by(running: Sequence[Row]) -> str:
    names = ", ".join(map(name_row, running[:NAMED]))
    more = f" and {len(running) - NAMED} more" if len(running) > NAMED else ""
    return f" by {names}{more}" if running else ""


def _waiting_for(row: Row, reason: Reason) -> Reason:
    text = f"{name_row(row)} waits: {reason.text}"
    return Reason("waits" if not reason.obstacle else reason.kind, text, reason.job, reason.command, reason.others)
