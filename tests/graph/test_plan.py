"""From a sketch to a batch: what the words of a description become in rows and edges."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from ramify.errors import BadNode, Cycle
from ramify.graph.plan import Into
from ramify.model import Array, Kind, Payload, Policy, Row, State, Step, Unless, When
from ramify.node import AnyNode, Node, Ref
from tests.graph.kit import Names, Plan, chain, leaf, series, tree

STORED, OTHER = "0000000000000000000000000y", "0000000000000000000000000z"


def into(**options: Any) -> Into:
    """Return a stored job, its own tree, that gains children."""
    return Into(STORED, STORED, **options)


# Rows


def test_one_call() -> None:
    """A call by itself is one row, ready to run, and its own tree."""
    plan = Plan(leaf("a", 1))

    [row] = plan.batch.rows
    assert Row(row.id, row.id, lane=row.lane, label="a", state=State.WAITING) == row
    assert (row.lane.queue, row.lane.task, row.lane.slot, row.lane.units) == ("default", "m:a", None, 1)
    assert {row.id: Payload(b"[[1],{}]")} == plan.batch.payloads
    assert plan.batch.edges == []


def test_group_without_body() -> None:
    """A group is a row that is at its end from the start, and has no payload."""
    plan = Plan(tree("top", leaf("a"), leaf("b")))

    assert (plan.row("top").step, plan.row("top").lane.task) == (Step.END, None)
    assert plan.children("top") == ["a", "b"]
    assert {plan.row("a").id, plan.row("b").id} == plan.batch.payloads.keys()


def test_group_with_body() -> None:
    """The body of a group is the group's own row, which runs after the children."""
    plan = Plan(tree("top", leaf("a"), leaf("b"), task="m:body"))

    assert (plan.row("top").step, plan.row("top").lane.task, plan.row("top").waits) == (Step.RUN, "m:body", 2)
    assert plan.waits() == {}


def test_empty_group() -> None:
    """A group of nothing waits for nothing."""
    plan = Plan(tree("top"))

    assert (plan.row("top").step, plan.row("top").waits, plan.row("top").size) == (Step.END, 0, 0)


def test_rows_are_in_order_of_id() -> None:
    """Ids ascend in post-order, the root's is the last, and all rows are of its tree."""
    plan = Plan(tree("top", tree("g", leaf("a"), leaf("b")), leaf("c")))

    assert plan.order() == ["a", "b", "g", "c", "top"]
    assert {plan.row("top").id} == {row.tree for row in plan.batch.rows}
    assert [plan.name(row.parent) for row in plan.batch.rows] == ["g", "g", "top", "top", None]


def test_counters() -> None:
    """`waits` counts the edges into a row, none has a verdict, and nothing is bad."""
    plan = Plan(series("top", leaf("a"), tree("g", leaf("b"), leaf("c", after=leaf("d"))), leaf("e", leaf("f"))))

    counts = Counter(edge.after for edge in plan.batch.edges)
    assert {row.id: counts[row.id] for row in plan.batch.rows} == {row.id: row.waits for row in plan.batch.rows}
    assert {(None, 0)} == {(edge.verdict, row.bads) for edge in plan.batch.edges for row in plan.batch.rows}


def test_places() -> None:
    """Children stand at 0, 1, … in their order, and all else below 0; no place is taken twice."""
    a, b = leaf("a"), leaf("b")

    plan = Plan(tree("top", a, b, leaf("c", a, after=b, when="ended"), after=[leaf("d"), leaf("e")], task="m:body"))

    places = [(edge.after, edge.place) for edge in plan.batch.edges]
    assert len(places) == len(set(places))
    assert all((edge.place >= 0) == (edge.kind is Kind.CHILD) for edge in plan.batch.edges)
    assert sorted(place for job, place in places if job == plan.row("top").id and place >= 0) == [0, 1, 2]


