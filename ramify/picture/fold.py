"""A stored tree as lines: siblings alike are folded into one, levels are read a page at a time.

Nothing is kept but what becomes a line, so a group of a million jobs is a few lines here as well.
"""

import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, field

from ramify.model import Edge, JobId, Kind, Row, State
from ramify.picture.words import name_of
from ramify.stores.protocol import SLICE, Store
from ramify.stores.read import read_edges, read_rows

ALIKE: Final = 4
"""So many siblings with one name and one state are shown each by itself; more become one line."""

WIDE: Final = 40
"""Siblings of one task with more names than this are folded by task; only so many names are remembered."""

MANY: Final = 1000
"""A level of more lines than this is not opened: who wants to see more names a job further down."""

ALL: Final = sys.maxsize


class Branch(Struct):
    """One line: a job with what is under it, or `n` siblings alike. `more` jobs under it were not read."""

    name: str
    state: State
    n: int = 1
    row: Row | None = None
    shared: bool = False
    more: int = 0
    children: list["Branch"] = field(default_factory=list)


class _Fold(Struct):
    """Siblings of one task and state; `place` is where the first stands. None of `names`: too many to tell apart."""

    name: str
    place: tuple[int, JobId]
    n: int = 0
    rows: list[tuple[Edge, Row]] = field(default_factory=list)
    names: dict[str, "_Fold"] | None = None

    def add(self, edge: Edge, row: Row) -> None:
        self.n += 1
        self.place = min(self.place, _place(edge, row))
        if len(self.rows) < ALIKE:
            self.rows.append((edge, row))
        if self.names is not None:
            name = name_of(row)
            if name not in self.names:
                self.names[name] = _Fold(name, _place(edge, row))
            self.names[name].add(edge, row)
            if len(self.names) > WIDE:
                self.names = None


class _Family:
    """The jobs under one, folded as they are read."""

    def __init__(self, branch: Branch, only: Mapping[JobId, Row] | None) -> None:
        self.branch, self.only = branch, only
        self.singles: list[tuple[Edge, Row]] = []
        self.folds: dict[tuple[str, State], _Fold] = {}

    def add(self, edge: Edge, row: Row) -> None:
        if self.only is not None and row.id in self.only:
            self.singles.append((edge, row))
            return
        task = (row.lane.task or "group").rpartition(":")[2]
        fold = self.folds.get((task, row.state))
        if fold is None:
            fold = self.folds[task, row.state] = _Fold(task, _place(edge, row))
            fold.names = {} if self.only is None else None
        fold.add(edge, row)

    def add_rest(self) -> None:
        """Add the jobs that are to be shown and have not been met."""
        known = {row.id for _, row in self.singles}
        for row in (self.only or {}).values():
            if self.branch.row is not None and row.parent == self.branch.row.id and row.id not in known:
                self.singles.append((Edge(row.parent, ALL, row.id), row))

    def branches(self) -> list[Branch]:
        placed = [self._single(edge, row) for edge, row in self.singles]
        for (_, state), whole in self.folds.items():
            for fold in whole.names.values() if whole.names is not None else [whole]:
                # What failed is why one looks: some of it is named even among many.
                shown = fold.rows if fold.n <= ALIKE or state is State.FAILED else []
                placed += [self._single(edge, row) for edge, row in shown]
                if fold.n > len(shown):
                    place = max([fold.place, *(_place(edge, row) for edge, row in shown)])
                    placed.append((place, Branch(fold.name, state, fold.n - len(shown))))
        return [branch for _, branch in sorted(placed, key=lambda pair: pair[0])]

    def _single(self, edge: Edge, row: Row) -> tuple[tuple[int, JobId], Branch]:
        shared = self.branch.row is not None and row.parent != self.branch.row.id
        return _place(edge, row), Branch(name_of(row), row.state, 1, row, shared)


def read_tree(store: Store, top: Row, depth: int, only: Mapping[JobId, Row] | None = None, most: int = ALL) -> Branch:
    """Return the job and `depth` levels under it, of each job at most the first `most` or so.

    With `only`, just those jobs are opened and sure to have a line of their own; the others are folded by task.
    """
    root = Branch(name_of(top), top.state, 1, top)
    level = [root]
    for _ in range(depth):
        if len(level) > MANY:
            break
        for branch in level:
            if branch.row and not branch.shared and (only is None or branch is root or branch.row.id in only):
                _read_family(store, branch, _Family(branch, only), most)
        level = [child for branch in level for child in branch.children]
    for branch in level:
        branch.more = branch.row.size if branch.row is not None and not branch.shared else 0
    return root


def _read_family(store: Store, branch: Branch, family: _Family, most: int) -> None:
    if branch.row is None:
        return
    owner = branch.row.id
    # What a group waits for hangs on a join, and a node that only stands in its `after` is found there.
    sources, seen, named = [owner], 0, set[JobId]()
    for edge, row in _sources(store, sources):
        if edge.kind is Kind.CHILD:
            family.add(edge, row)
        elif row.parent == owner and is_join(row):
            sources.append(row.id)
        elif row.parent == owner and row.id not in named:  # a node that was an argument
            named.add(row.id)
            family.add(edge, row)
        seen += edge.after == owner
        if seen >= most:
            break
    family.add_rest()
    branch.children = family.branches()
    branch.more = max(0, branch.row.size - seen) if seen >= most else 0


def _sources(store: Store, ids: list[JobId]) -> Iterator[tuple[Edge, Row]]:
    """Yield the jobs that lead into these, with the edges; the list may grow meanwhile."""
    for id in ids:
        for edges in _in_pages(read_edges(store, [id])):
            rows = read_rows(store, sorted({edge.before for edge in edges}))
            yield from ((edge, rows[edge.before]) for edge in edges if edge.before in rows)


def _in_pages(edges: Iterator[Edge], size: int = SLICE) -> Iterator[list[Edge]]:
    while page := list(itertools.islice(edges, size)):
        yield page


def is_join(row: Row) -> bool:
    """Tell whether this is a join that planning made: nobody named it, and nothing is under it."""
    return row.lane.task is None and row.size == 0 and row.label is None


def _place(edge: Edge, row: Row) -> tuple[int, JobId]:
    # What came as an argument runs before the children, in the order in which it was numbered.
    return (max(edge.place, -1), row.id)
