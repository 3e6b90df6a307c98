"""How rows, edges, payloads and results are written.

Payloads and results are msgpack arrays, whose fields only ever grow at the end. A row begins with what changes while a
job is worked off, packed at fixed places, so that a script can read and replace it without the rest: see `_HOT`. An
edge is a letter for its verdict, one for what it asks for, the id of `before`, and a space with its slots, if any.

The keys of a store, all behind one prefix in braces (`{ramify}:`), so that a cluster keeps them on one node:

| key | what it holds |
|---|---|
| `meta` | hash: format, generation, run, counters |
| `job`, `payload`, `result`, `slots` | hashes by job: row, arguments, what it left, which edges fill arguments |
| `edge` | hash by `after place`: the edge |
| `out` | sorted `before after place`: the edges out of a job |
| `tree`, `held`, `cancel` | sorted `tree id` of those with a parent, `hold id`, `session id` of marked jobs that run |
| `state:STATE` | sorted ids |
| `ready:LANE` | sorted by minus priority, `tree id`: what can be claimed |
| `ends`, `due`, `deadline` | sorted `tree id` of what only ends; ids by time |
| `count` | hash by `lane shown-state`: how many jobs |
| `tally` | hash by `open tree` and `out tree`: unfinished jobs under the root, edges into other trees |
| `order`, `work`, `purge` | the worklist: sorted by entry, its cursors, and the trees on their way out |
| `mark`, `name`, `request` | sorted `mark id`, sorted `id name`, hash by request |
| `session`, `traded`, `lease`, `dead` | hashes by session: itself, its last plain exchange; sorted by time; sorted |
| `lane`, `limit` | hashes: numbers of lanes, limits by name |
| `said`, `told` | hashes: by `job number` a line that it said; by job, how many |
| `task`, `clock` | hashes by name: what tasks say of themselves, where clocks stand |
| `lock`, `line`, `turn:TOKEN`, `did`, `redo`, `stage:TOKEN` | whose step it is, who waits, what was done, large steps |
"""

import struct
from collections.abc import Mapping
from itertools import product
from math import inf
from typing import Any, Final

import msgspec
from msgspec import Struct

from ramify.model import (
    ENDED,
    Edge,
    Failure,
    JobId,
    Kind,
    Lane,
    Payload,
    Policy,
    Result,
    Row,
    Rule,
    SessionId,
    State,
    Step,
    Value,
    When,
    is_good,
)

FORMAT: Final = 2
"""Written into every store; a higher one is a newer ramify's."""

PLACES: Final = 1 << 31
"""Added to places, so that they sort as text."""


class Record(Struct, gc=False):
    """A row as a step changes it: the lane by its number, and the places of its edges: `low` to `high` - 1."""

    tree: JobId
    parent: JobId | None
    lane: int
    priority: int
    label: str | None
    hold: JobId | None
    step: Step
    state: State
    cancelled: bool
    waits: int
    bads: int
    attempt: int
    session: SessionId | None
    due: float | None
    tries: int
    crashes: int
    losses: int
    grown: bool
    fast: bool
    size: int
    last: JobId | None
    barrier: JobId | None
    limit: float | None
    deadline: float | None
    started: float | None
    ended: float | None
    low: int = 0
    high: int = 0

    @property
    def doomed(self) -> bool:
        """Whether a claim of this row can only end it."""
        return self.step is Step.END or self.bads > 0


_HOT: Final = struct.Struct("<BBIIIddIqH")
"""State, flags, waits, bads, attempt, ended, started, lane, priority, and how long the session is that follows, which
the length of the tree's id, that id and the rest follow. The scripts know these places.
"""

_END, _CANCELLED, _GROWN, _FAST, _PARENT, _DUE, _DEADLINE = (1 << bit for bit in range(7))
_STATES: Final = tuple(State)
_NEVER: Final = -inf
_NUMBERS: Final = {state: number for number, state in enumerate(State)}


class _Rest(Struct, array_like=True, gc=False, frozen=True):
    """What seldom changes, or seldom is there."""

    parent: JobId | None = None
    label: str | None = None
    hold: JobId | None = None
    due: float | None = None
    tries: int = 0
    crashes: int = 0
    losses: int = 0
    size: int = 0
    last: JobId | None = None
    barrier: JobId | None = None
    limit: float | None = None
    deadline: float | None = None
    low: int = 0
    high: int = 0


_NO_REST: Final = _Rest()


class _Payload(Struct, array_like=True, gc=False):
    args: bytes
    policy: Policy | None = None


class Left(Struct, array_like=True, gc=False):
    """A result as it is stored."""

    value: bytes | None = None
    spread: bool = False
    failure: Failure | None = None
    percent: int | None = None
    status: str | None = None


