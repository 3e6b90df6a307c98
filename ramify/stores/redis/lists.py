"""What a store keeps beside jobs: the worklist, names, sessions and limits."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

import msgspec

from ramify.declared import Declaration
from ramify.model import (
    ENDED,
    JobId,
    Rule,
    Session,
    SessionId,
    State,
    Unless,
    Verb,
    Work,
)
from ramify.stores.protocol import LEASE
from ramify.stores.redis.edges import ALL, PAGE, Edges
from ramify.stores.redis.insert import KEY, digest
from ramify.stores.redis.records import (
    encode,
    limit_text,
    word,
)

AHEAD: Final = 100
"""How many entries of the worklist are read at once: a step hardly comes to more."""

FEW: Final = 10
"""So many edges of an entry are read with it; more are read when it is its turn."""


class Lists(Edges):
    """The worklist in order of entry, marks and requests, who is alive, and how much may run."""

    # The worklist

    def first_work(self) -> Work | None:
        for _, member in self.transaction.lowest("order", 1):
            if not self.transaction.knows("work", member):
                self._read_first_work()
            job, _, verb = member.partition(" ")
            return self.find_work(job, Verb(verb))
        return None

    def _read_first_work(self) -> None:
        """Read at once what the next entries of the worklist will ask for."""
        transaction = self.transaction
        members = [member for _, member in transaction.lowest("order", AHEAD)]
        ids = list(dict.fromkeys(member.partition(" ")[0] for member in members))
        transaction.get("work", members)
        self._load(ids)
        transaction.read_groups([("out", id) for id in ids], FEW)
        keys = [member[len(id) + 1 :] for id in ids for member in self._outs(id, None, FEW)]
        transaction.get("edge", keys)
        self._load([key.partition(" ")[0] for key in keys])

    def find_work(self, job: JobId, verb: Verb) -> Work | None:
        [stored] = self.transaction.get("work", [f"{job} {verb.value}"])
        if stored is None:
            return None
        cursor, origin = msgspec.msgpack.decode(stored)
        return Work(job, verb, cursor, origin)

    def purging(self) -> set[JobId]:
        return {job for _, job in self.transaction.lowest("purge", PAGE)}

    def enlist(self, work: Work) -> None:
        if self.find_work(work.job, work.verb) is None:
            transaction = self.transaction
            self.last_entry += 1
            transaction.add("order", f"{work.job} {work.verb.value}", self.last_entry)
            if work.verb is Verb.PURGE:
                transaction.add("purge", work.job)
                transaction.frees = True
        self.advance(work)

    def _read_work(self, ids: Sequence[JobId]) -> list[str]:
        """Return the entries of these jobs on the worklist, which are found in all of it, if that is short."""
        verbs = [verb.value for verb in Verb]
        keys = [f"{id} {verb}" for id in ids for verb in verbs]
        if len(keys) > PAGE:
            entries = self.transaction.lowest("order", PAGE)
            if len(entries) < PAGE:
                there = {member for _, member in entries}
                absent = [key for key in keys if key not in there]
                self.transaction.learn("work", absent, [None] * len(absent))
        found = self.transaction.get("work", keys)
        return [key for key, stored in zip(keys, found, strict=True) if stored is not None]

    last_entry: float = -1
    """The number of the worklist's last entry."""

    def advance(self, work: Work) -> None:
        key = f"{work.job} {work.verb.value}"
        self.transaction.put("work", key, encode((work.cursor, work.origin)))

    def delist(self, job: JobId, verb: Verb) -> None:
        key = f"{job} {verb.value}"
        if self.transaction.get("work", [key]) != [None]:
            self.transaction.put("work", key, None)
            self.transaction.remove("order", key)
            if verb is Verb.PURGE:
                self.transaction.remove("purge", job)

    # Names

    def find_marked(self, unless: Unless) -> JobId | None:
        return self._find_marked(digest(unless.mark), unless.within)

    def keys(self, ids: Sequence[JobId]) -> dict[JobId, list[str]]:
        self.transaction.read_groups([("name", id) for id in ids], PAGE)
        found = {id: self.transaction.group("name", id, None, ALL) for id in ids}
        marks = {id: [name.partition(" ")[2] for name in names] for id, names in found.items()}
        return {id: keys for id in ids if (keys := [each[1:] for each in marks[id] if each.startswith(f"m{KEY}")])}

    def find_holder(self, key: str) -> JobId | None:
        return self._find_marked(key, None)

    def _find_marked(self, mark: str, within: float | None) -> JobId | None:
        ids = [member[len(mark) + 1 :] for member in self.transaction.group("mark", mark, None, ALL)]
        self._load(ids)
        since = inf if within is None else self._now - within
        ended = [(self._get(id).ended or -inf, id) for id in ids if self._get(id).state is State.DONE]
        done = [(moment, id) for moment, id in ended if moment >= since]
        if done:
            return max(done)[1]
        return min((id for id in ids if self._get(id).state not in ENDED), default=None)

    def find_request(self, request: str) -> JobId | None:
        [found] = self.transaction.get("request", [digest(request)])
        return found.decode() if isinstance(found, bytes) else found

    def keep_request(self, request: str, job: JobId) -> None:
        self.transaction.put("request", digest(request), job)
        self.transaction.add("name", f"{job} r{digest(request)}")

    # Sessions and limits

    def open_session(self, session: Session) -> None:
        if self._lifelines is not None:
            self._lifelines.hold(session.id)
        self.transaction.put("session", session.id, msgspec.json.encode(session))
        self.transaction.add("lease", session.id, self._now + LEASE)
        self.transaction.remove("dead", session.id)

    def renew(self, session: SessionId) -> bool:
        if not self.is_alive(session):
            return False
        self.transaction.add("lease", session, self._now + LEASE)
        return True

    alive: SessionId | None = None
    """A session that was found alive when the step began."""

    def is_alive(self, session: SessionId) -> bool:
        return session == self.alive or self.transaction.score("lease", session) is not None

    def bury(self, session: SessionId | None) -> None:
        for lease, id in self.transaction.lowest("lease", ALL):
            if id == session or (session is None and (lease < self._now or self._is_cut(id))):
                self.transaction.remove("lease", id)
                self.transaction.add("dead", id)
                if self._lifelines is not None:
                    self._lifelines.drop(id)

    def _is_cut(self, session: SessionId) -> bool:
        """Tell whether a session of this host is known to have no process any more."""
        [about] = self.transaction.get("session", [session])
        if self._lifelines is None or about is None:
            return False
        return self._lifelines.is_cut(session, msgspec.json.decode(about, type=Session).pid)

    def cancels(self, session: SessionId) -> list[JobId]:
        self.flush()
        return [member[len(session) + 1 :] for member in self.transaction.group("cancel", word(session), None, ALL)]

    def overdue(self, n: int) -> list[JobId]:
        self.flush()
        size = n
        while True:
            found = self.transaction.lowest("deadline", size)
            late = sorted(id for deadline, id in found if deadline <= self._now)
            if len(found) < size or len(late) < size:
                return late[:n]
            size *= 2

    def limits(self) -> dict[str, Rule]:
        return dict(sorted(self._limits.items()))

    _limits: dict[str, Rule]

    def learn_limits(self, limits: Mapping[str, Rule]) -> None:
        """Remember the limits as they were when the step began."""
        self._limits = dict(limits)

    def set_limit(self, name: str, rule: Rule | None) -> None:
        self.transaction.put("limit", name, None if rule is None else limit_text(rule))

    # Tasks and clocks

    def tasks(self, names: Sequence[str] | None) -> list[Declaration]:
        if names is None:
            [flat] = self.transaction.ask([["HGETALL", "task"]])
            stored = dict(zip([name.decode() for name in flat[::2]], flat[1::2], strict=True))
        else:
            asked = sorted(set(names))
            stored = dict(zip(asked, self.transaction.get("task", asked), strict=True))
        found = [stored[name] for name in sorted(stored)]
        return [msgspec.json.decode(text, type=Declaration) for text in found if text is not None]

    def keep_tasks(self, tasks: Sequence[Declaration]) -> None:
        for task in tasks:
            self.transaction.put("task", task.name, msgspec.json.encode(task))

    def forget_tasks(self, names: Sequence[str]) -> None:
        for name in names:
            self.transaction.put("task", name, None)

    def clocks(self) -> dict[str, float]:
        [flat] = self.transaction.ask([["HGETALL", "clock"]])
        return {name.decode(): float(now) for name, now in sorted(zip(flat[::2], flat[1::2], strict=True))}

    def set_clock(self, name: str, now: float) -> None:
        self.transaction.put("clock", name, repr(now))
