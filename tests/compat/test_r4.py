"""Checklist R4, deferred jobs and processes, in the words of the rq fork: each line is a test named after its id."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ramify import Ramify
from ramify.compat import rq
from ramify.compat.connect import connect
from ramify.compat.rq import InvalidJobOperationError, Job, JobStatus, NoSuchJobError, Queue, WIPQueue, Worker
from tests.compat.tasks import (
    add_marmalade,
    boom,
    cut_bread,
    double,
    note,
    sleep_long,
    tell_parents,
    tell_process,
    wait_for,
)


@pytest.fixture
def queue(app: Ramify) -> Queue:
    return Queue()


@pytest.fixture
def order(place: Path) -> str:
    """A file in which jobs note that they ran."""
    return str(place / "order.txt")


def read(order: str) -> list[str]:
    return Path(order).read_text().split() if Path(order).exists() else []


def wait_until(what: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def states(*jobs: Job) -> list[str]:
    return [job.get_status().value for job in jobs]


# Processes


@pytest.mark.slow
def test_r4_01_a_job_runs_in_a_process_of_its_own(queue: Queue) -> None:
    """The process that the job sees is not the worker's."""
    job = queue.enqueue(tell_process)

    Worker([queue]).work(burst=True)

    assert job.result not in (None, os.getpid())


@pytest.mark.slow
def test_r4_03_and_04_jobs_are_forked_unless_multiprocessing_is_asked_for(place: Path) -> None:
    """`multiprocessing`, the option of the command too, starts a fresh interpreter; else the worker is forked.

    On SQLite, as what a store brings along may have threads, and then no process is forked.
    """
    app = connect(f"sqlite:///{place}/jobs.db")
    forked, spawned = (Queue(name, connection=app).enqueue(tell_parents) for name in ("default", "other"))

    Worker("default", connection=app, tasks=["tests.compat.tasks"]).work(burst=True)
    Worker("other", connection=app, multiprocessing=True, tasks=["tests.compat.tasks"]).work(burst=True)

    own = [part.decode() for part in Path("/proc/self/cmdline").read_bytes().split(b"\0")]
    assert forked.result == own
    assert any("ramify.worker.child" in word for word in spawned.result)
    app.close()


def test_r4_02_where_there_is_no_fork_jobs_are_spawned() -> None:
    """Only Linux forks; elsewhere a worker starts fresh interpreters by itself."""
    import sys

    from ramify.system import CAN_FORK

    assert (sys.platform == "linux") == CAN_FORK


# Work in progress


@pytest.mark.slow
def test_r4_05_the_wip_queue_has_what_runs(queue: Queue, place: Path) -> None:
    """From its start to its end a job is in progress, and nowhere else."""
    gate = place / "gate"
    job = queue.enqueue(wait_for, str(gate))
    wip = WIPQueue()
    before = wip.get_job_ids()

    def watch() -> None:
        wait_until((place / "gate.begun").exists)
        during.append((wip.get_job_ids(), queue.get_job_ids(), job.get_status()))
        gate.touch()

    during: list[Any] = []
    watcher = threading.Thread(target=watch)
    watcher.start()
    Worker([queue]).work(burst=True)
    watcher.join()

    assert before == []
    assert during == [([job.id], [], JobStatus.STARTED)]
    assert wip.get_job_ids() == []


def test_r4_06_the_wip_queue_is_kept_by_workers(app: Ramify, queue: Queue) -> None:
    """Adding twice or removing by hand changes nothing but the answer; what a lost worker had is given back."""
    running, waiting = queue.enqueue(double, 1), queue.enqueue(double, 2)
    claimed = app.claim()
    wip = WIPQueue()

    assert claimed is not None
    wip.add_job(running)
    wip.add_job(running)
    assert wip.get_job_ids() == [running.id]
    assert (wip.remove_job(running), wip.remove_job(waiting)) == (1, 0)
    assert wip.remove_expired_jobs() == 0

    for session in app.store.info().sessions:  # as when the lease of a dead worker ends
        app.store.leave(session.id)
    assert wip.remove_expired_jobs() == 1
    assert wip.get_job_ids() == []
    assert states(running, waiting) == ["queued", "queued"]


