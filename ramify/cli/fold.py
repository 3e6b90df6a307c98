"""A stored tree as lines: siblings alike are folded into one, levels are read a page at a time.

Nothing is kept but what becomes a line, so a group of a million jobs is a few lines here as well.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct, field

from ramify.cli.screen import name_of
from ramify.model import Edge, JobId, Kind, Row, State
from ramify.stores.protocol import Store
from ramify.stores.read import read_edges, read_rows

ALIKE: Final = 4
"""So many siblings with one name and one state are shown each by itself; more become one line."""

WIDE: Final = 24
"""A group that would take more lines than this is folded by task instead of by label."""

Key = tuple[str, State]


class Branch(Struct):
    """One line: a job with what is under it, or `n` siblings alike. `more` says that there are levels below."""

    name: str
    state: State
    n: int = 1
    row: Row | None = None
    shared: bool = False
    more: bool = False
    children: list["Branch"] = field(default_factory=list)


class _Fold(Struct):
    """Siblings with one name and one state; `place` is where the first of them stands."""

    place: tuple[int, JobId]
    n: int = 0
    rows: list[tuple[Edge, Row]] = field(default_factory=list)

    def add(self, edge: Edge, row: Row) -> None:
        self.n += 1
        self.place = min(self.place, _place(edge, row))
        if len(self.rows) < ALIKE:
            self.rows.append((edge, row))


class _Family:
    """The jobs under one, folded as they are read."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.by_name: dict[Key, _Fold] | None = {}
        self.by_task: dict[Key, _Fold] = {}

    def add(self, edge: Edge, row: Row) -> None:
        self._add_to(self.by_task, (row.lane.task or "group", row.state), edge, row)
        if self.by_name is not None:
            self._add_to(self.by_name, (name_of(row), row.state), edge, row)
            if len(self.by_name) > WIDE:
                self.by_name = None  # a label each: remembering them all would be remembering the whole group

    def _add_to(self, folds: dict[Key, _Fold], key: Key, edge: Edge, row: Row) -> None:
        if key not in folds:
            folds[key] = _Fold(_place(edge, row))
        folds[key].add(edge, row)

    def branches(self) -> Iterator[Branch]:
        folds = self.by_task if self.by_name is None else self.by_name
        singles: list[tuple[tuple[int, JobId], Branch]] = []
        for (name, state), fold in folds.items():
            # What failed is why one looks: some of it is named even among many.
            shown = fold.rows if fold.n <= ALIKE or state is State.FAILED else []
            for edge, row in shown:
                shared = row.parent != self.branch.row.id if self.branch.row else False
                singles.append((_place(edge, row), Branch(name_of(row), state, 1, row, shared)))
            if fold.n > len(shown):
                last = max([fold.place, *(_place(edge, row) for edge, row in shown)])
                singles.append((last, Branch(name.rpartition(":")[2], state, fold.n - len(shown))))
        yield from (branch for _, branch in sorted(singles, key=lambda pair: pair[0]))


def read_tree(store: Store, top: Row, depth: int, opens: Callable[[Row], bool] = lambda row: True) -> Branch:
    """Return the job and `depth` levels under it, of those jobs that `opens` lets through."""
    root = Branch(name_of(top), top.state, 1, top)
    level = [root]
    for _ in range(depth):
        level = [branch for branch in level if branch.row is not None and not branch.shared and opens(branch.row)]
        if not level:
            break
        _read_level(store, level)
        level = [child for branch in level for child in branch.children]
    for branch in level:
        branch.more = branch.row is not None and branch.row.size > 0 and not branch.children
    return root


def _read_level(store: Store, branches: Sequence[Branch]) -> None:
    families = {branch.row.id: _Family(branch) for branch in branches if branch.row is not None}
    joins: dict[JobId, JobId] = {}
    _read_families(store, {id: id for id in families}, families, joins)
    # What a group waits for hangs on a join, and a node that only stands in its `after` is found there.
    _read_families(store, joins, families, {})
    for family in families.values():
        family.branch.children = list(family.branches())


def _read_families(
    store: Store, owners: dict[JobId, JobId], families: dict[JobId, _Family], joins: dict[JobId, JobId]
) -> None:
    for edges in _in_pages(read_edges(store, list(owners))):
        rows = read_rows(store, sorted({edge.before for edge in edges}))
        for edge in edges:
            row, owner = rows.get(edge.before), owners[edge.after]
            if row is None:
                continue
            if edge.kind is Kind.CHILD:
                families[owner].add(edge, row)
            elif row.parent == owner and _is_join(row):
                joins[row.id] = owner
            elif row.parent == owner:  # a node that was an argument
                families[owner].add(edge, row)


def _in_pages(edges: Iterator[Edge], size: int = 1000) -> Iterator[list[Edge]]:
    page: list[Edge] = []
    for edge in edges:
        page.append(edge)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def _is_join(row: Row) -> bool:
    return row.lane.task is None and row.size == 0 and row.label is None


def _place(edge: Edge, row: Row) -> tuple[int, JobId]:
    # What came as an argument runs before the children, in the order in which it was numbered.
    return (max(edge.place, -1), row.id)
