"""The plain exchange: one script and no lock, where nothing about it is out of the ordinary (`lua/exchange.lua`).

What it means is what a step of the engine means; whatever needs a decision goes that way.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ramify.graph.fit import serves
from ramify.model import Claim, Ended, Exchange, JobId, Lane, Outcome, SessionId, State, Want
from ramify.stores.redis.link import Word
from ramify.stores.redis.records import PLEASED, Left, encode, read_edge, read_payload, read_row


def is_plain(outcomes: Sequence[Outcome], want: Want) -> bool:
    """Tell whether an exchange may be plain, as far as the caller knows."""
    for outcome in outcomes:
        if type(outcome) is not Ended or outcome.state is not State.DONE or outcome.failure is not None:
            return False
    return want.units is None and len({outcome.job for outcome in outcomes}) == len(outcomes)


def ask(
    name: str,
    session: SessionId,
    outcomes: Sequence[Outcome],
    want: Want,
    lanes: Mapping[int, Lane],
    slice: int,
    now: float | None,
) -> list[Word]:
    """Return the words of the script; `name` is that of this exchange alone, `now` is for tests."""
    time = "" if now is None else repr(now)
    words: list[Word] = [session, time, len(lanes), slice, PLEASED, want.ends, want.n, name, len(outcomes)]
    for outcome in outcomes:
        assert isinstance(outcome, Ended)
        value = outcome.value
        words += (outcome.job, outcome.attempt, "" if value is None else encode(Left(value.json, value.spread)))
    rank = {queue: place for place, queue in enumerate(want.queues)}
    served = sorted((rank[lane.queue], lane_number) for lane_number, lane in lanes.items() if serves(want, lane))
    ranks = [[lane_number for _, lane_number in group] for _, group in groupby(served, key=lambda pair: pair[0])]
    words.append(len(ranks))
    for numbers in ranks:
        words += (len(numbers), *numbers)
    others = lanes.keys() - {lane_number for _, lane_number in served}
    return [*words, len(others), *others]


def read_exchange(reply: Sequence[Any], lanes: Mapping[int, Lane]) -> Exchange:
    """Return what the script replied."""
    _, _, due_in, claimed, rows, payloads, filled, fills = reply
    ids = [id.decode() for id in claimed]
    slots: dict[JobId, list[Any]] = {}
    for key, stored in zip(filled, fills, strict=True):
        edge = read_edge(key.decode(), stored)
        slots.setdefault(edge.after, []).append(edge)
    for edges in slots.values():
        edges.sort(key=lambda edge: edge.place)
    stored_payloads = payloads or [None] * len(ids)
    claims = [
        Claim(read_row(id, row, lanes), read_payload(payload), slots.get(id, []))
        for id, row, payload in zip(ids, rows, stored_payloads, strict=True)
    ]
    return Exchange(claims=claims, due_in=max(0.0, float(due_in)) if due_in else None)
