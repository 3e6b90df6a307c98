"""What a look at a whole store sees, what is wrong with it, and what puts that right."""

from msgspec import Struct, field

from ramify.model import Edge, JobId, Result, Row, Rule, Session, Work


class Mending(Struct):
    """What puts a damaged store right: rows as they are and as they should be, edges that lose their verdict, entries
    for the worklist and off it, and jobs to be cancelled as they are marked.
    """

    rows: list[tuple[Row, Row]] = field(default_factory=list)
    reopen: list[Edge] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)
    drop: list[Work] = field(default_factory=list)
    cancel: list[JobId] = field(default_factory=list)


class Findings(Struct):
    """How the place is where a store keeps its jobs: what is `wrong` with it, and what is only worth a note.

    `unreadable` says that a look at the jobs would end, or be misled, by some of what is wrong.
    """

    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unreadable: bool = False


class Snapshot(Struct):
    """Everything that the invariants speak of, read at one moment."""

    rows: list[Row]
    edges: list[Edge]
    work: list[Work]
    sessions: list[Session]
    limits: dict[str, Rule]
    results: dict[JobId, Result]
    rivals: list[list[JobId]] = field(default_factory=list)
    """Unfinished jobs that bear the same unique mark, if there are such."""
    retries: dict[JobId, int] = field(default_factory=dict)
    """How often unfinished jobs that were tried before may be tried again, as their policies say."""
