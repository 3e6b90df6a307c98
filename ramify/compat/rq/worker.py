"""`Worker`: rq's way of running jobs, and `suspend` and `resume`, which concern all workers."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ramify.compat.connect import connect, find_own_modules
from ramify.compat.rq.job import run_here
from ramify.compat.rq.queue import Queue
from ramify.graph.fit import SUSPENDED, unexpired
from ramify.model import Rule

EVERYTHING = f"{SUSPENDED}all"


class Worker:
    """A worker for these queues in this order, each job in a process of its own.

    It runs functions of the modules in `tasks`, else those of the settings, else those that this program imported.
    With `multiprocessing` the process is a fresh interpreter, as it always is where there is no fork.
    """

    def __init__(
        self,
        queues: Sequence[Queue | str] | Queue | str = ("default",),
        name: str | None = None,
        connection: object = None,
        *,
        multiprocessing: bool = False,
        tasks: Sequence[str | ModuleType] = (),
    ) -> None:
        several: Sequence[Any] = [queues] if isinstance(queues, Queue | str) else queues
        given = next((queue.connection for queue in several if isinstance(queue, Queue)), None)
        self.connection = connect(given if connection is None else connection)
        self.name = name
        self.queues = [queue if isinstance(queue, Queue) else Queue(queue, connection=given) for queue in several]
        self._multiprocessing = multiprocessing
        self._tasks = [task if isinstance(task, str) else task.__name__ for task in tasks]

    @classmethod
    def all(cls, connection: object = None) -> list[str]:
        """Return the names of the workers that live, as host and process."""
        return [f"{session.host}.{session.pid}" for session in connect(connection).store.info().sessions]

    @classmethod
    def count(cls, connection: object = None) -> int:
        """Return how many workers live."""
        return len(cls.all(connection))

    def queue_names(self) -> list[str]:
        """Return the names of the queues in order."""
        return [queue.name for queue in self.queues]

    def work(self, burst: bool = False, **unused: Any) -> bool:
        """Run jobs until the worker is told to stop; with `burst`, until none is left. Return whether any ran."""
        from ramify.worker import loop

        app = self.connection
        modules = self._tasks or app.tasks.modules or find_own_modules()
        worker = loop.Worker(
            app.store,
            modules,
            children=1,
            queues=self.queue_names(),
            multiprocessing=self._multiprocessing,
            burst=burst,
        )
        worker.run()
        return worker.ended.total() > 0


class SpawnWorker(Worker):
    """A worker whose jobs run in fresh interpreters."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, multiprocessing=True)


class SimpleWorker(Worker):
    """A worker that runs jobs in its own process, until none is left."""

    def work(self, burst: bool = True, **unused: Any) -> bool:
        """Run jobs until none is left; return whether any ran."""
        return run_here(self.connection, self.queue_names()) > 0


def suspend(connection: object = None, ttl: float | None = None) -> None:
    """Let no job start, for `ttl` seconds or until `resume`; what runs is finished."""
    store = connect(connection).store
    store.limit(EVERYTHING, Rule(0, None if ttl is None else store.info().now + ttl))


def resume(connection: object = None) -> None:
    """Let jobs start again."""
    connect(connection).store.limit(EVERYTHING, None)


def is_suspended(connection: object = None) -> bool:
    """Tell whether no job may start."""
    info = connect(connection).store.info()
    return EVERYTHING in unexpired(info.limits, info.now)
