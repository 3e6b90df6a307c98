"""What a tree means, said twice: by ramify, and by an evaluator that runs one node after the other.

The evaluator takes the rules as they are told to users: a node runs after what it names, what stands before it, and its
children, and so does all that stands in it. It knows neither edges nor gates nor counters.
"""

from itertools import count
from typing import Any

from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from ramify.codec import decode
from ramify.errors import BadNode, Cycle
from ramify.graph.check import find_violations
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Page, State, When, Which
from ramify.node import AnyNode, Node
from ramify.stores.gather import gather
from ramify.stores.memory import Memory
from ramify.tasks import Tasks
from ramify.worker.inline import run_until_empty
from tests.graph import calls
from tests.graph.kit import tree

CALLS = calls.__name__
WORST = (State.FAILED, State.CANCELLED, State.SKIPPED)
Demand = tuple[AnyNode, When]


class Evaluator:
    """Runs the nodes of a tree when they are asked for, each after all that it waits for."""

    def __init__(self, top: AnyNode) -> None:
        self.ends: dict[int, tuple[State, Any]] = {}
        self.busy: set[int] = set()
        self.nodes: list[AnyNode] = [top]
        for node in self.nodes:  # grows while it is gone through
            self.nodes += [other for other in under(node) if all(other is not known for known in self.nodes)]

    def end(self, node: AnyNode) -> tuple[State, Any]:
        """Return how a node ends, and its result."""
        if id(node) not in self.ends:
            if id(node) in self.busy:
                raise Cycle
            self.busy.add(id(node))
            self.ends[id(node)] = self.run(node)
        return self.ends[id(node)]

    def run(self, node: AnyNode) -> tuple[State, Any]:
        own = self.demands(node)
        own += [(named, When.DONE) for named in arguments(node) if not mentions(own + children(node), named)]
        ends = [(self.end(other)[0], when) for demands in (own, *self.above(node)) for other, when in demands]
        states = [self.end(child)[0] for child in node.children]
        if any(when is not When.ENDED and state.value != when.value for state, when in ends):
            return State.SKIPPED, None
        for worst in WORST:
            if worst in states:
                return worst, None
        if node.task is None:
            return State.DONE, [self.end(child)[1] for child in node.children]
        values = [self.end(value)[1] if isinstance(value, Node) else value for value in node.args]
        try:
            return State.DONE, getattr(calls, node.task.partition(":")[2])(*values)
        except ValueError:
            return State.FAILED, None

    def demands(self, node: AnyNode) -> list[Demand]:
        """Return what a node waits for: what it says itself, and the order in every array it stands in."""
        own = [(other, when) for other, when in node.how.after if all(other is not child for child in node.children)]
        return own + [(other, When.DONE) for other in self.ordered(node) if not mentions(own, other)]

    def ordered(self, node: AnyNode) -> list[AnyNode]:
        """Return the siblings that a node comes after: the last that holds up later ones, or all since a barrier."""
        found: list[AnyNode] = []
        for group in self.nodes:
            for place, child in enumerate(group.children):
                earlier = group.children[:place] if child is node else ()
                blocks = [other for other in earlier if group.how.series or other.how.blocking or other.how.barrier]
                barriers = [number for number, other in enumerate(earlier) if other.how.barrier]
                since = earlier[max(barriers, default=0) :] if node.how.barrier else ()
                found += [other for other in (*blocks[-1:], *since) if other is not node]
        return found

    def above(self, node: AnyNode) -> list[list[Demand]]:
        """Return what everything that a node stands in waits for."""
        return [
            [(other, when) for other, when in self.demands(group) if inside or not mentions(group.how.after, other)]
            for (number, inside) in self.sites(node)
            for group in self.nodes
            if id(group) == number
        ]

    def sites(self, node: AnyNode) -> set[tuple[int, bool]]:
        """Return the nodes that this one stands in (True) or beside (False): with all that hold it, or else name it."""
        holders = [(group, True) for group in self.nodes if any(child is node for child in group.children)]
        if not holders:
            holders = [(user, True) for user in self.nodes if any(named is node for named in arguments(user))]
            holders += [(user, False) for user in self.nodes if any(other is node for other, _ in user.how.after)]
        common: set[tuple[int, bool]] | None = None
        for holder, inside in holders:
            own = self.sites(holder) | {(id(holder), False)} | ({(id(holder), True)} if inside else set())
            common = own if common is None else common & own
        return common or set()