def test_array_of_a_group() -> None:
    """A group knows how many children it has, the last, and the last that holds up later ones."""
    plan = Plan(tree("top", leaf("a", blocking=True), leaf("b", barrier=True), leaf("c"), leaf("d")))

    top = plan.row("top")
    assert (top.size, plan.name(top.last), plan.name(top.barrier)) == (4, "d", "b")


def test_shared_node_is_stored_once() -> None:
    """A node in two groups is one row with two parents; it belongs to the first."""
    shared = leaf("shared")

    plan = Plan(tree("top", tree("a", shared), tree("b", shared)))

    assert plan.order() == ["shared", "a", "b", "top"]
    assert (
        plan.children("a"),
        plan.children("b"),
        plan.name(plan.row("shared").parent),
    ) == (["shared"], ["shared"], "a")


def test_node_twice_in_one_group() -> None:
    """A node that stands twice in a group is one row with two places."""
    node = leaf("a")

    plan = Plan(tree("top", node, node))

    assert (plan.children("top"), plan.row("top").waits, plan.row("top").size) == (["a", "a"], 2, 2)


def test_facts_beside_rows() -> None:
    """Delays, marks, policies and limits are handed to the store."""
    unless = Unless("m", 5.0)

    plan = Plan(
        tree(
            "top",
            leaf("a", delay=3, retry=2),
            leaf("b", at=7.0, marks=("m", "n"), unless=unless, slot="s", units=3),
            timeout=9,
            fail="fast",
        )
    )

    a, b, top = plan.batch.rows
    assert ({a.id: 3.0}, 7.0) == (plan.batch.delays, b.due)
    assert ({b.id: ["m", "n"]}, {b.id: unless}) == (plan.batch.marks, plan.batch.unless)
    assert (Policy(retry=plan.batch.payloads[a.id].policy.retry), 2) == (
        plan.batch.payloads[a.id].policy,
        plan.batch.payloads[a.id].policy.retry and plan.batch.payloads[a.id].policy.retry.times,
    )
    assert ((b.lane.slot, b.lane.units), top.limit, top.fast) == (("s", 3), 9.0, True)


# Order of siblings


def test_blocking() -> None:
    """A blocking child holds up the later ones, and not what stands before it."""
    plan = Plan(tree("top", leaf("a"), leaf("b", blocking=True), leaf("c"), leaf("d")))

    assert plan.waits() == {("b", "c"): "done", ("b", "d"): "done"}


def test_each_blocking_child_holds_up_the_next() -> None:
    """After two blocking children, the rest waits for the second, which waits for the first."""
    plan = Plan(tree("top", leaf("a", blocking=True), leaf("b", blocking=True), leaf("c")))

    assert {("a", "b"), ("b", "c")} == plan.waits().keys()


def test_series() -> None:
    """Each child of a series waits for the one before."""
    plan = Plan(series("top", leaf("a"), leaf("b"), leaf("c")))

    assert {("a", "b"), ("b", "c")} == plan.waits().keys()
    assert plan.name(plan.row("top").barrier) == "c"


def test_barrier() -> None:
    """A barrier waits for all before it and holds up all after it."""
    plan = Plan(tree("top", leaf("a"), leaf("b"), leaf("c", barrier=True), leaf("d"), leaf("e")))

    assert {("a", "c"), ("b", "c"), ("c", "d"), ("c", "e")} == plan.waits().keys()


def test_barrier_waits_for_what_stands_before_a_blocking_child() -> None:
    """A blocking child waits for nobody, so a barrier after it still waits for all before that one."""
    plan = Plan(tree("top", leaf("a"), leaf("b", blocking=True), leaf("c"), leaf("d", barrier=True)))

    assert {"a", "c"} == plan.before("d") - {"b"}


