"""`ramify cancel` and `ramify retry`."""

from ramify import Ramify, group, job
from tests.cli.conftest import Command
from tests.face.tasks import boom, double


def test_cancel_takes_several(app: Ramify, ask: Command) -> None:
    """All that are named are cancelled with what is under them, each with a line."""
    one = app.enqueue(group(job(double, 1), label="one"))
    two = app.enqueue(job(double, 2).options(label="two"))

    reply = ask("cancel", one.id, two.id.upper())

    assert (reply.code, reply.out) == (0, "one is cancelled\ntwo is cancelled\n")
    assert [one.state, one.children[0].state, two.state] == ["cancelled", "cancelled", "cancelled"]


def test_cancel_says_what_had_ended(app: Ramify, ask: Command) -> None:
    """A job that is over stays as it is."""
    over = app.enqueue(double, 1)
    app.run_until_empty()

    assert ask("cancel", over.id).out == "double had ended: it is done\n"
    assert over.state == "done"


def test_retry_makes_it_run_again(app: Ramify, ask: Command) -> None:
    """A failed tree goes back to the queue, without what is done."""
    tree = app.enqueue(group(job(double, 1), job(boom, "it is broken"), label="both"))
    app.run_until_empty()

    reply = ask("retry", tree.id)

    assert (reply.code, reply.out) == (0, "both will be tried again\n")
    assert [tree.state, *(child.state for child in tree.children)] == ["waiting", "done", "ready"]


def test_retry_leaves_alone_what_needs_none(app: Ramify, ask: Command) -> None:
    """What is done or has not ended stays as it is, and says so."""
    done = app.enqueue(double, 1)
    app.run_until_empty()
    ready = app.enqueue(double, 2)

    reply = ask("retry", done.id, ready.id)

    assert reply.out == "double is left alone: it is done\ndouble is left alone: it has not ended: it is ready\n"


def test_retry_names_what_it_waits_for_elsewhere(app: Ramify, ask: Command) -> None:
    """A cause in another tree is not retried with it, but named."""
    cause = app.enqueue(boom, "it is broken")
    skipped = app.enqueue(job(double, 1).options(after=cause))
    app.run_until_empty()

    reply = ask("retry", skipped.id)

    assert f"it waits for {cause.id} in another tree" in reply.out
