"""`Job`: waiting, results and their types, failures in words, and steering a stored tree."""

import asyncio
import threading
from datetime import datetime

import pytest

from ramify import (
    AlreadyReleased,
    BadNode,
    Cycle,
    Job,
    JobCancelled,
    JobFailed,
    JobSkipped,
    NotFound,
    Ramify,
    State,
    Taken,
    TimedOut,
    WouldDeadlock,
    group,
    job,
    series,
)
from ramify.context import Context, entered
from ramify.ids import make_id
from tests.face.tasks import (
    Point,
    add,
    boom,
    double,
    give_up,
    later,
    make_day,
    make_pair,
    make_point,
    make_untyped_pair,
    promise_wrongly,
    spawn,
    spawn_siblings,
    tell,
    total,
)


def states(jobs: list[Job[object]]) -> list[str]:
    return [job.state.value for job in jobs]


def test_the_example_of_the_design(app: Ramify) -> None:
    """Functions, groups, references and series return what the design says they do."""
    a = job(double, 1)
    first = app.enqueue(double, 1)
    second = app.enqueue(group(a, job(double, a), job(double, 3)))
    third = app.enqueue(series(group(job(double, 1), job(double, 2)), job(double, 3)))

    app.run_until_empty()

    assert first.result(timeout=10) == 2
    assert second.result() == [2, 4, 6]
    assert third.result() == [[2, 4], 6]


def test_results_come_back_as_the_functions_promise(app: Ramify) -> None:
    """Dataclasses, dates and tuples are restored by the annotation, in groups too; what does not fit stays plain."""
    point, day, pair = app.enqueue(make_point, 1), app.enqueue(make_day), app.enqueue(make_pair)
    untyped, wrong = app.enqueue(make_untyped_pair), app.enqueue(promise_wrongly)
    nested = app.enqueue(group(job(make_point, 2), group(job(make_day), job(later, 3))))
    app.run_until_empty()

    assert point.result() == Point(1, -1)
    assert day.result() == datetime(2025, 3, 1)
    assert pair.result() == (1, "one")
    assert untyped.result() == (1, "one")
    assert wrong.result() == "not a number"
    assert nested.result() == [Point(2, -2), [datetime(2025, 3, 1), "later 3"]]
    assert app.job(point.id).result() == Point(1, -1)
    assert [child.result() for child in nested.children] == nested.result()


def test_a_body_gets_the_results_of_its_children(app: Ramify) -> None:
    """A node's result stands where the node stood in the arguments, in a list as well."""
    a, b = job(double, 1), job(double, 2)
    sum_up = app.enqueue(group(a, b, body=job(total, [a, b, 10])))
    named = app.enqueue(job(add, a, y=b, scale=job(double, 5)))
    app.run_until_empty()

    assert sum_up.result() == 16
    assert named.result() == 60


def test_a_job_as_argument_hands_over_its_result(app: Ramify) -> None:
    """A stored job is waited for like a node, across trees."""
    first = app.enqueue(double, 1)
    second = app.enqueue(double, first)
    third = app.enqueue(job(total, [first, second]))

    assert second.state is State.WAITING
    app.run_until_empty()
    assert third.result() == 6


def test_an_async_function_returns_what_it_awaited(app: Ramify) -> None:
    """An `async def` is a task like others."""
    stored = app.enqueue(later, 1)
    app.run_until_empty()

    assert stored.result() == "later 1"


def test_await_waits_without_blocking_the_loop(app: Ramify) -> None:
    """`await job` gives the result; the event loop goes on meanwhile."""
    stored = app.enqueue(double, 4)

    async def work() -> tuple[int, str]:
        waiting = asyncio.ensure_future(wait())
        await asyncio.to_thread(app.run_until_empty)
        return await waiting, "went on"

    async def wait() -> int:
        return await stored

    assert asyncio.run(work()) == (8, "went on")


def test_result_wakes_when_the_job_ends(app: Ramify) -> None:
    """A waiting thread gets the result of a job that ends later."""
    stored = app.enqueue(double, 4)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(stored.result(timeout=30)))
    thread.start()

    app.run_until_empty()

    thread.join()
    assert results == [8]


