"""The words of ramify as plain values: rows, edges, batches, outcomes, and what stores take and return.

No behaviour beyond a property or two lives here. `docs/decisions/0002-algebra.md` is the table of what the verbs do
to these values; `stores/protocol.py` says what a store promises about them.
"""

from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct, field

JobId: TypeAlias = str
SessionId: TypeAlias = str


class State(StrEnum):
    """Where a job stands. A `ready` job whose `due` lies ahead is shown as scheduled."""

    HELD = "held"
    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


ENDED: Final = frozenset({State.DONE, State.FAILED, State.CANCELLED, State.SKIPPED})
UNDONE: Final = ENDED - {State.DONE}


class Step(StrEnum):
    """What a claim of the job means: run its body, or end it by its edges."""

    RUN = "run"
    END = "end"


class Kind(StrEnum):
    """What an edge is for: a `child` feeds a join and decides its end, an `after` edge asks for an end."""

    CHILD = "child"
    AFTER = "after"


class When(StrEnum):
    """The end an `after` edge asks for."""

    DONE = "done"
    ENDED = "ended"
    FAILED = "failed"


class Verb(StrEnum):
    """What an entry of the worklist still has to do, a slice at a time."""

    SPREAD = "spread"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    PURGE = "purge"


class Lane(Struct, frozen=True, order=True):
    """All that a claim may refuse by. `units` is the share of a host that one job takes."""

    queue: str = "default"
    task: str | None = None
    slot: str | None = None
    units: int = 1


class Row(Struct, gc=False):
    """One stored job, without its arguments and its result.

    `waits` counts incoming edges without verdict, plus one while the job's own opening is on the worklist; `bads`
    counts bad verdicts. `size`, `last` and `barrier` describe the array of its children: how many, the newest, and
    the newest that is `blocking`. Times are seconds since 1970 by the store's clock.
    """

    id: JobId
    tree: JobId
    parent: JobId | None = None
    lane: Lane = Lane()
    priority: int = 0
    label: str | None = None
    hold: JobId | None = None
    step: Step = Step.RUN
    state: State = State.WAITING
    cancelled: bool = False
    waits: int = 0
    bads: int = 0
    attempt: int = 0
    session: SessionId | None = None
    due: float | None = None
    tries: int = 0
    crashes: int = 0
    losses: int = 0
    grown: bool = False
    fast: bool = False
    size: int = 0
    last: JobId | None = None
    barrier: JobId | None = None
    limit: float | None = None
    deadline: float | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def doomed(self) -> bool:
        """Whether a claim of this row can only end it: its body is over, or an edge went bad."""
        return self.step is Step.END or self.bads > 0


class Edge(Struct, gc=False):
    """`before → after`. `place` is unique among the edges into `after`: 0, 1, … for the children of its array in
    order, negative for every other edge. `slots` are the places in the arguments that the result fills.
    """

    after: JobId
    place: int
    before: JobId
    kind: Kind = Kind.CHILD
    when: When = When.DONE
    slots: list[list[str | int]] | None = None
    verdict: State | None = None

    @property
    def bad(self) -> bool:
        """Whether the verdict is not the one asked for."""
        return self.verdict is not None and not is_good(self.kind, self.when, self.verdict)


def is_good(kind: Kind, when: When, end: State) -> bool:
    """Tell whether `end` satisfies an edge: a child must be done, an `after` edge gets what it asks for."""
    if kind is Kind.CHILD:
        return end is State.DONE
    return when is When.ENDED or end.value == when.value


class Retry(Struct, frozen=True):
    """How often a job that failed is tried again, and after how many seconds.

    Try `n` waits `backoff * factor ** (n - 1)` seconds, or the `n`th (else the last) of several in `backoff`, at most
    `longest`, give or take `jitter` (a share of it).
    `on` are the exceptions that are worth another try, classes or their names; empty means every one.
    """

    times: int = 0
    backoff: float | tuple[float, ...] = 1.0
    factor: float = 2.0
    longest: float = 3600.0
    jitter: float = 0.1
    on: tuple[object, ...] = ()


