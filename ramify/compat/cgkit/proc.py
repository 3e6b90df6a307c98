"""`JobProc`: what a job does, as a class of its own in a module of the same name."""

import traceback
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TextIO

from ramify import proc
from ramify.compat.cgkit.files import Files
from ramify.context import current


class JobProc(proc.JobProc):
    """The base of all procedures: ramify's own by cgkit's names.

    It may be made several times for one job: what is done once is for `postCreate`.
    """

    # Not in the constructor, which a procedure may forget to call.
    label: str | None = None
    stdout: TextIO | None = None
    stderr: TextIO | None = None
    _files: Files

    def __init__(self, label: str | None = None) -> None:
        self.label = None if label is None else str(label)

    def run(self) -> None:
        """Do what the job is for. What it raises is the job's error."""

    def postCreate(self, jobDir: str) -> None:
        """Do what is to be done once, when the job is made; `jobDir` is its directory."""

    def stdoutCallback(self, lineNr: int, line: str) -> None:
        """Take a line, the first is 1, that a command printed."""

    def stderrCallback(self, lineNr: int, line: str) -> None:
        """Take a line, the first is 1, that a command printed as an error."""

    @property
    def runningDir(self) -> str:
        """The directory in which the job runs."""
        return self._files.runningDir

    def setProgress(self, value: float) -> None:
        """Say how much is done, from 0 to 100. It only grows."""
        current().progress(int(value))

    def setStatusLine(self, s: object) -> None:
        """Say in a line what is being done."""
        current().status(str(s))

    def setError(self) -> None:
        """Let the job fail when `run` is over."""
        self._files.setError()

    def execCmd(self, cmd: str) -> int:
        """Run a shell command in the job's directory and return its exit code, once all it printed was delivered.

        What it prints goes to the job's files, and line by line to the callbacks. One that raises is not called again.
        """
        self._silenced = set[str]()
        return self.exec(cmd, check=False, directory=self.runningDir)

    def on_stdout(self, number: int, line: str) -> None:
        """Hand on a line that a command printed."""
        self._deliver(self.stdout, self.stdoutCallback, number, line)

    def on_stderr(self, number: int, line: str) -> None:
        """Hand on a line that a command printed as an error."""
        self._deliver(self.stderr, self.stderrCallback, number, line)

    def _deliver(self, file: TextIO | None, callback: Callable[[int, str], None], number: int, line: str) -> None:
        print(line, file=file, flush=True)
        if callback.__name__ in self._silenced:
            return
        try:
            callback(number, f"{line}\n")
        except Exception:  # noqa: BLE001 -- around the user's function: the command goes on without it
            self._silenced.add(callback.__name__)
            traceback.print_exc(file=self.stderr)


class running:
    """Give a procedure its files for the body of a `with`."""

    def __init__(self, proc: JobProc, files: Files) -> None:
        self._proc, self._files, self._open = proc, files, ExitStack()

    def __enter__(self) -> Self:
        self._proc._files = self._files
        self._proc.stdout = self._open.enter_context(open(self._files.stdoutFile, "w", 1))
        self._proc.stderr = self._open.enter_context(open(self._files.stderrFile, "w", 1))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            with open(self._files.procTracebackFile, "w") as file:
                traceback.print_exception(error, file=file)
        self._open.close()
        self._proc.stdout = self._proc.stderr = None