def test_second_barrier_waits_only_for_what_came_since_the_first() -> None:
    """Barriers follow each other, so edges stay linear in nodes."""
    plan = Plan(tree("top", leaf("a"), leaf("b", barrier=True), leaf("c"), leaf("d", barrier=True)))

    assert {("a", "b"), ("b", "c"), ("c", "d")} == plan.waits().keys()


def test_previous_result() -> None:
    """The result of the sibling before is handed over as all arguments."""
    plan = Plan(tree("top", leaf("a"), leaf("b").changed(previous=True)))

    assert (plan.slots("b"), plan.waits()) == ({"a": [["*"]]}, {("a", "b"): "done"})


def test_own_word_on_an_earlier_sibling_is_kept() -> None:
    """A child that says how an earlier one is to end gets that, though the order of siblings would ask for `done`."""
    a = leaf("a")

    plan = Plan(series("top", a, leaf("b", after=a, when="ended")))

    assert plan.waits() == {("a", "b"): "ended"}


# after


@pytest.mark.parametrize("when", list(When))
def test_after(when: Any) -> None:
    """A node waits for another one to end as it says."""
    a = leaf("a")

    plan = Plan(tree("top", a, leaf("b", after=a, when=when)))

    assert {("a", "b"): when.value} == plan.waits()


def test_after_a_node_that_stands_nowhere_else() -> None:
    """A node that is only named in `after` comes along, under who names it, and waits for nobody."""
    plan = Plan(leaf("b", after=leaf("a")))

    assert (plan.order(), plan.waits()) == (["a", "b"], {("a", "b"): "done"})
    assert plan.name(plan.row("a").parent) == "b"


def test_after_a_stored_job() -> None:
    """A stored job can be waited for like a node."""
    plan = Plan(leaf("b", after=[Ref(STORED), Ref(OTHER)], when="failed"))

    assert plan.waits() == {(STORED, "b"): "failed", (OTHER, "b"): "failed"}


def test_after_own_child_adds_nothing() -> None:
    """A group waits for its children anyway."""
    a = leaf("a")

    assert Plan(tree("top", a, after=a, when="ended")).waits() == {}


def test_after_the_failure_of_an_own_child_is_refused() -> None:
    """A group whose child failed fails, so nothing in it can wait for that."""
    a = leaf("a")

    with pytest.raises(BadNode, match="jobs\\[0\\]: waits for its own child to fail"):
        Plan(tree("top", tree("g", a, after=a, when="failed")))


@pytest.mark.parametrize(("one", "other", "both"), [("done", "ended", "done"), ("ended", "failed", "failed")])
def test_two_ends_of_one_job(one: Any, other: Any, both: str) -> None:
    """Whoever asks a job for two ends gets the narrower one, in whichever order."""
    a = leaf("a")

    first = Plan(tree("top", a, leaf("b", after=a, when=one).options(after=a, when=other)))
    second = Plan(tree("top", a, leaf("b", after=a, when=other).options(after=a, when=one)))

    assert {("a", "b"): both} == first.waits() == second.waits()


def test_two_ends_that_exclude_each_other_are_refused() -> None:
    """No job is done and failed, so what waits for both could never run."""
    a = leaf("a")

    with pytest.raises(BadNode, match=r"jobs\[1\]: waits for the same job to be done and to fail"):
        Plan(tree("top", a, leaf("b", after=a).options(after=a, when="failed")))


# References


def test_argument() -> None:
    """A node as argument is waited for, and its result fills the place."""
    plan = Plan(leaf("f", [1, leaf("x")]))

    assert (plan.waits(), plan.slots("f")) == ({("x", "f"): "done"}, {"x": [["args", 0, 1]]})
    assert plan.batch.payloads[plan.row("f").id].args == b"[[[1,null]],{}]"


def test_one_argument_in_two_places() -> None:
    """One edge carries a result to all its places."""
    x = leaf("x")

    plan = Plan(leaf("f", x, {"again": x}))

    assert plan.slots("f") == {"x": [["args", 0], ["args", 1, "again"]]}
    assert len(plan.batch.edges) == 1


