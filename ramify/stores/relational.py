"""Between the columns of the tables and the words of the model."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec

from ramify.declared import Declaration
from ramify.graph.retry import retries_of
from ramify.model import (
    Claim,
    Edge,
    Failure,
    Kind,
    Lane,
    Payload,
    Policy,
    Result,
    Row,
    Session,
    State,
    Step,
    Value,
    When,
    Work,
)
from ramify.model import Verb as WorkVerb

Values = tuple[Any, ...]

_STATES: Final = {state.value: state for state in State}
_STEPS: Final = {step.value: step for step in Step}
_KINDS: Final = {kind.value: kind for kind in Kind}
_WHENS: Final = {when.value: when for when in When}
_PLAIN_POLICY: Final = Policy()
read_policy: Final = msgspec.json.Decoder(Policy).decode
read_failure: Final = msgspec.json.Decoder(Failure).decode
read_slots: Final = msgspec.json.Decoder(list[list[str | int]]).decode
read_session: Final = msgspec.json.Decoder(Session).decode
_task_decoder = msgspec.json.Decoder(Declaration)
_encode = msgspec.json.Encoder().encode


def read_row(v: Values, lanes: dict[int, Lane]) -> Row:
    """Return the row that these columns of `job` hold."""
    return Row(
        v[0], v[1], v[2], lanes[v[3]], v[4], v[5], v[6], _STEPS[v[7]], _STATES[v[8]], v[9] == 1, v[10], v[11], v[12],
        v[13], v[14], v[15], v[16], v[17], v[18] == 1, v[19] == 1, v[20], v[21], v[22], v[23], v[24], v[25], v[26],
    )  # fmt: skip


def new_values(row: Row, lane: int) -> Values:
    """Return the columns of a row that is inserted, in the order of `add.job`."""
    return (
        row.id, row.tree, row.parent, lane, row.priority, row.label, row.hold, row.step.value, row.state.value,
        row.waits, row.bads, row.due, row.fast, row.size, row.last, row.barrier, row.limit, row.deadline,
    )  # fmt: skip


def is_plain(row: Row) -> bool:
    """Tell whether a new row differs from the defaults only where `add.plain job` says; most do."""
    return (
        row.step is Step.RUN and row.label is None and row.hold is None and row.due is None and row.limit is None
        and row.size == 0 and row.bads == 0 and not row.fast
    )  # fmt: skip


def plain_values(row: Row, lane: int) -> Values:
    """Return the columns of a plain new row, in the order of `add.plain job`."""
    return (row.id, row.tree, row.parent, lane, row.priority, row.state.value, row.waits)


def changed_values(row: Row, lane: int) -> Values:
    """Return all columns of a row, its id last, in the order of `rows.write`."""
    return (
        row.tree, row.parent, lane, row.priority, row.label, row.hold, row.step.value, row.state.value, row.cancelled,
        row.waits, row.bads, row.attempt, row.session, row.due, row.tries, row.crashes, row.losses, row.grown, row.fast,
        row.size, row.last, row.barrier, row.limit, row.deadline, row.started, row.ended, row.id,
    )  # fmt: skip


def read_edge(v: Values) -> Edge:
    """Return the edge that these columns hold."""
    after, place, before, kind, asks, slots, verdict = v
    return Edge(after, place, before, _KINDS[kind], _WHENS[asks], slots and read_slots(slots), _STATES.get(verdict))


def edge_values(edge: Edge) -> Values:
    """Return the columns of an edge."""
    slots = _encode(edge.slots).decode() if edge.slots else None
    verdict = None if edge.verdict is None else edge.verdict.value
    return (edge.after, edge.place, edge.before, edge.kind.value, edge.when.value, slots, verdict)


def payload_values(job: str, payload: Payload, takes: bool) -> Values:
    """Return the columns of a payload; the usual policy is null."""
    policy = None if payload.policy == _PLAIN_POLICY else _encode(payload.policy).decode()
    return (job, payload.args, policy, takes)


def read_claim(v: Values, lanes: dict[int, Lane]) -> tuple[Claim, bool]:
    """Return a claim without its slots, and whether it has some."""
    args, policy, takes, *row = v
    if args is None:
        return Claim(read_row(tuple(row), lanes), Payload()), False
    payload = Payload(args, read_policy(policy) if policy else _PLAIN_POLICY)
    return Claim(read_row(tuple(row), lanes), payload), takes == 1


def read_result(v: Values) -> Result:
    """Return what a job left."""
    job, value, spread, failure, percent, status = v
    return Result(
        job,
        None if value is None else Value(value, spread == 1),
        None if failure is None else read_failure(failure),
        percent,
        status,
    )


def failure_text(failure: Failure | None) -> str | None:
    """Return a failure as it is stored."""
    return None if failure is None else _encode(failure).decode()


def read_work(v: Values) -> Work:
    """Return an entry of the worklist."""
    job, verb, cursor, origin = v
    return Work(job, WorkVerb(verb), cursor, origin)


def read_task(about: str) -> Declaration:
    """Return what a task was declared to be."""
    return _task_decoder.decode(about)


def read_retries(found: Iterable[Values]) -> dict[str, int]:
    """Return how often jobs may be tried again, of their ids and policies; one that cannot be read says nothing."""
    allowed: dict[str, int] = {}
    for job, policy in found:
        with suppress(ValueError):
            allowed[job] = retries_of(read_policy(policy) if policy else _PLAIN_POLICY)
    return allowed
