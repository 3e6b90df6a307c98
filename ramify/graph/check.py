"""What is true of a store between any two of its steps: the judge of `ramify doctor` and of the tests.

Each check is a sentence of `docs/decisions/0002-algebra.md`, and each finding names a job and what is wrong with it. A
tree that is being purged loses its jobs a slice at a time, so its jobs are asked only whether they have ended.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, TypeVar

from ramify.checkup import Snapshot
from ramify.codec import is_json
from ramify.graph.arrive import resting_state
from ramify.graph.ends import decide_end
from ramify.graph.fit import in_force, scopes
from ramify.model import ENDED, Edge, JobId, Kind, Row, SessionId, State, Step, Verb

K = TypeVar("K")
MOST_CRASHES: Final = 3
MOST_LOSSES: Final = 10


def find_violations(snapshot: Snapshot) -> list[str]:
    """Return what is wrong, as sentences; nothing is wrong with a store that ramify alone has written to."""
    facts = Facts(snapshot)
    found = [*_check_keys(facts), *_check_names(facts), *_check_cycles(facts), *_check_rivals(facts)]
    for row in snapshot.rows:
        checks = (_check_over,) if row.tree in facts.purging else CHECKS
        found += [f"job {row.id}: {wrong}" for check in checks for wrong in check(row, facts)]
    return found


def find_overtried(snapshot: Snapshot) -> list[str]:
    """Return which jobs were tried more often than their policies allow, which stores do not know, so cannot refuse."""
    return [
        f"job {row.id}: is to run again after {row.tries} tries that failed, of which its policy allows {allowed}"
        for row in snapshot.rows
        if row.state not in ENDED and row.tries > (allowed := snapshot.retries.get(row.id, row.tries))
    ]


def find_orphans(snapshot: Snapshot, alive: Collection[SessionId]) -> list[str]:
    """Return, as a sentence, how many jobs of workers that are gone nobody has taken over yet."""
    orphans = sum(row.state is State.RUNNING and row.session not in alive for row in snapshot.rows)
    if not orphans:
        return []
    some = "1 running job" if orphans == 1 else f"{orphans:,} running jobs"
    return [f"{some} of workers that are gone; the next worker takes {'it' if orphans == 1 else 'them'} over"]


def find_excess(snapshot: Snapshot) -> list[str]:
    """Return where more runs than may, as sentences: a limit that is lowered stops nothing that runs."""
    running: Counter[str] = Counter()
    for row in snapshot.rows:
        if row.state is State.RUNNING and not row.doomed:
            running.update(scopes(row.lane))
    limits = {name: n for name, n in in_force(snapshot.limits).items() if n}
    return [
        f"{name}: {running[name]} run, of at most {n}; the limit was lowered while they ran"
        for name, n in sorted(limits.items())
        if running[name] > n
    ]


class Facts:
    """A snapshot with its look-ups."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.rows = {row.id: row for row in snapshot.rows}
        self.work = {(work.job, work.verb) for work in snapshot.work}
        self.purging = {work.job for work in snapshot.work if work.verb is Verb.PURGE and work.cursor}
        self.sessions = {session.id for session in snapshot.sessions}
        self.links = {(edge.before, edge.after) for edge in snapshot.edges}
        self.maimed = {row.parent for row in snapshot.rows if row.parent and (row.id, row.parent) not in self.links}
        """Jobs that have lost the edge from one of their children."""
        self.into: dict[JobId, list[Edge]] = {}
        for edge in snapshot.edges:
            self.into.setdefault(edge.after, []).append(edge)

    def edges_into(self, row: Row) -> list[Edge]:
        """Return the edges into a job whose other end is stored."""
        return [edge for edge in self.into.get(row.id, []) if edge.before in self.rows]

    def lets_go(self, job: JobId) -> bool:
        """Tell whether the job is about to let go, or to cancel, what it holds."""
        return bool(self.work & {(job, Verb.RELEASE), (job, Verb.CANCEL)})

    def is_spreading(self, job: JobId) -> bool:
        """Tell whether the job's end, or its opening, has not reached all its successors yet."""
        return (job, Verb.SPREAD) in self.work

    def is_opening(self, row: Row) -> bool:
        """Tell whether the job waits for its own opening."""
        return row.state not in ENDED and self.is_spreading(row.id)


def contradicts(row: Row, facts: Facts) -> bool:
    """Tell whether the job's end is not what its result and its edges say, so that nothing follows from it."""
    return any(True for check in (_check_result, _check_end) for _ in check(row, facts))


