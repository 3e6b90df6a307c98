"""What becomes of a batch when it meets what is stored."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramify.graph.arrive import Arrival, arrive, resting_state, stored_befores
from ramify.graph.plan import Into
from ramify.model import ENDED, Array, Batch, Kind, Row, State, Unless
from ramify.node import Ref
from tests.graph.kit import Plan, leaf, tree

STORED, OTHER, GATE = (f"0000000000000000000000000{letter}" for letter in "xyz")
NOW = 1000.0


def meet(plan: Plan, states: dict[str, State] | None = None, **options: Any) -> dict[str, Row]:
    """Let a plan meet stored jobs in these states; return the rows to store, by label."""
    arrival = arrival_of(plan, states, **options)
    return {plan.labels[row.id]: row for row in arrival.rows}


def arrival_of(plan: Plan, states: dict[str, State] | None = None, **options: Any) -> Arrival:
    """Let a plan meet stored jobs in these states."""
    aliases = {plan.row(label).id: job for label, job in options.get("aliases", {}).items()}
    return arrive(plan.batch, states or {}, aliases, options.get("lowest_place", 0), options.get("now", NOW))


@pytest.mark.parametrize(
    ("hold", "waits", "state"), [(None, 0, State.READY), (None, 2, State.WAITING), (GATE, 0, State.HELD)]
)
def test_resting_state(hold: str | None, waits: int, state: State) -> None:
    """What is held is held, what waits waits, and the rest is ready."""
    assert state is resting_state(hold, waits)


def test_states_of_new_rows() -> None:
    """Leaves are ready at once, groups wait for them, and what is held is held whatever it waits for."""
    rows = meet(Plan(tree("top", leaf("a"), leaf("b", hold=True))))

    assert {label: row.state.value for label, row in rows.items()} == {"a": "ready", "b": "held", "top": "waiting"}


def test_unfinished_predecessor() -> None:
    """A job that is stored and has not ended is waited for."""
    rows = meet(Plan(leaf("a", after=Ref(STORED))), {STORED: State.RUNNING})

    assert (rows["a"].waits, rows["a"].bads, rows["a"].state) == (1, 0, State.WAITING)


@pytest.mark.parametrize("when", ["done", "ended", "failed"])
@pytest.mark.parametrize("end", sorted(ENDED))
def test_ended_predecessor(end: State, when: Any) -> None:
    """An edge from a job that has ended is stored with that end, good or bad, and nothing waits for it."""
    arrival = arrival_of(Plan(leaf("a", after=Ref(STORED), when=when)), {STORED: end})

    [edge], [row] = arrival.edges, arrival.rows
    assert (end, 0, State.READY) == (edge.verdict, row.waits, row.state)
    assert (when in ("ended", end.value)) == (row.bads == 0)


def test_edges_among_new_rows_stay_open() -> None:
    """Only what comes from a stored job is settled."""
    a = leaf("a", after=Ref(STORED))

    rows = meet(Plan(tree("top", a, leaf("b", after=[a, Ref(STORED)]))), {STORED: State.DONE})

    assert (rows["a"].waits, rows["b"].waits, rows["top"].waits) == (0, 1, 2)


def test_stored_predecessors_are_named_once() -> None:
    """The store is asked for every stored job that edges start at, replaced rows included, and for no new row."""
    needed = leaf("needed").changed(unless=Unless("m"))
    plan = Plan(tree("top", leaf("a", needed, after=[Ref(OTHER), Ref(STORED)]), leaf("b", needed, Ref(OTHER))))

    assert stored_befores(plan.batch, {}) == [STORED, OTHER]
    assert stored_befores(plan.batch, {plan.row("needed").id: GATE}) == [STORED, OTHER, GATE]


def test_replaced_row() -> None:
    """A row for which an earlier job stands is not stored; what waited for it waits for that job, or has its end."""
    needed = leaf("needed").changed(unless=Unless("m"))
    plan = Plan(tree("top", needed, leaf("a", needed)))

    running = meet(deepcopy(plan), {OTHER: State.RUNNING}, aliases={"needed": OTHER})
    done = meet(plan, {OTHER: State.DONE}, aliases={"needed": OTHER})

    assert {"a", "top"} == running.keys() == done.keys()
    assert (running["a"].waits, running["top"].waits) == (1, 2)
    assert (done["a"].waits, done["top"].waits, done["a"].state) == (0, 1, State.READY)


def test_array_names_what_stands_for_its_children() -> None:
    """A group whose last or blocking child is replaced names the earlier job."""
    needed = leaf("needed", blocking=True).changed(unless=Unless("m"))

    rows = meet(Plan(tree("top", needed)), {OTHER: State.DONE}, aliases={"needed": OTHER})

    assert (rows["top"].size, rows["top"].last, rows["top"].barrier) == (1, OTHER, OTHER)


def test_times() -> None:
    """A delay counts from now by the store's clock; a time that has passed is none."""
    rows = meet(Plan(tree("top", leaf("a", delay=5), leaf("b", at=NOW + 7), leaf("c", at=NOW - 7), leaf("d", delay=0))))

    assert [rows[label].due for label in "abcd"] == [NOW + 5, NOW + 7, None, None]


