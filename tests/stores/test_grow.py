"""Growing: a running job adds work, in the same step in which it is reported."""

from ramify.model import Batch, Edge, Kind, Refusal, State, Verb
from ramify.node import Ref
from tests.stores.kit import Desk, leaf, tree


def test_a_job_is_done_when_what_it_spawned_is_done(desk: Desk) -> None:
    """Spawned children run after the body; then the job ends without running again."""
    desk.add(leaf("a"))
    desk.claim()

    desk.exchange(desk.grown("a", desk.batch(leaf("one"), leaf("two"), into="a")))

    assert desk.states() == {"a": "waiting", "one": "ready", "two": "ready"}
    assert desk.work() == ["one", "two", "a"]
    assert desk.state("a") == "done"


def test_a_spawned_child_that_fails_fails_the_job(desk: Desk) -> None:
    """The end of a job whose body is over is decided by its children."""
    desk.add(leaf("a"))
    desk.claim()
    desk.exchange(desk.grown("a", desk.batch(leaf("child"), into="a")))

    desk.work(fail=["child"])

    assert desk.states() == {"a": "failed", "child": "failed"}


def test_a_job_runs_again_once_its_needs_are_met(desk: Desk) -> None:
    """Needs are found when the job runs; it waits for them and then runs, and knows that it need not look again."""
    desk.add(leaf("need"))
    desk.add(leaf("a"))
    desk.claim()
    desk.exchange(desk.back("need"), desk.grown("a", desk.needs("a", "need"), then="run"))
    before = desk.state("a")

    order = desk.work()

    assert (before, order) == ("waiting", ["need", "a"])
    assert (desk.row("a").grown, desk.state("a")) == (True, "done")


def test_siblings_hold_up_the_parent(desk: Desk) -> None:
    """What a child adds to its parent's array is waited for by the parent, and by what comes after the parent."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b")).options(blocking=True), leaf("later")))
    desk.claim(n=1)

    desk.exchange(desk.grown("a", desk.batch(leaf("added"), into="group")))

    assert desk.work() == ["a", "b", "added", "group", "later", "top"]
    assert desk.row("group").size == 3


def test_jobs_added_in_the_step_in_which_the_last_sibling_ends_are_waited_for(desk: Desk) -> None:
    """A blocking group whose last other child ends in the same exchange is not over: what was added counts."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b")).options(blocking=True), leaf("later")))
    desk.claim()

    desk.exchange(desk.ended("b"), desk.grown("a", desk.batch(leaf("added"), into="group")))
    one_step = desk.states()
    order = desk.work()

    assert (one_step["group"], one_step["later"], one_step["added"]) == ("waiting", "waiting", "ready")
    assert order == ["a", "added", "group", "later", "top"]


def test_children_and_siblings_of_one_run(desk: Desk) -> None:
    """One report may add to the job itself and to the array it stands in."""
    desk.add(tree("group", leaf("a"), leaf("b")))
    desk.claim()

    child, sibling = desk.batch(leaf("child"), into="a"), desk.batch(leaf("sibling"), into="group")
    desk.exchange(desk.grown("a", child, beside=sibling), desk.ended("b"))

    assert desk.states() == {"a": "waiting", "b": "done", "child": "ready", "group": "waiting", "sibling": "ready"}
    assert desk.work() == ["child", "a", "sibling", "group"]
    assert (desk.row("group").size, desk.row("a").size) == (3, 1)


def test_children_are_not_stored_without_the_siblings(desk: Desk) -> None:
    """If one of the two batches is outdated or waits for what is not stored, neither is there afterwards."""
    desk.add(tree("group", leaf("a"), leaf("b")), leaf("gone"))
    desk.claim()
    child, late = desk.batch(leaf("child"), into="a"), desk.batch(leaf("late"), into="group")
    child_again, lost = desk.batch(leaf("child"), into="a"), desk.batch(leaf("lost"), into="group")
    lost.edges.append(Edge(lost.rows[0].id, -1, "0" * 26, Kind.AFTER))

    no_such = desk.exchange(desk.grown("a", child_again, beside=lost)).refused[desk.ids["a"]]
    desk.exchange(desk.grown("b", desk.batch(leaf("first"), into="group")))
    outdated = desk.exchange(desk.grown("a", child, beside=late)).refused[desk.ids["a"]]

    assert (no_such.kind, outdated.kind) == ("bad", "changed")
    assert desk.states().keys() == {"a", "b", "first", "gone", "group"}


