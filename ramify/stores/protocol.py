"""What a store promises. `memory.py` is the executable specification; every store passes `tests/stores/`.

A store counts and never decides: which jobs are worth another try, what an end means and how a tree is planned is
decided above it, once, in Python. Every method takes and returns sets. Each is one atomic step unless it says so; a
store that cannot be reached raises `StoreDown`, and the same call may be repeated.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from ramify.checkup import Findings, Mending, Snapshot
from ramify.declared import Declaration
from ramify.model import (
    Batch,
    Beat,
    Claim,
    Edge,
    Exchange,
    Failure,
    Info,
    JobId,
    Line,
    Outcome,
    Page,
    Progress,
    Result,
    Row,
    Rule,
    Session,
    SessionId,
    Verb,
    Want,
    Which,
)

SLICE: Final = 1000
"""How many rows or edges one step may touch; the rest goes on the worklist."""

LEASE: Final = 30.0
"""Seconds after its last beat when a session may be declared dead."""

LOG: Final = 5000
"""Lines that a job's log keeps, the newest ones; the numbers of lines tell what is missing."""


class Store(Protocol):
    """Where jobs are kept."""

    elsewhere: bool
    """Whether a step waits for another process. Then a worker makes it in a second thread, beside other calls."""

    def add(self, batch: Batch) -> dict[JobId, JobId]:
        """Store the batch, all or nothing; return for which of its rows an earlier job stands (`unless`, `request`):
        a stored one, or an earlier row of the batch.

        Raise `NotFound` for an unknown predecessor or gate, or an earlier job that is required and is not there,
        `AlreadyReleased` if `into` or a gate is let go, `Changed` if the array is not the one it was planned against
        or the clock stands elsewhere, `Cycle` if an edge into a stored job closes one.
        """
        ...

    def enter(self, session: Session) -> None:
        """Make a session known and alive."""
        ...

    def leave(self, session: SessionId) -> None:
        """End a session cleanly; what it still held is adopted like a dead one's."""
        ...

    def exchange(self, session: SessionId, outcomes: Sequence[Outcome], want: Want) -> Exchange:
        """Take outcomes, drain a slice of the worklist, and claim; one step, one round trip.

        Each outcome counts wholly or not at all, and only if its job runs in this session at this attempt; the others
        are refused and change nothing. Claims come in the order: jobs to end first, then by queue as `want` lists
        them, priority (highest first), tree, id. Raise `Lost` if the session is dead.
        """
        ...

    def beat(self, session: SessionId, progress: Sequence[Progress]) -> Beat:
        """Renew the session's lease and store progress. Raise `Lost` if it is dead."""
        ...

    def adopt(self, session: SessionId, n: int) -> list[Claim]:
        """Hand at most `n` running jobs of dead sessions to this one, which reports them; nothing else changes."""
        ...

    def move(self, which: Which, verb: Verb, failure: Failure | None = None) -> int:
        """Begin hold, release, cancel, retry or purge for the selected jobs; return how many it concerned.

        What must follow for others is on the worklist when this returns: call `drain` until it returns False. What
        another unfinished job stands for is not retried; if it is the only one selected, raise `Taken`.
        `failure` is kept with jobs that are cancelled before they ran.
        """
        ...

    def drain(self) -> bool:
        """Do one slice of the worklist; return whether there is more."""
        ...

    def limit(self, name: str, rule: Rule | None) -> None:
        """Set or remove a limit on running jobs: `task:NAME`, `queue:NAME`, `slot:NAME`, `host:NAME` or `all`.

        `declared:` before the name makes it what a task declares, which yields to one set by hand; `suspended:` makes
        it a suspension, which goes before both (see `graph/fit.py`). A rule with a time counts until then.
        """
        ...

    def declare(self, tasks: Sequence[Declaration], gone: Sequence[str] = ()) -> None:
        """Store what tasks say of themselves, with the limits they declare, and forget those that are gone."""
        ...

    def tasks(self, names: Sequence[str] | None = None) -> list[Declaration]:
        """Return what these tasks, or all, were declared to be, by name."""
        ...

    def reset(self) -> None:
        """Forget everything, jobs, limits and tasks; workers find their sessions lost."""
        ...

    def jobs(self, which: Which, page: Page = Page()) -> list[Row]:
        """Return the selected rows in order of id, a page at a time."""
        ...

    def edges(
        self,
        ids: Sequence[JobId],
        *,
        out: bool = False,
        bad: bool = False,
        start: Edge | None = None,
        size: int = SLICE,
    ) -> list[Edge]:
        """Return edges into these jobs by (job, place), or out of them by (job, after, place), beyond `start`."""
        ...

    def results(self, ids: Sequence[JobId], room: int = 64 << 20) -> list[Result]:
        """Return what these jobs left, by id; stop before the values exceed `room` bytes, but not before one."""
        ...

    def ended(self, id: JobId) -> tuple[Row, Result] | None:
        """Return a job that has ended and what it left, None while it has not. Raise `NotFound` if it is not stored."""
        ...

    def append(self, session: SessionId, lines: Sequence[Line]) -> None:
        """Add lines to the logs of jobs that run in this session; what others say is dropped.

        Each line gets the next number of its job's log.
        """
        ...

    def log(self, job: JobId, after: int = 0, size: int = SLICE) -> list[Line]:
        """Return the first `size` lines of the job's log beyond number `after`; of a long log the newest are kept."""
        ...

    def counts(self, which: Which, by: str) -> dict[str, int]:
        """Return how many of the selected jobs there are by `state`, `queue` or `task`, a job without task as "".

        By `queue state` or `task state` a key is both words with a space between; the state is the last word.
        """
        ...

    def info(self) -> Info:
        """Return what the store says of itself."""
        ...

    def wait(self, queues: Sequence[str] | None, timeout: float, also: Sequence[Any] = ()) -> bool:
        """Sleep until a job of these queues may be ready (None: until some job may have ended), at most `timeout`.

        A hint: it may wake early, and a poll must back it up. It also returns when one of `also` (file descriptors,
        sockets, connections) can be read. Return whether there was a reason to wake.
        """
        ...

    def snapshot(self) -> Snapshot:
        """Return everything, read at one moment."""
        ...

    def examine(self) -> Findings:
        """Return how the place is where the jobs are kept: damage that a snapshot could not show, or not survive."""
        ...

    def mend(self, mending: Mending) -> int:
        """Apply what `find_mending` found to rows that have not changed since; return how many changes that were."""
        ...

    def reindex(self) -> int:
        """Put right what only serves to find and count jobs, and follows from them; return how many changes that were.

        Raise `Changed` if jobs are added so fast that it cannot be told.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files; a closed store may not be used again."""
        ...