def test_child_as_argument_of_the_body() -> None:
    """A body that takes the result of its own child takes it over the child's edge."""
    x = leaf("x")

    plan = Plan(Node("m:f", (x,), None, (x, leaf("y"))).options(label="f"))

    assert (plan.waits(), plan.children("f"), plan.slots("f")) == ({}, ["x", "y"], {"x": [["args", 0]]})


def test_argument_from_another_group() -> None:
    """A result travels between any two nodes of a tree."""
    x = leaf("x")

    plan = Plan(tree("top", tree("g", leaf("f", x)), tree("h", x)))

    assert {("x", "f")} == plan.waits().keys()


def test_argument_that_is_stored() -> None:
    """A stored job as argument is waited for, in whatever tree it stands."""
    plan = Plan(leaf("f", Ref(STORED)))

    assert (plan.waits(), plan.slots("f")) == ({(STORED, "f"): "done"}, {STORED: [["args", 0]]})


def test_argument_whatever_its_end() -> None:
    """An argument that may fail is asked for with `after`; then its place may stay null."""
    x = leaf("x")

    plan = Plan(leaf("f", x, after=x, when="ended"))

    assert (plan.waits(), plan.slots("f")) == ({("x", "f"): "ended"}, {"x": [["args", 0]]})


def test_argument_whatever_its_end_behind_a_join() -> None:
    """That holds as well where what the node waits for is gathered for another argument of it."""
    x = leaf("x")

    plan = Plan(leaf("f", x, leaf("y"), after=x, when="ended"))

    assert (plan.waits()["x", "f"], plan.waits()["y", "f"]) == ("ended", "done")


# Gates


def test_after_of_a_group_holds_up_all_in_it() -> None:
    """What a group waits for, everything in it waits for."""
    a = leaf("a")

    plan = Plan(tree("top", a, tree("g", leaf("b"), tree("h", leaf("c")), after=a), leaf("d")))

    assert {("a", label): "done" for label in ("b", "c", "h", "g")} == plan.waits()


def test_several_ends_are_gathered_in_one_join() -> None:
    """A group that waits for several, or for another end than `done`, holds its subtree up through one join."""
    plan = Plan(tree("top", tree("g", leaf("b"), leaf("c"), after=[Ref(STORED), Ref(OTHER)], when="ended")))

    join = "join of g"
    assert {(STORED, join): "ended", (OTHER, join): "ended"} | {(join, x): "done" for x in "bcg"} == plan.waits()
    assert (plan.row(join).step, plan.row(join).lane.task, plan.name(plan.row(join).parent)) == (Step.END, None, "g")


def test_join_comes_before_all_that_it_gates() -> None:
    """The id of a join is lower than those of the subtree, so it ends before they are looked at."""
    plan = Plan(tree("top", leaf("a"), tree("g", tree("h", leaf("b")), leaf("c"), after=[Ref(STORED), Ref(OTHER)])))

    assert plan.order() == ["a", "join of g", "b", "h", "c", "g", "top"]


def test_gates_add_up() -> None:
    """What stands in two gated groups waits for both gates."""
    plan = Plan(tree("top", tree("g", tree("h", leaf("a")), leaf("b"), after=Ref(OTHER)), after=Ref(STORED)))

    assert ({STORED}, {"join of g"}) == (plan.before("top"), plan.before("b"))
    assert {"join of g"} == plan.before("a") == plan.before("g") == plan.before("h")
    assert {STORED, OTHER} == plan.before("join of g")


def test_weaker_word_does_not_get_past_the_gate() -> None:
    """A node in a group that waits for a job to be done waits for that too, though it would take any end."""
    a = leaf("a")

    plan = Plan(tree("top", a, tree("g", leaf("b", after=a, when="ended"), after=a)))

    assert plan.waits()["a", "b"] == "done"


