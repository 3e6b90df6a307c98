"""Standard output and error of a process that runs jobs: each job's log gets what the job writes there.

In a child both lead into pipes: whatever a function, its threads and its programs write belongs to the function that
runs, and a thread here reads it. What a coroutine prints is known by its context; what else is written while there are
only coroutines is nobody's. All of it appears where the process wrote before, too. Lines that a child could not read
any more, because it died, its supervisor finds in the pipes.
"""

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO, TypeAlias

from ramify.context import Context, running
from ramify.lines import TELL_EVERY, Lines, Log
from ramify.system import HAS_POLL, call_in_forks, look_into, set_blocking

PIECE: Final = 65536
"""Bytes that a pipe holds, and that are read at once."""

GATHER: Final = 0.02
"""Seconds in which output gathers before it is read: who writes a lot is not interrupted for each line."""

FORMAT: Final = "%(levelname)s %(name)s: %(message)s"
"""How records look where nobody configured `logging`."""

NUMBERS: Final = {"out": 1, "err": 2}

Pipes: TypeAlias = Sequence[tuple[int, int]]
"""For output and for error: the end to read from and the end to write to."""


class Output:
    """Whose output that of this process is. As it is, only what is written in a job's own context is told apart."""

    def begin(self, job: Context) -> None:
        """Give a function that runs from now on what is written from now on."""

    def end(self) -> None:
        """Take all that the function wrote."""

    def is_apart(self, job: Context) -> bool:
        """Tell whether what is written in a job's context is its own, whatever else is written meanwhile."""
        return True