def test_r4_06_the_wip_queue_is_in_order_of_beginning(app: Ramify, queue: Queue) -> None:
    """The original orders by the end of the time allowed; who began first is first here."""
    jobs = [queue.enqueue(double, n) for n in range(3)]
    for _ in jobs:
        assert app.claim() is not None

    assert [job.id for job in jobs] == WIPQueue().get_job_ids()


def test_r4_07_done_jobs_are_counted(app: Ramify, queue: Queue) -> None:
    """What `rqinfo` prints as "(N done)" is a count, here as there; `ramify info` shows it."""
    queue.enqueue(double, 1)
    app.run_until_empty()

    assert queue.finished_job_registry.count == 1
    assert app.counts() == {"done": 1}


@pytest.mark.slow
def test_r4_08_a_timeout_ends_the_process(queue: Queue) -> None:
    """A child that takes too long is killed, fresh interpreters too."""
    job = queue.enqueue(sleep_long, job_timeout=0.2)

    Worker([queue], multiprocessing=True).work(burst=True)

    assert job.is_failed
    assert "0.2" in (job.exc_info or "")


# Deferred jobs


def test_r4_10_a_deferred_job_is_in_no_queue(app: Ramify, queue: Queue) -> None:
    """It has an id and the status DEFERRED, and no worker takes it."""
    job = queue.enqueue(double, 1, deferred=True)
    app.run_until_empty()

    assert Job.fetch(job.id).get_status() is JobStatus.DEFERRED
    assert (queue.get_job_ids(), queue.deferred_job_registry.get_job_ids()) == ([], [job.id])


def test_r4_11_a_blocked_job_is_deferred_too(app: Ramify, queue: Queue) -> None:
    future = queue.enqueue(double, 1, deferred=True)
    blocked = queue.enqueue(double, 2, blocked_by=future)
    app.run_until_empty()

    assert states(future, blocked) == ["deferred", "deferred"]
    assert queue.is_empty()


def test_r4_12_a_blocked_job_depends_on_what_blocks_it(queue: Queue) -> None:
    """Whether that is said or not."""
    future = queue.enqueue(double, 1, deferred=True)
    silent = queue.enqueue(double, 2, blocked_by=future)
    said = queue.enqueue(double, 3, blocked_by=future, depends_on=future)

    assert (silent.dependency, said.dependency) == (future, future)


def test_r4_13_another_dependency_is_refused(queue: Queue) -> None:
    """`depends_on` must be what `blocked_by` is."""
    future, other = queue.enqueue(double, 1, deferred=True), queue.enqueue(double, 2)

    with pytest.raises(ValueError, match="depends on the one that blocks it"):
        queue.enqueue(double, 3, blocked_by=future, depends_on=other)

    assert future.deferred() == []


def test_r4_14_blocked_jobs_are_listed_with_their_queues(queue: Queue) -> None:
    """As `queue/id`, by any process that knows the id; nothing of the jobs is loaded."""
    future = queue.enqueue("not.here", deferred=True)
    one = Queue("one").enqueue("nor.here", blocked_by=future)
    two = Queue("two").enqueue("nor.here", blocked_by=future.id)

    assert rq.deferred(future.id) == [f"one/{one.id}", f"two/{two.id}"]
    rq.release_job(future.id)
    assert states(one, two) == ["queued", "queued"]