def test_a_timeout_names_what_is_unfinished(app: Ramify) -> None:
    """`TimeoutError` names tasks and states of the tree, at most five of them."""
    stored = app.enqueue(group(*(job(double, i) for i in range(7)), job(add, 1).options(label="sum up")))

    with pytest.raises(
        TimeoutError, match=r"^after 0 s these have not ended: tests.face.tasks:double \(\w+\) ready"
    ) as e:
        stored.result(timeout=0)

    assert str(e.value).endswith("and 3 more")


def test_a_failure_is_told_with_its_message_and_place(app: Ramify) -> None:
    """`JobFailed` names the job, the exception and its message; the job's traceback is added as a note."""
    stored = app.enqueue(boom, "no paper")
    app.run_until_empty()

    with pytest.raises(
        JobFailed, match=rf"^tests.face.tasks:boom \({stored.id}\) failed: ValueError: no paper\n"
    ) as caught:
        stored.result()

    assert caught.value.job == stored.id
    assert caught.value.error == stored.error
    assert stored.error is not None
    assert stored.error.kind == "error"
    assert any("def boom" in note or "in boom" in note for note in caught.value.__notes__)


def test_the_first_cause_is_named(app: Ramify) -> None:
    """A group that failed, and what was skipped after it, name the job where it began."""
    failing = job(boom, "no paper")
    root = app.enqueue(group(group(failing), job(double, 1)))
    after = app.enqueue(job(double, 2).options(after=root, label="last"))
    app.run_until_empty()

    cause = r"because tests.face.tasks:boom \(\w+\) failed: ValueError: no paper\n"
    with pytest.raises(JobFailed, match=rf"^group \({root.id}\) failed, {cause}"):
        root.result()
    with pytest.raises(JobSkipped, match=rf"^last \({after.id}\) was skipped, {cause}"):
        after.result()
    assert states(root.children) == ["failed", "done"]


def test_a_job_may_give_up(app: Ramify) -> None:
    """`current().fail(reason)` fails the job with that reason and without another try."""
    stored = app.enqueue(job(give_up, "out of ink").options(retry=3))
    app.run_until_empty()

    with pytest.raises(JobFailed, match="out of ink"):
        stored.result()


def test_a_job_knows_itself_and_tells(app: Ramify) -> None:
    """Inside the job `current()` names it; progress and status can be read by its handle."""
    root = app.enqueue(group(job(tell)))
    app.run_until_empty()
    [told], [child] = root.result(), root.children

    assert (told["job"], told["tree"], told["parent"], told["attempt"]) == (child.id, root.id, root.id, 1)
    assert told["key"] == f"{child.id}-1"
    assert (child.progress, child.status) == (25, "telling")
    assert (root.progress, root.status) == (100, None)


def test_spawned_jobs_are_children(app: Ramify) -> None:
    """A job that spawned is done when its children are; its result is its own."""
    root = app.enqueue(spawn, 2)
    app.run_until_empty()

    assert root.result() == "spawned"
    assert [child.result() for child in root.children] == [0, 2]


def test_spawned_siblings_stand_at_the_end_of_the_group(app: Ramify) -> None:
    """Siblings are appended to the array of the job, and to the result of its group."""
    root = app.enqueue(group(job(spawn_siblings, 2), job(double, 5)))
    app.run_until_empty()

    assert root.result() == ["asked", 10, 0, 2]


def test_parent_and_children(app: Ramify) -> None:
    """Handles lead up and down the tree; two handles of one job are equal."""
    root = app.enqueue(group(job(double, 1), job(double, 2)))
    first, second = root.children

    assert first.parent == root
    assert root.parent is None
    assert first != second
    assert len({root, app.job(root.id)}) == 1
    assert first.children == []


def test_cancel(app: Ramify) -> None:
    """What was cancelled never runs, and what waited for it is skipped; a job that has ended is left alone."""
    root = app.enqueue(group(job(double, 1), job(double, 2)))
    after = app.enqueue(job(double, 3).options(after=root))

    assert root.cancel()
    assert app.run_until_empty() == 0

    assert states([root, *root.children, after]) == ["cancelled", "cancelled", "cancelled", "skipped"]
    with pytest.raises(JobCancelled, match="was cancelled"):
        root.result()
    done = app.enqueue(double, 1)
    app.run_until_empty()
    assert not done.cancel()


