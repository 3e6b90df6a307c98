"""What a running job may ask and say: `current()` inside the function that runs.

It collects; the runner that entered it hands on what was collected with the outcome, so nothing here knows a store.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ramify.command import Command, Keeper, OnLine, Progress, describe
from ramify.errors import BadNode, BadTask, CommandFailed, Fail, OutsideJob
from ramify.lines import Lines, Log
from ramify.model import JobId
from ramify.node import AnyNode, Node

if TYPE_CHECKING:  # the driver is there only where jobs are in PostgreSQL
    import psycopg


class Context:
    """The running job, as its function sees it.

    `spawned` and `siblings` are the nodes to add when the function returns. `report` takes percent and status, None
    for what stays as it is.
    """

    def __init__(
        self,
        job: JobId,
        tree: JobId,
        parent: JobId | None,
        attempt: int,
        is_cancelled: Callable[[], bool],
        report: Callable[[int | None, str | None], None],
        say: Callable[[Lines], None] = lambda lines: None,
        keeper: Keeper | None = None,
        place: Path | None = None,
        begin: Callable[[], Any] | None = None,
    ) -> None:
        self.job, self.tree, self.parent, self.attempt = job, tree, parent, attempt
        self.spawned: list[AnyNode] = []
        self.siblings: list[AnyNode] = []
        self._is_cancelled, self._report, self._say = is_cancelled, report, say
        self._log: Log | None = None
        self._keeper, self._place, self._begin = keeper, place, begin
        self._directory: Path | None = None
        self._percent = 0

    @property
    def key(self) -> str:
        """A name for this run of this job, never used again: give it to systems that drop repeated requests."""
        return f"{self.job}-{self.attempt}"

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled the job: return soon, or be ended. What it returns still counts."""
        return self._is_cancelled()

    @property
    def tx(self) -> "psycopg.Connection[Any]":
        """A connection to the PostgreSQL database that the jobs are in, for a task with `tx=True`.

        It is in a transaction, which is committed together with the outcome when the function has returned, and rolled
        back if the function raises, if its process dies, or if the job is not ours any more. Its `commit` and
        `rollback` are refused; `with current().tx.transaction():` is a savepoint.
        """
        if self._begin is None:
            raise BadTask("no transaction goes with this job: current().tx is for tasks with tx=True, in PostgreSQL")
        connection: psycopg.Connection[Any] = self._begin()
        return connection

    def spawn(self, *nodes: AnyNode) -> None:
        """Add children to this job when its function has returned; it is done when they are.

        Nothing is added if the function fails.
        """
        self.spawned += map(_check, nodes)

    def spawn_sibling(self, *nodes: AnyNode) -> None:
        """Add nodes to the end of the group this job is in; the same as `spawn` for a job without a group."""
        (self.siblings if self.parent is not None else self.spawned).extend(map(_check, nodes))

    def progress(self, done: float, total: float | None = None) -> None:
        """Say how much is done: of `total`, or percent. It only grows, as long as this run goes on."""
        share = done if total is None else 100 * done / total if total > 0 else 100
        percent = max(self._percent, round(min(100, max(0, share))))
        if percent != self._percent or percent == 0:
            self._percent = percent
            self._report(percent, None)

    def status(self, text: str) -> None:
        """Say in a line what is being done; of a longer text the beginning counts."""
        self._report(None, str(text)[:1000].encode("utf-8", "replace").decode())

    @property
    def log(self) -> Log:
        """What becomes of what this run says."""
        if self._log is None:
            self._log = Log(self._say)
        return self._log

    @property
    def directory(self) -> Path:
        """A directory for this run alone, empty at first, removed after the run.

        With `$RAMIFY_DIRECTORIES` it is made there instead, named after the job and its attempt, and kept.
        """
        if self._directory is None:
            kept = os.environ.get(KEPT)
            if kept:
                self._directory = Path(kept).resolve() / self.key
                self._directory.mkdir(parents=True, exist_ok=True)
            else:
                self._directory = Path(tempfile.mkdtemp(prefix=f"run-{self.key}-", dir=self._place))
        return self._directory

    def exec(
        self,
        command: str | Sequence[str],
        *,
        on_stdout: OnLine | None = None,
        on_stderr: OnLine | None = None,
        check: bool = True,
        progress: str | re.Pattern[str] | None = None,
        directory: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Run a program and return its exit status: a text is for the shell, a list is program and arguments.

        What it prints goes to the job's log, line by line; `on_stdout` and `on_stderr` are called for each line with
        its number, from 1, and the line; all have been when this returns. A callback that raises is not called again,
        and what it raised stands in the log. `progress` finds how far the program is in its lines: a regular
        expression with one group (percent) or two (so many of so many). The program ends with the job, and so
        does what it leaves running, but for what makes a session of its own. With `check`, raise `CommandFailed` unless
        the status is 0; of a program that a signal ended it is that number, negative. Inside a coroutine, say
        `await asyncio.to_thread(current().exec, …)`.
        """
        shown = None if progress is None else Progress(progress, self.progress)
        run = Command(command, directory, environment, self.log, self._is_cancelled, self._keeper)
        status, last = run.run(on_stdout, on_stderr, shown)
        if run.cancelled:
            raise CommandFailed(f"{describe(command)} was ended because the job was cancelled")
        if check and status != 0:
            how = f"exit status {status}" if status > 0 else f"signal {-status}"
            raise CommandFailed(f"{describe(command)} ended with {how}" + (f": {last}" if last else ""))
        return status

    def tell(self) -> bool:
        """Hand on what was said, now and then; return whether something waits for that."""
        return self._log is not None and self._log.tell_in_time()

    def close(self) -> None:
        """Hand on what was said, and remove the running directory, unless it is kept; called after the run."""
        if self._log is not None:
            self._log.end()
        if self._directory is not None and not os.environ.get(KEPT):
            shutil.rmtree(self._directory, ignore_errors=True)

    def fail(self, reason: str) -> NoReturn:
        """End this job `failed`, without another try."""
        raise Fail(reason)


KEPT: Final = "RAMIFY_DIRECTORIES"
"""The variable that names where running directories are kept; without it they are removed after the run."""


_running: Final[ContextVar[Context | None]] = ContextVar("ramify_running", default=None)


def current() -> Context:
    """Return the job that runs here. Raise `OutsideJob` if none does."""
    context = running()
    if context is None:
        raise OutsideJob()
    return context


def running() -> Context | None:
    """Return the job that runs here, or None outside of jobs."""
    return _running.get()


class entered:
    """Make this the current job for the body of a `with`."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        # Not a generator: this is done for every job, and takes a third of the time.
        self._context = context

    def __enter__(self) -> Context:
        self._token: Token[Context | None] = _running.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _running.reset(self._token)


def _check(node: object) -> AnyNode:
    if not isinstance(node, Node):
        raise BadNode(f"{node!r} is not a node; make one with job(function, …)")
    return node
