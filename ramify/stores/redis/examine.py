"""Whether the indexes and counts of the store are those of its jobs: what a look at the jobs would not show.

What serves only to find and count jobs follows from their rows and edges, so it can be put right from these.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from ramify.model import Edge, JobId
from ramify.stores.redis.link import Word
from ramify.stores.redis.records import STATE_KEYS, Record, counters, entries, out_key

SORTED: Final = (*STATE_KEYS.values(), "tree", "held", "deadline", "ends", "due", "cancel", "out")
"""The sorted sets in which jobs and edges stand; each lane has one more, for what is ready in it."""

COUNTED: Final = ("count", "tally")
"""The hashes in which jobs are counted."""


class Places(Struct):
    """Where jobs and edges stand: what each (key, member) is sorted by, and what each (key, field) counts."""

    sorted: dict[tuple[str, str], float]
    counts: Mapping[tuple[str, str], int]


def find_places(records: Mapping[JobId, Record], edges: Iterable[Edge]) -> Places:
    """Return where these jobs and edges should stand."""
    counts: Counter[tuple[str, str]] = Counter()
    places = Places({}, counts)
    for id, record in records.items():
        places.sorted |= {(key, member): score for key, member, score in entries(id, record)}
        counts.update(counters(record))
    for edge in edges:
        places.sorted["out", out_key(edge)] = 0.0
        before, after = records.get(edge.before), records.get(edge.after)
        if before is not None and after is not None and before.tree != after.tree:
            counts["tally", f"out {before.tree}"] += 1
    return places


def compare(right: Places, there: Places) -> Iterator[str]:
    """Yield, in sentences, where indexes and counts differ from what is right."""
    for key, member in sorted(right.sorted.keys() - there.sorted.keys()):
        yield f"job {_job(key, member)}: is missing from the index {key}"
    for key, member in sorted(there.sorted.keys() - right.sorted.keys()):
        yield f"job {_job(key, member)}: stands in the index {key}, where it does not belong"
    for key, member in sorted(right.sorted.keys() & there.sorted.keys()):
        if right.sorted[key, member] != there.sorted[key, member]:
            stands, belongs = there.sorted[key, member], right.sorted[key, member]
            yield f"job {_job(key, member)}: stands at {stands:g} in the index {key}, but belongs at {belongs:g}"
    for key, field in sorted(right.counts.keys() | there.counts.keys()):
        says, are = there.counts.get((key, field), 0), right.counts.get((key, field), 0)
        if says != are:
            yield f"the {key} of {field} says {says}, but there are {are} such {_counted(key, field)}"


def put_right(right: Places, there: Places) -> Iterator[list[Word]]:
    """Yield the commands after which there is no difference."""
    for key, member in sorted(there.sorted.keys() - right.sorted.keys()):
        yield ["ZREM", key, member]
    for (key, member), score in sorted(right.sorted.items()):
        if there.sorted.get((key, member)) != score:
            yield ["ZADD", key, score, member]
    for key, field in sorted(right.counts.keys() | there.counts.keys()):
        if (n := right.counts.get((key, field), 0)) != there.counts.get((key, field), 0):
            yield ["HSET", key, field, n]


def _job(key: str, member: str) -> str:
    return member.partition(" ")[0] if key == "out" else member.rpartition(" ")[2]


def _counted(key: str, field: str) -> str:
    return "edges" if key == "tally" and field.startswith("out ") else "jobs"
