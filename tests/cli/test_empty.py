"""`ramify empty`: what has not begun goes, what runs stays."""

import json

from ramify import Ramify, group, job
from ramify.graph.check import find_violations
from ramify.model import Rule, Session, Want
from tests.cli.conftest import Command, run
from tests.face.tasks import double


def test_whole_trees_go_away(app: Ramify, ask: Command) -> None:
    """Trees of which nothing has begun are deleted, whatever state their jobs are in."""
    app.enqueue(group(job(double, 1), group(job(double, 2)), body=job(double, 3)))
    app.enqueue(job(double, 4).options(hold=True))
    app.enqueue(job(double, 5).options(delay=60))
    kept = app.enqueue(job(double, 6).options(queue="mail"))

    reply = ask("empty", "default")

    assert (reply.code, reply.out, reply.err) == (0, "6 jobs removed from default\n", "")
    assert [job.id for job in app.jobs()] == [kept.id]
    assert app.store.info().limits == {}
    assert find_violations(app.store.snapshot()) == []


def test_what_runs_is_left_alone_with_what_stands_above_it(app: Ramify, ask: Command) -> None:
    """A running job is not touched; the rest of its tree is cancelled, and ends when that has ended."""
    tree = app.enqueue(group(job(double, 1), job(double, 2), label="tree"))
    app.store.enter(Session("s"))
    app.store.exchange("s", [], Want(n=1))

    reply = ask("empty", "default")

    assert reply.out == "1 job removed from default\n"
    assert "1 of them belong to trees that had begun: they are cancelled" in reply.err
    assert "1 stay, as they have jobs under them that run" in reply.err
    assert [tree.state, *(child.state for child in tree.children)] == ["waiting", "running", "cancelled"]
    app.store.leave("s")
    assert run("worker", "tests.face.tasks", "--burst", "-n", "1").code == 1
    assert [tree.state, *(child.state for child in tree.children)] == ["cancelled", "done", "cancelled"]


def test_other_queues_are_left_alone(app: Ramify, ask: Command) -> None:
    """A job of another queue under a job of this one stays, and so does what waits for it."""
    tree = app.enqueue(group(job(double, 1).options(queue="mail"), job(double, 2)))

    ask("empty", "default")

    assert [tree.state, *(child.state for child in tree.children)] == ["waiting", "ready", "cancelled"]


def test_what_others_wait_for_is_cancelled_so_that_they_end(app: Ramify, ask: Command) -> None:
    """A tree that a job elsewhere waits for cannot vanish."""
    first = app.enqueue(double, 1)
    second = app.enqueue(job(double, 2).options(after=first, queue="mail"))

    reply = ask("empty", "default", "--json")

    assert json.loads(reply.out) == {"queues": ["default"], "removed": 1, "deleted": 0, "cancelled": 1, "kept": 0}
    app.run_until_empty(["mail"])
    assert [first.state, second.state] == ["cancelled", "skipped"]


def test_a_suspension_survives(app: Ramify, ask: Command) -> None:
    """Emptying suspends a queue for a moment, but does not resume one that was suspended before."""
    app.enqueue(double, 1)
    app.store.limit("suspended:queue:default", Rule(0))

    ask("empty", "default")

    assert app.store.info().limits == {"suspended:queue:default": Rule(0)}


def test_very_many_jobs_go_away_too(app: Ramify, ask: Command) -> None:
    """More than one page of them, single jobs and a tree."""
    app.enqueue(group(*(job(double, n) for n in range(2500))))
    for n in range(30):
        app.enqueue(double, n)

    assert ask("empty", "default").out == "2,531 jobs removed from default\n"
    assert app.counts() == {}


def test_a_queue_that_nobody_knows_is_pointed_out(app: Ramify, ask: Command) -> None:
    """Nothing is removed, and the status is good: the queue is empty."""
    app.enqueue(job(double, 1).options(queue="mail"))

    reply = ask("empty", "mial")

    assert (reply.code, reply.out) == (0, "0 jobs removed from mial\n")
    assert reply.err == "note: there is no job of queue 'mial'; did you mean 'mail'?\n"