def _check_keys(facts: Facts) -> Iterator[str]:
    """Ids and places are unique."""
    rows, edges = facts.snapshot.rows, facts.snapshot.edges
    yield from (f"job {id}: stored twice" for id in _repeated(row.id for row in rows))
    places = _repeated((edge.after, edge.place) for edge in edges)
    yield from (f"job {after}: place {place} is taken twice" for after, place in places)


def _check_rivals(facts: Facts) -> Iterator[str]:
    """Of the jobs with one unique mark one is unfinished, beside such as are opened only to be cancelled."""
    for jobs in facts.snapshot.rivals:
        rows = [facts.rows[id] for id in jobs if id in facts.rows]
        left = [row for row in rows if row.state is State.RUNNING or not row.cancelled]
        for row in left[1:]:
            yield f"job {row.id}: is {row.state}, and so is {left[0].id}, which bears the same unique mark"


def _check_names(facts: Facts) -> Iterator[str]:
    """Edges, holds, parents and the worklist name stored jobs."""
    for edge in facts.snapshot.edges:
        for id, other in ((edge.before, edge.after), (edge.after, edge.before)):
            if id not in facts.rows:
                yield f"job {other}: has an edge to {id}, which is not stored"
    for work in facts.snapshot.work:
        if work.job not in facts.rows:
            yield f"job {work.job}: the worklist would {work.verb} it, but it is not stored"
    for row in facts.snapshot.rows:
        for word, name in (("tree", row.tree), ("parent", row.parent), ("hold", row.hold)):
            if name is not None and name not in facts.rows and row.tree not in facts.purging:
                yield f"job {row.id}: its {word} {name} is not stored"


def _check_cycles(facts: Facts) -> Iterator[str]:
    """No jobs wait for each other, nor would after a retry: what is not done may be opened again."""
    waits = dict.fromkeys(facts.rows, 0)
    later: dict[JobId, list[JobId]] = {}
    for edge in facts.snapshot.edges:
        if edge.before in facts.rows and edge.after in facts.rows and _can_hold_up(edge, facts.rows[edge.before]):
            waits[edge.after] += 1
            later.setdefault(edge.before, []).append(edge.after)
    free = [id for id, n in waits.items() if n == 0]
    for id in free:
        for after in later.get(id, ()):
            waits[after] -= 1
            if waits[after] == 0:
                free.append(after)
    stuck = waits.keys() - set(free)
    if not stuck:
        return
    before = {after: id for id in sorted(stuck) for after in later.get(id, ()) if after in stuck}
    trail: dict[JobId, None] = {}
    job = min(stuck)
    while job not in trail:
        trail[job] = None
        job = before[job]
    loop = list(trail)[list(trail).index(job) :]
    yield f"job {job}: waits for itself: {' → '.join([job, *loop[::-1]])}"


def _can_hold_up(edge: Edge, before: Row) -> bool:
    return edge.verdict is None or (edge.bad and before.state is not State.DONE)


def _check_over(row: Row, facts: Facts) -> Iterator[str]:
    if row.state not in ENDED:
        yield f"is {row.state} while its tree is purged"


def _check_counters(row: Row, facts: Facts) -> Iterator[str]:
    """`waits` counts edges without verdict, and the job's own opening; `bads` counts bad verdicts."""
    edges = facts.edges_into(row)
    waits = sum(edge.verdict is None for edge in edges) + facts.is_opening(row)
    bads = sum(edge.bad for edge in edges)
    if row.waits != waits:
        yield f"waits is {row.waits}, but it waits for {waits}"
    if row.bads != bads:
        yield f"bads is {row.bads}, but {bads} of its edges are bad"


def _check_verdicts(row: Row, facts: Facts) -> Iterator[str]:
    """A verdict is the end of the job before or a final good one; only what still spreads may be behind."""
    for edge in facts.edges_into(row):
        before = facts.rows[edge.before]
        if facts.is_spreading(before.id):
            continue
        if edge.verdict is None and before.state in ENDED:
            yield f"its edge from {before.id} is open, though that job has ended {before.state}"
        elif edge.bad and edge.verdict != before.state:
            yield f"its edge from {before.id} says {edge.verdict}, but that job is {before.state}"
        elif edge.verdict is not None and edge.verdict not in ENDED:
            yield f"its edge from {before.id} says {edge.verdict}, which is no end"


