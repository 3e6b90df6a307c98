"""A model of the journal that processes of a directory queue commit to: every order of all their steps is tried.

Each call of the file system is one step, and between any two a process may be killed, or the power cut for all. What
was waited for stays; of the rest any part does, torn or whole. Answers may get lost: a link then reports that the name
was taken though it is ours. A session may be declared dead at any moment, rightly or not. What is decided is that of a
queue in small: B runs after A; A may end, fail and be opened again, or grow C and wait for it; B may be cancelled; a
document becomes D; a program adds jobs. The source of the protocol is docs/decisions/0008.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

Token = tuple[int, int]
"""Number and session name a record: a session links no two to one number."""

Change = tuple[str | int, ...]
A, B, C, D = range(4)
OVER: Final = ("done", "failed", "skipped", "cancelled")


class Job(NamedTuple):
    state: str
    attempt: int = 0
    session: int = 0


class Tables(NamedTuple):
    """What a process holds in memory. `lasting` are the records that must last and that it has in them."""

    jobs: tuple[Job, ...]
    dead: frozenset[int] = frozenset()
    lasting: frozenset[Token] = frozenset()
    added: int = 0


class Record(NamedTuple):
    token: Token
    follows: Token
    change: Change
    written: bool
    """Whether what is in it is on the disk, …"""
    named: bool = False
    """… and whether its name is."""
    torn: bool = False


Slot = Record | str | None
"""A record, a tombstone, or nothing."""
STONE: Final = "tombstone"


class Process(NamedTuple):
    session: int
    number: int
    token: Token
    tables: Tables
    phase: str = "idle"
    change: Change = ()


class Left(NamedTuple):
    """How often each of these may still happen."""

    kills: int
    cuts: int
    burials: int
    lies: int
    checkpoints: int
    adds: int
    opens: int
    grows: int
    cancels: int


class State(NamedTuple):
    slots: tuple[Slot, ...]
    checkpoints: tuple[tuple[int, Token, Tables], ...]
    processes: tuple[Process, ...]
    left: Left
    told: frozenset[Token] = frozenset()
    """Records that callers were told of."""
    ran: frozenset[tuple[int, int, int]] = frozenset()
    """Job, attempt, session of all runs since the last power cut."""
    document: bool = True
    adds: int = 0


NONE: Final = (0, 0)
START: Final = Tables((Job("ready"), Job("waiting"), Job("none"), Job("none")))


class Violated(Exception):
    """Something happened that must not."""


class Model:
    """All the steps. `broken` names what is left out of the protocol on purpose."""

    def __init__(self, size: int, broken: str = "") -> None:
        self.size, self.broken = size, broken

    def start(self, left: Left, processes: int = 2) -> State:
        """Return the state in which all begins."""
        first = (0, NONE, START)
        fresh = tuple(Process(10 * (number + 1), *first) for number in range(processes))
        return State((None,) * (self.size + 1), (first,), fresh, left)

    def steps(self, state: State) -> Iterator[State]:
        """Yield all states that may follow."""
        for place, process in enumerate(state.processes):
            yield from self._act(state, place, process)
            if state.left.kills:
                left = state.left._replace(kills=state.left.kills - 1)
                yield _with(state._replace(left=left), place, self._fresh(state, process))
        if state.left.cuts:
            yield from self._cut(state)

    def check(self, state: State) -> None:
        """Raise if the state contradicts a promise."""
        whole = self._replay(state, len(state.slots))
        if whole is None:
            raise Violated("nobody could open the queue any more")
        if not state.told <= whole[2].lasting:
            raise Violated("what a caller was told of is lost")
        if whole[2].added > state.adds:
            raise Violated("something was added twice")
        for process in state.processes:
            known = self._replay(state, process.number + 1)
            if known is not None and known[2] != process.tables:
                raise Violated("two who read the same records hold different tables")
        attempts = [run[:2] for run in state.ran]
        if len(set(attempts)) < len(attempts):
            raise Violated("one attempt ran twice")

    # A process

    def _act(self, state: State, place: int, process: Process) -> Iterator[State]:
        slot = state.slots[process.number + 1] if process.number + 1 < len(state.slots) else STONE
        if process.phase == "idle":
            if process.number + 1 >= len(state.slots):  # the model ends here
                return
            if slot is not None:
                yield _with(state, place, self._read(state, process, slot))
                if self.broken != "stale":
                    return
            if process.session in process.tables.dead and self.broken != "fence":
                yield _with(state, place, process._replace(session=process.session + 1))
                return
            yield from self._decide(state, place, process)
        elif process.phase == "wants":
            soft = process.change[0] == "claim" or self.broken == "soft"
            yield _with(state if soft else self._sync_soft(state, process), place, process._replace(phase="made"))
        elif process.phase == "made":
            yield from self._link(state, place, process)
        elif process.phase == "doubts":
            # A record that was pruned meanwhile is known by the time at which its own file last changed.
            pruned = slot == STONE and self.broken != "guessing"
            ours = pruned or (isinstance(slot, Record) and slot.token == self._token(process))
            ours = ours and self.broken != "trusting"
            yield _with(state, place, process._replace(phase="linked")) if ours else _lost(state, place, process)
        elif process.phase == "linked":
            yield self._settle(state, place, process)
        elif process.phase == "took":  # the document is removed; if not, somebody finds it again
            yield _with(state._replace(document=False), place, process._replace(phase="idle"))
        elif process.phase.isdecimal():
            yield self._bury_record(state, place, process)

    def _decide(self, state: State, place: int, process: Process) -> Iterator[State]:
        left = state.left
        for change in self._possible(state, process):
            what = {"bury": "burials", "add": "adds", "open": "opens", "grow": "grows", "cancel": "cancels"}.get(
                str(change[0])
            )
            if what is not None and not getattr(left, what):
                continue
            spent = left if what is None else left._replace(**{what: getattr(left, what) - 1})
            adds = state.adds + (change[0] == "add")
            wanting = process._replace(phase="wants", change=change)
            yield _with(state._replace(left=spent, adds=adds), place, wanting)
        for job, row in enumerate(process.tables.jobs):
            run = (job, row.attempt, process.session)
            if (row.state, row.session) == ("running", process.session) and run not in state.ran:
                yield state._replace(ran=state.ran | {run})
        if left.checkpoints and process.number > state.checkpoints[-1][0]:
            made = (process.number, process.token, process.tables)
            kept = (*state.checkpoints[-1:], made)
            spent = left._replace(checkpoints=left.checkpoints - 1)
            prunes = process._replace(phase=str(kept[0][0]))
            yield _with(state._replace(checkpoints=kept, left=spent), place, prunes)

    def _possible(self, state: State, process: Process) -> Iterator[Change]:
        jobs, dead = process.tables.jobs, process.tables.dead
        for number, job in enumerate(jobs):
            if job.state == "ready":
                yield ("claim", number)
            if job.state == "running" and job.session in dead:
                yield ("adopt", number)
        # What ran here is reported, whether it is still ours or not: that the store decides.
        for number, attempt, session in state.ran:
            if session == process.session:
                row = jobs[number]
                if (row.state, row.attempt, row.session) == ("running", attempt, session) or self.broken == "fence":
                    yield ("end", number, attempt, "done")
                    if number == A:
                        yield ("end", A, attempt, "failed")
                        yield ("grow", attempt)
        for other in state.processes:
            if other.session != process.session and other.session not in dead:
                yield ("bury", other.session)
        for job in jobs:
            if job.state == "running" and job.session not in dead and job.session != process.session:
                yield ("bury", job.session)
        if jobs[A].state == "failed":
            yield ("open",)
        if jobs[B].state in ("waiting", "ready"):
            yield ("cancel",)
        if state.document and (jobs[D].state == "none" or self.broken == "request"):
            yield ("take",)
        elif state.document:
            yield ("took",)
        yield ("add",)

    def _link(self, state: State, place: int, process: Process) -> Iterator[State]:
        number = process.number + 1
        if process.change == ("took",):
            yield _with(state, place, process._replace(phase="took", change=()))
            return
        if self.broken == "stale":  # the next free number, whatever stands before it
            number = next((n for n, slot in enumerate(state.slots) if n > process.number and slot is None), 0)
            if not number:
                return
            process = process._replace(number=number - 1)
        if state.slots[number] is not None and self.broken != "rename":
            yield _lost(state, place, process)
            return
        durable = process.change[0] != "claim"
        record = Record(self._token(process), process.token, process.change, durable)
        linked = state._replace(slots=_put(state.slots, number, record))
        yield _with(linked, place, process._replace(phase="linked"))
        if state.left.lies:
            left = state.left._replace(lies=state.left.lies - 1)
            yield _with(linked._replace(left=left), place, process._replace(phase="doubts"))

    def _settle(self, state: State, place: int, process: Process) -> State:
        """Wait for the names, if it must last; take it into the own tables, and tell the caller."""
        token = self._token(process)
        durable = process.change[0] != "claim"
        tables = self._apply(process.tables, process.change, token)
        if durable:
            if self.broken != "names":
                state = state._replace(slots=tuple(_named(slot) for slot in state.slots))
            state = state._replace(told=state.told | {token})
        after = "took" if process.change == ("take",) else "idle"
        done = process._replace(number=process.number + 1, token=token, tables=tables, phase=after, change=())
        return _with(state, place, done)

    def _read(self, state: State, process: Process, slot: Slot) -> Process:
        if slot == STONE:
            number, token, tables = state.checkpoints[-1]
            return process._replace(number=number, token=token, tables=tables)
        assert isinstance(slot, Record)
        number = process.number + 1
        if not self._counts(slot, process.token):
            return process._replace(number=number)
        tables = self._apply(process.tables, slot.change, slot.token)
        return process._replace(number=number, token=slot.token, tables=tables)

    def _bury_record(self, state: State, place: int, process: Process) -> State:
        """Put a tombstone in the place of one record, from the older checkpoint down."""
        floor = int(process.phase)
        number = next((n for n in range(floor, 0, -1) if state.slots[n] not in (STONE, None)), 0)
        if not number:
            return _with(state, place, process._replace(phase="idle"))
        stone = None if self.broken == "freed" else STONE
        return state._replace(slots=_put(state.slots, number, stone))

    def _sync_soft(self, state: State, process: Process) -> State:
        """Wait for what the step builds on, as far as nobody waited for it: contents, and names with its own later."""
        slots = tuple(
            slot._replace(written=True) if isinstance(slot, Record) and n <= process.number else slot
            for n, slot in enumerate(state.slots)
        )
        return state._replace(slots=slots)

    def _fresh(self, state: State, process: Process) -> Process:
        return Process(process.session + 1, *state.checkpoints[-1])

    def _token(self, process: Process) -> Token:
        return process.number + 1, process.session

    # The power

    def _cut(self, state: State) -> Iterator[State]:
        loose = [
            n for n, slot in enumerate(state.slots) if isinstance(slot, Record) and not (slot.written and slot.named)
        ]
        for fate in product(("whole", "torn", "gone"), repeat=len(loose)):
            slots = list(state.slots)
            for number, what in zip(loose, fate, strict=True):
                record = slots[number]
                assert isinstance(record, Record)
                if (what == "torn" and record.written) or (what == "gone" and record.named):
                    break
                slots[number] = (
                    None
                    if what == "gone"
                    else record._replace(written=True, named=True, torn=record.torn or what == "torn")
                )
            else:
                left = state.left._replace(cuts=state.left.cuts - 1)
                after = state._replace(slots=tuple(slots), left=left, ran=frozenset())
                yield after._replace(processes=tuple(self._fresh(after, process) for process in state.processes))

    # What records mean

    def _counts(self, record: Record, follows: Token) -> bool:
        return not record.torn and (record.follows == follows or self.broken == "chain")

    def _replay(self, state: State, end: int) -> tuple[int, Token, Tables] | None:
        """Return what one holds who has read all before a number; None if that was pruned."""
        known = [found for found in state.checkpoints if found[0] < end]
        if not known:
            return None
        number, token, tables = known[-1]
        for slot in state.slots[number + 1 : end]:
            if slot is None:
                break
            if isinstance(slot, Record) and self._counts(slot, token):
                token, tables = slot.token, self._apply(tables, slot.change, slot.token)
        return number, token, tables

    def _apply(self, tables: Tables, change: Change, token: Token) -> Tables:
        session = token[1]
        jobs = list(tables.jobs)
        match change:
            case ("claim", int(number)):
                _require(jobs[number].state == "ready", "what was not ready was claimed")
                jobs[number] = Job("running", jobs[number].attempt + 1, session)
            case ("adopt", int(number)):
                jobs[number] = Job("ready", jobs[number].attempt)
            case ("end", int(number), attempt, str(end)):
                _require(jobs[number] == ("running", attempt, session), "an end of an attempt that was not running")
                jobs[number] = Job(end, jobs[number].attempt)
                _follow(jobs, number, end)
            case ("grow", attempt):
                _require(jobs[A] == ("running", attempt, session), "an attempt grew that was not running")
                jobs[A], jobs[C] = Job("waiting", jobs[A].attempt), Job("ready")
            case ("open",):
                jobs[A] = Job("ready", jobs[A].attempt)
                if jobs[B].state == "skipped":
                    jobs[B] = Job("waiting", jobs[B].attempt)
            case ("cancel",):
                _require(jobs[B].state in ("waiting", "ready"), "what had begun was cancelled")
                jobs[B] = Job("cancelled", jobs[B].attempt)
            case ("take",):
                _require(jobs[D].state == "none", "a document became two jobs")
                jobs[D] = Job("ready")
            case ("bury", int(other)):
                tables = tables._replace(dead=tables.dead | {other})
            case ("add",):
                tables = tables._replace(added=tables.added + 1)
        lasting = tables.lasting if change[0] == "claim" else tables.lasting | {token}
        return tables._replace(jobs=tuple(jobs), lasting=lasting)


def _follow(jobs: list[Job], number: int, end: str) -> None:
    """Settle what comes after a job."""
    if number == C:
        jobs[A] = Job(end, jobs[A].attempt)
        number = A
    if number == A and jobs[B].state == "waiting":
        jobs[B] = Job("ready" if end == "done" else "skipped", jobs[B].attempt)


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise Violated(words)


def _named(slot: Slot) -> Slot:
    return slot._replace(named=True) if isinstance(slot, Record) and not slot.named else slot


def _put(slots: tuple[Slot, ...], number: int, slot: Slot) -> tuple[Slot, ...]:
    return (*slots[:number], slot, *slots[number + 1 :])


def _lost(state: State, place: int, process: Process) -> State:
    """Begin again after somebody else was first: what a caller wants to add is not added yet."""
    if process.change == ("add",):
        state = state._replace(adds=state.adds - 1, left=state.left._replace(adds=state.left.adds + 1))
    return _with(state, place, process._replace(phase="idle", change=()))


def _with(state: State, place: int, process: Process) -> State:
    processes = (*state.processes[:place], process, *state.processes[place + 1 :])
    return state._replace(processes=processes)


def explore(model: Model, left: Left, most: int, processes: int = 2) -> tuple[int, str]:
    """Look at all states, or the first `most`, nearest first; return how many there were, and what was violated."""
    first = model.start(left, processes)
    seen = {hash(first)}
    level = [first]
    while level:
        after: list[State] = []
        for state in level:
            try:
                for following in model.steps(state):
                    key = hash(following)
                    if key not in seen:
                        seen.add(key)
                        model.check(following)
                        after.append(following)
            except Violated as error:
                return len(seen), str(error)
            if len(seen) >= most:
                return len(seen), ""
        level = after
    return len(seen), ""