encode: Final = msgspec.msgpack.Encoder().encode
decode_left: Final = msgspec.msgpack.Decoder(Left).decode
_decode_rest: Final = msgspec.msgpack.Decoder(_Rest).decode
_decode_slots: Final = msgspec.msgpack.Decoder(list[list[str | int]]).decode
_decode_payload: Final = msgspec.msgpack.Decoder(_Payload).decode
_as_tuple: Final = msgspec.structs.astuple
NO_PAYLOAD: Final = Payload()


def to_record(row: Row, lane: int, low: int = 0, high: int = 0) -> Record:
    """Return a row as it is stored."""
    _, tree, parent, _, *rest = _as_tuple(row)
    return Record(tree, parent, lane, *rest, low, high)  # type: ignore[call-arg]


def encode_record(row: Record | Row, lane: int, low: int, high: int) -> bytes:
    """Return what is stored of a row."""
    flags = (
        (_END if row.step is Step.END else 0)
        | (_CANCELLED if row.cancelled else 0)
        | (_GROWN if row.grown else 0)
        | (_FAST if row.fast else 0)
        | (_PARENT if row.parent is not None else 0)
        | (_DUE if row.due is not None else 0)
        | (_DEADLINE if row.deadline is not None else 0)
    )
    session = b"" if row.session is None else row.session.encode()
    tree = row.tree.encode()
    rest = _Rest(
        row.parent, row.label, row.hold, row.due, row.tries, row.crashes, row.losses, row.size, row.last, row.barrier,
        row.limit, row.deadline, low, high,
    )  # fmt: skip
    hot = _HOT.pack(
        _NUMBERS[row.state], flags, row.waits, row.bads, row.attempt, _NEVER if row.ended is None else row.ended,
        _NEVER if row.started is None else row.started, lane, row.priority, len(session),
    )  # fmt: skip
    return b"%b%b%c%b%b" % (hot, session, len(tree), tree, b"" if rest == _NO_REST else encode(rest))


def read_row(id: JobId, stored: bytes, lanes: Mapping[int, Lane]) -> Row:
    """Return a stored row."""
    tree, c, state, flags, waits, bads, attempt, ended, started, lane, priority, session = _split(stored)
    return Row(
        id, tree, c.parent, lanes[lane], priority, c.label, c.hold, Step.END if flags & _END else Step.RUN,
        _STATES[state], flags & _CANCELLED != 0, waits, bads, attempt, session, c.due, c.tries, c.crashes, c.losses,
        flags & _GROWN != 0, flags & _FAST != 0, c.size, c.last, c.barrier, c.limit, c.deadline,
        started if started > _NEVER else None, ended if ended > _NEVER else None,
    )  # fmt: skip


def decode_record(stored: bytes) -> Record:
    """Return a stored row as a step changes it."""
    tree, c, state, flags, waits, bads, attempt, ended, started, lane, priority, session = _split(stored)
    return Record(
        tree, c.parent, lane, priority, c.label, c.hold, Step.END if flags & _END else Step.RUN,
        _STATES[state], flags & _CANCELLED != 0, waits, bads, attempt, session, c.due, c.tries, c.crashes, c.losses,
        flags & _GROWN != 0, flags & _FAST != 0, c.size, c.last, c.barrier, c.limit, c.deadline,
        started if started > _NEVER else None, ended if ended > _NEVER else None, c.low, c.high,
    )  # fmt: skip


def _split(stored: bytes) -> tuple[Any, ...]:
    """Return the tree, the rest, and what stands at fixed places, the session last."""
    *hot, length = _HOT.unpack_from(stored)
    at = _HOT.size + length
    session = stored[_HOT.size : at].decode() if length else None
    end = at + 1 + stored[at]
    rest = _decode_rest(stored[end:]) if end < len(stored) else _NO_REST
    return (stored[at + 1 : end].decode(), rest, *hot, session)


def to_row(id: JobId, record: Record, lanes: Mapping[int, Lane]) -> Row:
    """Return the row that a record stands for."""
    tree, parent, lane, *rest = _as_tuple(record)
    return Row(id, tree, parent, lanes[lane], *rest[:-2])


def edge_key(after: JobId, place: int) -> str:
    """Return the field of an edge; these sort by (after, place)."""
    return f"{after} {place + PLACES:08x}"


def out_key(edge: Edge) -> str:
    """Return what stands for the edge among those out of `before`."""
    return f"{edge.before} {edge.after} {edge.place + PLACES:08x}"


_VERDICTS: Final[dict[State | None, str]] = {None: "-"} | {end: end.value[0] for end in ENDED}
_ENDS: Final = {ord(letter): end for end, letter in _VERDICTS.items()}
_ASKS: Final = {(kind, when): chr(48 + i) for i, (kind, when) in enumerate(product(Kind, When))}
_ASKED: Final = {ord(letter): asked for asked, letter in _ASKS.items()}

