"""Edges as one step sees them. Those into a job need no index: their places are consecutive numbers."""

from collections.abc import Sequence
from typing import Final

from ramify.model import (
    Edge,
    JobId,
    State,
)
from ramify.stores.redis.records import (
    edge_key,
    encode_edge,
    read_edge,
)
from ramify.stores.redis.rows import Rows
from ramify.stores.tables import Place

ALL: Final = 1 << 40
"""More than there are."""

PAGE: Final = 1000
"""How many members or edges are read at once."""


class Edges(Rows):
    """Edges by either end."""

    def _count_crossing(self, edges: Sequence[Edge], n: int) -> None:
        """Count the edges that lead into another tree, by the tree that they come from."""
        self._load(list({job for edge in edges for job in (edge.before, edge.after)}))
        for edge in edges:
            before, after = self._records[edge.before], self._records[edge.after]
            if before is not None and after is not None and before.tree != after.tree:
                self.transaction.count("tally", f"out {before.tree}", n)

    def _outs(self, job: JobId, after: Place | None, n: int) -> list[str]:
        beyond = None if after is None else f"{job} {edge_key(*after)}"
        return self.transaction.group("out", job, beyond, n)

    def _edges(self, keys: Sequence[str]) -> list[Edge]:
        found = self.transaction.get("edge", keys)
        return [read_edge(key, stored) for key, stored in zip(keys, found, strict=True) if stored is not None]

    def edges_into(self, job: JobId, after: int | None, n: int, bad: bool = False) -> list[Edge]:
        record = self._find(job)
        if record is None:
            return []
        found: list[Edge] = []
        start = record.low if after is None else max(record.low, after + 1)
        while start < record.high and len(found) < n:
            stop = min(record.high, start + min(PAGE, n - len(found) if not bad else PAGE))
            edges = self._edges([edge_key(job, place) for place in range(start, stop)])
            found += [edge for edge in edges if edge.bad] if bad else edges
            start = stop
        return found[:n]

    def edges_out(self, job: JobId, after: Place | None, n: int) -> list[Edge]:
        skip = len(job) + 1
        return self._edges([member[skip:] for member in self._outs(job, after, n)])

    def read_edges_ahead(self, ids: Sequence[JobId], out: bool, n: int) -> None:
        """Read at once what the edges of these jobs are read from, about `n` of them."""
        keys: list[str] = []
        if out:
            self.transaction.read_groups([("out", id) for id in ids], n)
            keys = [member[len(id) + 1 :] for id in ids for member in self._outs(id, None, n)]
        else:
            self._load(ids)
            for id in ids:
                record = self._records[id]
                if record is not None and len(keys) < n:
                    keys += [edge_key(id, place) for place in range(record.low, min(record.high, record.low + n))]
        self.transaction.get("edge", keys[: 2 * n])

    def lowest_place(self, job: JobId) -> int:
        return min(0, self._get(job).low)

    def successors(self, ids: Sequence[JobId]) -> dict[JobId, list[JobId]]:
        found = {id: [member.split(" ")[1] for member in self._outs(id, None, ALL)] for id in ids}
        self._load([after for afters in found.values() for after in afters])
        return {
            id: [after for after in afters if self._get(after).state is not State.DONE] for id, afters in found.items()
        }

    def reopen(self, edges: Sequence[Edge]) -> None:
        for edge in edges:
            self._give(edge, None)

    def _give(self, edge: Edge, verdict: State | None) -> None:
        edge.verdict = verdict
        self.transaction.put("edge", edge_key(edge.after, edge.place), encode_edge(edge))
