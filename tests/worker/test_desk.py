"""What the worker tells the store and what survives when that is down or has given the session up."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from ramify.errors import Lost, StoreDown
from ramify.model import Again, Claim, Line, Verb, Want, Which
from ramify.stores.memory import Memory
from ramify.stores.protocol import LOG
from ramify.system import clock
from ramify.tasks import Tasks
from ramify.worker.call import Report
from ramify.worker.desk import FENCE, Desk
from tests.worker.conftest import Place, call, group

ALL = Want(10)


class Torn(Memory):
    """A store whose connection breaks before or after a call, when told to."""

    broken: str = ""

    def exchange(self, *arguments: Any) -> Any:
        if self.broken == "before":
            raise StoreDown("the connection broke")
        reply = super().exchange(*arguments)
        if self.broken == "after":
            raise StoreDown("the reply was lost")
        return reply


@pytest.fixture
def store() -> Torn:
    return Torn()


@pytest.fixture
def place(store: Torn) -> Place:
    return Place(store, "memory:")


def open_desk(store: Memory, running: Callable[[], set[str]] = set) -> Desk:
    desk = Desk(store, ("default",), Tasks(), running)
    desk.open()
    return desk


def claim(desk: Desk) -> list[Claim]:
    desk.exchange(ALL)
    claims, desk.claims = desk.claims, []
    return claims


def done(claims: list[Claim]) -> list[tuple[Claim, Report, bool]]:
    return [(claim, Report(1, json=b"1"), False) for claim in claims]


@pytest.mark.parametrize("when", ["before", "after"])
def test_outcomes_outlive_a_store_that_is_down(store: Torn, place: Place, when: str) -> None:
    """Outcomes are told again until the store has taken them, whether or not it had."""
    job = place.add(call("double", 1))
    desk = open_desk(store)
    desk.report(done(claim(desk)))

    store.broken = when
    with pytest.raises(StoreDown):
        desk.exchange(ALL)
    store.broken = ""
    desk.exchange(ALL)

    assert (place.row(job).state, desk.outcomes) == ("done", [])


def test_claims_in_a_lost_reply_go_back(store: Torn, place: Place) -> None:
    """Jobs that were given to us in a reply that never came are given back; those that run here are not."""
    first = place.add(call("double", 1))
    running: set[str] = set()
    desk = open_desk(store, lambda: running)
    running |= {mine.row.id for mine in claim(desk)}
    second = place.add(call("double", 2))

    store.broken = "after"
    with pytest.raises(StoreDown):
        desk.exchange(ALL)
    store.broken = ""
    desk.exchange(Want(0))

    assert [place.row(first).state, place.row(second).state] == ["running", "ready"]


def test_lost_session_forgets(store: Torn, place: Place) -> None:
    """After the session was given up nothing of it is told, and a new one begins."""
    place.add(call("double", 1))
    desk = open_desk(store)
    desk.report(done(claim(desk)))
    store.leave(desk.session)

    with pytest.raises(Lost):
        desk.exchange(ALL)
    desk.forget()
    desk.open()
    desk.exchange(Want(0))

    assert not desk.has_work()


def test_jobs_of_the_dead_are_adopted(store: Torn, place: Place) -> None:
    """What a session left behind runs again, charged as a loss."""
    job = place.add(call("double", 1))
    other, desk = open_desk(store), open_desk(store)
    claim(other)
    store.leave(other.session)

    desk.adopt()
    [again] = claim(desk)

    assert (job, 1, 2) == (again.row.id, again.row.losses, again.row.attempt)


def test_overdue_tree_is_cancelled(place: Place) -> None:
    """A tree past its time limit is cancelled, and says what was unfinished."""
    now = [1000.0]
    place.store = Memory(clock=lambda: now[0])
    root = place.add(group(call("double", 1).changed(label="slow one")).changed(limit=10.0))
    desk = open_desk(place.store)

    now[0] += 11
    desk.beat([])
    while desk.exchange(Want(0)) or desk.has_work():
        pass

    failure = place.left(root).failure
    assert failure is not None
    assert (place.row(root).state, failure.kind) == ("cancelled", "limit")
    assert "slow one" in failure.message


def test_siblings_of_several_are_planned_again(store: Torn, place: Place) -> None:
    """If an array changed since it was read, the addition is planned again."""
    from ramify.graph.sketch import sketch

    root = place.add(group(call("grow", 1), call("grow", 1)))
    desk = open_desk(store)
    reports = [(mine, Report(1, json=b"1", siblings=sketch([call("double", 1)])), False) for mine in claim(desk)]

    desk.report(reports)
    while desk.has_outcomes():
        desk.exchange(Want(0))

    assert place.row(root).size == 4


def test_cancels_are_heard(store: Torn, place: Place) -> None:
    """A running job that is cancelled is among the cancels of the next beat."""
    job = place.add(call("double", 1))
    desk = open_desk(store)
    claim(desk)

    store.move(Which(ids=(job,)), Verb.CANCEL)
    desk.beat([])

    assert [job] == desk.cancels


def test_outcomes_that_come_while_an_exchange_goes_on_are_told_by_the_next(store: Torn, place: Place) -> None:
    """An exchange beside takes what there was when it began; the rest is not forgotten, nor told too soon."""
    jobs = [place.add(call("double", n)) for n in range(2)]
    desk = open_desk(store)
    first, second = claim(desk)
    begun: list[Future[Any]] = []

    desk.report(done([first]))
    desk.begin(Want(0), lambda *_: begun.append(Future()) or begun[0])
    desk.report(done([second]))
    assert (desk.is_exchanging(), desk.is_answered()) == (True, False)
    begun[0].set_result(store.exchange(desk.session, desk.outcomes[:1], Want(0)))
    desk.finish()

    assert [place.row(job).state for job in jobs] == ["done", "running"]
    assert [outcome.job for outcome in desk.outcomes] == [second.row.id]


def test_the_end_of_a_desk_waits_for_its_exchange(store: Torn, place: Place) -> None:
    """Who closes the desk while an exchange goes on leaves nothing untold."""
    job = place.add(call("double", 1))
    desk = open_desk(store)
    desk.report(done(claim(desk)))

    with ThreadPoolExecutor(1) as second:
        desk.begin(Want(0), second.submit)
        desk.close()

    assert (place.row(job).state, desk.outcomes, desk.session) == ("done", [], "")


def test_an_exchange_of_a_lost_session_is_dropped(store: Torn, place: Place) -> None:
    """What comes of an exchange in a session that was given up meanwhile is nobody's."""
    place.add(call("double", 1))
    desk = open_desk(store)
    desk.report(done(claim(desk)))
    store.leave(desk.session)

    with ThreadPoolExecutor(1) as second:
        desk.begin(ALL, second.submit)
        desk.forget()

    assert not (desk.is_exchanging() or desk.has_work())


