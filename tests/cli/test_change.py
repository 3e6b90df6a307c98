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

    reply = ask("cancel", over.id)

    assert (1, "") == (reply.code, reply.out)
    assert reply.err == f"ramify: double ({over.id}) is left alone: it had ended already, and is done\n"
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

    assert (1, "") == (reply.code, reply.out)
    assert reply.err.splitlines() == [
        f"ramify: double ({done.id}) is left alone: it is done, and what is done never runs again",
        f"ramify: double ({ready.id}) is left alone: it has not ended: it is ready; "
        f"`ramify explain {ready.id}` says why",
    ]


def test_what_can_be_done_is_done_beside_what_cannot(app: Ramify, ask: Command) -> None:
    """One job that is left alone does not keep the others from being changed; the status says that not all went."""
    over, ready = app.enqueue(double, 1), app.enqueue(job(double, 2).options(queue="later"))
    app.run_until_empty()

    reply = ask("cancel", over.id, ready.id)

    assert (reply.code, reply.out, ready.state) == (1, "double is cancelled\n", "cancelled")


def test_a_running_job_is_told_to_stop(app: Ramify, ask: Command) -> None:
    """It is not cancelled before it has stopped; being told twice changes nothing."""
    app.enqueue(double, 1)
    running = app.claim()
    assert running is not None

    first, second = ask("cancel", running.id), ask("cancel", running.id)

    assert (first.code, first.out) == (0, "double is told to stop\n")
    assert "it was told to stop already: it is running" in second.err


def test_retry_leaves_alone_what_another_job_stands_for(app: Ramify, ask: Command) -> None:
    """Of unique jobs with one key one is unfinished; it is named."""
    first = app.enqueue(job(boom, "one").options(unique="key"))
    app.run_until_empty()
    second = app.enqueue(job(boom, "two").options(unique="key"))

    one, many = ask("retry", first.id), ask("retry", "--all")

    assert (one.code, one.err) == (
        1,
        f"ramify: boom ({first.id}) is left alone: it stays failed, for job {second.id} with the same unique key "
        "has not ended: wait for its end, or cancel it\n",
    )
    assert (many.code, first.state) == (0, "failed")


def test_retry_takes_all_that_failed_at_once(app: Ramify, ask: Command) -> None:
    """`--all` and `--queue` need no ids; what was skipped because of it comes back with it."""
    first = app.enqueue(boom, "it is broken")
    skipped = app.enqueue(job(double, 1).options(after=first))
    mail = app.enqueue(job(boom, "it is broken").options(queue="mail"))
    app.run_until_empty(["default", "mail"])

    one, many = ask("requeue", "--queue", "mail"), ask("retry", "--all")

    assert one.out == "1 failed job of queue mail will be tried again\n"
    assert many.out == "1 failed job will be tried again\n"
    assert [first.state, skipped.state, mail.state] == ["ready", "waiting", "ready"]


def test_retry_of_a_queue_that_nobody_knows_says_so(app: Ramify, ask: Command) -> None:
    """A queue that is not there is a slip of the pen."""
    app.enqueue(job(boom, "it is broken").options(queue="mail"))

    for reply in ask("retry", "--queue", "mial"), ask("retry", "--queue", "mial", "--json"):
        assert (reply.code, reply.err) == (1, "ramify: there is no job of queue 'mial'; did you mean 'mail'?\n")


def test_release_lets_a_held_tree_go(app: Ramify, ask: Command) -> None:
    """All that is held with a job goes with it; who holds another is named."""
    tree = app.enqueue(group(job(double, 1), label="both").options(hold=True))
    child = tree.children[0]

    wrong, right, again = ask("release", child.id), ask("release", tree.id), ask("release", tree.id)

    assert (wrong.code, right.code, again.code) == (1, 0, 1)
    assert f"it is held by both ({tree.id}); `ramify release {tree.id}`" in wrong.err
    assert right.out == "both is let go\n"
    assert "it is not held: it is waiting" in again.err
    assert child.state == "ready"


def test_retry_names_what_it_waits_for_elsewhere(app: Ramify, ask: Command) -> None:
    """A cause in another tree is not retried with it, but named."""
    cause = app.enqueue(boom, "it is broken")
    skipped = app.enqueue(job(double, 1).options(after=cause))
    app.run_until_empty()

    reply = ask("retry", skipped.id)

    assert f"it waits for {cause.id} in another tree" in reply.out
