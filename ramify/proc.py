"""`JobProc`: a task that is a class. Its arguments are those of the constructor, `run` does the work.

What a function cannot say: the constructor refuses arguments before anything is stored, `post_create` prepares what is
needed once, and the lines of programs go to methods. The design is that of cgkit's job procedures.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Protocol, TypeGuard, TypeVar

from ramify.context import current

T_co = TypeVar("T_co", covariant=True)


class JobProc:
    """The base of tasks that are classes.

    An object is made when a job is enqueued, to see whether its arguments are right, and another one in the worker for
    each run; so the constructor does nothing that may be done only once. `label` is what the job is called, unless its
    node says it.
    """

    label: str | None = None

    def run(self) -> Any:
        """Do what the job is for; what it returns is the result, what it raises the job's failure."""

    def post_create(self) -> None:
        """Do what is done once for a job; called by who enqueues it, when it was stored and before it may begin.

        It is not called for a job that an earlier one stands for. A job that spawns calls it before its children are
        stored, in each of its runs.
        """

    def on_stdout(self, number: int, line: str) -> None:
        """Take a line, the first is 1, that a program of `exec` printed."""

    def on_stderr(self, number: int, line: str) -> None:
        """Take a line, the first is 1, that a program of `exec` printed as an error."""

    def exec(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        progress: str | re.Pattern[str] | None = None,
        directory: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Run a program as `current().exec` does; its lines go to `on_stdout` and `on_stderr`."""
        return current().exec(
            command,
            on_stdout=self.on_stdout,
            on_stderr=self.on_stderr,
            check=check,
            progress=progress,
            directory=directory,
            environment=environment,
        )


class Proc(Protocol[T_co]):
    """A `JobProc` as type checkers see it: its `run` says what the result is."""

    def run(self) -> T_co:
        """Do what the job is for."""
        ...

    def post_create(self) -> None:
        """Do what is done once for a job."""
        ...


def is_proc(what: object) -> TypeGuard[type[JobProc]]:
    """Tell whether this is a class of jobs."""
    return isinstance(what, type) and issubclass(what, JobProc) and what is not JobProc


def awaits(function: Callable[..., object]) -> bool:
    """Tell whether a task is an `async def`, or a class whose `run` is one."""
    return iscoroutinefunction(function.run if is_proc(function) else function)


def run(proc: type[JobProc], *args: Any, **kwargs: Any) -> Any:
    """Make a procedure and run it."""
    return proc(*args, **kwargs).run()
