"""What running jobs say: kept in order, by the session that has the job, and not without end."""

from ramify.model import Line, Verb
from ramify.stores.protocol import LOG
from tests.stores.kit import Desk, leaf


def texts(desk: Desk, label: str, after: int = 0) -> list[tuple[int, str, str]]:
    return [(line.number, line.stream, line.text) for line in desk.store.log(desk.ids[label], after)]


def test_lines_are_kept_in_order(desk: Desk) -> None:
    """Lines come back in the order in which they were said, each job's by itself, from any number on."""
    desk.add(leaf("a"))
    desk.add(leaf("b"))
    desk.claim()
    a, b = desk.ids["a"], desk.ids["b"]
    desk.store.append("s", [Line(a, "one"), Line(b, "other"), Line(a, "two", "err")])
    desk.store.append("s", [Line(a, "three")])

    assert texts(desk, "a") == [(1, "out", "one"), (2, "err", "two"), (3, "out", "three")]
    assert texts(desk, "a", 2) == [(3, "out", "three")]
    assert texts(desk, "b") == [(1, "out", "other")]
    assert desk.store.log(a, 0, 2) == desk.store.log(a)[:2]


def test_only_the_owner_speaks(desk: Desk) -> None:
    """What another session says of a job, or anybody of a job that does not run, is dropped."""
    desk.enter("other")
    desk.add(leaf("a"))
    desk.store.append("s", [Line(desk.ids["a"], "too early")])
    desk.claim()
    desk.store.append("other", [Line(desk.ids["a"], "not mine")])
    desk.store.append("s", [Line(desk.ids["a"], "mine"), Line("none", "nobody's")])
    desk.end("a")
    desk.store.append("s", [Line(desk.ids["a"], "too late")])

    assert texts(desk, "a") == [(1, "out", "mine")]


def test_a_long_log_keeps_its_end(desk: Desk) -> None:
    """The newest lines are kept; their numbers tell how many are gone."""
    desk.add(leaf("a"))
    desk.claim()
    job = desk.ids["a"]
    desk.store.append("s", [Line(job, str(n)) for n in range(1, LOG + 1)])
    desk.store.append("s", [Line(job, "last"), Line(job, "of all")])

    kept = desk.store.log(job, 0, 2 * LOG)
    assert (len(kept), kept[0].text, kept[0].number, kept[-1].text) == (LOG, "3", 3, "of all")


def test_a_log_goes_on_in_the_next_try(desk: Desk) -> None:
    """Another try adds to what the ones before said, and a store that is opened again has all of it."""
    desk.add(leaf("a"))
    desk.claim()
    desk.store.append("s", [Line(desk.ids["a"], "first")])
    desk.exchange(desk.again("a"))
    desk.claim()
    desk.store.append("s", [Line(desk.ids["a"], "second")])
    desk.reopen()

    assert texts(desk, "a") == [(1, "out", "first"), (2, "out", "second")]


def test_a_purge_takes_the_log(desk: Desk) -> None:
    """A job that is forgotten leaves no lines."""
    desk.add(leaf("a"))
    desk.claim()
    desk.store.append("s", [Line(desk.ids["a"], "gone")])
    desk.end("a")
    desk.move(Verb.PURGE, "a")

    assert texts(desk, "a") == []
