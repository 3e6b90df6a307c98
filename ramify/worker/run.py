"""One call of a user's function in this process: a `Call` in, a `Report` out, whatever the function does.

Nothing here knows a store or another process; what becomes of the job is decided in `decide.py`.
"""

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from ramify import context, proc, project
from ramify.codec import annotations, decode, encode_result, restore
from ramify.command import Keeper
from ramify.context import Context
from ramify.create import create
from ramify.errors import BadArguments, BadTask
from ramify.graph.sketch import Flat, sketch
from ramify.graph.sketch import Path as SlotPath
from ramify.lines import Lines
from ramify.model import Value
from ramify.node import AnyNode
from ramify.tasks import Tasks
from ramify.worker.call import Call, Report
from ramify.worker.output import Output
from ramify.worker.trouble import explain, names_of

if TYPE_CHECKING:  # the driver is there only where jobs are in PostgreSQL
    import psycopg

    from ramify.worker.database import Database

PLAN: Final = "ramify:plan"
"""The task whose argument is a project document; the jobs in it become children of the job."""


class Prepared(Struct, gc=False):
    """A function with what must be known of it for each call. `named` includes the positional ones; `task` is the
    function, or the class that it makes an object of.
    """

    function: Callable[..., Any]
    awaits: bool
    positional: list[Any]
    more: Any
    named: dict[str, Any]
    other: Any
    task: Callable[..., Any]


class Runner:
    """Runs calls of the tasks that may run here."""

    def __init__(
        self,
        tasks: Tasks,
        is_cancelled: Callable[[int], bool] = lambda number: False,
        advance: Callable[[int, int | None, str | None], None] = lambda number, percent, status: None,
        say: Callable[[int, Lines], None] = lambda number, lines: None,
        keeper: Keeper | None = None,
        directory: Path | None = None,
        output: Output | None = None,
    ) -> None:
        self._tasks = tasks
        self._output = output or Output()
        self._running: Context | None = None
        self._together: set[Context] = set()
        self._is_cancelled, self._advance, self._say = is_cancelled, advance, say
        self._keeper, self._directory = keeper, directory
        self._prepared: dict[str, Prepared] = {}
        self._database: Database | None = None

    def awaits(self, task: str) -> bool:
        """Tell whether the task is an `async def`; False if there is no such task."""
        try:
            return self._prepare(task).awaits
        except BadTask:
            return False

    def run(self, call: Call) -> Report:
        """Run the call to its end; a coroutine gets an event loop of its own."""
        started = monotonic()
        report, job = Report(call.number), self._context(call)
        try:
            prepared, args, kwargs = self._arrange(call)
        except Exception as error:  # noqa: BLE001 -- types of the user's own may raise whatever they like
            return _refused(report, error)
        pid = os.getpid()
        self._running = job
        self._output.begin(job)
        try:
            with context.entered(job):
                value = prepared.function(*args, **kwargs)
                if type(value) is CoroutineType:
                    value = _complete(value)
        except BaseException as error:  # noqa: BLE001 -- around the user's function: whatever it raises is its outcome
            _check_pid(pid)
            _failed(report, error, prepared, args, kwargs)
        else:
            _check_pid(pid)
            self._finish(report, call, job, value)
        self._output.end()
        job.close()
        if self._database is not None:
            self._database.end(call, report)
        report.seconds = monotonic() - started
        return report

    def tell(self) -> None:
        """Hand on what the running jobs said, now and then."""
        for job in (self._running, *self._together):
            if job is not None:
                job.tell()

    def start(
        self, call: Call
    ) -> tuple[Coroutine[Any, Any, object], Callable[["asyncio.Task[object]"], Report]] | Report:
        """Return the coroutine of an `async def` task, and what makes the report of it once it has ended."""
        started = monotonic()
        report, job = Report(call.number), self._context(call)
        try:
            prepared, args, kwargs = self._arrange(call)
        except Exception as error:  # noqa: BLE001 -- types of the user's own may raise whatever they like
            return _refused(report, error)

        self._together.add(job)

        async def run() -> object:
            with context.entered(job):
                return await prepared.function(*args, **kwargs)

        def finish(task: "asyncio.Task[object]") -> Report:
            if task.cancelled():
                _failed(report, asyncio.CancelledError("the coroutine was cancelled"), prepared, args, kwargs)
            elif (error := task.exception()) is not None:
                _failed(report, error, prepared, args, kwargs)
            else:
                self._finish(report, call, job, task.result())
            self._together.discard(job)
            job.close()
            report.seconds = monotonic() - started
            return report

        return run(), finish

    def _context(self, call: Call) -> Context:
        number, is_cancelled, advance = call.number, self._is_cancelled, self._advance
        say = self._say if call.tx is None else partial(self._say_beside, call)
        return Context(
            call.job,
            call.tree,
            call.parent,
            call.attempt,
            lambda: is_cancelled(number),
            lambda percent, status: advance(number, percent, status),
            lambda lines: say(number, lines),
            self._keeper,
            self._directory,
            None if call.tx is None else partial(self._begin, call.tx[0]),
        )

    def _begin(self, url: str) -> "psycopg.Connection[Any]":
        """Return the database that the jobs are in, in a transaction that is over when the run is."""
        from ramify.worker.database import Database

        if self._database is None:
            self._database = Database(url, self._tasks.modules)
        return self._database.begin()

    def _say_beside(self, call: Call, number: int, lines: Lines) -> None:
        """Keep what a job says at once: its worker may hear it only when the job has ended in its transaction."""
        if self._database is None or not self._database.say(call, lines):
            self._say(number, lines)

    def close(self) -> None:
        """Let go of what was opened for the runs."""
        if self._database is not None:
            self._database.close()

    def _prepare(self, task: str) -> Prepared:
        prepared = self._prepared.get(task)
        if prepared is None:
            prepared = self._prepared[task] = prepare(_plan if task == PLAN else self._tasks.find(task))
        return prepared

    def _arrange(self, call: Call) -> tuple[Prepared, list[Any], dict[str, Any]]:
        """Return the function and its arguments, filled in and as the types that the function asks for."""
        prepared = self._prepare(call.task)
        args, kwargs = decode(call.args)
        for path, value in call.fills:
            args = fill(args, kwargs, path, value)
        if prepared.positional or prepared.more is not Any:
            _restore_positional(prepared, args)
        if kwargs:
            for name, value in kwargs.items():
                wanted = prepared.named.get(name, prepared.other)
                kwargs[name] = value if wanted is Any else _restore(value, wanted, f"argument {name!r}")
        return prepared, args, kwargs

    def _finish(self, report: Report, call: Call, job: Context, value: object) -> None:
        siblings = job.siblings
        try:
            if call.project and type(value) is dict and "addJobs" in value:
                siblings = [*siblings, *project.read_added(value["addJobs"])]
                value = value.get("result")
            if job.spawned:
                report.spawned = _sketch(job.spawned)
            if siblings:
                report.siblings = _sketch(siblings)
            if value is not None:
                stored = encode_result(value)
                report.json, report.spread = stored.json, stored.spread
        except Exception as error:  # noqa: BLE001 -- likewise: a key's repr, a class's iterator
            report.spawned = report.siblings = None
            report.failure = explain(error, "result")