@pytest.mark.parametrize("spelling", ["release", "job", "id"])
def test_r4_15_three_spellings_of_release(app: Ramify, queue: Queue, spelling: str) -> None:
    future = queue.enqueue(double, 1, deferred=True)
    blocked = queue.enqueue(double, 2, blocked_by=future)

    if spelling == "release":
        future.release()
    else:
        rq.release_job(future if spelling == "job" else future.id)
    app.run_until_empty()

    assert (blocked.result, future.result) == (4, 2)


def test_r4_16_and_22_release_puts_each_into_its_own_queue(queue: Queue) -> None:
    """Together, and each where it was enqueued."""
    future = queue.enqueue(double, 1, deferred=True)
    queues = [Queue(name) for name in ("one", "two", "three")]
    blocked = [each.enqueue(double, 2, blocked_by=future) for each in queues]

    future.release()

    assert [each.get_job_ids() for each in queues] == [[job.id] for job in blocked]
    assert future.is_deferred


def test_r4_17_what_else_a_blocked_job_waits_for_counts(app: Ramify, queue: Queue) -> None:
    """After the release, too."""
    other = Queue("elsewhere").enqueue(double, 5)
    future = queue.enqueue(double, 1, deferred=True)
    blocked = queue.enqueue(double, 2, blocked_by=future, depends_on=[future, other])

    future.release()
    app.run_until_empty()
    before = states(blocked, future)
    app.run_until_empty(["elsewhere"])
    app.run_until_empty()

    assert before == ["deferred", "deferred"]
    assert states(blocked, future) == ["finished", "finished"]


def test_r4_18_the_deferred_job_runs_after_those_it_blocked(app: Ramify, queue: Queue, order: str) -> None:
    """It is queued when the last of them was executed."""
    future = queue.enqueue(note, order, "last", deferred=True)
    blocked = [queue.enqueue(note, order, f"first{n}", blocked_by=future) for n in range(2)]

    future.release()
    at_once = states(*blocked, future)
    app.run_one()
    after_one = future.get_status()
    app.run_until_empty()

    assert at_once == ["queued", "queued", "deferred"]
    assert after_one is JobStatus.DEFERRED
    assert read(order) == ["first0", "first1", "last"]


def test_r4_x1_the_other_reading_is_an_option(app: Ramify, queue: Queue, order: str) -> None:
    """`blocked_by_order="after"`: the deferred job first, then those it blocked, as in the fork's last code."""
    future = queue.enqueue(note, order, "first", deferred=True)
    blocked = queue.enqueue(note, order, "last", blocked_by=future, blocked_by_order="after")

    assert rq.deferred(future) == [f"default/{blocked.id}"]
    future.release()
    assert states(future, blocked) == ["queued", "deferred"]
    app.run_until_empty()

    assert read(order) == ["first", "last"]


def test_r4_19_nothing_runs_before_the_release(app: Ramify, queue: Queue, order: str) -> None:
    future = queue.enqueue(note, order, "last", deferred=True)
    queue.enqueue(note, order, "first", blocked_by=future)

    assert [app.run_one() for _ in range(3)] == [False] * 3
    assert read(order) == []


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_r4_20_cancelled_before_release_takes_the_blocked_with_it(app: Ramify, queue: Queue, verb: str) -> None:
    """Cancelled or removed: all of the set, and nothing runs."""
    future = queue.enqueue(double, 1, deferred=True)
    blocked = [queue.enqueue(double, 2, blocked_by=future) for _ in range(2)]

    getattr(future, verb)()

    if verb == "cancel":
        assert states(future, *blocked) == ["canceled"] * 3
    else:
        assert [Job.exists(job.id) for job in (future, *blocked)] == [False] * 3
    assert app.run_until_empty() == 0


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_r4_21_after_release_the_blocked_are_on_their_own(app: Ramify, queue: Queue, verb: str) -> None:
    """What then becomes of the job that blocked them does not concern them."""
    future = queue.enqueue(double, 1, deferred=True)
    blocked = [queue.enqueue(double, 2, blocked_by=future) for _ in range(2)]

    future.release()
    getattr(future, verb)()
    app.run_until_empty()

    assert [job.result for job in blocked] == [4, 4]


