"""What adding a batch writes; the same for a batch that needs a step and for one that needs none."""

import hashlib
from collections.abc import Callable

from ramify.graph.arrive import Arrival
from ramify.model import Batch, JobId, Lane
from ramify.stores.redis import records
from ramify.stores.redis.records import NO_PAYLOAD, edge_key, encode, encode_edge, encode_payload, encode_record, out_key, to_record
from ramify.stores.redis.transaction import Writes


def digest(name: str) -> str:
    """Return what stands for a mark or a request in keys: it is of any length and may hold any character."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def insert(writes: Writes, batch: Batch, arrival: Arrival, number_of: Callable[[Lane], int]) -> dict[JobId, list[int]]:
    """Write rows and edges of an arrival; return the lowest place and the one after the highest, by job."""
    places, slots = _insert_edges(writes, arrival)
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
        if payload is not None and payload != NO_PAYLOAD:
            writes.put("payload", id, encode_payload(payload))
        for key, member, score in records.entries(id, record):
            writes.add(key, member, score)
        for counter in records.counters(record):
            writes.count(*counter, 1)
    for id, marks in batch.marks.items() if batch.marks else ():
        if writes.hashes.get("job", {}).get(id) is not None:
            for mark in map(digest, marks):
                writes.add("mark", f"{mark} {id}")
                writes.add("name", f"{id} m{mark}")
    for id, taking in slots.items():
        writes.put("slots", id, encode(taking))
    return places


def _insert_edges(writes: Writes, arrival: Arrival) -> tuple[dict[JobId, list[int]], dict[JobId, list[int]]]:
    places: dict[JobId, list[int]] = {}
    slots: dict[JobId, list[int]] = {}
    for edge in arrival.edges:
        after, place = edge.after, edge.place
        writes.put("edge", edge_key(after, place), encode_edge(edge))
        writes.add("out", out_key(edge))
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
