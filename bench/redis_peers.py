"""Queues on Redis at their best settings for two cores: two processes, results stored. Run by `redis.py`.

`python redis_peers.py PEER drain|enqueue|wait|fan|chain|dag PORT N` prints jobs a second. Every job returns when it
ran, so what a worker needs to start is not counted against it.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

PEER, WHAT, PORT, N = sys.argv[1:5] if __name__ == "__main__" else ["", "", os.environ["BENCH_PORT"], "0"]
URL = f"redis://127.0.0.1:{PORT}/0"
HERE = Path(__file__).parent
huey_now = dramatiq_now = celery_now = streaq_now = taskiq_now = None
"""Made with the app of their peer."""


def now(*_):
    """Return the time; dependencies' results are of no interest."""
    return time.time_ns()


def workers(*command, n=2):
    """Start workers of a peer."""
    environment = os.environ | {"BENCH_PORT": PORT, "PYTHONPATH": str(HERE)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [Path(sys.executable).parent / command[0], *command[1:]]
    return [subprocess.Popen(command, env=environment, cwd=HERE, **quiet) for _ in range(n)]


def measure(add, read, *command, n=2):
    """Return jobs a second from the first start to the last; of enqueueing alone if that is asked for."""
    n_jobs = int(N)
    if WHAT == "wait":
        started = workers(*command, n=n)
        read(add(1)[0])
        begin = time.perf_counter()
        for _ in range(n_jobs):
            read(add(1)[0])
        seconds = time.perf_counter() - begin
        for process in started:
            process.terminate()
        return n_jobs / seconds
    begin = time.perf_counter()
    handles = add(n_jobs)
    if WHAT == "enqueue":
        return n_jobs / (time.perf_counter() - begin)
    if WHAT != "drain":
        begin = time.time_ns()
    started = workers(*command, n=n)
    times = [read(handle) for handle in handles]
    for process in started:
        process.terminate()
    for process in started:
        process.wait()
    return n_jobs / ((max(times) - min(times)) / 1e9)


def until(look):
    """Return what `look` returns, once it is not None."""
    end = time.monotonic() + 120
    while (found := look()) is None:
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.0005 if WHAT == "wait" else 0.005)
    return found