def test_an_outdated_plan_is_refused(desk: Desk) -> None:
    """When two jobs add to one array at once, the second is asked to plan again, and nothing of it is stored."""
    desk.add(tree("group", leaf("a"), leaf("b")))
    desk.claim()
    first, second = desk.batch(leaf("one"), into="group"), desk.batch(leaf("two"), into="group")

    reply = desk.exchange(desk.grown("a", first), desk.grown("b", second))
    after = desk.states()
    again = desk.exchange(desk.grown("b", desk.batch(leaf("two again"), into="group")))

    assert {desk.ids["b"]: Refusal("changed")} == reply.refused
    assert after == {"a": "ready", "b": "running", "group": "waiting", "one": "ready"}
    assert again.refused == {}


def test_an_unknown_predecessor_refuses_the_whole_outcome(desk: Desk) -> None:
    """A grown outcome that names a job which is not stored counts for nothing, and says why."""
    desk.add(leaf("a"))
    desk.claim()

    reply = desk.exchange(desk.grown("a", desk.batch(leaf("child").options(after=Ref("0" * 26)), into="a")))

    [refusal] = reply.refused.values()
    assert (refusal.kind, "so nothing can wait for it" in refusal.reason) == ("bad", True)
    assert desk.states() == {"a": "running"}


def test_a_need_that_waits_for_the_job_is_refused(desk: Desk) -> None:
    """A job cannot wait for what can only run after it: refused with the path."""
    desk.add(tree("top", leaf("a"), task="m:top"))
    desk.claim()

    reply = desk.exchange(desk.grown("a", desk.needs("a", "top"), then="run"))

    [refusal] = reply.refused.values()
    assert (refusal.kind, f"{desk.ids['top']} → {desk.ids['a']}" in refusal.reason) == ("bad", True)


def test_a_cancelled_job_adds_nothing(desk: Desk) -> None:
    """What a job reports to add after it was cancelled is not added; it ends cancelled."""
    desk.add(leaf("a"))
    desk.claim()
    desk.move(Verb.CANCEL, "a")

    reply = desk.exchange(desk.grown("a", desk.batch(leaf("child"), into="a")))

    assert (reply.refused, desk.states()) == ({}, {"a": "cancelled"})


def test_nothing_is_added_to_a_cancelled_parent(desk: Desk) -> None:
    """A tree that is cancelled while it grows does not grow any more."""
    desk.add(tree("top", tree("group", leaf("a")), leaf("b")))
    desk.claim()
    siblings = desk.batch(leaf("sibling"), into="group")
    children = desk.batch(leaf("child"), into="b")
    desk.start(Verb.CANCEL, "top")

    reply = desk.exchange(desk.grown("a", siblings), desk.grown("b", children))
    desk.drain()
    desk.work()

    assert reply.refused == {}
    assert {"cancelled"} == set(desk.states().values())


