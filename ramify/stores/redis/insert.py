"""What adding a batch writes: words for a script that finds the indexes itself, or, in a step, every single write."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from msgspec.structs import astuple as as_tuple

from ramify.graph.arrive import Arrival
from ramify.model import TICK, UNIQUE, Batch, Edge, JobId, Lane, Payload, Row, State
from ramify.stores.redis import records
from ramify.stores.redis.link import Word
from ramify.stores.redis.records import (
    edge_key,
    encode,
    encode_edge,
    encode_payload,
    encode_record,
    out_key,
    to_record,
)
from ramify.stores.redis.transaction import Writes

KEY: Final = "u"
"""Begins what stands for a unique mark."""

TICKS: Final = "t"
"""Begins what stands for the mark of a tick."""


def digest(name: str) -> str:
    """Return what stands for a mark or a request in keys: it is of any length and may hold any character.

    That of a unique mark, or of a tick's, begins with a letter that others never begin with.
    """
    kind = KEY if name.startswith(UNIQUE) else TICKS if name.startswith(TICK) else ""
    return kind + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def insert(writes: Writes, batch: Batch, arrival: Arrival, number_of: Callable[[Lane], int]) -> dict[JobId, list[int]]:
    """Write rows and edges of an arrival; return the lowest place and the one after the highest, by job."""
    places, slots = _find_places(arrival.edges)
    for edge in arrival.edges:
        writes.put("edge", edge_key(edge.after, edge.place), encode_edge(edge))
        writes.add("out", out_key(edge))
    trees = {row.id: row.tree for row in arrival.rows}
    for edge in arrival.edges:
        if edge.before in trees and edge.after in trees and trees[edge.before] != trees[edge.after]:
            writes.count("tally", f"out {trees[edge.before]}", 1)
    payloads = batch.payloads
    none = (0, 0)
    for row in arrival.rows:
        id = row.id
        record = to_record(row, number_of(row.lane), *places.get(id, none))
        writes.put("job", id, encode_record(record, record.lane, record.low, record.high))
        payload = payloads.get(id)
        if payload is not None:
            writes.put("payload", id, encode_payload(payload))
        for key, member, score in records.entries(id, record):
            writes.add(key, member, score)
        for counter in records.counters(record):
            writes.count(*counter, 1)
    for id, marks in batch.marks.items() if batch.marks else ():
        if writes.hashes.get("job", {}).get(id) is not None:
            _mark(writes, id, marks)
    for id, taking in slots.items():
        writes.put("slots", id, encode(taking))
    return places


def _mark(writes: Writes, id: JobId, marks: Sequence[str]) -> None:
    for mark in map(digest, marks):
        writes.add("mark", f"{mark} {id}")
        writes.add("name", f"{id} m{mark}")


def _find_places(edges: Sequence[Edge]) -> tuple[dict[JobId, list[int]], dict[JobId, list[int]]]:
    """Return, by job, the lowest place of an edge into it and the one after the highest; and those that fill slots."""
    places: dict[JobId, list[int]] = {}
    slots: dict[JobId, list[int]] = {}
    for edge in edges:
        after, place = edge.after, edge.place
        known = places.get(after)
        if known is None:
            places[after] = [min(0, place), max(0, place + 1)]
        elif place < known[0]:
            known[0] = place
        elif place >= known[1]:
            known[1] = place + 1
        if edge.slots:
            slots.setdefault(after, []).append(place)
    return places, slots


SLICE: Final = 1000
"""How many rows or edges a script inserts: it takes some 5 ms."""


def alone(row: Row, payload: Payload | None, lane: int) -> list[Word]:
    """Return what a script takes to insert one ready row without edges, as most additions are."""
    row.state = State.READY
    return [1, row.id, encode_record(row, lane, 0, 0), b"" if payload is None else encode_payload(payload)]


def slices(batch: Batch, arrival: Arrival, number_of: Callable[[Lane], int], writes: Writes) -> Iterator[list[Word]]:
    """Yield what scripts take to insert rows and edges of an arrival, a slice at a time; `writes` gets what is rare."""
    places, slots = _find_places(arrival.edges)
    trees = {row.id: row.tree for row in arrival.rows}
    for id, taking in slots.items():
        writes.put("slots", id, encode(taking))
    for id, marks in batch.marks.items() if batch.marks else ():
        if id in trees:
            _mark(writes, id, marks)
    rows, payloads = arrival.rows, batch.payloads
    none = (0, 0)
    for start in range(0, len(rows), SLICE):
        page = rows[start : start + SLICE]
        words: list[Word] = [len(page)]
        last: tuple[Any, ...] = ()
        for row in page:
            id, payload = row.id, payloads.get(row.id)
            about = (*as_tuple(row)[1:], *places.get(id, none))
            record = b""  # as the one before, as most are: children of one group, calls of one function
            if about != last:
                last, record = about, encode_record(row, number_of(row.lane), *places.get(id, none))
            words += (id, record, b"" if payload is None else encode_payload(payload))
            if row.hold is not None:
                writes.add("held", f"{row.hold} {id}")
        yield words
    for start in range(0, len(arrival.edges), SLICE):
        words = [0]
        for edge in arrival.edges[start : start + SLICE]:
            words += (edge_key(edge.after, edge.place), encode_edge(edge))
            if trees.get(edge.before) != trees.get(edge.after):
                writes.count("tally", f"out {trees[edge.before]}", 1)
        yield words
