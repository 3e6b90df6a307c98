"""A program that a job runs: its lines as they come, and its end with everything it started.

Nothing here knows jobs; `context.py` says where lines go and when to stop.
"""

import os
import re
import selectors
import shlex
import subprocess
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Final, TypeAlias

from ramify import system
from ramify.errors import BadNode
from ramify.inlet import open_inlet
from ramify.lines import TELL_EVERY, Log, Splitter

OnLine: TypeAlias = Callable[[int, str], object]
Keeper: TypeAlias = tuple[Callable[[int], None], Callable[[int], None]]
"""Who is told the process group of a program when it begins and when it is over, to end it if this process dies."""

GRACE: Final = 3.0
"""Seconds that a program has to stop when its job was cancelled."""

LINGER: Final = 1.0
"""Seconds for the last lines after the program has ended, if something else still holds its output open."""


class Command:
    """One program, run once. `cancelled` tells afterwards whether it was ended because its job was cancelled."""

    def __init__(
        self,
        command: str | Sequence[str],
        directory: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        log: Log | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        keeper: Keeper | None = None,
    ) -> None:
        self._command, self._directory, self._environment = check(command), directory, environment
        self._is_cancelled, self._keeper = is_cancelled, keeper
        self._log = log or Log(lambda lines: None)
        self.cancelled = False
        self._kill_at: float | None = None

    def run(
        self, on_stdout: OnLine | None = None, on_stderr: OnLine | None = None, progress: "Progress | None" = None
    ) -> tuple[int, str]:
        """Run it to its end; return the exit status, below 0 for a signal, and the last line of its errors."""
        process = system.Group(
            self._command,
            self._directory,
            None if self._environment is None else {**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None
        begin, end = self._keeper or (lambda group: None, lambda group: None)
        begin(process.pid)
        streams = [
            _Stream("out", process.stdout, self._log, on_stdout, progress),
            _Stream("err", process.stderr, self._log, on_stderr, progress),
        ]
        try:
            self._read(process, streams)
            return process.wait(), streams[1].last
        finally:
            # Whatever happened, nothing of it goes on: not the program, nor what it left behind.
            process.end()
            process.wait()
            end(process.pid)
            for stream in streams:
                stream.close()
            self._log.tell()

    def _read(self, process: system.Group, streams: "list[_Stream]") -> None:
        until: float | None = None
        with selectors.DefaultSelector() as selector:
            for stream in streams:
                selector.register(stream.inlet, selectors.EVENT_READ, stream)
            while selector.get_map() and (until is None or monotonic() < until):
                for key, _ in selector.select(TELL_EVERY):
                    if not key.data.read():
                        selector.unregister(key.fileobj)
                self._log.tell_in_time()
                self._look_at_cancel(process)
                if until is None and process.poll() is not None:
                    process.end()  # what it left in its group would keep its output open
                    until = monotonic() + LINGER
            while process.poll() is None:  # it closed its output and goes on
                with suppress(subprocess.TimeoutExpired):
                    process.wait(TELL_EVERY)
                self._look_at_cancel(process)

    def _look_at_cancel(self, process: system.Group) -> None:
        if self._kill_at is None and self._is_cancelled() and process.poll() is None:
            self.cancelled, self._kill_at = True, monotonic() + GRACE
            process.end(gently=True)
        elif self._kill_at is not None and monotonic() >= self._kill_at:
            process.end()


class Progress:
    """Finds in lines how far a program is."""

    def __init__(self, pattern: str | re.Pattern[str], tell: Callable[[float, float | None], None]) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise BadNode(f"progress={pattern!r} is not a regular expression: {error}") from error
        if self._pattern.groups not in (1, 2):
            raise BadNode(f"progress={pattern!r} has one group (percent) or two (so many of so many)")
        self._tell = tell

    def look(self, line: str) -> None:
        """Tell how far the program is, if the line says so."""
        found = self._pattern.search(line)
        if found is not None:
            with suppress(ValueError, TypeError):  # of a group that took no part, or found no number
                done, total = float(found[1]), float(found[2]) if self._pattern.groups == 2 else None
                self._tell(done, total)


class _Stream:
    """One output of the program, cut into lines."""

    def __init__(self, name: str, file: IO[bytes], log: Log, on_line: OnLine | None, progress: Progress | None) -> None:
        self.name, self.inlet = name, open_inlet(os.dup(file.fileno()))
        file.close()
        self.last = ""
        self._log, self._on_line, self._progress = log, on_line, progress
        self._splitter = Splitter()
        self._number = 0

    def read(self) -> bool:
        """Take what has come; return False at the end."""
        text = self.inlet.read()
        for line in () if text is None else self._splitter.decode(text):
            self._take(line)
        return text != b""

    def _take(self, line: str) -> None:
        self._number += 1
        self.last = line or self.last
        self._log.add(self.name, line)
        if self._progress is not None:
            self._progress.look(line)
        if self._on_line is not None:
            try:
                self._on_line(self._number, line)
            except Exception:  # noqa: BLE001 -- the user's function
                self._on_line = None
                for told in traceback.format_exc().splitlines():
                    self._log.add("err", told)

    def close(self) -> None:
        """Take what is left and close."""
        while text := self.inlet.read():
            for line in self._splitter.decode(text):
                self._take(line)
        self.inlet.close()
        for line in self._splitter.end():
            self._take(line)


def check(command: object) -> str | list[str]:
    """Return the command as it is run. Raise `BadNode` if it is none."""
    if isinstance(command, str) and command.strip():
        return command
    if isinstance(command, list | tuple) and command and all(isinstance(word, str) for word in command):
        return list(command)
    raise BadNode(f"a command is a text for the shell, or a list of texts, not {command!r:.80}")


def describe(command: str | Sequence[str]) -> str:
    """Return how messages call a command."""
    text = " ".join((command if isinstance(command, str) else shlex.join(command)).split())
    return f"`{text if len(text) <= 60 else f'{text[:59]}…'}`"