def _check_state(row: Row, facts: Facts) -> Iterator[str]:
    """An unfinished job is where its columns put it, and a mark leaves it running, opening or ended."""
    if row.state is State.RUNNING:
        if row.hold is not None or row.waits:
            yield f"runs, but waits is {row.waits} and hold is {row.hold}"
        if row.attempt < 1:
            yield "runs, but was never claimed"
    elif row.state in ENDED:
        if row.waits and row.state is not State.CANCELLED:
            yield f"is {row.state}, but waits is {row.waits}"
        if row.hold is not None:
            yield f"is {row.state}, but hold is {row.hold}"
    elif row.state is not resting_state(row.hold, row.waits):
        yield f"is {row.state}, but waits is {row.waits} and hold is {row.hold}"
    if (row.ended is not None) != (row.state in ENDED):
        yield f"is {row.state}, but ended is {row.ended}"
    if row.cancelled and row.state not in ENDED and row.state is not State.RUNNING and not facts.is_opening(row):
        yield f"is cancelled, but still {row.state}"


def _check_session(row: Row, facts: Facts) -> Iterator[str]:
    """A job runs if and only if it is in a session that the store knows."""
    if (row.session is not None) != (row.state is State.RUNNING):
        yield f"is {row.state}, but its session is {row.session}"
    elif row.session is not None and row.session not in facts.sessions:
        yield f"runs in session {row.session}, which the store does not know"


def _check_result(row: Row, facts: Facts) -> Iterator[str]:
    """A job has a value if and only if its body is over."""
    result = facts.snapshot.results.get(row.id)
    has_value = result is not None and result.value is not None
    if result is not None and result.value is not None and not is_json(result.value.json):
        yield "its value is not JSON"
    if row.lane.task is not None and row.state is State.DONE and not has_value:
        yield "is done, but has no value"
    elif has_value and row.step is Step.RUN and row.state is not State.DONE:
        yield f"is {row.state}, but has a value"


def _check_end(row: Row, facts: Facts) -> Iterator[str]:
    """A job without body, or whose body is over or never ran, ended as the table says, or by its own mark."""
    if row.state not in ENDED or not row.doomed or (row.cancelled and row.state is State.CANCELLED):
        return
    end, cause = decide_end([edge for edge in facts.edges_into(row) if edge.bad])
    if row.state is not end:
        yield f"is {row.state}, but its edges say {end}{f' (because of {cause})' if cause else ''}"


def _check_array(row: Row, facts: Facts) -> Iterator[str]:
    """Children stand at 0, 1, … as `size`, `last` and `barrier` say; a member has an edge to its parent."""
    edges = facts.edges_into(row)
    children = {edge.place: edge.before for edge in edges if edge.place >= 0}
    if children.keys() != set(range(row.size)):
        yield f"size is {row.size}, but {len(children)} children stand at 0 to {max(children, default=0)}"
    elif row.last != children.get(row.size - 1):
        yield f"its last child is {row.last}, but {children.get(row.size - 1)} stands last"
    elif row.barrier is not None and row.barrier not in children.values():
        yield f"its barrier {row.barrier} is not among its children"
    if any((edge.kind is Kind.CHILD) != (edge.place >= 0) for edge in edges):
        yield "an edge that is no child's stands among its children, or the other way round"
    if row.parent is not None and (row.id, row.parent) not in facts.links:
        yield f"no edge leads into its parent {row.parent}, so a cancel would not find it"


def _check_hold(row: Row, facts: Facts) -> Iterator[str]:
    """A job is held by a job that is held itself, or is about to let it go, or to cancel it."""
    holder = facts.rows.get(row.hold or "")
    if holder is None or holder.hold is not None:
        return
    if not facts.lets_go(holder.id):
        yield f"is held by {holder.id}, which is {holder.state} and will not let it go"


def _check_charges(row: Row, facts: Facts) -> Iterator[str]:
    """Charges are within bounds."""
    if min(row.attempt, row.tries, row.crashes, row.losses) < 0:
        yield "has a negative charge"
    if row.state not in ENDED and (row.crashes > MOST_CRASHES or row.losses > MOST_LOSSES):
        yield f"crashed {row.crashes} times and was lost {row.losses} times, and is tried again"


CHECKS: Final[tuple[Callable[[Row, Facts], Iterator[str]], ...]] = (
    _check_counters,
    _check_verdicts,
    _check_state,
    _check_session,
    _check_result,
    _check_end,
    _check_array,
    _check_hold,
    _check_charges,
)


def _repeated(keys: Iterable[K]) -> list[K]:
    return [key for key, n in Counter(keys).items() if n > 1]
