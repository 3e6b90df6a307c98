"""One job's data is no trouble but its own: neither the worker nor the jobs beside it notice."""

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from ramify.codec import decode
from ramify.errors import StoreDown
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Line, Policy, Session, Want, Which
from ramify.node import Node
from ramify.stores.gather import gather
from ramify.stores.memory import Memory
from ramify.stores.protocol import SLICE
from ramify.tasks import Tasks
from ramify.worker.call import Report
from ramify.worker.desk import Desk
from ramify.worker.loop import Worker
from tests.stores.kit import MEMORY, STORES, Clock
from tests.worker.conftest import JOBS, Place, call, group

NEEDY = "tests.worker.needy"
DEEP = b"[" * 900 + b"]" * 900


def add(place: Place, task: str, args: bytes = b"[[1],{}]", policy: Policy | None = None) -> str:
    """Store a job as no program does: past what checks its arguments and options."""
    batch = plan(sketch([Node(f"{NEEDY}:{task}", (1,))]), make_ids)
    [id] = batch.payloads
    batch.payloads[id].args = args
    batch.payloads[id].policy = policy or Policy()
    place.store.add(batch)
    return id


def test_poison_ends_itself_and_nothing_else(place: Place) -> None:
    """A worker that meets arguments or times that nobody can read goes on; each such job says what is wrong with it."""
    poison = {
        add(place, "needy", b"[[" + DEEP + b"],{}]"): ("failed", "needs", "more than 64 lists and dictionaries"),
        add(place, "needy", b"[[1e400],{}]"): ("failed", "needs", "not JSON"),
        add(place, "needy", b"[[" + b"9" * 5000 + b"],{}]"): ("failed", "needs", "not JSON"),
        add(place, "needy", b"[3]"): ("failed", "needs", "unpack"),
        add(place, "plain", policy=Policy(start_before=-1e300)): ("skipped", "late", "0001-01-01 00:00:00 UTC"),
        add(place, "plain", b"[[1e400],{}]"): ("failed", "arguments", "not JSON"),
        add(place, "plain", b"[3]"): ("failed", "arguments", "unpack"),
    }
    sound = [add(place, task) for task in ("plain", "plain", "needy")]

    Worker(place.store, [NEEDY], children=1, burst=True).run()

    for job, (state, kind, message) in poison.items():
        failure = place.left(job).failure
        assert failure is not None
        assert (place.row(job).state, failure.kind) == (state, kind)
        assert message in failure.message
    assert [place.value(job) for job in sound] == ["done"] * 3
    assert {(row.tries, row.crashes, row.losses) for row in place.store.jobs(Which())} == {(0, 0, 0)}


def test_what_is_wrong_with_an_outcome_is_its_own_jobs_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised while the outcome of a run is decided fails that job; a store that is down fails none."""
    store = Memory()
    place = Place(store, "memory:")
    ids = [place.add(call("nest", 1)) for _ in range(2)]
    raised: list[Exception] = [MemoryError("no room"), StoreDown("away")]

    def prepare(flats: Any) -> None:
        raise raised[0]

    desk = Desk(store, ("default",), Tasks([JOBS]), set)
    desk.open()
    desk.exchange(Want(10))
    report_nest(desk)
    monkeypatch.setattr(desk.arranger.known, "prepare", prepare)
    raised.reverse()
    with pytest.raises(StoreDown):
        desk.exchange(Want(0))
    raised.reverse()
    desk.exchange(Want(0))

    assert [(place.failure(id).kind, place.failure(id).message) for id in ids] == [("result", "no room")] * 2


def report_nest(desk: Desk) -> None:
    """Report that each claimed job adds another."""
    flats = sketch([call("double", 1)])
    desk.report([(claim, Report(1, spawned=list(flats)), False) for claim in desk.claims])
    desk.claims.clear()


@pytest.mark.parametrize("name", STORES)
def test_a_line_that_cannot_be_stored_is_given_up_alone(name: str) -> None:
    """All other lines are in the log; where the store refused one, the log says so, and the worker goes on."""
    poison = "zero \0 surrogate \ud800"
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = STORES[name](Path(folder), Clock(), SLICE)
        store.add(batch := plan(sketch([call("double", 1)]), make_ids))
        [job] = [row.id for row in batch.rows]
        desk = Desk(store, ("default",), Tasks([JOBS]), set)
        desk.open()
        desk.exchange(Want(10))

        desk.say([Line(job, poison if n in {3, 7} else str(n)) for n in range(10)])
        desk.append()
        desk.say([Line(job, poison, "err")])
        desk.report([(claim, Report(1, json=b"1"), False) for claim in desk.claims])
        desk.exchange(Want(0))

        said = [line.text for line in store.log(job)]
        odd = [said[3], said[7], said[10]]
        assert [text for text in said if text not in odd] == [str(n) for n in range(10) if n not in {3, 7}]
        assert all(text == poison or "a line is missing here, for the store refused it: " in text for text in odd)
        assert ([row.state for row in store.jobs(Which())], desk.lines) == (["done"], [])
        store.close()


@pytest.mark.parametrize(("lateness", "state"), [(-60.0, "ready"), (60.0, "skipped")])
def test_a_loss_is_no_beginning(place: Place, lateness: float, state: str) -> None:
    """A job that was claimed too late and lost with its worker was not begun by it; one that was in time may have been,
    and begins anew whenever that is.
    """
    job = place.add(call("double", 1, policy=Policy(start_before=time.time() - lateness)))
    place.store.enter(Session("lost", "host", 1, ("default",), (f"{JOBS}:double",), time.time()))
    place.store.exchange("lost", [], Want(1))
    place.store.leave("lost")

    desk = Desk(place.store, ("default",), Tasks([JOBS]), set)
    desk.open()
    desk.adopt()
    desk.exchange(Want(0))

    assert (place.row(job).state, place.row(job).losses) == (state, int(state == "ready"))
    failure = place.left(job).failure
    assert failure is not None
    assert failure.kind == ("late" if state == "skipped" else "crashed")


def test_the_result_of_a_thousand_groups_in_each_other(place: Place) -> None:
    """What they return is read at any depth, and handed over."""
    deep = call("double", 1)
    for _ in range(1100):
        deep = group(deep)
    first = place.add(deep)
    second = place.add(Node(f"{NEEDY}:plain", (deep,)))
    Worker(place.store, [JOBS, NEEDY], children=1, burst=True).run()

    value, levels = decode(gather(place.store, [first])[first].json), 0
    while isinstance(value, list):
        [value], levels = value, levels + 1
    assert (value, levels) == (2, 1100)
    assert place.value(second) == "done"
