"""rq's everyday words, and the lines of checklist R2 that are said with them: those are named after their ids."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ramify import BadStore, Ramify
from ramify.compat import rq
from ramify.compat.connect import address_of, connect, find_own_modules
from ramify.compat.rq import (
    InvalidJobOperationError,
    Job,
    NoSuchJobError,
    Queue,
    Retry,
    SimpleWorker,
    Worker,
    get_current_job,
    requeue_job,
)
from tests.compat.tasks import add, boom, double, echo, mend, note, sleep_long, tell_job


@pytest.fixture
def queue(app: Ramify) -> Queue:
    return Queue()


@pytest.mark.slow
def test_a_worker_runs_what_is_queued(queue: Queue) -> None:
    """`Worker([queue]).work(burst=True)` runs what there is and tells whether there was anything."""
    job = queue.enqueue(double, 2)
    worker = Worker([queue])

    assert (worker.work(burst=True), worker.work(burst=True)) == (True, False)
    assert job.result == 4


def test_r2_06_a_pointer_to_a_function_is_enqueued(app: Ramify, queue: Queue) -> None:
    """A function, or its name with a dot as rq has it, by who does not have the code."""
    jobs = [queue.enqueue(echo, 1, y=2), queue.enqueue("tests.compat.tasks.echo", args=(1,), kwargs={"y": 2})]
    app.run_until_empty()

    assert [job.result for job in jobs] == [[[1], {"y": 2}]] * 2


def test_r2_07_the_id_checks_the_status(app: Ramify, queue: Queue) -> None:
    """`Job.fetch` finds it anywhere, and `fetch_job` of the queue."""
    job = queue.enqueue(double, 2)
    before = Job.fetch(job.id).get_status()
    app.run_until_empty()

    assert (before, Job.fetch(job.id).get_status()) == ("queued", "finished")
    assert queue.fetch_job(job.get_id()) == job
    assert queue.fetch_job("nobody") is None
    with pytest.raises(NoSuchJobError):
        Job.fetch("nobody")


def test_r2_08_a_producer_may_poll_for_results(app: Ramify, queue: Queue) -> None:
    """The loop of the document ends when no result is None any more."""
    jobs = [queue.enqueue(double, n) for n in (1, 2)]
    worker = threading.Timer(0.05, app.run_until_empty)
    worker.start()

    end = time.monotonic() + 20
    while any(job.result is None for job in jobs):
        assert time.monotonic() < end
        time.sleep(0.01)
    worker.join()

    assert [job.result for job in jobs] == [2, 4]


def test_r2_x1_none_is_a_result_too(app: Ramify, queue: Queue) -> None:
    """`is_finished` tells what the result cannot."""
    job = queue.enqueue("tests.compat.tasks.tell_job")
    unfinished = (job.result, job.is_finished)
    nothing = queue.enqueue("tests.compat.tasks.nothing")
    app.run_until_empty()

    assert unfinished == (None, False)
    assert (nothing.result, nothing.is_finished) == (None, True)


def test_r2_10_a_redis_connection_is_an_address() -> None:
    """Whatever it was made from; a port of one's own as in the document, and a password stay what they are."""

    class Pool:
        connection_class = type("Connection", (), {})

        def __init__(self, **at: Any) -> None:
            self.connection_kwargs = at

    class Connection:
        def __init__(self, secure: bool = False, **at: Any) -> None:
            self.connection_pool = Pool(**at)
            if secure:
                self.connection_pool.connection_class = type("SSLConnection", (), {})

    assert address_of(Connection()) == "redis://localhost:6379/0"
    assert address_of(Connection(host="emm.com", port=6387, db=2)) == "redis://emm.com:6387/2"
    assert address_of(Connection(True, host="h", password="p@ss")) == "rediss://:p%40ss@h:6379/0"
    assert address_of(Connection(host="::1", username="u", password="p")) == "redis://u:p@[::1]:6379/0"
    with pytest.raises(BadStore, match="is not a connection"):
        address_of(object())


def test_r2_10_a_real_redis_connection_is_an_address() -> None:
    """The same of the library's own objects."""
    redis = pytest.importorskip("redis")

    assert address_of(redis.Redis(host="emm.com", port=6387)) == "redis://emm.com:6387/0"
    assert address_of(redis.Redis.from_url("redis://:secret@emm.com:6387/3")) == "redis://:secret@emm.com:6387/3"


