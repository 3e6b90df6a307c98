"""`ramify suspend`, `resume` and `limit`."""

import json

from ramify import Ramify, job
from ramify.model import Rule
from tests.cli.conftest import Command
from tests.face.tasks import double


def test_a_suspension_stops_starts_until_it_is_resumed(app: Ramify, ask: Command) -> None:
    """Only of the queue that is named; a limit that it had comes back with `resume`."""
    mail = app.enqueue(job(double, 1).options(queue="mail"))
    other = app.enqueue(double, 1)
    ask("limit", "queue:mail", "3")

    suspended = ask("suspend", "--queue", "mail")
    app.run_until_empty(["default", "mail"])
    states = [mail.state, other.state]
    resumed = ask("resume", "--queue", "mail")
    app.run_until_empty(["default", "mail"])

    assert suspended.out == "queue mail is suspended; 0 still running\n"
    assert states == ["ready", "done"]
    assert resumed.out == "queue mail goes on\n"
    assert mail.state == "done"
    assert app.store.info().limits == {"queue:mail": Rule(3)}


def test_without_names_all_is_meant(app: Ramify, ask: Command) -> None:
    """`resume` alone lifts every suspension."""
    stored = app.enqueue(double, 1)
    ask("suspend")
    ask("suspend", "--task", "tests.face.tasks:double", "--queue", "default")
    app.run_until_empty()

    before = stored.state
    resumed = ask("resume")
    app.run_until_empty()

    assert (before, stored.state) == ("ready", "done")
    assert sorted(resumed.out.splitlines()) == [
        "everything goes on",
        "queue default goes on",
        "task tests.face.tasks:double goes on",
    ]
    assert ask("resume").out == "everything was not suspended\n"


def test_a_suspension_may_end_by_itself(app: Ramify, ask: Command) -> None:
    """`--duration` is kept in the store, so nobody has to wait for its end."""
    stored = app.enqueue(double, 1)

    told = json.loads(ask("suspend", "--duration", "2h", "--json").out)
    listed = ask("info").out
    ask("suspend", "--duration", "0")
    app.run_until_empty()

    assert (told["scope"], told["source"], told["running"]) == ("all", "suspended", 0)
    assert told["until"] > 0
    assert "everything is suspended until " in listed
    assert stored.state == "done"


def test_an_unknown_queue_is_suspended_and_pointed_out(app: Ramify, ask: Command) -> None:
    """Its jobs may come later."""
    app.enqueue(job(double, 1).options(queue="mail"))

    reply = ask("suspend", "--queue", "mial")

    assert reply.code == 0
    assert reply.err == "note: there is no job of queue mial; did you mean 'mail'?\n"


def test_limits_are_set_shown_and_taken_away(app: Ramify, ask: Command) -> None:
    """A limit counts running jobs of a queue, task, slot, host or all."""
    app.store.limit("declared:task:m:f", Rule(2))
    app.store.limit("suspended:all", Rule(0))

    one = ask("limit", "slot:db", "2").out
    many = ask("limit").out
    shown = ask("limit", "slot:db").out
    gone = ask("limit", "slot:db", "none").out

    assert one == shown == "limit on slot:db: 2 running\n"
    assert many.splitlines() == [
        "limit on task:m:f: 2 running, as the task declares",
        "limit on slot:db: 2 running",
        "everything is suspended",
    ]
    assert gone == "no limit on slot:db\n"
    assert [json.loads(line) for line in ask("limit", "--json").out.splitlines()] == [
        {"scope": "task:m:f", "source": "declared", "n": 2, "until": None},
        {"scope": "all", "source": "suspended", "n": 0, "until": None},
    ]
