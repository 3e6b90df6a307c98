"""Graphs: a layered random DAG, a fan-in, a chain, a tree; and what a job costs when a million are stored."""

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import measure, peers, tasks
from ramify import Node, Ramify, group, job, series

AnyNode = Node[Any]
Task = Callable[..., Any]


def dag(n: int, task: Task = tasks.noop) -> AnyNode:
    """Return 20 layers in which each job waits for three of the layer before."""
    rng = random.Random(1)
    layers: list[list[AnyNode]] = [[job(task, i) for i in range(n // 20)]]
    for _ in range(19):
        before = layers[-1]
        layers.append([job(task, i).options(after=rng.sample(before, 3)) for i in range(n // 20)])
    return group(*[node for layer in layers for node in layer])


def fan_in(n: int, task: Task = tasks.noop) -> AnyNode:
    """Return one job that takes the results of all others."""
    return job(tasks.total if task is tasks.noop else task, [job(task, i) for i in range(n)])


def chain(n: int, task: Task = tasks.noop) -> AnyNode:
    """Return jobs one after the other."""
    return series(*[job(task, i) for i in range(n)])


def tree(depth: int) -> AnyNode:
    """Return groups of ten in groups of ten."""
    return job(tasks.noop, 1) if depth == 0 else group(*[tree(depth - 1) for _ in range(10)])


def work_off(node: AnyNode, n: int, stored: int = 0) -> tuple[float, float]:
    """Return jobs a second of a graph beside so many stored jobs, and bytes on the disk for each of its jobs."""
    with tempfile.TemporaryDirectory() as folder, Ramify(f"sqlite:///{folder}/jobs.db", tasks=["bench.tasks"]) as app:
        for start in range(0, stored, 50_000):
            others = group(*[job(tasks.noop, i) for i in range(min(50_000, stored - start))])
            app.enqueue(others.options(queue="elsewhere"))
        files = Path(folder)
        before = sum(file.stat().st_size for file in files.glob("jobs.db"))
        app.enqueue(node)
        worker = app.worker(children=2, burst=True)
        begin = time.perf_counter()
        worker.run()
        seconds = time.perf_counter() - begin
        app.close()
        size = sum(file.stat().st_size for file in files.glob("jobs.db")) - before
    return n / seconds, size / n


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure the shapes in turn, then the cost of a job beside few and many stored ones."""
    n, links, depth = (1_000, 100, 2) if small else (10_000, 2_000, 4)
    theirs = min(links, 100)  # Huey pickles a pipeline as one nested object, which ends at some 200 links
    few, many = (1_000, 20_000) if small else (1_000, 1_000_000)

    def huey_chain() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return float(peers.huey("chain", Path(folder), theirs, True))

    shapes: dict[str, Callable[[], float]] = {
        f"random DAG, {n:,} jobs, {3 * n * 19 // 20:,} edges": lambda: work_off(dag(n), n)[0],
        f"fan-in {n:,} to 1": lambda: work_off(fan_in(n), n)[0],
        f"chain of {links:,}": lambda: work_off(chain(links), links)[0],
        f"chain of {theirs:,}, huey, fsync": huey_chain,
        f"tree 10^{depth}": lambda: work_off(tree(depth), 10**depth)[0],
    }
    figures = measure.interleave(rounds, shapes)
    held = measure.interleave(
        rounds,
        {
            f"{few:,} stored": lambda: work_off(group(*[job(tasks.noop, i) for i in range(n)]), n, few)[0],
            f"{many:,} stored": lambda: work_off(group(*[job(tasks.noop, i) for i in range(n)]), n, many)[0],
        },
    )
    chained = f"chain of {links:,}"
    return {
        "unit": "jobs/s",
        "figures": measure.summary(figures) | measure.summary(held),
        "ratios": {
            "chain: ramify / huey": measure.ratio(figures, chained, f"chain of {theirs:,}, huey, fsync"),
            f"cost at {many:,} / at {few:,} stored": measure.ratio(held, f"{few:,} stored", f"{many:,} stored"),
        },
        "bytes a job": work_off(group(*[job(tasks.noop, i) for i in range(n)]), n)[1],
    }