class Unique(Struct, frozen=True, omit_defaults=True):
    """What must not be there twice: an unfinished job of the task with the same arguments (those named `by`; None:
    all), or with the same `key`; with `within`, also one that was done in that time.
    """

    by: tuple[str, ...] | None = None
    key: str | None = None
    within: float | str | None = None


class Policy(Struct, frozen=True, omit_defaults=True):
    """What a worker must know to run a job; stored beside its arguments, opaque to stores.

    A job that nobody has begun at `start_before`, or `start_within` seconds after it was made, never runs.
    """

    retry: Retry | None = None
    timeout: float | None = None
    project: bool = False
    repeatable: bool = True
    start_before: float | None = None
    start_within: float | None = None


class Payload(Struct, gc=False):
    """What a job is called with: JSON `[args, kwargs]` with null where a result goes, and its policy."""

    args: bytes = b"[[],{}]"
    policy: Policy = Policy()


UNIQUE: Final = "unique/"
"""Begins a mark that one unfinished job at most may bear."""

TICK: Final = "cron/"
"""Begins the mark of a tick, which one job at most bears."""


class Unless(Struct, frozen=True):
    """Do not add the row if a job with this mark was done within so many seconds, or is unfinished: use that job.

    `required` means that there must be one: the row itself is never stored.
    """

    mark: str
    within: float | None = None
    required: bool = False


class Clock(Struct, frozen=True):
    """A step of the clock of this name, in seconds since 1970: it stood at `was` (None: nowhere yet), now at `now`."""

    name: str
    was: float | None
    now: float


class Batch(Struct):
    """Rows and edges to add, all or nothing.

    Rows are in ascending order of id, which is post-order; `waits` counts all their edges. `delays` are seconds
    from now until a row is due. `into` is the stored job that gains edges, `array` what its array looks like
    afterwards and `planned_size` what it was when this was planned. `gates` must still be held, and the clock must
    stand where the batch says. A batch repeated with the same `request` adds nothing and returns the first one's ids.
    """

    rows: list[Row] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    payloads: dict[JobId, Payload] = field(default_factory=dict)
    delays: dict[JobId, float] = field(default_factory=dict)
    marks: dict[JobId, list[str]] = field(default_factory=dict)
    unless: dict[JobId, Unless] = field(default_factory=dict)
    into: JobId | None = None
    array: "Array | None" = None
    planned_size: int = 0
    gates: list[JobId] = field(default_factory=list)
    request: str | None = None
    clock: Clock | None = None


class Array(Struct, frozen=True):
    """The children of a stored job, as far as adding to them needs to know."""

    size: int = 0
    last: JobId | None = None
    barrier: JobId | None = None


class Charge(StrEnum):
    """What a job that goes back to the queue is charged with."""

    NOTHING = "nothing"
    TRY = "try"
    CRASH = "crash"
    LOSS = "loss"