def test_r2_10_a_redis_connection_keeps_the_jobs(url: str, place: Path) -> None:
    """Where it points, whatever the settings say."""
    if not url.startswith(("redis:", "unix:")):
        pytest.skip("of Redis alone there are such connections")
    import redis

    connection = redis.Redis.from_url(url.partition("?")[0])
    queue = Queue("theirs", connection=connection)
    queue.connection.tasks = type(queue.connection.tasks)(["tests.compat.tasks"])
    job = queue.enqueue(double, 2)
    ran = SimpleWorker([queue]).work(burst=True)
    told = (ran, Job.fetch(job.id, connection=connection).result)
    job.delete()
    queue.connection.close()
    connection.close()

    assert told == (True, 4)


def test_an_address_gives_the_same_app_again(app: Ramify, place: Path) -> None:
    """A program makes queues as it likes, and they share what they need; an app is taken as it is."""
    assert Queue().connection is Queue("other").connection is connect()
    assert Queue(connection=app).connection is app
    assert Queue("low", connection=f"sqlite:///{place}/other.db").connection is not app
    connect(f"sqlite:///{place}/other.db").close()


def test_r2_12_a_queue_is_emptied(app: Ramify, queue: Queue) -> None:
    """What waits is removed and counted; other queues keep theirs."""
    for n in range(3):
        queue.enqueue(double, n)
    other = Queue("other").enqueue(double, 1)

    assert (len(queue), queue.empty(), queue.is_empty()) == (3, 3, True)
    assert other.is_queued


def test_r2_13_queues_workers_and_counts_are_told(app: Ramify, queue: Queue) -> None:
    """Queues with their jobs, and workers."""
    jobs = [queue.enqueue(double, 1), Queue("low").enqueue(double, 2)]

    assert [each.name for each in Queue.all()] == ["default", "low"]
    assert (queue.count, queue.get_job_ids(), queue.get_jobs()) == (1, [jobs[0].id], [jobs[0]])
    assert (Worker.count(), Worker.all()) == (0, [])


def test_r2_14_failed_jobs_are_requeued(app: Ramify, queue: Queue, place: Path) -> None:
    """By the job, by its id, and through the registry; what did not fail is not."""
    jobs = [queue.enqueue(mend, str(place / "there")) for _ in range(3)]
    app.run_until_empty()
    failed = queue.failed_job_registry
    before = failed.get_job_ids()
    (place / "there").write_text("mended")

    jobs[0].requeue()
    requeue_job(jobs[1].id)
    failed.requeue(jobs[2])
    app.run_until_empty()

    assert before == [job.id for job in jobs]
    assert [job.result for job in jobs] == ["mended"] * 3
    assert len(failed) == 0
    with pytest.raises(InvalidJobOperationError):
        jobs[0].requeue()


def test_r2_15_and_16_suspended_workers_start_nothing(app: Ramify, queue: Queue) -> None:
    """Until they are resumed, or for so many seconds."""
    job = queue.enqueue(double, 1)

    rq.suspend()
    suspended = (rq.is_suspended(), app.run_until_empty())
    rq.resume()
    app.run_until_empty()
    rq.suspend(ttl=0.0)
    queue.enqueue(double, 2)

    assert suspended == (True, 0)
    assert job.result == 2
    assert app.run_until_empty() == 1


def test_r2_17_a_worker_serves_its_queues_in_order(app: Ramify, place: Path) -> None:
    """As they are named; others are left alone."""
    order = str(place / "order.txt")
    low, high, other = Queue("low"), Queue("high"), Queue("other")
    for queue in (low, high, other):
        queue.enqueue(note, order, queue.name)

    assert SimpleWorker([high, low]).work(burst=True)

    assert Path(order).read_text().split() == ["high", "low"]


@pytest.mark.slow
def test_a_worker_that_is_told_no_modules_runs_those_of_its_program(url: str, place: Path) -> None:
    """What the program imported and is its own, neither Python's nor installed."""
    if url == "memory:":
        pytest.skip("the settings of the other stores suffice")
    (place / "my_own_tasks.py").write_text("def triple(x):\n    return 3 * x\n")
    import my_own_tasks  # type: ignore[import-not-found]

    with Ramify(url) as app:
        job = Queue(connection=app).enqueue(my_own_tasks.triple, 2)
        Worker(connection=app).work(burst=True)

        assert job.result == 6
    assert "my_own_tasks" in find_own_modules()
    assert not {"os", "msgspec", "ramify.app", "__main__"} & set(find_own_modules())


