"""PgQueuer at its best settings for two cores: two processes, batches of 100, no results. Run by `postgres.py`."""

import json
import multiprocessing
import os
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

what, host, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
BATCH = 100


async def connect(database: str = "peer") -> asyncpg.Connection:
    return await asyncpg.connect(host=host, user="postgres", database=database)


async def fill(n: int) -> float:
    connection = await connect("postgres")
    await connection.execute("DROP DATABASE IF EXISTS peer")
    await connection.execute("CREATE DATABASE peer")
    await connection.close()
    connection = await connect()
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    begin = time.perf_counter()
    for start in range(0, n, 10_000):
        here = min(10_000, n - start)
        await queries.enqueue(["noop"] * here, [b"[1]"] * here, [0] * here)
    seconds = time.perf_counter() - begin
    await connection.close()
    return n / seconds


async def add_one_at_a_time() -> float:
    connection = await connect()
    queries = Queries(AsyncpgDriver(connection))
    begin = time.perf_counter()
    for _ in range(n):
        await queries.enqueue("noop", b"[1]")
    seconds = time.perf_counter() - begin
    await connection.close()
    return n / seconds


async def work() -> None:
    connection = await connect()
    app = PgQueuer(AsyncpgDriver(connection))

    @app.entrypoint("noop")
    async def noop(job: Job) -> None:
        json.loads(job.payload or b"")

    await app.run(dequeue_timeout=timedelta(seconds=1), batch_size=BATCH, mode=QueueExecutionMode.drain)
    await connection.close()


def start() -> None:
    os.setpgrp()
    uvloop.run(work())


def drain() -> float:
    uvloop.run(fill(n))
    workers = [multiprocessing.Process(target=start) for _ in range(2)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return n / (time.perf_counter() - begin)


def one() -> float:
    uvloop.run(fill(0))
    return uvloop.run(add_one_at_a_time())


print(json.dumps({"drain": drain, "fill": lambda: uvloop.run(fill(n)), "one": one}[what]()))
