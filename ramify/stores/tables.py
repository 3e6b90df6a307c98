"""What the engine asks of a store inside one atomic step: counting and looking up, in sets.

The three verbs that every job passes (`end`, `settle`, `start`) are here too, because a database does them best as
one statement each. Everything that needs a decision is in `step.py`, once.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

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

Place = tuple[JobId, int]
"""Where an edge ends and its place there: its key."""


class Tables(Protocol):
    """The rows of a store. Every list comes in the order that its docstring names."""

    def now(self) -> float:
        """Return the store's time, in seconds since 1970."""
        ...

    def wake(self, ready: bool, ended: bool) -> None:
        """When this step is kept, tell sleepers that jobs may be ready, and watchers that jobs may have ended."""
        ...

    # Rows

    def rows(self, ids: Sequence[JobId], share: bool = False) -> list[Row]:
        """Return copies of these rows, in any order; unknown ids are left out.

        Nobody else changes them before this step is over. With `share` other steps may read them so, too, and their
        trees are not forgotten meanwhile.
        """
        ...

    def select(self, which: Which, page: Page) -> list[Row]:
        """Return copies of the selected rows by id."""
        ...

    def write(self, rows: Sequence[Row]) -> None:
        """Replace these rows."""
        ...

    def insert(self, batch: Batch, arrival: Arrival) -> None:
        """Insert rows and edges of the arrival, and what the batch says of these rows."""
        ...

    def forget(self, ids: Sequence[JobId]) -> None:
        """Delete these rows and all that belongs to them: edges, results, logs, names, entries of the worklist."""
        ...

    def held(self, hold: JobId, n: int) -> list[JobId]:
        """Return the first `n` jobs by id that wait for the release of `hold`."""
        ...

    def members(self, tree: JobId, n: int) -> list[JobId]:
        """Return the first `n` jobs by id of the tree, without its root."""
        ...

    def is_over(self, tree: JobId) -> bool:
        """Tell whether every job of the tree has ended and no edge leads from it into another tree, but from its root
        to a job that is done and that it is no child of.

        No such edge is added before this step is over.
        """
        ...

    # Edges

    def edges_into(self, job: JobId, after: int | None, n: int, bad: bool = False) -> list[Edge]:
        """Return the first `n` edges into the job by place, beyond place `after`; only bad ones if asked."""
        ...

    def edges_out(self, job: JobId, after: Place | None, n: int) -> list[Edge]:
        """Return the first `n` edges out of the job by (after, place), beyond `after`."""
        ...

    def lowest_place(self, job: JobId) -> int:
        """Return the lowest place of the edges into the job, at most 0."""
        ...

    def successors(self, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
        """Return, by job, the jobs that its edges lead to and that are not done, in order."""
        ...

    def forgive(self, job: JobId) -> None:
        """Let the `after` edges into the job whose verdict is not `done` ask for any end; its row the caller writes."""
        ...

    def reopen(self, edges: Sequence[Edge]) -> None:
        """Take the verdicts of these edges away; the rows they lead to are written by the caller."""
        ...

    # The three verbs of every job

    def end(self, session: SessionId, outcomes: Sequence[Ended]) -> list[JobId]:
        """End those jobs that run in this session at this attempt, with their results; return them."""
        ...

    def settle(self, ended: Mapping[JobId, State], most: int) -> list[JobId] | None:
        """Settle the edges out of these jobs that have no verdict; None, and nothing changed, if over `most` have none.

        Each gets its job's end as verdict. Successors wait for one less, count the bad ones, and are ready when they
        wait for nothing more. Return, by id, the unfinished `fast` groups that got their first bad child.
        """
        ...

    def settle_slice(self, job: JobId, end: State, beyond: Place | None, upto: Place) -> list[JobId]:
        """Settle the edges out of one job between two places, as `settle` does."""
        ...

    def start(self, session: SessionId, ids: Sequence[JobId]) -> list[Claim]:
        """Make these ready jobs run in this session; return them in this order."""
        ...

    def start_in(self, session: SessionId, lane: Lane, n: int) -> list[Claim]:
        """Make the jobs that `ready_in` would name run in this session; return them in its order."""
        ...

    # What can be claimed

    def ready_ends(self, n: int) -> list[JobId]:
        """Return the first `n` ready jobs that can only be ended, by (tree, id)."""
        ...

    def ready_lanes(self) -> list[Lane]:
        """Return every lane that may have ready jobs."""
        ...

    def ready_in(self, lane: Lane, n: int) -> list[Candidate]:
        """Return the first `n` ready jobs of the lane that are due, by (priority, tree, id)."""
        ...

    def running_by_lane(self) -> dict[Lane, int]:
        """Return how many jobs of each lane run, those not counted that only end."""
        ...

    def running_on(self, host: str) -> list[Candidate]:
        """Return what runs in sessions of this host, in any order, without what only ends."""
        ...

    def wake_due(self, n: int) -> None:
        """Clear `due` of the first `n` ready jobs whose time has come."""
        ...

    def next_due(self) -> float | None:
        """Return when the next scheduled job is due."""
        ...

    # Results

    def keep_value(self, job: JobId, value: Value) -> None:
        """Store what the job returned."""
        ...

    def keep_failure(self, job: JobId, failure: Failure | None) -> None:
        """Store why the job did not end done, or take that back."""
        ...

    def keep_progress(self, session: SessionId, progress: Sequence[Progress]) -> None:
        """Store how far jobs that run in this session have come."""
        ...

    def keep_lines(self, session: SessionId, lines: Sequence[Line]) -> None:
        """Add lines, in order, to the logs of jobs that run in this session; keep the newest `LOG` of each."""
        ...

    # The worklist, in order of entry

    def first_work(self) -> Work | None:
        """Return the oldest entry."""
        ...

    def find_work(self, job: JobId, verb: Verb) -> Work | None:
        """Return this entry, if it is there."""
        ...

    def purging(self) -> set[JobId]:
        """Return the trees that are being purged."""
        ...

    def enlist(self, work: Work) -> None:
        """Put an entry at the end; one that is there begins anew where it stands."""
        ...

    def advance(self, work: Work) -> None:
        """Store how far an entry is."""
        ...

    def delist(self, job: JobId, verb: Verb) -> None:
        """Remove an entry."""
        ...

    # Names

    def find_marked(self, unless: Unless) -> JobId | None:
        """Return the job to use instead: the latest with this mark done in time, else the oldest unfinished one."""
        ...

    def keys(self, ids: Sequence[JobId]) -> dict[JobId, list[str]]:
        """Return, by job, the unique marks that these jobs bear, as the store writes them, if they bear any."""
        ...

    def find_holder(self, key: str) -> JobId | None:
        """Return the oldest unfinished job with this unique mark, as `keys` wrote it; without, none is added before
        this step is over.
        """
        ...

    def find_request(self, request: str) -> JobId | None:
        """Return the root that an earlier batch with this request stored."""
        ...

    def keep_request(self, request: str, job: JobId) -> None:
        """Remember which root a request stored."""
        ...

    # Sessions and limits

    def open_session(self, session: Session) -> None:
        """Make a session known and alive."""
        ...

    def renew(self, session: SessionId) -> bool:
        """Renew a lease; return False if the session is not alive."""
        ...

    def is_alive(self, session: SessionId) -> bool:
        """Tell whether the session may report."""
        ...

    def bury(self, session: SessionId | None) -> None:
        """Declare this session dead; None: all whose lease has passed or whose process is gone."""
        ...

    def take_over(self, session: SessionId, n: int) -> list[Claim]:
        """Give the first `n` running jobs by id of dead sessions to this one; forget dead sessions without jobs."""
        ...

    def cancels(self, session: SessionId) -> list[JobId]:
        """Return the session's running jobs that are marked as cancelled, by id."""
        ...

    def overdue(self, n: int) -> list[JobId]:
        """Return the first `n` jobs by id whose deadline has passed."""
        ...

    def limits(self) -> dict[str, Rule]:
        """Return the limits by name."""
        ...

    def set_limit(self, name: str, rule: Rule | None) -> None:
        """Set or remove a limit."""
        ...

    # Tasks and clocks

    def tasks(self, names: Sequence[str] | None) -> list[Declaration]:
        """Return these tasks, or all, by name; those that are unknown are left out."""
        ...

    def keep_tasks(self, tasks: Sequence[Declaration]) -> None:
        """Store what tasks say of themselves, in place of what they said before."""
        ...

    def forget_tasks(self, names: Sequence[str]) -> None:
        """Forget these tasks."""
        ...

    def clocks(self) -> dict[str, float]:
        """Return where the clocks stand, by name."""
        ...

    def set_clock(self, name: str, now: float) -> None:
        """Set a clock."""
        ...

    def reset(self) -> None:
        """Forget everything: jobs and all that belongs to them, sessions, limits, tasks, clocks."""
        ...