def test_r4_23_and_30_only_a_deferred_job_is_released(app: Ramify, queue: Queue, order: str) -> None:
    """Nor twice: nothing runs again."""
    plain, future = queue.enqueue(double, 1), queue.enqueue(note, order, "once", deferred=True)
    future.release()

    for job in (plain, future):
        with pytest.raises(InvalidJobOperationError):
            job.release()
    with pytest.raises(InvalidJobOperationError):
        queue.enqueue(double, 1, blocked_by=future)

    app.run_until_empty()
    assert read(order) == ["once"]


def test_r4_24_an_unknown_job_is_not_released(queue: Queue) -> None:
    with pytest.raises(NoSuchJobError):
        rq.release_job("nobody")


def test_r4_25_without_blocked_jobs_it_is_queued_at_once(queue: Queue) -> None:
    future = queue.enqueue(double, 1, deferred=True)
    future.release()

    assert future.is_queued


def test_r4_26_the_queue_may_be_named_at_release(app: Ramify, queue: Queue) -> None:
    """By name or as a queue, or by asking the queue; a job is released in its own queue and in no other."""
    jobs = [queue.enqueue(double, 1, deferred=True) for _ in range(3)]

    with pytest.raises(InvalidJobOperationError, match="default"):
        rq.release_job(jobs[0], "elsewhere")
    rq.release_job(jobs[0], queue, app)
    rq.release_job(jobs[1], queue_or_name="default", connection=app)
    queue.release_job_here(jobs[2])

    assert states(*jobs) == ["queued"] * 3


def test_r4_27_a_synchronous_queue_runs_what_is_released(app: Ramify) -> None:
    """With `async=False` a job runs when it is enqueued, and a deferred one when it is released."""
    queue = Queue(**{"async": False})  # type: ignore[arg-type]
    at_once = queue.enqueue(double, 1)
    future = queue.enqueue(double, 2, deferred=True)
    blocked = queue.enqueue(double, 3, blocked_by=future)
    before = (at_once.result, future.result, blocked.result)

    future.release()

    assert before == (2, None, None)
    assert (future.result, blocked.result) == (4, 6)


def test_r4_28_a_job_runs_after_what_it_depends_on(app: Ramify, queue: Queue) -> None:
    """Also when that is over already."""
    bread_slices = queue.enqueue(cut_bread, kwargs={"parts": 4})
    before = queue.enqueue(add_marmalade, args=("strawberry",), depends_on=bread_slices)
    waits = before.get_status()
    app.run_until_empty()
    after = queue.enqueue(add_marmalade, args=("orange",), depends_on=bread_slices)

    assert (waits, after.get_status()) == (JobStatus.DEFERRED, JobStatus.QUEUED)
    assert (bread_slices.result, before.result) == ("4 slices", "strawberry marmalade")


def test_r4_29_all_start_together_or_never(app: Ramify, queue: Queue) -> None:
    """A releaser that dies on the way has released all or nothing: one step decides, others do the rest."""
    from ramify.model import Verb, Which

    future = queue.enqueue(double, 0, deferred=True)
    blocked = [queue.enqueue(double, n, blocked_by=future) for n in range(1, 6)]

    app.store.move(Which(ids=(future.id,)), Verb.RELEASE)  # and here the releaser dies
    app.run_until_empty()

    assert [job.result for job in (*blocked, future)] == [2, 4, 6, 8, 10, 0]


def test_a_blocked_job_that_fails_keeps_the_deferred_one_from_running(app: Ramify, queue: Queue) -> None:
    """As for `depends_on`: it is skipped, which rq calls cancelled."""
    future = queue.enqueue(double, 1, deferred=True)
    queue.enqueue(boom, "no", blocked_by=future)

    future.release()
    app.run_until_empty()

    assert future.is_canceled