def test_deadlines() -> None:
    """The time limit of a tree begins now; that of a held one when it is let go."""
    rows = meet(Plan(tree("top", tree("a", timeout=5), tree("b", timeout=5, hold=True))))

    assert (rows["a"].deadline, rows["b"].deadline, rows["b"].limit) == (NOW + 5, None, 5.0)


def test_into_a_stored_job() -> None:
    """What edges into the stored job add to its counters is told, and other edges take places it has free."""
    into = Into(STORED, STORED, Array(1, OTHER))
    plan = Plan(leaf("a"), leaf("b"), into=into)
    plan.batch.edges += [edge for edge in Plan(leaf("x", after=[Ref(OTHER), Ref(GATE)])).batch.edges]
    for edge in plan.batch.edges[2:]:
        edge.after = STORED

    arrival = arrival_of(plan, {OTHER: State.FAILED, GATE: State.READY}, lowest_place=-3)

    assert (arrival.waits, arrival.bads) == (3, 1)
    assert [edge.place for edge in arrival.edges] == [1, 2, -4, -5]


FACTS = st.fixed_dictionaries(
    {
        "states": st.fixed_dictionaries({STORED: st.sampled_from(State), OTHER: st.sampled_from(State)}),
        "aliased": st.booleans(),
        "lowest_place": st.integers(-2, 0),
        "now": st.sampled_from([NOW, NOW + 10]),
    }
)


@settings(max_examples=60)
@given(FACTS, FACTS)
def test_asking_again(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A batch that met a store which then failed is stored as if it had never met one."""
    needed = leaf("needed").changed(unless=Unless("m"))
    plan = Plan(
        tree("g", needed, leaf("a", needed, after=Ref(STORED)), leaf("b", at=NOW + 5, delay=None), timeout=3),
        leaf("c", after=[Ref(STORED), Ref(OTHER)], when="ended", delay=2),
        into=Into(GATE, GATE, Array(1, OTHER)),
    )
    fresh = deepcopy(plan.batch)

    answer(plan.batch, first)

    assert answer(fresh, second) == answer(plan.batch, second)


def answer(batch: Batch, facts: dict[str, Any]) -> Arrival:
    """Return a copy of what a batch becomes."""
    aliases = {id: OTHER for id in batch.unless} if facts["aliased"] else {}
    return deepcopy(arrive(batch, facts["states"], aliases, facts["lowest_place"], facts["now"]))


@given(st.lists(st.sampled_from(State), min_size=1, max_size=4))
def test_counters_count(states: list[State]) -> None:
    """`waits` counts predecessors that have not ended, `bads` those that ended otherwise than asked."""
    jobs = {f"{number:026d}": state for number, state in enumerate(states, 900)}
    plan = Plan(tree("top", leaf("a", *[Ref(job) for job in jobs])))

    arrival = arrival_of(plan, jobs)

    [row] = [row for row in arrival.rows if row.label == "a"]
    assert len([state for state in states if state not in ENDED]) == row.waits
    assert len([state for state in states if state in ENDED - {State.DONE}]) == row.bads
    assert all(
        edge.verdict in ENDED for edge in arrival.edges if edge.kind is Kind.AFTER and jobs[edge.before] in ENDED
    )