class Value(Struct, frozen=True):
    """A result as JSON. `spread` remembers that it was a tuple."""

    json: bytes = b"null"
    spread: bool = False


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why a job did not end `done`. `kind` is error, timeout, crashed, arguments, result, needs,
    late, limit or cause."""

    kind: str
    message: str
    type: str = ""
    traceback: str = ""
    cause: JobId | None = None


class Ended(Struct, frozen=True, tag="ended"):
    """The job is over. At step `end` a missing value keeps the result that its body left."""

    job: JobId
    attempt: int
    state: State
    value: Value | None = None
    failure: Failure | None = None


class Grown(Struct, frozen=True, tag="grown"):
    """The job adds `batch` and waits for what leads into it; then it ends, or runs (`then`).

    `beside` is a second batch, of siblings, where one run adds children and siblings.
    """

    job: JobId
    attempt: int
    batch: Batch
    then: Step = Step.END
    value: Value | None = None
    beside: Batch | None = None


class Again(Struct, frozen=True, tag="again"):
    """The job goes back to the queue, to be claimed in `delay` seconds."""

    job: JobId
    attempt: int
    delay: float = 0.0
    charge: Charge = Charge.TRY
    failure: Failure | None = None


class Back(Struct, frozen=True, tag="back"):
    """The job was never started."""

    job: JobId
    attempt: int


Outcome: TypeAlias = Ended | Grown | Again | Back


class Refusal(Struct, frozen=True):
    """Why an outcome changed nothing: `lost` (not ours any more), `changed` (plan it again), `bad` (see `reason`)."""

    kind: str
    reason: str = ""


class Want(Struct, frozen=True):
    """What a worker would take: at most `n` jobs of these queues in this order, of tasks of these modules.

    `n` does not count jobs at step `end`, which every worker takes first, at most `ends` of them. `tasks` None means
    any; otherwise a task is known if it is listed. `refuse` are lanes it does not want now. `units` are those of its
    `host`, for all workers there together; None means any number. Whoever ends when there is nothing wants to be `sure`
    of it; others may be given a little later what a store has not looked for yet.
    """

    n: int = 0
    queues: tuple[str, ...] = ("default",)
    tasks: frozenset[str] | None = None
    refuse: frozenset[Lane] = frozenset()
    ends: int = 1000
    host: str = ""
    units: int | None = None
    sure: bool = False


class Claim(Struct):
    """A job that is now ours. `slots` are its edges that fill arguments; empty for most jobs."""

    row: Row
    payload: Payload
    slots: list[Edge] = field(default_factory=list)


class Exchange(Struct):
    """What an exchange did: refusals by job, claims in order, our running jobs that are to be cancelled, whether the
    worklist is not empty, and when the next scheduled job is due (seconds from now).
    """

    refused: dict[JobId, Refusal] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    cancels: list[JobId] = field(default_factory=list)
    more: bool = False
    due_in: float | None = None


class Session(Struct, frozen=True):
    """One life of a worker. `tasks` are the names of those that it knows, `units` those of its host (None: any)."""

    id: SessionId
    host: str = ""
    pid: int = 0
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    started: float = 0.0
    units: int | None = None


class Progress(Struct, frozen=True):
    """How far a running job is: percent from 0 to 100 and a line of text."""

    job: JobId
    percent: int | None = None
    status: str | None = None


class Line(Struct, frozen=True):
    """One line that a running job said, on `out` or `err`. `number` is its place in the job's log, from 1 on."""

    job: JobId
    text: str
    stream: str = "out"
    number: int = 0


class Beat(Struct):
    """What a heartbeat brought: our running jobs that are to be cancelled, and trees past their time limit."""

    cancels: list[JobId] = field(default_factory=list)
    overdue: list[JobId] = field(default_factory=list)


class Which(Struct, frozen=True):
    """A selection of jobs; None means any. `under` are the children of one job; `roots` have no parent."""

    ids: tuple[JobId, ...] | None = None
    tree: JobId | None = None
    under: JobId | None = None
    states: frozenset[State] | None = None
    queues: frozenset[str] | None = None
    tasks: frozenset[str] | None = None
    roots: bool = False
    ended_before: float | None = None


class Page(Struct, frozen=True):
    """At most `size` rows after (or, newest first, before) the id `after`, which may be any text that sorts there."""

    after: JobId | None = None
    size: int = 1000
    newest: bool = False


class Result(Struct):
    """What a job left: its value once its body is over, or the failure that ended it, and how far it came."""

    job: JobId
    value: Value | None = None
    failure: Failure | None = None
    percent: int | None = None
    status: str | None = None


class Rule(Struct, frozen=True):
    """A limit: at most `n` running, for ever or until this time; 0 suspends."""

    n: int
    until: float | None = None


class Work(Struct):
    """One entry of the worklist: (job, verb) and how far it is. `origin` is the job whose hold or purge this is."""

    job: JobId
    verb: Verb
    cursor: str = ""
    origin: JobId | None = None


class Info(Struct):
    """What the store says of itself: sessions, limits, clocks, the length of the worklist, its own facts, and its time.

    `lost` are those of the sessions that are dead and that no worker has declared so yet.
    """

    sessions: list[Session] = field(default_factory=list)
    limits: dict[str, Rule] = field(default_factory=dict)
    clocks: dict[str, float] = field(default_factory=dict)
    worklist: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    lost: list[SessionId] = field(default_factory=list)
    now: float = 0.0
