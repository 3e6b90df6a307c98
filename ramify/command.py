"""A program that a job runs: its lines as they come, and its end with everything it started.

Nothing here knows jobs; `context.py` says where lines go and when to stop.
"""

import codecs
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

OnLine: TypeAlias = Callable[[int, str], object]
Lines: TypeAlias = list[tuple[str, str]]
"""Pairs of a stream (`out` or `err`) and a line."""

Keeper: TypeAlias = tuple[Callable[[int], None], Callable[[int], None]]
"""Who is told the process group of a program when it begins and when it is over, to end it if this process dies."""

TELL_EVERY: Final = 0.1
"""Seconds between handing on lines."""

MOST: Final = 2000
"""Lines that are handed on at once; of more in one such time the newest count."""

LONGEST: Final = 2000
"""Characters of a line in the log."""

UNENDED: Final = 1 << 20
"""Characters after which a line is taken for whole though it has no end."""

GRACE: Final = 3.0
"""Seconds that a program has to stop when its job was cancelled."""

LINGER: Final = 1.0
"""Seconds for the last lines after the program has ended, if something else still holds its output open."""

_END = re.compile(r"\r\n|\r(?!$)|\n")


class Command:
    """One program, run once. `cancelled` tells afterwards whether it was ended because its job was cancelled."""

    def __init__(
        self,
        command: str | Sequence[str],
        directory: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        say: Callable[[Lines], None] = lambda lines: None,
        is_cancelled: Callable[[], bool] = lambda: False,
        keeper: Keeper | None = None,
    ) -> None:
        self._command, self._directory, self._environment = check(command), directory, environment
        self._is_cancelled, self._keeper = is_cancelled, keeper
        self._log = _Log(say)
        self.cancelled = False
        self._kill_at: float | None = None

    def run(
        self, on_stdout: OnLine | None = None, on_stderr: OnLine | None = None, progress: "Progress | None" = None
    ) -> tuple[int, str]:
        """Run it to its end; return the exit status, below 0 for a signal, and the last line of its errors."""
        process = system.start_group(
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
            system.kill_group(process.pid)
            process.wait()
            end(process.pid)
            for stream in streams:
                stream.close()
            self._log.tell()

    def _read(self, process: "subprocess.Popen[bytes]", streams: "list[_Stream]") -> None:
        until: float | None = None
        with selectors.DefaultSelector() as selector:
            for stream in streams:
                selector.register(stream.file, selectors.EVENT_READ, stream)
            while selector.get_map() and (until is None or monotonic() < until):
                for key, _ in selector.select(TELL_EVERY):
                    if not key.data.read():
                        selector.unregister(key.fileobj)
                self._log.tell_in_time()
                self._look_at_cancel(process)
                if until is None and process.poll() is not None:
                    system.kill_group(process.pid)  # what it left in its group would keep its output open
                    until = monotonic() + LINGER
            while process.poll() is None:  # it closed its output and goes on
                with suppress(subprocess.TimeoutExpired):
                    process.wait(TELL_EVERY)
                self._look_at_cancel(process)

    def _look_at_cancel(self, process: "subprocess.Popen[bytes]") -> None:
        if self._kill_at is None and self._is_cancelled() and process.poll() is None:
            self.cancelled, self._kill_at = True, monotonic() + GRACE
            system.kill_group(process.pid, gently=True)
        elif self._kill_at is not None and monotonic() >= self._kill_at:
            system.kill_group(process.pid)


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

    def __init__(
        self, name: str, file: IO[bytes], log: "_Log", on_line: OnLine | None, progress: Progress | None
    ) -> None:
        self.name, self.file = name, file
        self.last = ""
        self._log, self._on_line, self._progress = log, on_line, progress
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._number = 0
        system.set_blocking(file.fileno(), False)

    def read(self) -> bool:
        """Take what has come; return False at the end."""
        try:
            text = os.read(self.file.fileno(), 65536)
        except BlockingIOError:
            return True
        *lines, self._rest = _END.split(self._rest + self._decoder.decode(text, final=not text))
        for line in lines:
            self._take(line)
        if self._rest and (not text or len(self._rest) > UNENDED):
            line, self._rest = self._rest.removesuffix("\r"), ""
            self._take(line)
        return bool(text)

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
        with suppress(OSError):
            while self.read() and self._has_more():
                pass
        self.file.close()
        if self._rest:
            self._take(self._rest)

    def _has_more(self) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self.file, selectors.EVENT_READ)
            return bool(selector.select(0))


class _Log:
    """Lines on their way to the log, handed on several at a time."""

    def __init__(self, say: Callable[[Lines], None]) -> None:
        self._say = say
        self._lines: Lines = []
        self._dropped = 0
        self._told = monotonic()

    def add(self, stream: str, line: str) -> None:
        """Take a line."""
        if len(line) > LONGEST:
            line = f"{line[: LONGEST - 1]}…"
        # Text that cannot be stored (a lone surrogate, a zero byte) is shown as what it is.
        self._lines.append((stream, line.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")))
        if len(self._lines) >= 2 * MOST:
            self._dropped += len(self._lines) - MOST
            del self._lines[:-MOST]

    def tell_in_time(self) -> None:
        """Hand on what has come, now and then."""
        if monotonic() - self._told >= TELL_EVERY:
            self.tell()

    def tell(self) -> None:
        """Hand on what has come."""
        lines, self._lines, self._told = self._lines, [], monotonic()
        if self._dropped:
            lines.insert(0, ("err", f"… {self._dropped:,} lines came too fast and are not kept"))
            self._dropped = 0
        if lines:
            self._say(lines)


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