def test_a_log_says_how_much_of_it_is_missing(store: Torn, place: Place) -> None:
    """If a store is away for so long that lines must be given up, the log of each job says how many."""
    loud, quiet = place.add(call("double", 1)), place.add(call("double", 2))
    desk = open_desk(store)
    claim(desk)

    desk.say([Line(quiet, "early"), Line(quiet, "earlier")])
    desk.say([Line(loud, str(n)) for n in range(4 * LOG)])
    desk.say([Line(quiet, "late")])
    desk.append()

    told = [line.text for line in store.log(quiet, 0)]
    assert ["… lines that are missing here, for the store was away for long: 2", "late"] == told
    assert str(4 * LOG - 1) == store.log(loud, 0, 5 * LOG)[-1].text


def test_a_worker_knows_when_it_may_be_taken_for_dead(store: Torn, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is so once the store has not answered for nearly a lease; it counts from when it was last asked."""
    now = clock()
    monkeypatch.setattr("ramify.worker.desk.clock", lambda: now)
    desk = open_desk(store)
    assert not desk.is_cut_off()

    now += FENCE + 0.1

    assert desk.is_cut_off()
    desk.beat([])
    assert not desk.is_cut_off()


def test_a_second_try_in_a_lost_reply_is_not_forgotten(store: Torn, place: Place) -> None:
    """If the reply that takes a first try's failure brings the second try, and is lost, that one is given back."""
    job = place.add(call("double", 1))
    desk = open_desk(store)
    [first] = claim(desk)
    desk.end(first.row, Again(job, first.row.attempt, 0.0))
    store.broken = "after"
    with pytest.raises(StoreDown):
        desk.exchange(ALL)
    store.broken = ""
    assert (place.row(job).state, place.row(job).attempt) == ("running", 2)

    again = [*claim(desk), *claim(desk)]

    assert [(job, 3)] == [(each.row.id, each.row.attempt) for each in again]