def test_what_a_held_tree_grows_is_held_with_it(desk: Desk) -> None:
    """A tree that was put on hold while a job ran does not start what that job adds."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim(n=1)
    desk.move(Verb.HOLD, "top")

    desk.exchange(desk.grown("a", desk.batch(leaf("child"), into="a")))
    held = desk.claim()
    desk.move(Verb.RELEASE, "top")

    assert held == []
    assert desk.work() == ["b", "child", "a", "top"]


def test_a_batch_planned_on_hold_can_be_reported_after_the_release(desk: Desk) -> None:
    """Reporting does not change the batch: repeated after a release, it does not bring the hold back."""
    desk.add(tree("top", leaf("a"), leaf("b")))
    desk.claim(n=1)
    desk.move(Verb.HOLD, "top")
    batch = desk.batch(leaf("child"), into="a")
    before = [row.hold for row in batch.rows]

    desk.exchange(desk.grown("a", batch))

    assert before == [row.hold for row in batch.rows]


def test_nothing_is_added_to_a_parent_that_does_not_wait(desk: Desk) -> None:
    """A job that was only named, failed and was retried cannot add siblings once its parent runs, or is over."""
    named = leaf("named")
    desk.add(leaf("top").options(after=named, when="ended"))
    desk.run("named", state=State.FAILED)
    desk.claim()
    desk.move(Verb.RETRY, "named")
    desk.claim()

    while_it_runs = desk.exchange(desk.grown("named", desk.batch(leaf("x"), into="top")))
    desk.end("top")
    once_it_is_over = desk.exchange(desk.grown("named", desk.batch(leaf("y"), into="top")))

    assert [reply.refused[desk.ids["named"]].kind for reply in (while_it_runs, once_it_is_over)] == ["bad", "bad"]
    assert desk.states() == {"named": "running", "top": "done"}


def test_added_jobs_see_the_array_as_it_is(desk: Desk) -> None:
    """`previous` and the last blocking sibling are those of the stored array."""
    desk.add(tree("group", leaf("a"), leaf("b").options(blocking=True)))
    desk.claim(n=1)

    desk.exchange(desk.grown("a", desk.batch(leaf("c", previous=True), leaf("d"), into="group")))

    edges = [(edge.before, edge.slots) for edge in desk.store.edges([desk.ids["c"]])]
    assert [(desk.ids["b"], [["*"]])] == edges
    assert [desk.ids["b"]] == [edge.before for edge in desk.store.edges([desk.ids["d"]])]
    assert (4, desk.ids["d"], desk.ids["b"]) == (
        desk.row("group").size,
        desk.row("group").last,
        desk.row("group").barrier,
    )


def test_a_project_document_grows_the_job_that_was_submitted_for_it(desk: Desk) -> None:
    """A job may grow any tree under itself, with groups and joins of its own."""
    desk.add(leaf("plan"))
    desk.claim()
    nodes = [tree("g1", leaf("x"), leaf("y")).options(blocking=True), tree("g2", leaf("z"), tree("g3", leaf("w")))]

    desk.exchange(desk.grown("plan", desk.batch(*nodes, into="plan")))
    order = desk.work()

    assert order.index("g1") < min(order.index(name) for name in ("z", "w"))
    assert order[-1:] == ["plan"]


def test_an_edge_into_a_grown_job_takes_a_place_of_its_own(desk: Desk) -> None:
    """Predecessors that are added later stand below the earlier ones."""
    desk.add(leaf("n1"))
    desk.add(leaf("n2"))
    desk.add(leaf("a").options(after=desk.ref("n1")))
    desk.run("n1")
    desk.claim(tasks=frozenset({"m:a"}))

    desk.exchange(desk.grown("a", desk.needs("a", "n1", "n2"), then="run"))

    assert [edge.place for edge in desk.store.edges([desk.ids["a"]])] == [-3, -2, -1]


def test_an_empty_spawn_ends_the_job(desk: Desk) -> None:
    """A job that adds nothing is ended like one that did."""
    desk.add(leaf("a"))
    desk.claim()

    desk.exchange(desk.grown("a", Batch(into=desk.ids["a"])))

    assert desk.work() == ["a"]


def test_a_job_whose_parent_is_cancelled_first_ends_with_it(desk: Desk) -> None:
    """What a job adds to a parent that is cancelled already is not added, and the job ends cancelled like it."""
    desk.add(tree("group", leaf("a"), leaf("b")))
    desk.claim()
    batch = desk.batch(leaf("sibling"), into="group")
    desk.start(Verb.CANCEL, "group")

    reply = desk.exchange(desk.grown("a", batch))

    assert (reply.refused, "sibling" in desk.states()) == ({}, False)
    assert (desk.state("a"), desk.row("a").cancelled) == ("cancelled", True)


def test_a_cancelled_job_adds_no_siblings(desk: Desk) -> None:
    """A job that was cancelled alone adds nothing to its parent, which lives on."""
    desk.add(tree("group", leaf("a"), leaf("b")))
    desk.claim()
    batch = desk.batch(leaf("sibling"), into="group")
    desk.move(Verb.CANCEL, "a")

    reply = desk.exchange(desk.grown("a", batch))

    assert (reply.refused, desk.row("group").size) == ({}, 2)
    assert desk.states() == {"a": "cancelled", "b": "running", "group": "waiting"}


def test_a_plan_made_on_hold_does_not_outlast_the_release(desk: Desk) -> None:
    """What was planned while the tree was on hold, and reported after its release, is not held."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b"))))
    desk.claim(n=1)
    desk.move(Verb.HOLD, "top")
    batch = desk.batch(leaf("sibling"), into="group")
    desk.move(Verb.RELEASE, "top")

    desk.exchange(desk.grown("a", batch))

    assert (batch.rows[0].hold, desk.state("sibling")) == (desk.ids["top"], "ready")


def test_a_plan_made_before_a_hold_is_held(desk: Desk) -> None:
    """What was planned for a part of a tree that was put on hold since is held with that part."""
    desk.add(tree("top", tree("group", leaf("a"), leaf("b"))))
    desk.claim(n=1)
    batch = desk.batch(leaf("sibling"), leaf("own").options(hold=True), into="group")
    desk.move(Verb.HOLD, "group")

    desk.exchange(desk.grown("a", batch))
    before = desk.state("sibling")
    desk.move(Verb.RELEASE, "group")

    assert (before, desk.state("sibling"), desk.state("own")) == ("held", "ready", "held")


def test_a_gate_that_was_let_go_refuses_the_outcome(desk: Desk) -> None:
    """A job cannot add what is blocked by a gate that has been released: nothing would ever let it go."""
    desk.add(leaf("gate").options(hold=True))
    desk.add(leaf("a"))
    desk.claim()
    batch = desk.batch(leaf("child").options(hold=desk.ids["gate"]), into="a")
    desk.move(Verb.RELEASE, "gate")

    reply = desk.exchange(desk.grown("a", batch))

    assert reply.refused[desk.ids["a"]].kind == "bad"
    assert desk.states() == {"gate": "ready", "a": "running"}