def test_who_was_cancelled_first_is_named(app: Ramify) -> None:
    """A cancelled child is the cause of its group's end, a cancelled group that of its children's."""
    one, other = (app.enqueue(group(job(double, 1), label=name)) for name in ("one", "other"))
    one.children[0].cancel()
    other.cancel()
    app.run_until_empty()

    with pytest.raises(JobCancelled, match=r"^tests.face.tasks:double \(\w+\) was cancelled$"):
        one.children[0].result()
    with pytest.raises(JobCancelled, match=r"^one \(\w+\) was cancelled, because tests.face.tasks:double \(\w+\) was"):
        one.result()
    with pytest.raises(JobCancelled, match=r"^tests.face.tasks:double \(\w+\) was cancelled, because other"):
        other.children[0].result()


def test_a_tree_past_its_limit_is_timed_out(app: Ramify) -> None:
    """`TimedOut` is a `JobCancelled` and a `TimeoutError`; every job of the tree tells it."""
    root = app.enqueue(group(group(job(double, 1)), timeout=1e-6))
    app.worker(children=1, burst=True).run()

    with pytest.raises(TimedOut, match=r"time limit .*unfinished: .*tasks:double"):
        root.result()
    with pytest.raises(TimedOut):
        root.children[0].children[0].result()


def test_hold_and_release(app: Ramify) -> None:
    """A held tree does not run, release lets it go once, and a second release is refused."""
    root = app.enqueue(group(job(double, 1)).options(hold=True))

    assert app.run_until_empty() == 0
    assert states([root, *root.children]) == ["held", "held"]
    with pytest.raises(AlreadyReleased, match=f"held by job {root.id}; release that one"):
        root.children[0].release()
    root.release()
    app.run_until_empty()
    assert root.result() == [2]
    with pytest.raises(AlreadyReleased, match="is not held: it is done"):
        root.release()


def test_a_held_tree_can_be_extended(app: Ramify) -> None:
    """`add` appends to the array while the tree is held, and returns the new jobs; later it is refused."""
    root = app.enqueue(group(job(double, 1)).options(hold=True))

    [second, third] = root.add(job(double, 2), group(job(double, 3)))
    [fourth] = third.add(job(double, 4).options(blocking=True))
    root.release()
    app.run_until_empty()

    assert root.result() == [2, 4, [6, 8]]
    assert (second.result(), fourth.result()) == (4, 8)
    with pytest.raises(AlreadyReleased, match="only a held job can be extended"):
        root.add(job(double, 5))


def test_a_held_tree_can_be_made_to_wait(app: Ramify) -> None:
    """`after` holds the job and all under it until others have ended."""
    root = app.enqueue(group(job(double, 1), group(job(double, 2))).options(hold=True))
    gate = app.enqueue(job(double, 3).options(hold=True))

    root.after(gate)
    root.release()

    assert app.run_until_empty() == 0
    gate.release()
    app.run_until_empty()
    assert root.result() == [2, [4]]
    with pytest.raises(AlreadyReleased):
        root.after(gate)


def test_a_circle_of_stored_jobs_is_refused(app: Ramify) -> None:
    """A job cannot wait for one that waits for it."""
    first = app.enqueue(job(double, 1).options(hold=True))
    second = app.enqueue(double, first)

    with pytest.raises(Cycle, match="would wait for each other"):
        first.after(second)


def test_a_held_job_waits_for_a_node_that_is_stored_with_it(app: Ramify) -> None:
    """In one step: a tree of its own, held until the same release, and on its own after it."""
    gate = app.enqueue(job(double, 1).options(hold=True))
    [first] = gate.after(job(double, 2).options(queue="first"))
    before = states([gate, first])

    gate.release()
    let_go = states([gate, first])
    app.run_until_empty(["first"])

    assert (before, let_go) == (["held", "held"], ["waiting", "ready"])
    assert (first.parent, gate.state, first.result(0)) == (None, State.READY, 4)


def test_a_held_group_waits_for_a_node_with_all_that_is_in_it(app: Ramify) -> None:
    """The lowest jobs under it gain an edge as well."""
    whole = app.enqueue(group(job(double, 1), job(double, 2)).options(hold=True))
    [first, second] = whole.after(job(double, 3), app.enqueue(double, 4))

    whole.release()

    assert states([first, second, *whole.children]) == ["ready", "ready", "waiting", "waiting"]