def prepare(function: Callable[..., Any]) -> Prepared:
    """Return the function with the types of its parameters; `Any` stands for whatever may come."""
    hints = annotations(function)
    called = functools.partial(proc.run, function) if proc.is_proc(function) else function
    prepared = Prepared(called, proc.awaits(function), [], Any, {}, Any, function)
    if not hints:
        return prepared
    for name, parameter in inspect.signature(function).parameters.items():
        wanted = hints.get(name, Any)
        if parameter.kind is parameter.VAR_POSITIONAL:
            prepared.more = wanted
        elif parameter.kind is parameter.VAR_KEYWORD:
            prepared.other = wanted
        elif parameter.kind is parameter.KEYWORD_ONLY:
            prepared.named[name] = wanted
        else:
            prepared.positional.append(wanted)
            prepared.named[name] = wanted
    if all(wanted is Any for wanted in prepared.positional):
        prepared.positional = []
    return prepared


def _sketch(nodes: Sequence[AnyNode]) -> list[Flat]:
    flats = sketch(nodes)
    for _, each in create(flats):
        each.post_create()
    return flats


def _plan(document: dict[str, Any]) -> None:
    context.current().spawn(project.read(document))


def fill(args: list[Any], kwargs: dict[str, Any], path: SlotPath, value: Value) -> list[Any]:
    """Put a result into its place; return the positional arguments."""
    result = decode(value.json)
    if path == ["*"]:
        return list(result) if value.spread else [result]
    target: Any = kwargs if path[0] == "kwargs" else args
    for step in path[1:-1]:
        target = target[step]
    target[path[-1]] = result
    return args


def _restore_positional(prepared: Prepared, args: list[Any]) -> None:
    known = len(prepared.positional)
    for index, value in enumerate(args):
        wanted = prepared.positional[index] if index < known else prepared.more
        # The commonest case first: a call of `restore` costs more than this comparison.
        if type(value) is not wanted and wanted is not Any:
            args[index] = _restore(value, wanted, f"argument {index + 1}")


def _restore(value: object, wanted: Any, what: str) -> object:
    if isinstance(wanted, list | tuple | set | frozenset):
        if value not in wanted:
            raise BadArguments(f"{what}: {value!r} is not one of {', '.join(map(repr, wanted))}")
        return value
    return restore(value, wanted, what)


def _refused(report: Report, error: Exception) -> Report:
    report.failure = explain(error, "arguments")
    return report


def _failed(
    report: Report, error: BaseException, prepared: Prepared, args: list[Any], kwargs: Mapping[str, Any]
) -> None:
    kind = "error"
    if type(error) is TypeError and not _fits(prepared.task, args, kwargs):
        kind = "arguments"
    report.failure = explain(error, kind)
    report.names = names_of(error)


def _fits(function: Callable[..., Any], args: list[Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether the arguments fit the signature: asked only after a TypeError, because binding is slow."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    except ValueError:  # a builtin without signature
        return True
    return True


def _complete(coroutine: Coroutine[Any, Any, object]) -> object:
    """Run a coroutine to its end, beside the caller's event loop if there is one (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    done: list[Any] = []
    here = context.running()

    async def run() -> None:
        if here is None:
            done.extend(await asyncio.gather(coroutine, return_exceptions=True))
        else:
            with context.entered(here):
                done.extend(await asyncio.gather(coroutine, return_exceptions=True))

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    thread.join()
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]


def _check_pid(pid: int) -> None:
    """End a process that the user's function forked and let return: the job goes on in the other one."""
    if os.getpid() != pid:
        os._exit(1)