def test_opposite_word_behind_the_gate_is_refused() -> None:
    """A node in a group that waits for a job to be done cannot wait for it to fail."""
    a = leaf("a")

    with pytest.raises(BadNode, match=r"jobs\[1\]\.jobs\[0\]: waits for the same job to be done and to fail"):
        Plan(tree("top", a, tree("g", leaf("b", after=a, when="failed"), after=a)))


def test_order_of_siblings_is_a_gate() -> None:
    """All in a group, what its nodes name included, waits for the sibling that holds the group up."""
    step = tree("step", leaf("f", leaf("x")), leaf("g", after=leaf("y")))

    plan = Plan(series("top", leaf("a"), step))

    assert {("a", label) for label in ("x", "f", "y", "g", "step")} <= plan.waits().keys()


def test_what_a_node_is_given_waits_with_it() -> None:
    """A call that is only an argument waits for what its user waits for."""
    plan = Plan(series("top", leaf("a"), leaf("f", leaf("x", leaf("y")))))

    assert {("a", "y"), ("a", "x"), ("a", "f")} <= plan.waits().keys()


def test_what_a_node_waits_for_is_not_held_up_by_it() -> None:
    """A node named only in `after` is held up by the order of siblings, not by those it is named with."""
    plan = Plan(series("top", leaf("a"), leaf("f", leaf("x"), after=[leaf("y"), leaf("z")])))

    assert ({"a"}, {"a"}) == (plan.before("y"), plan.before("z"))
    assert {"a", "y", "z"} == {before for join in plan.before("x") for before in plan.before(join)}
    assert {"y", "z"} <= plan.before("f"), "a cancel of f finds y and z over its edges"


def test_result_that_the_gate_needs_too() -> None:
    """What is named in a group and by what the group waits for belongs to neither, so nobody waits for himself."""
    x = leaf("x")
    check = leaf("check", x)
    group = tree("g", leaf("f", x), after=check)

    for top in (tree("top", check, group), tree("top", group, check), tree("top", group)):
        plan = Plan(top)
        assert (set(), {"x"}, {"x", "check"}) == (plan.before("x"), plan.before("check"), plan.before("f"))


def test_result_that_is_shared_within_the_gate() -> None:
    """What several nodes of a group name waits for what the group waits for."""
    x = leaf("x")

    plan = Plan(series("top", leaf("a"), tree("g", leaf("f", x), tree("h", leaf("i", x)))))

    assert {"a"} == plan.before("x")


def test_child_that_is_shared_with_the_gate() -> None:
    """A child of a gated group that also stands in what the group waits for is not held up by itself."""
    shared = leaf("shared")
    first = tree("first", shared)

    plan = Plan(tree("top", tree("g", shared, leaf("b"), after=first), first))

    assert (set(), {"first"}) == (plan.before("shared"), plan.before("b"))


def test_members_have_an_edge_to_their_parent() -> None:
    """Whatever stands under a node has an edge to it, for that is how a cancel finds it."""
    a = leaf("a")
    b = leaf("b", after=a)
    node = series("top", leaf("s"), tree("g", leaf("f", leaf("x")), after=[a, b, Ref(STORED)]))

    plan = Plan(node)

    arrows = {(edge.before, edge.after) for edge in plan.batch.edges}
    assert [plan.labels[row.id] for row in plan.batch.rows if row.parent and (row.id, row.parent) not in arrows] == []


# Linear


@pytest.mark.parametrize("how", ["blocking", "series", "after", "barrier"])
def test_barrier_between_two_groups(how: str) -> None:
    """Between two groups of 1,000 there are about 2,001 edges, and not a million."""
    first, second = ([leaf(f"{name}{number}") for number in range(1000)] for name in "ab")
    a, b = tree("a", *first), tree("b", *second)
    node: AnyNode = {
        "blocking": tree("top", a.options(blocking=True), b),
        "series": series("top", a, b),
        "after": tree("top", a, b.options(after=a)),
        "barrier": tree("top", *first, second[0].options(barrier=True), *second[1:]),
    }[how]

    plan = Plan(node)

    tops = {"a", "b", "top"}
    edges = [edge for edge in plan.batch.edges if not (edge.kind is Kind.CHILD and plan.name(edge.after) == "top")]
    assert 1999 <= len(edges) - 1000 * (how != "barrier") <= 2002
    assert tops >= {plan.labels[row.id] for row in plan.batch.rows} - {n.how.label for n in (*first, *second)}