def test_nothing_is_stored_before_a_job_that_was_let_go(app: Ramify) -> None:
    """`after` says so, and the node is not left behind."""
    gate = app.enqueue(double, 1)

    with pytest.raises(AlreadyReleased):
        gate.after(job(double, 2))

    assert app.counts() == {"ready": 1}


def test_retry_runs_again_what_was_not_done(app: Ramify) -> None:
    """A retry opens the job with what made it fail, and leaves done jobs alone."""
    root = app.enqueue(group(job(boom, "once"), job(double, 1)))
    app.run_until_empty()

    assert root.retry() == []
    assert states([root, *root.children]) == ["waiting", "ready", "done"]
    assert app.run_until_empty() == 1
    assert root.state is State.FAILED


def test_a_unique_job_is_not_retried_beside_another(app: Ramify) -> None:
    """Of those with one key one is unfinished: the retry of another is refused, and names it."""
    first = app.enqueue(job(boom, "one").options(unique="key"))
    app.run_until_empty()
    second = app.enqueue(job(boom, "two").options(unique="key"))

    with pytest.raises(Taken, match=second.id):
        first.retry()
    assert states([first, second]) == ["failed", "ready"]
    app.run_until_empty()
    assert first.retry() == []
    assert states([first, second]) == ["ready", "failed"]


def test_retry_names_what_lies_in_another_tree(app: Ramify) -> None:
    """A retry does not touch other trees; it returns the jobs there that have to be retried first."""
    elsewhere = app.enqueue(boom, "elsewhere")
    root = app.enqueue(group(job(double, 1).options(after=elsewhere)))
    app.run_until_empty()

    assert root.state is State.SKIPPED
    assert root.retry() == [elsewhere]
    assert elsewhere.state is State.FAILED


def test_an_unknown_job_is_not_found(app: Ramify) -> None:
    """Every question about a job that is not stored raises `NotFound`, at once."""
    unknown: Job[int] = Job(app.store, make_id())

    for ask in (lambda: unknown.state, unknown.result, unknown.cancel, unknown.retry, unknown.release, unknown.tree):
        with pytest.raises(NotFound, match=f"job {unknown.id} is not stored"):
            ask()
    with pytest.raises(NotFound, match="there is no job"):
        app.job(unknown.id)
    with pytest.raises(NotFound, match="there is no job 'rubbish'"):
        app.job("rubbish")


def test_waiting_for_what_comes_later_is_refused_at_once(app: Ramify) -> None:
    """Inside a job, `.result()` of itself, its parent, or anything that waits for it raises `WouldDeadlock`."""
    root = app.enqueue(group(job(double, 1), job(double, 2)))
    after = app.enqueue(double, root.children[0])
    here = root.children[0]

    with entered(Context(here.id, root.id, root.id, 1, lambda: False, lambda percent, status: None)):
        for later_one in (here, root, after):
            with pytest.raises(WouldDeadlock, match=f"job {here.id} would wait for job {later_one.id}"):
                later_one.result()
        with pytest.raises(TimeoutError):
            root.children[1].result(timeout=0)


def test_only_a_claimed_job_is_executed(app: Ramify) -> None:
    """`execute` runs a job that `claim` returned, once; of others it is refused."""
    stored = app.enqueue(double, 1)

    with pytest.raises(BadNode, match="is not claimed here"):
        stored.execute()
    claimed = app.claim()
    assert claimed == stored
    assert stored.state is State.RUNNING
    claimed.execute()
    assert stored.result() == 2
    with pytest.raises(BadNode, match="not held here any more"):
        claimed.execute()


def test_a_snapshot_of_ten_thousand_levels(app: Ramify) -> None:
    """Trees are read without recursion."""
    document: dict[str, object] = {"func": double, "args": 1}
    for _ in range(10_000):
        document = {"jobs": [document]}
    node = app.enqueue(document).tree()

    depth = 0
    while "jobs" in node:
        [node], depth = node["jobs"], depth + 1
    assert (depth, node["func"]) == (10_000, "tests.face.tasks:double")