def edges(n):
    """Return, by job, the jobs that it waits for."""
    if WHAT == "chain":
        return [[i - 1] if i else [] for i in range(n)]
    if WHAT == "fan":
        return [[] for _ in range(n - 1)] + [list(range(n - 1))]
    if WHAT == "dag":
        rng, width = random.Random(1), n // 20
        return [
            rng.sample(range(i // width * width - width, i // width * width), 3) if i >= width else [] for i in range(n)
        ]
    return [[] for _ in range(n)]


def rq():
    from redis import Redis
    from rq import Queue

    queue = Queue(connection=Redis.from_url(URL))

    def add(n):
        jobs = []
        for before in edges(n):
            jobs.append(queue.enqueue(now, depends_on=[jobs[i] for i in before] or None))
        return jobs

    command = ["rq", "worker", "--url", URL, "--worker-class", "rq.SimpleWorker", "--quiet"]
    return measure(add, lambda job: until(job.return_value), *command)


def huey():
    command = ["huey_consumer", "redis_peers.huey_app", "-w", "2", "-k", "process", "-d", "0.001", "-q"]
    return measure(
        lambda n: [huey_now() for _ in range(n)], lambda result: until(lambda: result.get(preserve=True)), *command, n=1
    )


def dramatiq():
    command = ["dramatiq", "redis_peers:dramatiq_broker", "--processes", "2", "--threads", "8"]
    return measure(
        lambda n: [dramatiq_now.send() for _ in range(n)],
        lambda message: message.get_result(block=True, timeout=120_000),
        *command,
        n=1,
    )


def celery():
    from celery import chain, chord

    def add(n):
        if WHAT == "chain":
            last = chain(*[celery_now.si() for _ in range(n)]).apply_async()
            results = []
            while last is not None:
                results.append(last)
                last = last.parent
            return results
        if WHAT == "fan":
            done = chord([celery_now.si() for _ in range(n - 1)], celery_now.s()).apply_async()
            return [done, *done.parent.results]
        return [celery_now.delay() for _ in range(n)]

    command = ["celery", "-A", "redis_peers:celery_app", "worker", "-c", "2", "--prefetch-multiplier", "100"]
    return measure(add, lambda result: result.get(timeout=120), *command, "--without-gossip", "--without-mingle", n=1)


def saq():
    from saq import Queue

    loop = asyncio.new_event_loop()
    queue = Queue.from_url(URL)

    async def add_all(n):
        await queue.connect()
        return [await queue.enqueue("saq_now", ttl=600) for _ in range(n)]

    def read(job):
        async def look():
            await job.refresh()
            return job.result

        return until(lambda: loop.run_until_complete(look()))

    return measure(lambda n: loop.run_until_complete(add_all(n)), read, "saq", "redis_peers.saq_settings", "--quiet")


def streaq():
    """Its dependencies are the ids of tasks made before; `enqueue_many` stores all at once.

    Its `result` subscribes to a channel of each task, which takes 0.1 s even of one that has ended; so they are read
    as they are stored.
    """
    worker = __getattr__("streaq_worker")

    async def run():
        async with worker:
            begin = time.perf_counter()
            made = []
            for before in edges(int(N)):
                made.append(streaq_now.enqueue().start(after=[made[i].id for i in before] or None))
                if WHAT == "enqueue":
                    await made[-1]
            if WHAT == "enqueue":
                return int(N) / (time.perf_counter() - begin)
            if WHAT == "drain":
                await worker.enqueue_many(made)
            else:
                for one in made:
                    await one
            begin = time.time_ns()
            started = workers("streaq", "run", "redis_peers:streaq_worker")
            keys = [worker.results_key + one.id for one in made]
            while await worker.redis.exists(keys) < len(keys):
                await asyncio.sleep(0.02)
            times = [(await worker.deserialize(found))["r"] for found in await worker.redis.mget(keys)]
            for process in started:
                process.kill()
            for process in started:
                process.wait()
            return int(N) / ((max(times) - min(times)) / 1e9)

    return asyncio.run(run())


def taskiq():
    broker = __getattr__("taskiq_broker")

    async def run():
        await broker.startup()
        begin = time.perf_counter()
        made = [await taskiq_now.kiq() for _ in range(int(N))]
        if WHAT == "enqueue":
            return int(N) / (time.perf_counter() - begin)
        started = workers(
            *["taskiq", "worker", "redis_peers:taskiq_broker", "-w", "2", "--log-level", "ERROR", "--no-parse"], n=1
        )
        times = [(await one.wait_result(check_interval=0.01, timeout=120)).return_value for one in made]
        for process in started:
            process.terminate()
            process.wait()
        return int(N) / ((max(times) - min(times)) / 1e9)

    return asyncio.run(run())


def __getattr__(name):
    """Make the app of a peer when it is asked for: only its own process imports it."""
    peer = name.partition("_")[0]
    if peer == "huey":
        from huey import RedisHuey

        made = RedisHuey("bench", url=URL)
        globals().update(huey_app=made, huey_now=made.task()(now))
    elif peer == "dramatiq":
        import dramatiq as package
        from dramatiq.brokers.redis import RedisBroker
        from dramatiq.results import Results
        from dramatiq.results.backends import RedisBackend

        made = RedisBroker(url=URL)
        made.add_middleware(Results(backend=RedisBackend(url=URL), store_results=True))
        package.set_broker(made)
        globals().update(dramatiq_broker=made, dramatiq_now=package.actor(now, broker=made))
    elif peer == "celery":
        from celery import Celery

        made = Celery("redis_peers", broker=URL, backend=URL)
        globals().update(celery_app=made, celery_now=made.task(now, name="now"))
    elif peer == "saq":
        from saq import Queue

        async def saq_now(_):
            return now()

        globals()["saq_settings"] = {
            "queue": Queue.from_url(URL),
            "functions": [("saq_now", saq_now)],
            "concurrency": 20,
        }
    elif peer == "streaq":
        from streaq import Worker

        async def streaq_now():
            return now()

        made = Worker(redis_url=URL, concurrency=32)
        globals().update(streaq_worker=made, streaq_now=made.task(name="now")(streaq_now))
    elif peer == "taskiq":
        from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

        async def taskiq_now():
            return now()

        made = ListQueueBroker(URL).with_result_backend(RedisAsyncResultBackend(URL))
        globals().update(taskiq_broker=made, taskiq_now=made.task(task_name="now")(taskiq_now))
    if name not in globals():
        raise AttributeError(name)
    return globals()[name]


if __name__ == "__main__":
    sys.modules["redis_peers"] = sys.modules[__name__]  # what a peer names by its module is found by its workers
    now.__module__ = "redis_peers"
    for made in ("huey_app", "dramatiq_broker", "celery_app", "streaq_worker", "taskiq_broker"):
        if made.startswith(PEER):
            __getattr__(made)
    print(json.dumps(globals()[PEER]()))
