"""Rows as one step sees them: read once, changed in place, written with their indexes and counts."""

from collections.abc import Mapping, Sequence

from ramify.model import (
    JobId,
    Row,
    SessionId,
)
from ramify.stores.lifelines import Lifelines
from ramify.stores.redis.lanes import Lanes
from ramify.stores.redis.records import (
    Entry,
    Record,
    counters,
    decode_record,
    encode_record,
    entries,
    to_record,
)
from ramify.stores.redis.transaction import Transaction


class Rows:
    """The rows that a step has read or changed; `flush` hands the changes on, with where they stand in the indexes."""

    def __init__(self, transaction: Transaction, lanes: Lanes, now: float, lifelines: Lifelines | None = None) -> None:
        self.transaction, self._lanes, self._now = transaction, lanes, now
        self._lifelines = lifelines
        self._records: dict[JobId, Record | None] = {}
        self._before: dict[JobId, tuple[list[Entry], list[tuple[str, str]]]] = {}
        self._dirty: dict[JobId, None] = {}
        self._counts: dict[str, int] = {}
        self.woken: set[str] = set()
        """Whom the store is to wake when the step is kept."""
        self.speaker: SessionId = ""
        """The session whose exchange this is; what it left needs not wake itself."""

    def learn_counts(self, counts: Mapping[str, int]) -> None:
        """Remember how many jobs there were when the step began, by lane and what they are shown as."""
        self._counts = dict(counts)

    def now(self) -> float:
        return self._now

    # Rows

    def _load(self, ids: Sequence[JobId]) -> None:
        missing = [id for id in ids if id not in self._records]
        if missing:
            for id, stored in zip(missing, self.transaction.get("job", missing), strict=True):
                self._records[id] = None if stored is None else decode_record(stored)

    def _find(self, id: JobId) -> Record | None:
        if id not in self._records:
            self._load([id])
        return self._records[id]

    def _get(self, id: JobId) -> Record:
        record = self._find(id)
        assert record is not None, f"job {id} is not stored"
        return record

    def _touch(self, id: JobId) -> Record:
        """Return a row that is about to change."""
        record = self._get(id)
        if id not in self._before:
            self._before[id] = (entries(id, record), counters(record))
        self._dirty[id] = None
        return record

    def flush(self) -> None:
        """Write the rows that changed and where they stand in the indexes."""
        if not self._dirty:
            return
        self.transaction.pulse()
        transaction = self.transaction
        for id in self._dirty:
            record = self._get(id)
            transaction.put("job", id, encode_record(record, record.lane, record.low, record.high))
            old, was = self._before[id]
            new, now = self._before[id] = (entries(id, record), counters(record))
            if new != old:
                for entry in old:
                    if entry not in new:
                        transaction.remove(entry[0], entry[1])
                for entry in new:
                    if entry not in old:
                        transaction.add(*entry)
            if was != now:
                for counter in was:
                    transaction.count(*counter, -1)
                for counter in now:
                    transaction.count(*counter, 1)
        self._dirty.clear()

    def _counted(self, lane: int, name: str) -> int:
        key = f"{lane} {name}"
        return self._counts.get(key, 0) + self.transaction.counts.get(("count", key), 0)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            record = self._touch(row.id)
            self._records[row.id] = to_record(row, self._lanes.number(row.lane), record.low, record.high)
