"""Whether the indexes and counts of the store are those of its jobs: what a look at the jobs would not show."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from ramify.model import JobId
from ramify.stores.redis.records import STATE_KEYS, Record, counters, entries

SORTED: Final = (*STATE_KEYS.values(), "tree", "held", "deadline", "ends", "due", "cancel")
"""The sorted sets in which jobs stand; each lane has one more, for what is ready in it."""

Places = dict[tuple[str, str], float]
"""(key, member): what it is sorted by."""


def find_places(records: Mapping[JobId, Record]) -> tuple[Places, Counter[str]]:
    """Return where the jobs should stand, and how many should be counted under which field."""
    places: Places = {}
    counts: Counter[str] = Counter()
    for id, record in records.items():
        places |= {(key, member): score for key, member, score in entries(id, record)}
        counts.update(field for key, field in counters(record) if key == "count")
    return places, counts


def compare(records: Mapping[JobId, Record], there: Places, counted: Mapping[str, int]) -> Iterable[str]:
    """Return, in sentences, where indexes and counts differ from the jobs."""
    places, counts = find_places(records)
    for key, member in sorted(places.keys() - there.keys()):
        yield f"job {member.rpartition(' ')[2]}: is missing from the index {key}"
    for key, member in sorted(there.keys() - places.keys()):
        yield f"job {member.rpartition(' ')[2]}: stands in the index {key}, where it does not belong"
    for key, member in sorted(places.keys() & there.keys()):
        if places[key, member] != there[key, member]:
            wrong, right = there[key, member], places[key, member]
            yield f"job {member.rpartition(' ')[2]}: stands at {wrong:g} in the index {key}, but belongs at {right:g}"
    for field in sorted(counts.keys() | counted.keys()):
        if counts[field] != counted.get(field, 0):
            yield f"the count of {field} says {counted.get(field, 0)}, but there are {counts[field]} such jobs"