def arguments(node: AnyNode) -> list[AnyNode]:
    """Return the nodes that are arguments."""
    return [value for value in node.args if isinstance(value, Node)]


def children(node: AnyNode) -> list[Demand]:
    """Return the children, as something that is waited for."""
    return [(child, When.DONE) for child in node.children]


def mentions(demands: Any, node: AnyNode) -> bool:
    """Tell whether a node is among those that are waited for."""
    return any(other is node for other, _ in demands)


def under(node: AnyNode) -> list[AnyNode]:
    """Return all that a node holds or names."""
    return [*node.children, *arguments(node), *(other for other, _ in node.how.after)]


class Grower:
    """Draws trees of up to about 20 nodes that share, name and wait for each other."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.made: list[AnyNode] = []
        self.labels = map(str, count())

    def grow(self, depth: int) -> AnyNode:
        """Return a node that was made before, or a new one with what stands in it."""
        if self.made and self.chance(8):
            return self.pick()
        width = self.draw(st.integers(0, 3)) if depth else 0
        below = tuple(self.grow(depth - 1) for _ in range(width))
        values = [self.name() for _ in range(self.draw(st.integers(0, 2)))]
        how = dict.fromkeys(self.draw(st.sets(st.sampled_from(["blocking", "barrier", "series"]), max_size=1)), True)
        after = tuple((self.name(), self.draw(st.sampled_from(When))) for _ in range(self.chance(3)))
        label = next(self.labels)
        node: AnyNode = Node(None, (), None, below)
        if not below or self.chance(3):
            node = Node(f"{CALLS}:{'fail' if self.chance(12) else 'mix'}", (label, *values), None, below)
        self.made.append(node.changed(**how, after=after, label=label))
        return self.made[-1]

    def name(self) -> AnyNode:
        """Return a node to name: one that was made before, or one that stands nowhere else."""
        if not self.made or self.chance(4):
            label = next(self.labels)
            self.made.append(Node(f"{CALLS}:mix", (label,)).options(label=label))
        return self.pick()

    def pick(self) -> AnyNode:
        """Return a node that was made before."""
        node: AnyNode = self.draw(st.sampled_from(self.made))
        return node

    def chance(self, n: int) -> bool:
        """Return True once in `n` times."""
        return bool(self.draw(st.integers(1, n)) == n)


@st.composite
def trees(draw: Any) -> AnyNode:
    """Return a tree."""
    grower = Grower(draw)
    return tree("top", *[grower.grow(2) for _ in range(draw(st.integers(1, 3)))])


def describe(node: AnyNode, seen: set[int] | None = None) -> str:
    """Return a tree in one line."""
    seen = seen if seen is not None else set()
    if id(node) in seen:
        return f"{node.how.label}"
    seen.add(id(node))
    how = [name for name in ("blocking", "barrier", "series") if getattr(node.how, name)]
    how += [f"{when} {describe(other, seen)}" for other, when in node.how.after]
    parts = [node.task.rpartition(":")[2] if node.task else ""] + [describe(n, seen) for n in arguments(node)]
    return f"{node.how.label}{how}({', '.join(parts)})[{', '.join(describe(child, seen) for child in node.children)}]"


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(trees())
def test_ramify_runs_a_tree_as_an_evaluator_does(top: AnyNode) -> None:
    """Every node ends alike, and every result is the same, whether edges decide or the order of evaluation."""
    note(describe(top))
    evaluator = Evaluator(top)
    try:
        expected = {node.how.label: evaluator.end(node) for node in evaluator.nodes}
    except Cycle:
        expected = {}
    try:
        batch = plan(sketch([top]), make_ids)
    except Cycle:
        assert not expected
        return
    except BadNode:
        assume(False)  # it could never run, or a group would wait for a child of its own to fail

    assert expected
    store = Memory()
    store.add(batch)

    run_until_empty(store, Tasks([CALLS]))

    assert find_violations(store.snapshot()) == []
    rows = {row.label: row for row in store.jobs(Which(), Page(size=-1)) if row.label}
    assert {label: state for label, (state, _) in expected.items()} == {label: row.state for label, row in rows.items()}
    done = [rows[label] for label, (state, _) in expected.items() if state is State.DONE]
    values = {id: decode(value.json) for id, value in gather(store, [row.id for row in done]).items()}
    assert {row.label: expected[row.label][1] for row in done} == {row.label: values[row.id] for row in done}
    store.close()
