"""How a job ends whose edges are all settled: the table of the documentation is made from `TABLE`."""

from collections.abc import Sequence
from typing import Final

from ramify.model import Edge, JobId, Kind, State

TABLE: Final[tuple[tuple[str, Kind | None, State | None, State], ...]] = (
    ("an `after` edge did not get the end it asks for", Kind.AFTER, None, State.SKIPPED),
    ("a child failed", Kind.CHILD, State.FAILED, State.FAILED),
    ("a child was cancelled", Kind.CHILD, State.CANCELLED, State.CANCELLED),
    ("a child was skipped", Kind.CHILD, State.SKIPPED, State.SKIPPED),
)
"""The first line that fits decides: (in words, kind of the bad edge, its verdict or any, the job's end)."""


def decide_end(bad_edges: Sequence[Edge]) -> tuple[State, JobId | None]:
    """Return how a job with these bad edges ends and which job is the cause; done, by nobody, without bad edges."""
    for _, kind, verdict, end in TABLE:
        for edge in sorted(bad_edges, key=lambda edge: abs(edge.place)):
            if edge.kind is kind and verdict in (None, edge.verdict):
                return end, edge.before
    return State.DONE, None
