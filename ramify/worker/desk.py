"""The worker's side of the store: one session, the outcomes not yet confirmed, and the claims not yet ready to run.

Everything here survives a store that is down: nothing is forgotten before the store has taken it. Whoever calls
catches `StoreDown` and calls again, and `Lost` and calls `forget`.
"""

import logging
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from ramify.ended import say
from ramify.errors import BadValue, Lost, StoreDown
from ramify.ids import make_session_id
from ramify.model import (
    Again,
    Back,
    Beat,
    Charge,
    Claim,
    Edge,
    Ended,
    Exchange,
    Failure,
    Grown,
    JobId,
    Line,
    Outcome,
    Page,
    Progress,
    Result,
    Row,
    Session,
    SessionId,
    State,
    Value,
    Verb,
    Want,
    Which,
)
from ramify.stores.gather import gather
from ramify.stores.move import move
from ramify.stores.protocol import LOG, SLICE, Store
from ramify.stores.read import UNFINISHED
from ramify.system import clock
from ramify.tasks import Tasks
from ramify.worker.arrange import Arranger, find_late
from ramify.worker.call import Report
from ramify.worker.decide import decide, decide_loss, end, homes_of
from ramify.worker.trouble import explain
from ramify.worker.watch import Watch, Watchers

FENCE: Final = 25.0
"""Seconds without a word from the store after which our jobs may be somebody else's."""

_log = logging.getLogger("ramify.worker")
_NOTHING: Final = Want(n=0, ends=0)