PLEASED: Final = "".join(letter for asked, letter in _ASKS.items() if is_good(*asked, State.DONE))
"""The letters of edges that a job which is done satisfies."""


def encode_edge(edge: Edge) -> bytes:
    """Return an edge as it is stored."""
    text = f"{_VERDICTS[edge.verdict]}{_ASKS[edge.kind, edge.when]}{edge.before}".encode()
    return text + b" " + encode(edge.slots) if edge.slots else text


def read_edge(key: str, stored: bytes) -> Edge:
    """Return a stored edge, found under this key."""
    after, _, place = key.partition(" ")
    before, _, slots = stored[2:].partition(b" ")
    kind, when = _ASKED[stored[1]]
    found = _decode_slots(slots) if slots else None
    return Edge(after, int(place, 16) - PLACES, before.decode(), kind, when, found, _ENDS[stored[0]])


def encode_payload(payload: Payload) -> bytes:
    """Return a payload as it is stored."""
    return encode(_Payload(payload.args, None if payload.policy == NO_PAYLOAD.policy else payload.policy))


def read_payload(stored: bytes | None) -> Payload:
    """Return a stored payload."""
    if stored is None:
        return Payload()
    found = _decode_payload(stored)
    return Payload(found.args, found.policy or NO_PAYLOAD.policy)


def read_result(job: JobId, stored: bytes | None) -> Result:
    """Return what a job left."""
    if stored is None:
        return Result(job)
    left = decode_left(stored)
    value = None if left.value is None else Value(left.value, left.spread)
    return Result(job, value, left.failure, left.percent, left.status)


def lane_text(lane: Lane) -> bytes:
    """Return a lane as it is named in the store."""
    return msgspec.json.encode([lane.queue, lane.task, lane.slot, lane.units])


def limit_text(rule: Rule) -> str:
    """Return a limit as it is stored."""
    return str(rule.n) if rule.until is None else f"{rule.n} {rule.until!r}"


def read_limit(text: bytes) -> Rule:
    """Return a stored limit."""
    n, _, until = text.decode().partition(" ")
    return Rule(int(n), float(until) if until else None)


def read_lane(text: bytes) -> Lane:
    """Return the lane that has this name."""
    return Lane(*msgspec.json.decode(text, type=tuple[str, str | None, str | None, int]))


STATE_KEYS: Final = {state: f"state:{state.value}" for state in State}

KEYS: Final = (
    *("job", "payload", "result", "slots", "edge", "out", "tree", "held", "cancel", "ends", "due", "deadline", "count"),
    *(
        "tally",
        "said",
        "told",
        "order",
        "work",
        "purge",
        "mark",
        "name",
        "request",
        "session",
        "traded",
        "lease",
        "dead",
        "limit",
        "task",
        "clock",
    ),
    *STATE_KEYS.values(),
)
"""The keys that a store is emptied of, with those of its lanes; what it says of itself remains."""

Entry = tuple[str, str, float]
"""A place in an index: the key, the member, and what it is sorted by."""


def entries(id: JobId, record: Record) -> list[Entry]:
    """Return where a row stands in the indexes."""
    state = record.state
    found: list[Entry] = [(STATE_KEYS[state], id, 0)]
    if record.parent is not None:
        found.append(("tree", f"{record.tree} {id}", 0))
    if record.hold is not None:
        found.append(("held", f"{record.hold} {id}", 0))
    if record.deadline is not None:
        found.append(("deadline", id, record.deadline))
    if state is State.READY:
        if record.step is Step.END or record.bads > 0:
            found.append(("ends", f"{record.tree} {id}", 0))
        elif record.due is not None:
            found.append(("due", id, record.due))
        else:
            found.append((f"ready:{record.lane}", f"{record.tree} {id}", -record.priority))
    elif state is State.RUNNING and record.cancelled:
        found.append(("cancel", f"{word(record.session or '')} {id}", 0))
    return found


def word(session: SessionId) -> str:
    """Return a session's id as one word."""
    return session.replace(" ", "_")


def counters(record: Record) -> list[tuple[str, str]]:
    """Return the keys and fields under which a row is counted."""
    found = [("count", f"{record.lane} {shown(record)}")]
    if record.parent is not None and record.state not in ENDED:
        found.append(("tally", f"open {record.tree}"))
    return found


def shown(record: Record) -> str:
    """Return under which word a row is counted: its state, `scheduled`, or `ending` for what runs only to be ended."""
    if record.state is State.READY:
        return "scheduled" if record.due is not None else "ends" if record.doomed else "ready"
    if record.state is State.RUNNING and record.doomed:
        return "ending"
    return str(record.state)
