"""What tasks say of themselves, clocks, and forgetting everything."""

import pytest

from ramify.declared import Declaration, Given, Need, Parameter
from ramify.errors import Changed, Lost
from ramify.model import Batch, Clock, Rule, Want
from ramify.node import Options
from tests.stores.kit import Desk, leaf

TASK = Declaration(
    name="m:bar",
    parameters=(
        Parameter("path", required=True, type="str", help="a file"),
        Parameter("letter", allowed=("A", "B"), default="A"),
        Parameter("rest", "rest"),
    ),
    help="Does it.",
    how=Options(queue="q", priority=3, units=2),
    needs=(Need("m:foo", 6.0, (Given("path", same=(("+", ".txt"),)), Given("number", 10))),),
    limit=3,
    asked=(("path",),),
)


def test_tasks_are_kept_as_they_were_declared(desk: Desk) -> None:
    """What is declared comes back by name, all of it, in order of the names."""
    other = Declaration(name="m:foo")
    desk.store.declare([other, TASK])

    assert [TASK, other] == desk.store.tasks()
    assert [TASK] == desk.store.tasks(["m:bar", "m:unknown"])


def test_declaring_again_replaces(desk: Desk) -> None:
    """The last word counts, for the limit too; what is gone is forgotten with its limit."""
    desk.store.declare([TASK, Declaration(name="m:old", limit=1)])
    desk.store.limit("task:m:old", Rule(7))
    before = desk.store.info().limits

    desk.store.declare([Declaration(name="m:bar", limit=5)], gone=["m:old"])

    assert before == {"declared:task:m:bar": Rule(3), "declared:task:m:old": Rule(1), "task:m:old": Rule(7)}
    assert desk.store.info().limits == {"declared:task:m:bar": Rule(5), "task:m:old": Rule(7)}
    assert desk.store.tasks() == [Declaration(name="m:bar", limit=5)]


def test_a_clock_takes_each_step_once(desk: Desk) -> None:
    """Who would move a clock from where it does not stand any more adds nothing."""
    tick = desk.batch(leaf("tick"))
    late = desk.batch(leaf("late"))
    desk.store.add(Batch(clock=Clock("c", None, 10.0)))
    tick.clock = late.clock = Clock("c", 10.0, 20.0)

    desk.store.add(tick)
    with pytest.raises(Changed, match=r"the clock c stands at 20\.0, not at 10\.0"):
        desk.store.add(late)

    assert (desk.states(), desk.store.info().clocks) == ({"tick": "ready"}, {"c": 20.0})


def test_reset_forgets_everything(desk: Desk) -> None:
    """Nothing is left of jobs, limits, tasks and clocks; workers find their sessions lost, and may begin anew."""
    desk.store.declare([TASK])
    desk.store.limit("all", Rule(1))
    desk.add(leaf("a", marks=("red",)), request="r")
    desk.store.add(Batch(clock=Clock("c", None, 10.0)))
    desk.claim()

    desk.store.reset()

    with pytest.raises(Lost):
        desk.store.exchange("s", (), Want(9))
    info = desk.store.info()
    assert (desk.rows(), desk.store.tasks(), info.limits, info.clocks, info.sessions) == ([], [], {}, {}, [])
    desk.enter("s")
    desk.add(leaf("b"))
    assert desk.claim() == ["b"]