class Desk:
    """Takes reports, hands them to the store as outcomes, and brings claims that are ready to run."""

    def __init__(
        self,
        store: Store,
        queues: tuple[str, ...],
        tasks: Tasks,
        running: Callable[[], Collection[JobId]],
        ended: Counter[State] | None = None,
        units: int | None = None,
        watches: Sequence[Watch] = (),
    ) -> None:
        self.store = store
        self._watchers = Watchers(watches)
        self.ended = ended if ended is not None else Counter()
        self.arranger = Arranger(store, tasks)
        self._running = running
        self.session: SessionId = ""
        self.outcomes: list[Outcome] = []
        self.lines: list[Line] = []
        self._cut = Counter[JobId]()
        self.claims: list[Claim] = []
        self.results: dict[JobId, Value] = {}
        self.cancels: list[JobId] = []
        self.heard = clock()
        """When the lease was last known to be renewed."""
        self.more = False
        self._due: float | None = None
        self.patience = 0.0
        self._queues, self._tasks, self._units = queues, tuple(sorted(tasks.names())), units
        self._reports: list[tuple[Claim, Report, bool]] = []
        self._grown: dict[JobId, tuple[Claim, Report]] = {}
        self._needing: set[JobId] = set()
        self._arrived: list[Claim] = []
        self._doomed: list[Claim] = []
        self._unsure = False
        self._kept = False
        """Whether jobs have ended by themselves since the last exchange: there is room, and what they settled."""
        self._under_way: tuple[list[Outcome], Want, Future[Exchange]] | None = None

    def open(self) -> None:
        """Begin a new session."""
        own = (self._queues, self._tasks, time.time(), self._units)
        session = Session(make_session_id(), socket.gethostname(), os.getpid(), *own)
        asked = clock()
        self.store.enter(session)
        self.session, self.heard = session.id, asked

    def forget(self) -> None:
        """Forget the session and what it had; it was declared dead."""
        if self._under_way is not None:
            self._under_way[2].exception()  # waits for its end, which is nobody's business now
            self._under_way = None
        for kept in (self.outcomes, self.lines, self.claims, self.cancels, self._reports, self._arrived, self._doomed):
            kept.clear()
        self._cut.clear()
        self.results.clear()
        self._grown.clear()
        self._needing.clear()
        self._watchers.forget()
        self._unsure = False
        self.session = ""

    def is_cut_off(self) -> bool:
        """Tell whether the store has not been heard of for so long that others may have our jobs."""
        return clock() - self.heard > FENCE

    @property
    def due_in(self) -> float | None:
        """In how many seconds the next scheduled job is due, as far as was heard."""
        return None if self._due is None else max(0.0, self._due - clock())

    def has_work(self) -> bool:
        """Tell whether an exchange would do something whatever there is to claim."""
        return self.more or self._kept or bool(self._arrived) or self.has_outcomes()

    def has_outcomes(self) -> bool:
        """Tell whether the store has not yet taken all that happened."""
        return bool(self.outcomes or self._reports or self._doomed)

    def report(self, reports: Sequence[tuple[Claim, Report, bool]]) -> None:
        """Accept reports of runs, with whether the job was told to stop."""
        append, done = self.outcomes.append, State.DONE
        for claim, report, cancelled in reports:
            grown = bool(report.spawned or report.siblings)
            if report.kept:
                self._kept = True
                self.ended[done] += not grown
                self._watchers.tell_kept(claim.row, report.seconds, grown)
                continue
            self._watchers.note(claim.row, report.seconds)
            if report.failure is None and not grown:
                row = claim.row
                append(Ended(row.id, row.attempt, done, Value(report.json, report.spread)))
            else:
                self._reports.append((claim, report, cancelled))

    def exchange(self, want: Want) -> bool:
        """Report all there is and claim; return whether the store may have more for us than it gave.

        Jobs to run are added to `claims`, results that fill their arguments to `results`.
        """
        outcomes = self._collect_outcomes()
        try:
            reply = self.store.exchange(self.session, outcomes, want)
        except BadValue:
            if not outcomes:
                raise
            return self._sift(outcomes)
        return self._take(outcomes, want, reply)

    def begin(self, want: Want, beside: Callable[..., Future[Exchange]]) -> None:
        """Begin an exchange `beside` this thread; `finish` does the rest. There is one at a time."""
        outcomes = self._collect_outcomes()
        self._under_way = outcomes, want, beside(self.store.exchange, self.session, outcomes, want)

    def is_exchanging(self) -> bool:
        """Tell whether an exchange has begun that `finish` has not ended."""
        return self._under_way is not None

    def is_answered(self) -> bool:
        """Tell whether the store has answered to the exchange that has begun."""
        return self._under_way is not None and self._under_way[2].done()

    def finish(self) -> bool:
        """End the exchange that has begun, as `exchange` does; wait for the store if it has not answered."""
        assert self._under_way is not None
        (outcomes, want, under_way), self._under_way = self._under_way, None
        try:
            reply = under_way.result()
        except BadValue:
            if not outcomes:
                raise
            return self._sift(outcomes)
        return self._take(outcomes, want, reply)

    def _sift(self, outcomes: Sequence[Outcome]) -> bool:
        """Report outcomes one at a time, as together the store refuses them for what is in one; its job fails."""
        for reported in outcomes:
            outcome = reported
            try:
                reply = self.store.exchange(self.session, [outcome], _NOTHING)
            except BadValue as error:
                failure = Failure("result", f"the store refused what it left: {error}")
                _log.warning("job %s: %s", outcome.job, say(failure))
                self._grown.pop(outcome.job, None)
                self._needing.discard(outcome.job)
                outcome = self.outcomes[0] = Ended(outcome.job, outcome.attempt, State.FAILED, failure=failure)
                reply = self.store.exchange(self.session, [outcome], _NOTHING)
            self._take([outcome], _NOTHING, reply)
        return True

    def _collect_outcomes(self) -> list[Outcome]:
        if self._unsure:
            self._reconcile()
        self._prepare()
        if self.lines:
            self.append()  # as long as the jobs are ours
        self._unsure, self._kept = True, False
        return self.outcomes[:SLICE]

    def _take(self, outcomes: Sequence[Outcome], want: Want, reply: Exchange) -> bool:
        self._unsure = False
        del self.outcomes[: len(outcomes)]
        refused = reply.refused
        self.ended.update([each.state for each in outcomes if type(each) is Ended and each.job not in refused])
        self._watchers.tell(outcomes, lambda job: refused[job].kind if job in refused else None)
        self.more, self._due = reply.more, None if reply.due_in is None else clock() + reply.due_in
        self.cancels += reply.cancels
        self._take_refusals(reply, outcomes)
        self._sort(reply.claims)
        self._fill()
        self._arrange()
        return reply.more or len(reply.claims) >= want.n > 0

    def beat(self, progress: Sequence[Progress]) -> None:
        """Renew the session's lease; end trees whose time has passed."""
        asked = clock()
        try:
            beat: Beat = self.store.beat(self.session, progress)
        except BadValue as error:
            _log.warning("how far jobs are was not stored: %s", error)
            beat = self.store.beat(self.session, ())
        self.heard = asked
        self.cancels += beat.cancels
        for tree in beat.overdue:
            self._end_overdue(tree)

    def say(self, lines: Sequence[Line]) -> None:
        """Accept lines for the logs of jobs of ours; if the store is away for long, the newest are kept."""
        self.lines += lines
        self._cut.update(line.job for line in self.lines[: -4 * LOG])
        del self.lines[: -4 * LOG]

    def append(self) -> None:
        """Add to the logs what was said, and how much of it is missing."""
        if self._cut:
            missing = "… lines that are missing here, for the store was away for long: {:,}"
            self.store.append(self.session, [Line(job, missing.format(n), "err") for job, n in self._cut.items()])
            self._cut.clear()
        n = SLICE
        while lines := self.lines[:n]:
            try:
                self.store.append(self.session, lines)
            except ValueError as error:  # what is in one of them cannot be stored: they are halved until it is found
                if len(lines) > 1:
                    n = len(lines) // 2
                    continue
                self._give_up(lines[0].job, error)
            n = SLICE
            del self.lines[: len(lines)]

    def _give_up(self, job: JobId, error: ValueError) -> None:
        """Say in the log that a line is missing there, in words that any store takes."""
        _log.warning("job %s: the store refused a line of its log: %s", job, error)
        why = str(error).encode("ascii", "backslashreplace").decode().replace("\0", "\\x00")
        with suppress(ValueError):
            self.store.append(
                self.session, [Line(job, f"a line is missing here, for the store refused it: {why}", "err")]
            )

    def adopt(self) -> int:
        """Take over the jobs of workers that died, to report them; return how many."""
        claims = self.store.adopt(self.session, SLICE)
        for claim in claims:
            if claim.row.doomed:
                self._doomed.append(claim)
            else:
                self.outcomes.append(find_late(claim) or decide_loss(claim))
        return len(claims)

    def close(self) -> None:
        """Report what is left and end the session."""
        if self._under_way is not None:
            self.finish()
        while self.has_outcomes():
            self.exchange(_NOTHING)
        self.store.leave(self.session)
        self.session = ""

    def _prepare(self) -> None:
        """Turn into outcomes what needs a look into the store first."""
        if self._reports:
            self._decide()
        if self._doomed:
            self._end_doomed()

    def _decide(self) -> None:
        homes = self._read_homes()
        for _, report, _ in self._reports:
            self._check(report)
        for claim, report, cancelled in self._reports:
            try:
                outcome = decide(claim, report, homes, random.random(), cancelled)
            except Exception as error:  # noqa: BLE001 -- no job ends a worker, whatever it reports
                row = claim.row
                outcome = Ended(row.id, row.attempt, State.FAILED, failure=explain(error, "result"))
            if isinstance(outcome, Grown):
                self._grown[claim.row.id] = (claim, report)
            self.add(outcome)
        self._reports.clear()

    def _check(self, report: Report) -> None:
        """Check what a job adds, and mark it; a mistake in it is the job's own failure. Doing it twice does no harm."""
        try:
            self.arranger.known.prepare([*(report.spawned or ()), *(report.siblings or ())])
        except (StoreDown, Lost):
            raise
        except Exception as error:  # noqa: BLE001 -- no job ends a worker, whatever it adds
            report.failure, report.spawned, report.siblings = explain(error, "result"), None, None

    def end(self, row: Row, outcome: Outcome) -> None:
        """Accept what became of a job whose process cannot report it."""
        if not isinstance(outcome, Back):
            self._watchers.note(row, 0.0)
        self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Accept an outcome; remember until when a job of ours may come back."""
        self.outcomes.append(outcome)
        failure = getattr(outcome, "failure", None)
        if failure is not None and getattr(outcome, "charge", None) is not Charge.NOTHING:
            again = ", and is tried again" if isinstance(outcome, Again) else ""
            _log.info("job %s: %s%s", outcome.job, say(failure), again)
        delay = getattr(outcome, "delay", None)
        if delay is not None:
            self.patience = max(self.patience, clock() + delay + 1.0)

    def _read_homes(self) -> dict[JobId, Row]:
        # A job that grows by itself alone knows its own array; only when that changed it is read again.
        wanted = {
            home
            for claim, report, _ in self._reports
            for home in homes_of(claim, report)
            if home != claim.row.id or home in self._grown
        }
        ids = tuple(sorted(wanted))
        pages = [ids[start : start + SLICE] for start in range(0, len(ids), SLICE)]
        return {row.id: row for page in pages for row in self.store.jobs(Which(ids=page), Page(size=SLICE))}

    def _end_doomed(self) -> None:
        bad = [claim.row.id for claim in self._doomed if claim.row.bads]
        edges = self._read_bad_edges(bad) if bad else {}
        befores = sorted({edge.before for own in edges.values() for edge in own})
        causes: dict[JobId, Result] = {}
        for start in range(0, len(befores), SLICE):
            causes |= {result.job: result for result in self.store.results(befores[start : start + SLICE])}
        for claim in self._doomed:
            self.outcomes.append(end(claim.row, edges.get(claim.row.id, ()), causes))
        self._doomed.clear()

    def _read_bad_edges(self, ids: Sequence[JobId]) -> dict[JobId, list[Edge]]:
        edges: dict[JobId, list[Edge]] = {}
        start: Edge | None = None
        while page := self.store.edges(ids, bad=True, start=start):
            for edge in page:
                edges.setdefault(edge.after, []).append(edge)
            start = page[-1]
        return edges

    def _take_refusals(self, reply: Exchange, outcomes: Sequence[Outcome]) -> None:
        grown = {outcome.job: self._grown.pop(outcome.job) for outcome in outcomes if outcome.job in self._grown}
        lost = [job for job, refusal in reply.refused.items() if refusal.kind == "lost"]
        if lost:
            _log.warning("%d outcomes came too late, the first of job %s: others have these jobs", len(lost), lost[0])
        needing = {outcome.job for outcome in outcomes} & self._needing if self._needing else set()
        self._needing -= needing
        for job in needing & reply.refused.keys():
            refusal = reply.refused[job]
            if refusal.kind != "lost":
                attempt = next(outcome.attempt for outcome in outcomes if outcome.job == job)
                failure = self.arranger.refused(job, refusal)
                self.outcomes.append(Ended(job, attempt, State.FAILED, failure=failure))
        for job, refusal in reply.refused.items():
            if job not in grown or refusal.kind == "lost":
                continue
            claim, report = grown[job]
            if refusal.kind == "changed":
                self._grown[job] = grown[job]
                self._reports.append((claim, report, False))
            else:
                failure = Failure("result", f"what it added was refused: {refusal.reason}")
                self.outcomes.append(Ended(job, claim.row.attempt, State.FAILED, failure=failure))

    def _sort(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            row = claim.row
            if not row.doomed:
                (self._arrived if claim.slots else self.claims).append(claim)
            elif row.bads:
                self._doomed.append(claim)
            else:
                self.outcomes.append(Ended(row.id, row.attempt, State.DONE))

    def _fill(self) -> None:
        """Read the results that arguments take. Several jobs together may take more than one may."""
        if not self._arrived:
            return
        try:
            self.results |= gather(self.store, _befores(self._arrived))
            self.claims += self._arrived
        except (StoreDown, Lost):
            raise
        except Exception:  # noqa: BLE001 -- as above; whose it is shows one by one
            for claim in list(self._arrived):
                try:
                    self.results |= gather(self.store, _befores([claim]))
                    self.claims.append(claim)
                except (StoreDown, Lost):
                    raise
                except Exception as error:  # noqa: BLE001 -- likewise
                    failure = Failure("arguments", str(error), type(error).__name__)
                    self.outcomes.append(Ended(claim.row.id, claim.row.attempt, State.FAILED, failure=failure))
                self._arrived.remove(claim)
        self._arrived.clear()

    def _arrange(self) -> None:
        """Sort out claims that cannot run yet, or any more; most can."""
        arrange, results = self.arranger.arrange, self.results
        outcomes = [(claim, outcome) for claim in self.claims if (outcome := arrange(claim, results)) is not None]
        gone = {claim.row.id for claim, _ in outcomes}
        if gone:
            self.claims = [claim for claim in self.claims if claim.row.id not in gone]
        for claim, outcome in outcomes:
            if isinstance(outcome, Grown):
                self._needing.add(claim.row.id)
            self.add(outcome)

    def _end_overdue(self, tree: JobId) -> None:
        rows = self.store.jobs(Which(tree=tree, states=UNFINISHED), Page(size=11))
        names = ", ".join(f"{row.label or row.lane.task or 'group'} {row.id} ({row.state.value})" for row in rows[:10])
        more = " and more" if len(rows) > 10 else ""
        failure = Failure("limit", f"the time limit of the tree passed; unfinished: {names}{more}")
        move(self.store, Which(ids=(tree,)), Verb.CANCEL, failure)

    def _reconcile(self) -> None:
        """Give back jobs that the store gave us in a reply that was lost."""
        claims = (*self.claims, *self._arrived, *self._doomed, *(claim for claim, _, _ in self._reports))
        known = {(claim.row.id, claim.row.attempt) for claim in claims}
        # What we are about to tell of one attempt says nothing of the next.
        known |= {(outcome.job, outcome.attempt) for outcome in self.outcomes}
        running = set(self._running())
        lost: dict[JobId, Outcome] = {}
        after: JobId | None = None
        while rows := self.store.jobs(Which(states=frozenset({State.RUNNING})), Page(after=after)):
            for row in rows:
                ours = row.session == self.session and row.id not in running
                if ours and (row.id, row.attempt) not in known:
                    lost[row.id] = Back(row.id, row.attempt)
            after = rows[-1].id
        # If there is a next attempt, the store has taken what we would tell of the one before.
        taken = [outcome for outcome in self.outcomes if outcome.job in lost]
        self._watchers.tell(taken, lambda job: None)
        self.outcomes[:] = [*(outcome for outcome in self.outcomes if outcome.job not in lost), *lost.values()]


def _befores(claims: Sequence[Claim]) -> list[JobId]:
    return [edge.before for claim in claims for edge in claim.slots if edge.verdict is State.DONE]
