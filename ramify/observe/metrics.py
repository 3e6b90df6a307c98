"""Metrics for Prometheus, by the extra `ramify[metrics]`: what is stored, and what a worker runs.

What is stored is read anew whenever Prometheus asks, so one process is enough for a store. What is run is counted in
each worker, by a `Runs` that watches it.
"""

from collections.abc import Iterable
from typing import Final

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("metrics need a library: install ramify[metrics]", name=error.name) from error

from ramify.model import State, Which
from ramify.observe.oldest import ages_of_oldest
from ramify.stores.protocol import Store
from ramify.worker.watch import Run

BUCKETS: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0)


class Runs:
    """Counts runs by queue, task and outcome, and how long they took. One watches a worker: it is called with each."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._runs = Counter("ramify_runs", "Runs of jobs.", ("queue", "task", "outcome"), registry=registry)
        self._seconds = Histogram(
            "ramify_run_seconds", "How long runs took.", ("queue", "task"), buckets=BUCKETS, registry=registry
        )

    def __call__(self, run: Run) -> None:
        """Count a run."""
        self._runs.labels(run.queue, run.task, run.outcome).inc()
        self._seconds.labels(run.queue, run.task).observe(run.seconds)


class Stored(Collector):
    """What a store holds, read when it is asked for. Register it: `REGISTRY.register(Stored(app.store))`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield how many jobs, workers and pieces of work there are, and how old the oldest ready job is."""
        jobs = GaugeMetricFamily("ramify_jobs", "Jobs by queue and state.", labels=("queue", "state"))
        oldest = GaugeMetricFamily(
            "ramify_oldest_ready_seconds", "Age of the oldest job that is ready.", labels=("queue",)
        )
        for key, n in sorted(self._store.counts(Which(), "queue state").items()):
            queue, _, state = key.rpartition(" ")
            jobs.add_metric((queue, state), n)
            if state == State.READY:
                for age in ages_of_oldest(self._store, queue):
                    oldest.add_metric((queue,), age)
        info = self._store.info()
        workers = GaugeMetricFamily("ramify_workers", "Workers that are alive.")
        workers.add_metric((), len(info.sessions) - len(info.lost))
        work = GaugeMetricFamily("ramify_worklist", "Changes that are being spread.")
        work.add_metric((), info.worklist)
        return [jobs, oldest, workers, work]

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Yield nothing: a store need not be there when it is registered."""
        return []
