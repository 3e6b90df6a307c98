"""A stored tree as lines: siblings alike are folded into one, and where there are very many the store counts them.

Nothing is kept but what becomes a line, so a group of a million jobs is a few lines here as well.
"""

import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, field

from ramify.model import ENDED, Edge, JobId, Kind, Page, Row, State, Which
from ramify.picture.words import name_of, plain
from ramify.stores.progress import read_progress
from ramify.stores.protocol import SLICE, Store
from ramify.stores.read import read_edges, read_results, read_rows

ALIKE: Final = 4
"""So many siblings with one name and one state are shown each by itself; more become one line."""

WIDE: Final = 40
"""Siblings of one task with more names than this are folded by task; only so many names are remembered."""

MANY: Final = 1000
"""A level of more lines than this is not opened: who wants to see more names a job further down."""

READ: Final = 10_000
"""So many jobs of a level are read, shared out among those they stand under; where there are more they are counted."""

ALIKE_KINDS: Final = 16
"""Of so many kinds of counted siblings (a task and a state) some rows are looked up; every look-up costs a walk."""

TOLD: Final = 20
"""So many jobs with others under them say how far they are, those further up first."""

FEW: Final = 1000
"""If they have no more than so many under them; a root says it in any case."""

ALL: Final = sys.maxsize

ORDER: Final = (
    State.DONE,
    State.FAILED,
    State.CANCELLED,
    State.SKIPPED,
    State.RUNNING,
    State.READY,
    State.WAITING,
    State.HELD,
)
"""What went before stands above what comes."""


class Branch(Struct):
    """One line: a job with what is under it, or `n` siblings alike. `more` jobs under it were not looked at; `percent`
    is how far an unfinished one is.
    """

    name: str
    state: State
    n: int = 1
    row: Row | None = None
    shared: bool = False
    more: int = 0
    percent: int | None = None
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


def read_tree(store: Store, top: Row, depth: int, only: Mapping[JobId, Row] | None = None) -> Branch:
    """Return the job and `depth` levels under it.

    With `only`, just those jobs are opened and sure to have a line of their own; the others are folded by task. So are
    the children of a job that has very many: the store counts them, and only a few are read.
    """
    root = Branch(name_of(top), top.state, 1, top)
    level = [root]
    for _ in range(depth):
        if not 0 < len(level) <= MANY:
            break
        share = READ // len(level)
        for branch in level:
            if branch.row and not branch.shared and (only is None or branch is root or branch.row.id in only):
                _open(store, branch, branch.row, only, share)
        level = [child for branch in level for child in branch.children]
    for branch in level:
        branch.more = branch.row.size if branch.row is not None and not branch.shared else 0
    _tell_progress(store, root)
    return root


def _tell_progress(store: Store, root: Branch) -> None:
    """Say how far the jobs are that are not over and have jobs under them, and those that run."""
    running: dict[JobId, Branch] = {}
    left, level = TOLD, [root]
    while level:
        for branch in level:
            row = branch.row
            if row is None or branch.shared or row.state in ENDED:
                continue
            if row.state is State.RUNNING and not branch.children:
                running[row.id] = branch
            elif (branch.children or branch.more) and left > 0:
                left -= 1
                branch.percent = read_progress(store, row, FEW)
        level = [child for branch in level for child in branch.children]
    for result in read_results(store, running):
        running[result.job].percent = result.percent


def _open(store: Store, branch: Branch, owner: Row, only: Mapping[JobId, Row] | None, share: int) -> None:
    family = _Family(branch, only)
    counted = owner.size > share
    # What a group waits for hangs on a join, and a node that only stands in its `after` is found there.
    sources, named = [owner.id], set[JobId]()
    for edge, row in _sources(store, sources, owner.id if counted else None):
        if edge.kind is Kind.CHILD:
            family.add(edge, row)
        elif row.parent == owner.id and is_join(row):
            sources.append(row.id)
        elif row.parent == owner.id and row.id not in named:  # a node that was an argument
            named.add(row.id)
            family.add(edge, row)
    children = _count(store, owner.id, only) if counted else []
    family.add_rest()
    branch.children = family.branches() + children


def _sources(store: Store, ids: list[JobId], counted: JobId | None) -> Iterator[tuple[Edge, Row]]:
    """Yield the jobs that lead into these, with the edges; the list may grow meanwhile.

    The children of the one that is `counted` are left out; they come last.
    """
    for id in ids:
        found = read_edges(store, [id])
        if id == counted:
            found = itertools.takewhile(lambda edge: edge.kind is not Kind.CHILD, found)
        for edges in _in_pages(found):
            rows = read_rows(store, sorted({edge.before for edge in edges}))
            yield from ((edge, rows[edge.before]) for edge in edges if edge.before in rows)


def _count(store: Store, owner: JobId, only: Mapping[JobId, Row] | None) -> list[Branch]:
    """Return the children of one job, counted by task and state, with some of the rows where there are few of a kind.

    Those in `only` are left out of the count: they have their own line.
    """
    counts: dict[tuple[str, State], int] = {}
    for key, n in store.counts(Which(under=owner), "task state").items():
        task, _, word = key.rpartition(" ")
        state = State.READY if word == "scheduled" else State(word)
        counts[task, state] = counts.get((task, state), 0) + n
    for row in (only or {}).values():
        if row.parent == owner and (kind := (row.lane.task or "", row.state)) in counts:
            counts[kind] -= 1
    branches: list[Branch] = []
    for number, (task, state) in enumerate(sorted(counts, key=lambda kind: (kind[0], ORDER.index(kind[1])))):
        n = counts[task, state]
        shown: list[Row] = []
        if only is None and number < ALIKE_KINDS and (n <= ALIKE or state is State.FAILED):
            shown = _read_some(store, owner, task, state)
        branches += [Branch(name_of(row), state, 1, row, row.parent != owner) for row in shown]
        if n > len(shown):
            branches.append(Branch(plain(task.rpartition(":")[2] or "group"), state, n - len(shown)))
    return branches


def _read_some(store: Store, owner: JobId, task: str, state: State) -> list[Row]:
    """Return the first few children of this task and state; of groups, as far as they stand near the beginning."""
    which = Which(under=owner, states=frozenset({state}), tasks=frozenset({task}) if task else None)
    rows = store.jobs(which, Page(size=ALIKE if task else SLICE))
    return [row for row in rows if (row.lane.task or "") == task][:ALIKE]


def _in_pages(edges: Iterator[Edge], size: int = SLICE) -> Iterator[list[Edge]]:
    while page := list(itertools.islice(edges, size)):
        yield page


def is_join(row: Row) -> bool:
    """Tell whether this is a join that planning made: nobody named it, and nothing is under it."""
    return row.lane.task is None and row.size == 0 and row.label is None


def _place(edge: Edge, row: Row) -> tuple[int, JobId]:
    # What came as an argument runs before the children, in the order in which it was numbered.
    return (max(edge.place, -1), row.id)