class Stream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` as jobs see it. What is told apart is also written to `echo`, all else to `real`."""

    def __init__(self, name: str, output: Output, real: TextIO, echo: TextIO) -> None:
        self._name, self._output, self.real, self.echo = name, output, real, echo
        self.users = 0
        self.records: logging.Handler = logging.NullHandler()

    def write(self, text: str) -> int:
        """Take text."""
        job = running()
        if job is None or not self._output.is_apart(job):
            return self.real.write(text)
        size = self.echo.write(text)
        job.log.write(self._name, text)
        job.log.tell_in_time()
        return size

    def flush(self) -> None:
        """Let what was written appear."""
        self.real.flush()
        self.echo.flush()

    def writable(self) -> bool:
        """Tell that one can write here."""
        return True

    def isatty(self) -> bool:
        """Tell whether a person sees this at once."""
        return self.real.isatty()

    def fileno(self) -> int:
        """Return the descriptor that programs may write to."""
        return self.real.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """How text becomes bytes."""
        return self.real.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What becomes of text that has no bytes."""
        return self.real.errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@contextmanager
def listening() -> Iterator[None]:
    """Let this process keep what jobs print in their own context, for the length of a block; blocks may overlap."""
    if sys.stdout is None or sys.stderr is None:  # a process that has none, as on Windows
        yield
        return
    with _changing:
        if not isinstance(sys.stdout, Stream):
            before = (sys.stdout, sys.stderr)
            _replace(before, [Stream(name, Output(), old, old) for name, old in zip(NUMBERS, before, strict=True)])
        out, err = sys.stdout, sys.stderr
        assert isinstance(out, Stream)
        # With no handler at all, Python writes to standard error what is worth a warning.
        if not out.users and logging.root.handlers and not _shows_records((out, err)):
            out.records = _add(Records())
        out.users += 1
    try:
        yield
    finally:
        with _changing:
            out.users -= 1
            if not out.users:
                logging.root.removeHandler(out.records)
                # Somebody may have put something else there meanwhile.
                if (out, err) == (sys.stdout, sys.stderr) and isinstance(err, Stream):
                    _replace((out, err), [out.real, err.real])


@contextmanager
def printing() -> Iterator[None]:
    """Be a child whose output cannot be caught by pipes: what its functions print and log themselves is kept."""
    with listening():
        if sys.stderr is not None and not logging.root.handlers:
            logging.root.setLevel(logging.INFO)
            _add(logging.StreamHandler(sys.stderr))
        yield


_changing: Final = threading.Lock()


class Piped(Output):
    """The output of a child."""

    def __init__(self, pipes: Pipes) -> None:
        self._ends = [end for end, _ in pipes]
        self._job: Context | None = None
        self._forked = False
        self._unended: set[str] = set()
        """Streams whose last line has no end yet."""
        self._lock = threading.RLock()
        self._look = look_into(self._ends)
        self._saved, self._streams = self._redirect(pipes)
        self._flush_out, self._flush_err = (stream.real.flush for stream in self._streams)
        call_in_forks(self._leave)
        threading.Thread(target=self._serve, name="output", daemon=True).start()

    def begin(self, job: Context) -> None:
        """Give a function that runs from now on what is written from now on."""
        self._job = job

    def end(self) -> None:
        """Take all that the function wrote."""
        # This is done for every job, so with as few calls as can be.
        self._flush_out()
        self._flush_err()
        with self._lock:  # the thread may have read something that it has not passed on yet
            if self._look(0):
                self._take()
            self._job = None
        while self._unended:
            with suppress(OSError):
                os.write(self._saved[self._unended.pop()], b"\n")

    def is_apart(self, job: Context) -> bool:
        """Tell whether this is a coroutine; what a function writes is known by when."""
        return job is not self._job and not self._forked

    def _redirect(self, pipes: Pipes) -> tuple[dict[str, int], list[Stream]]:
        """Let both streams, of Python and of the system, lead into the pipes; return where they led, and the new."""
        before, saved, streams = (sys.stdout, sys.stderr), {}, []
        for (name, number), old, (_, end) in zip(NUMBERS.items(), before, pipes, strict=True):
            with suppress(OSError, ValueError, AttributeError):  # it is closed, or there is none
                old.flush()
            try:
                saved[name] = os.dup(number)
            except OSError:  # it is closed
                saved[name] = os.open(os.devnull, os.O_WRONLY)
            os.dup2(end, number)
            os.close(end)
            streams.append(Stream(name, self, _open(number), _open(saved[name])))
            streams[-1].users = 1  # this process; so a job that runs jobs itself leaves them in place
        _replace(before, streams)
        if not logging.root.handlers:
            logging.root.setLevel(logging.INFO)
        if not _shows_records(streams):
            _add(logging.StreamHandler(streams[1]))
        return saved, streams

    def _serve(self) -> None:
        """Read what comes, for as long as the process lives."""
        wait = look_into(self._ends)
        waits = False
        while True:
            wait(1000 * TELL_EVERY if waits else None)
            full, waits = self._take()
            if not full:
                time.sleep(GATHER)

    def _take(self) -> tuple[bool, bool]:
        """Take what is in the pipes; return whether there may be more, and whether some waits to be handed on."""
        with self._lock:
            found, job = read(self._ends), self._job
            for stream, text in found:
                with suppress(OSError):
                    os.write(self._saved[stream], text)
                (self._unended.discard if text.endswith(b"\n") else self._unended.add)(stream)
                if job is not None:
                    job.log.write(stream, text)
            waits = job is not None and job.tell()
        return any(len(text) == PIECE for _, text in found), waits

    def _leave(self) -> None:
        """Be a process that a job has forked: it writes into the pipes, and the child that it is from reads them."""
        self._lock = threading.RLock()
        self._job, self._forked = None, True


def _open(number: int) -> TextIO:
    return open(number, "w", 1, "utf-8", "backslashreplace", closefd=False)


def _replace(old: Sequence[Any], new: Sequence[Any]) -> None:
    """Put new streams in the place of the old ones, for those who log there too."""
    sys.stdout, sys.stderr = new
    known = list(logging.root.manager.loggerDict.values())
    loggers = [logging.root, *(each for each in known if isinstance(each, logging.Logger))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and handler.stream in old:
            handler.setStream(new[list(old).index(handler.stream)])


class Records(logging.Handler):
    """Keeps what is logged in a job's own context."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        job = running()
        if job is not None:
            job.log.write("err", self.format(record) + "\n")


def _shows_records(streams: Sequence[Any]) -> bool:
    """Tell whether `logging` is set up to write to one of these."""
    return any(isinstance(each, logging.StreamHandler) and each.stream in streams for each in logging.root.handlers)


def _add(handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(logging.Formatter(FORMAT))
    logging.root.addHandler(handler)
    return handler


def make_pipes() -> Pipes:
    """Return pipes for a child's output, none where it cannot be caught."""
    pipes = [os.pipe(), os.pipe()] if HAS_POLL else []
    for end, _ in pipes:
        set_blocking(end, False)
    return pipes


def read(ends: Sequence[int]) -> list[tuple[str, bytes]]:
    """Return, by stream, what is in the pipes."""
    found = []
    for stream, end in zip(NUMBERS, ends, strict=False):
        with suppress(OSError):
            if text := os.read(end, PIECE):
                found.append((stream, text))
    return found


def read_lines(ends: Sequence[int]) -> Lines:
    """Return what a child that is dead wrote last; it appears here, too."""
    lines: Lines = []
    log = Log(lines.extend)
    for stream, text in read(ends):
        log.write(stream, text)
        with suppress(OSError):
            os.write(NUMBERS[stream], text)
    log.end()
    return lines