def test_edges_stay_linear_in_nodes() -> None:
    """However groups, barriers and gates are nested, each node brings a few edges."""
    node = leaf("0")
    for number in range(300):
        group = tree(f"g{number}", node, leaf(f"l{number}"), after=[leaf(f"x{number}"), Ref(STORED)])
        node = tree(f"t{number}", leaf(f"a{number}"), leaf(f"b{number}", barrier=True), group)

    plan = Plan(node)

    assert len(plan.batch.edges) < 4 * len(plan.batch.rows)


@pytest.mark.parametrize(
    "link",
    [
        tree,
        leaf,
        series,
        lambda label, node: leaf(label, after=node),
        lambda label, node: tree(label, node, after=Ref(STORED)),
        lambda label, node: tree(label, node, after=leaf(f"x{label}"), blocking=True),
    ],
    ids=["groups", "arguments", "series", "after", "gates", "joins"],
)
def test_depth(link: Any) -> None:
    """A chain of 10,000 nodes is planned, however it is linked."""
    plan = Plan(chain(10_000, link))

    assert plan.batch.rows[-1].label == "9999"


def test_wide_group_that_is_named_before_it_stands() -> None:
    """A group of 20,000 that an earlier sibling names is planned as one that a later one names."""
    wide = tree("wide", *[leaf(str(number)) for number in range(20_000)])

    plan = Plan(tree("top", leaf("f", wide), wide))

    assert {("wide", "f")} == plan.waits().keys()


# Mistakes


def test_siblings_that_wait_for_each_other() -> None:
    """A loop of edges is refused, with the path of each node in it."""
    a, b = leaf("a"), leaf("b")
    a.how, b.how = a.options(after=b).how, b.options(after=a).how

    with pytest.raises(Cycle) as refused:
        Plan(tree("top", tree("g", a, b)))

    assert str(refused.value) == "these would wait for each other: jobs[0].jobs[0] → jobs[0].jobs[1] → jobs[0].jobs[0]"


def test_node_that_waits_for_the_group_it_stands_in() -> None:
    """A node cannot wait for what waits for it."""
    a = leaf("a")
    group = tree("g", leaf("b"), a)
    a.how = a.options(after=group).how

    with pytest.raises(Cycle, match=r"jobs\[0\]\.jobs\[1\] → jobs\[0\]"):
        Plan(tree("top", group))


def test_earlier_sibling_that_needs_a_later_one() -> None:
    """A series whose first child takes the result of the second is refused."""
    b = leaf("b")

    with pytest.raises(Cycle, match=r"jobs\[0\] → jobs\[1\] → jobs\[0\]|jobs\[1\] → jobs\[0\] → jobs\[1\]"):
        Plan(series("top", leaf("a", b), b))


def test_node_as_argument_of_itself() -> None:
    """A node that was made its own argument is refused."""
    values: list[AnyNode] = []
    node = leaf("f", values)
    values.append(leaf("g", node))

    with pytest.raises(Cycle, match="m:g, an argument"):
        Plan(node)


def test_long_loop_is_named_at_its_ends() -> None:
    """The message of a loop through thousands of nodes stays readable."""
    nodes = [leaf(str(number)) for number in range(5000)]
    for earlier, later in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        earlier.how = earlier.options(after=later).how

    with pytest.raises(Cycle, match=r"\(49\d\d more\)") as refused:
        Plan(tree("top", *nodes))

    assert len(str(refused.value)) < 1000


