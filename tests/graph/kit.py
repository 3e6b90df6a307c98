"""What tests of the planner are written with: a plan whose jobs and edges are found by their labels."""

from collections.abc import Callable
from typing import Any

from ramify.graph.plan import Into, plan
from ramify.graph.sketch import sketch
from ramify.model import Batch, Edge, JobId, Kind, Row
from ramify.node import AnyNode
from tests.stores.kit import Names, leaf, series, tree

Arrow = tuple[str, str]


class Plan:
    """A planned batch. A join is called "join of LABEL", a stored job by its id."""

    def __init__(self, *nodes: AnyNode, into: Into | None = None, names: Callable[[int], list[JobId]] | None = None):
        self.batch: Batch = plan(sketch(nodes), names or Names(), into)
        own = {row.id: row.label for row in self.batch.rows}
        self.labels = {id: label or f"join of {own[self.row_of(id).parent or '']}" for id, label in own.items()}

    def name(self, id: JobId | None) -> str | None:
        """Return the label of a job, or the id of a stored one."""
        return None if id is None else self.labels.get(id, id)

    def row_of(self, id: JobId) -> Row:
        """Return a row by its id."""
        return next(row for row in self.batch.rows if row.id == id)

    def row(self, label: str) -> Row:
        """Return a row by its label."""
        return next(row for row in self.batch.rows if self.labels[row.id] == label)

    def order(self) -> list[str]:
        """Return all labels, in order of id."""
        return [self.labels[row.id] for row in self.batch.rows]

    def children(self, label: str) -> list[str | None]:
        """Return the children of a job, in order of place."""
        edges = [edge for edge in self.batch.edges if edge.kind is Kind.CHILD and self.name(edge.after) == label]
        return [self.name(edge.before) for edge in sorted(edges, key=lambda edge: edge.place)]

    def waits(self) -> dict[Arrow, str]:
        """Return what waits for what, children aside: (before, after) with the end that is asked for."""
        return {self._arrow(edge): edge.when.value for edge in self.batch.edges if edge.kind is Kind.AFTER}

    def before(self, label: str) -> set[str]:
        """Return what a job waits for, its children aside."""
        return {before for before, after in self.waits() if after == label}

    def slots(self, label: str) -> dict[str | None, list[list[str | int]]]:
        """Return which places in the arguments of a job are filled by whose result."""
        edges = [edge for edge in self.batch.edges if self.name(edge.after) == label and edge.slots]
        return {self.name(edge.before): edge.slots or [] for edge in edges}

    def _arrow(self, edge: Edge) -> Arrow:
        return str(self.name(edge.before)), str(self.name(edge.after))


def chain(n: int, link: Callable[[str, Any], AnyNode]) -> AnyNode:
    """Return `n` nodes, each made by `link` from a label and the one before; the first is `leaf("0")`."""
    node = leaf("0")
    for number in range(1, n):
        node = link(str(number), node)
    return node


__all__ = ["Names", "Plan", "chain", "leaf", "series", "tree"]
