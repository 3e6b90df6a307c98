"""Whether the indexes and counts of the store are those of its jobs, and what cannot be read, or belongs to nobody.

What serves only to find and count jobs follows from their rows and edges, so it can be put right from these.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from ramify.codec import decode
from ramify.model import Edge, JobId, Lane, Session, SessionId, Verb
from ramify.stores.damage import Damage, can_be
from ramify.stores.redis.lanes import Lanes
from ramify.stores.redis.link import Word
from ramify.stores.redis.records import (
    STATE_KEYS,
    Record,
    counters,
    decode_left,
    decode_record,
    entries,
    out_key,
    read_edge,
    read_payload,
)

SORTED: Final = (*STATE_KEYS.values(), "tree", "held", "deadline", "ends", "due", "cancel", "out")
"""The sorted sets in which jobs and edges stand; each lane has one more, for what is ready in it."""

COUNTED: Final = ("count", "tally")
"""The hashes in which jobs are counted."""

SESSIONS: Final = ("lease", "dead")
"""The sorted sets of which each session stands in one."""

NAMES: Final = ("mark", "name")
"""The sorted sets in which names stand, by name and by job: each mark stands in both, a request in the second."""

_read_session: Final = msgspec.json.Decoder(Session).decode
_read_work: Final = msgspec.msgpack.Decoder(tuple[str, str | None]).decode
_NO_WORK: Final = msgspec.msgpack.encode(("", None))
"""Stands for what is not there."""


class Beside(Struct):
    """What is stored beside jobs, and may be read while they change: whose arguments and results there are."""

    arguments: set[JobId] = msgspec.field(default_factory=set)
    results: set[JobId] = msgspec.field(default_factory=set)
    broken: list[Damage] = msgspec.field(default_factory=list)

    def learn_arguments(self, id: JobId, stored: bytes) -> None:
        """Note stored arguments."""
        self.arguments.add(id)
        if not can_be(lambda text: decode(read_payload(text).args), stored):
            self.broken.append(Damage("arguments", id))

    def learn_result(self, id: JobId, stored: bytes) -> None:
        """Note a stored result."""
        self.results.add(id)
        if not can_be(decode_left, stored):
            self.broken.append(Damage("results", id))


class Jobs(Struct):
    """The jobs and edges of a store, requests by job, sessions, and what of these cannot be read."""

    records: dict[JobId, Record] = msgspec.field(default_factory=dict)
    edges: dict[str, Edge] = msgspec.field(default_factory=dict)
    requests: dict[str, JobId] = msgspec.field(default_factory=dict)
    sessions: set[SessionId] = msgspec.field(default_factory=set)
    broken: list[Damage] = msgspec.field(default_factory=list)

    def learn_job(self, id: JobId, stored: bytes, lanes: Lanes) -> None:
        """Read a job."""
        if not can_be(decode_record, stored):
            self.broken.append(Damage("rows", id))
            return
        record = self.records[id] = decode_record(stored)
        if lanes[record.lane] == Lane() and record.lane not in lanes:  # looking it up reads lanes that are new
            self.broken.append(Damage("lanes", id, (record.lane,)))

    def learn_edge(self, key: str, stored: bytes) -> None:
        """Read an edge."""
        try:
            self.edges[key] = read_edge(key, stored)
        except (ValueError, LookupError):
            after, _, place = key.partition(" ")
            self.broken.append(Damage("edges", after, (place,)))

    def learn_session(self, id: SessionId, stored: bytes) -> None:
        """Note a session."""
        self.sessions.add(id)
        if not can_be(_read_session, stored):
            self.broken.append(Damage("sessions", id))

    def learn_work(self, order: Collection[str], work: Mapping[str, bytes]) -> None:
        """Look at the worklist: who is in its order, and the rest of each entry."""
        for entry in sorted({*order, *work}):
            job, _, verb = entry.partition(" ")
            if not can_be(Verb, verb) or not can_be(_read_work, work.get(entry, _NO_WORK)):
                self.broken.append(Damage("words of the worklist", job, (verb,)))
            elif entry not in work or entry not in order:
                self.broken.append(Damage("half of the worklist", job, (verb,)))


class Places(Struct):
    """Where jobs and edges stand: what each (key, member) is sorted by, and what each (key, field) counts."""

    sorted: dict[tuple[str, str], float]
    counts: Mapping[tuple[str, str], int]


def find_places(jobs: Jobs, there: Places) -> Places:
    """Return where these jobs, edges and sessions should stand, of which some is told only by where they do."""
    counts: Counter[tuple[str, str]] = Counter()
    places = Places({}, counts)
    records = jobs.records
    places.sorted |= {place: 0.0 for place in _names(jobs, [place for place in there.sorted if place[0] in NAMES])}
    for session in jobs.sessions:  # one without lease is dead
        lease = there.sorted.get(("lease", session))
        places.sorted["dead" if lease is None else "lease", session] = lease or 0.0
    for id, record in records.items():
        places.sorted |= {(key, member): score for key, member, score in entries(id, record)}
        counts.update(counters(record))
    for edge in jobs.edges.values():
        places.sorted["out", out_key(edge)] = 0.0
        before, after = records.get(edge.before), records.get(edge.after)
        if before is not None and after is not None and before.tree != after.tree:
            counts["tally", f"out {before.tree}"] += 1
    return places


def _names(jobs: Jobs, names: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield where names should stand: of a mark that stands in one place, also the other."""
    for request, id in jobs.requests.items():
        if id in jobs.records:
            yield "name", f"{id} r{request}"
    for key, member in names:
        mark, _, id = member.partition(" ") if key == "mark" else member.partition(" ")[::-1]
        if key == "name":
            if not mark.startswith("m"):
                continue
            mark = mark[1:]
        if id in jobs.records:
            yield "mark", f"{mark} {id}"
            yield "name", f"{id} m{mark}"


def compare(right: Places, there: Places) -> Iterator[str]:
    """Yield, in sentences, where indexes and counts differ from what is right."""
    for key, member in sorted(right.sorted.keys() - there.sorted.keys()):
        yield f"{_who(key, member)}: is missing from the index {key}"
    for key, member in sorted(there.sorted.keys() - right.sorted.keys()):
        yield f"{_who(key, member)}: stands in the index {key}, where it does not belong"
    for key, member in sorted(right.sorted.keys() & there.sorted.keys()):
        if right.sorted[key, member] != there.sorted[key, member]:
            stands, belongs = there.sorted[key, member], right.sorted[key, member]
            yield f"{_who(key, member)}: stands at {stands:g} in the index {key}, but belongs at {belongs:g}"
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


def _who(key: str, member: str) -> str:
    if key in SESSIONS:
        return f"session {member}"
    return f"job {member.partition(' ')[0] if key in ('out', 'name') else member.rpartition(' ')[2]}"


def _counted(key: str, field: str) -> str:
    return "edges" if key == "tally" and field.startswith("out ") else "jobs"