def test_first_of_an_array_has_no_previous() -> None:
    """The first child has no sibling before it whose result it could take."""
    with pytest.raises(BadNode, match=r"jobs\[1\]\.jobs\[0\]: the first of its array has no previous job"):
        Plan(tree("top", leaf("a"), tree("g", leaf("b").changed(previous=True))))


def test_group_without_body_takes_no_result() -> None:
    """There is nobody to hand a result to."""
    with pytest.raises(BadNode, match=r"jobs\[1\]: a group without body takes no arguments"):
        Plan(tree("top", leaf("a"), tree("g", leaf("b")).changed(previous=True)))


@pytest.mark.parametrize(
    "node",
    [
        lambda a, needed: series("top", a, needed),
        lambda a, needed: tree("top", a, tree("g", needed, after=a)),
        lambda a, needed: tree("top", a, needed.options(after=a)),
        lambda a, needed: tree("top", a, tree("n", leaf("x")).changed(unless=needed.how.unless)),
    ],
    ids=["series", "gate", "after", "children"],
)
def test_replaceable_job_that_waits_is_refused(node: Any) -> None:
    """A job for which an earlier one may stand waits for nobody: the earlier one did not either."""
    needed = leaf("needed").changed(unless=Unless("mark"))

    with pytest.raises(BadNode, match="may be replaced by an earlier one"):
        Plan(node(leaf("a"), needed))


# Inheritance


def test_queue_and_priority_come_from_above() -> None:
    """What a node does not say itself it has from the node above it."""
    plan = Plan(
        tree("top", leaf("a"), tree("g", leaf("b", leaf("x")), queue="q"), leaf("c", priority=0), priority=3, queue="p")
    )

    found = {plan.labels[row.id]: (row.lane.queue, row.priority) for row in plan.batch.rows}
    qs = {"x": ("q", 3), "b": ("q", 3), "g": ("q", 3)}
    assert {"a": ("p", 3), "c": ("p", 0), "top": ("p", 3)} | qs == found


def test_slots_and_units_are_a_nodes_own() -> None:
    """A slot is for one job, not for all under it."""
    plan = Plan(tree("top", leaf("a"), slot="s", units=4))

    assert (plan.row("a").lane.slot, plan.row("a").lane.units) == (None, 1)


def test_times_come_from_above() -> None:
    """A delayed group delays what stands in it, unless that has a time of its own."""
    plan = Plan(tree("top", tree("g", leaf("a"), leaf("b", at=9.0), delay=5), tree("h", leaf("c"), at=7.0)))

    by_label = {plan.labels[id]: delay for id, delay in plan.batch.delays.items()}
    assert by_label == {"g": 5.0, "a": 5.0}
    assert (plan.row("b").due, plan.row("c").due, plan.row("h").due) == (9.0, 7.0, 7.0)


def test_hold() -> None:
    """A held node holds all under it, until its own release."""
    plan = Plan(tree("top", leaf("a"), tree("g", leaf("b"), hold=True), hold=True))

    assert {plan.labels[row.id]: plan.name(row.hold) for row in plan.batch.rows} == {
        "a": "top",
        "b": "g",
        "g": "g",
        "top": "top",
    }


def test_hold_by_a_gate() -> None:
    """A node that names a gate is let go with it; the store makes sure that the gate is still held."""
    plan = Plan(tree("top", leaf("a"), tree("g", leaf("b"), hold=STORED)))

    assert (plan.row("a").hold, plan.row("b").hold, plan.row("g").hold) == (None, STORED, STORED)
    assert plan.batch.gates == [STORED]


def test_join_inherits() -> None:
    """A join stands in the queue of the group it belongs to, at its priority, held with it."""
    plan = Plan(tree("top", tree("g", leaf("a"), after=[Ref(STORED), Ref(OTHER)], queue="q", hold=True), priority=2))

    join = plan.row("join of g")
    assert (join.lane.queue, join.priority, plan.name(join.hold)) == ("q", 2, "g")