def test_a_job_knows_itself(app: Ramify, queue: Queue) -> None:
    """`get_current_job` inside, None outside."""
    job = queue.enqueue(tell_job)
    app.run_until_empty()

    assert job.result == job.id
    assert get_current_job() is None


def test_the_decorator_gives_a_function_delay(app: Ramify) -> None:
    """The function stays what it was, and its jobs go to the named queue."""
    job = add.delay(1, y=2)
    app.run_until_empty(["low"])

    assert (add(1, 2), job.origin, job.result) == (3, "low", 3)


def test_what_a_failed_job_tells(app: Ramify, queue: Queue) -> None:
    """Its traceback, its times, and its registry."""
    job = queue.enqueue(boom, "no luck", description="a boom")
    begun = (job.started_at, job.ended_at, job.exc_info)
    app.run_until_empty()

    assert begun == (None, None, None)
    assert job.is_failed
    assert job.exc_info is not None and "ValueError: no luck" in job.exc_info
    assert job.started_at is not None and job.ended_at is not None
    assert job.created_at <= job.ended_at <= datetime.now(UTC)
    assert (job.description, job.func_name, job.origin) == ("a boom", "tests.compat.tasks.boom", "default")
    assert (job in queue.failed_job_registry, job in queue.finished_job_registry) == (True, False)


def test_scheduled_jobs_wait_for_their_time(app: Ramify, queue: Queue) -> None:
    """In so long, or at a time; meanwhile their registry has them."""
    later = queue.enqueue_in(timedelta(hours=1), double, 1)
    then = queue.enqueue_at(datetime.now(UTC) + timedelta(hours=2), double, 2)
    past = queue.enqueue_at(datetime(2020, 1, 1, tzinfo=UTC), double, 3)
    theirs = queue.enqueue(echo, at=1, delay=2)
    queued = queue.get_job_ids()
    app.run_until_empty()

    assert queued == [past.id, theirs.id]
    assert theirs.result == [[], {"at": 1, "delay": 2}]  # no options of rq, so arguments of the function
    assert (later.is_scheduled, then.is_scheduled, past.result) == (True, True, 6)
    assert queue.scheduled_job_registry.get_job_ids() == [later.id, then.id]


def test_options_of_rq_are_options_of_the_job(app: Ramify, queue: Queue, place: Path) -> None:
    """`retry`, `at_front` and several dependencies do what they say; what nobody knows is refused."""
    failed = queue.enqueue(boom, "x", retry=Retry(max=2))
    slow = queue.enqueue(boom, "y", retry=Retry(max=2, interval=[0, 0.01]))
    after = queue.enqueue(double, 1, depends_on=[failed.id])
    order = str(place / "order.txt")
    queue.enqueue(note, order, "second", result_ttl=500)
    queue.enqueue(note, order, "first", at_front=True)
    app.run_until_empty()

    [row] = [row for row in app.store.snapshot().rows if row.id == failed.id]
    assert (row.tries, failed.is_failed, after.is_canceled) == (2, True, True)
    assert (slow.is_failed, slow._row().tries) == (True, 2)
    assert Path(order).read_text().split() == ["first", "second"]
    with pytest.raises(TypeError, match="on_success"):
        queue.enqueue(double, 1, on_success=print)


def test_a_dependency_may_be_allowed_to_fail(app: Ramify, queue: Queue) -> None:
    """As rq's `Dependency(jobs=…, allow_failure=True)` says it."""

    class Dependency:
        def __init__(self, jobs: list[Job], allow_failure: bool = False) -> None:
            self.dependencies, self.allow_failure = jobs, allow_failure

    failed = queue.enqueue(boom, "x")
    after = queue.enqueue(double, 1, depends_on=Dependency([failed], allow_failure=True))
    app.run_until_empty()

    assert after.result == 2


@pytest.mark.slow
def test_a_running_job_is_cancelled(app: Ramify, queue: Queue) -> None:
    """It is ended where it runs."""
    job = queue.enqueue(sleep_long)
    worker = Worker([queue], tasks=["tests.compat.tasks"])

    def cancel() -> None:
        while not job.is_started:
            time.sleep(0.01)
        rq.cancel_job(job.id)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    worker.work(burst=True)
    canceller.join()

    assert job.is_canceled
    assert job in queue.canceled_job_registry


@pytest.fixture(autouse=True)
def no_stray_apps() -> Iterator[None]:
    """No test leaves a store open for the next."""
    yield
    from ramify.compat.connect import _open

    _open.cache_clear()
