"""What travels between a supervisor and its children: calls one way, reports and progress the other."""

from typing import TypeAlias

import msgspec
from msgspec import Struct

from ramify.graph.sketch import Flat, Path
from ramify.model import Claim, Failure, JobId, SessionId, Value


class Call(Struct, array_like=True, gc=False):
    """One job to run. `number` names it between these two processes; `fills` are the results its arguments take.

    A job that ends in a transaction of its own is told where that is: the address of the store, and the session.
    """

    number: int
    job: JobId
    tree: JobId
    parent: JobId | None
    attempt: int
    task: str
    args: bytes
    project: bool = False
    timeout: float | None = None
    fills: list[tuple[Path, Value]] = []
    tx: tuple[str, SessionId] | None = None


class Report(Struct, array_like=True, tag=0, gc=False):
    """How a call went: the result as JSON, or the failure with the names of its exception and that one's bases.

    `spawned` and `siblings` are sketches of the nodes to add; `seconds` is how long it took. The store has `kept` the
    outcome already, if the job ended in a transaction of its own.
    """

    number: int
    seconds: float = 0.0
    json: bytes = b"null"
    spread: bool = False
    failure: Failure | None = None
    names: list[str] = []
    spawned: list[Flat] | None = None
    siblings: list[Flat] | None = None
    kept: bool = False


class Advance(Struct, array_like=True, tag=1, gc=False):
    """How far a call is."""

    number: int
    percent: int | None = None
    status: str | None = None


class Said(Struct, array_like=True, tag=2, gc=False):
    """What a call said: pairs of a stream and a line."""

    number: int
    lines: list[tuple[str, str]]


class Began(Struct, array_like=True, tag=3, gc=False):
    """A coroutine that has a time limit has begun."""

    number: int


Message: TypeAlias = Report | Advance | Said | Began

encode_call = msgspec.msgpack.Encoder().encode
decode_call = msgspec.msgpack.Decoder(Call).decode
message_encoder = msgspec.msgpack.Encoder()
decode_message = msgspec.msgpack.Decoder(Message).decode


def make_call(number: int, claim: Claim, results: dict[JobId, Value], url: str | None = None) -> Call:
    """Return the call that runs a claimed job; results that are missing stay null in its arguments.

    `url` is where it ends by itself, if it does.
    """
    row, policy = claim.row, claim.payload.policy
    call = Call(
        number,
        row.id,
        row.tree,
        row.parent,
        row.attempt,
        row.lane.task or "",
        claim.payload.args,
        policy.project,
        policy.timeout,
    )
    if claim.slots:
        call.fills = [(path, results.get(edge.before, Value())) for edge in claim.slots for path in edge.slots or ()]
    if url is not None:
        call.tx = (url, row.session or "")
    return call