# Into a stored job


def test_into_a_stored_job() -> None:
    """What is added becomes children of the stored job, of its tree, behind those it has."""
    plan = Plan(leaf("a"), tree("b", leaf("c")), into=into(array=Array(2, OTHER), queue="q", priority=4, hold=STORED))

    assert (plan.batch.into, plan.batch.planned_size) == (STORED, 2)
    assert Array(4, plan.row("b").id, None) == plan.batch.array
    assert [(plan.name(e.before), e.place) for e in plan.batch.edges if e.after == STORED] == [("a", 2), ("b", 3)]
    assert {(STORED, "q", 4, STORED)} == {(r.tree, r.lane.queue, r.priority, r.hold) for r in plan.batch.rows}
    assert [plan.name(plan.row(label).parent) for label in "abc"] == [STORED, STORED, "b"]


def test_previous_goes_on_in_a_stored_array() -> None:
    """The first that is added may take the result of the last that is there."""
    plan = Plan(leaf("a").changed(previous=True), into=into(array=Array(1, OTHER)))

    assert (plan.waits(), plan.slots("a")) == ({(OTHER, "a"): "done"}, {OTHER: [["*"]]})


def test_blocking_goes_on_in_a_stored_array() -> None:
    """What is added waits for the last child that blocks, and then for what is added and blocks."""
    plan = Plan(leaf("a"), leaf("b", blocking=True), leaf("c"), into=into(array=Array(3, STORED, OTHER)))

    assert {(OTHER, "a"), (OTHER, "b"), ("b", "c")} == plan.waits().keys()
    assert plan.name(plan.batch.array and plan.batch.array.barrier) == "b"


def test_barrier_of_a_stored_array_stays() -> None:
    """Adding nodes that hold up nobody leaves the array's barrier where it was."""
    plan = Plan(leaf("a"), into=into(array=Array(3, STORED, OTHER)))

    assert Array(4, plan.row("a").id, OTHER) == plan.batch.array


def test_gates_of_a_stored_job_hold_up_what_is_added() -> None:
    """What the stored job waits for, all that is added waits for; a weaker word does not get past it."""
    gates = ((OTHER, When.DONE),)

    plan = Plan(leaf("a", leaf("x")), leaf("b", after=Ref(OTHER), when="ended"), into=into(gates=gates))

    assert plan.waits() == {(OTHER, "x"): "done", (OTHER, "a"): "done", ("x", "a"): "done", (OTHER, "b"): "done"}


def test_gates_of_a_stored_job_hold_up_what_is_named_there() -> None:
    """What is only named by what is added waits for them too."""
    plan = Plan(leaf("a", leaf("x"), after=[leaf("y"), Ref(OTHER)]), into=into(gates=((OTHER, When.DONE),)))

    assert ({OTHER}, {OTHER, "y"}) == (plan.before("y"), plan.before("join of a"))
    assert ({"join of a"}, {"join of a", "x", "y"}) == (plan.before("x"), plan.before("a"))


def test_paths_into_a_stored_job() -> None:
    """A mistake in what is added is named by its place among what is added."""
    with pytest.raises(BadNode, match=r"^jobs\[1\]\.jobs\[0\]: the first"):
        Plan(leaf("a"), tree("g", leaf("b").changed(previous=True)), into=into(array=Array(7, OTHER)))


# Pure


def test_planning_changes_nothing() -> None:
    """The same nodes planned twice give the same batch."""
    a = leaf("a")
    node = tree("top", a, leaf("b", a, after=leaf("c")), tree("g", leaf("d"), after=[a, Ref(STORED)]))

    first, second = Plan(node, names=Names()), Plan(node, names=Names())

    assert msgspec.json.encode(first.batch) == msgspec.json.encode(second.batch)
