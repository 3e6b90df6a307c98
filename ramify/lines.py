"""What a job says, as lines on their way to its log: cut, shortened, and handed on several at a time."""

import codecs
import re
import threading
from collections.abc import Callable
from time import monotonic
from typing import Final, TypeAlias

Lines: TypeAlias = list[tuple[str, str]]
"""Pairs of a stream (`out` or `err`) and a line."""

TELL_EVERY: Final = 0.1
"""Seconds between handing on lines."""

MOST: Final = 2000
"""Lines that are handed on at once; of more in one such time the newest count."""

LONGEST: Final = 2000
"""Characters of a line in the log."""

UNENDED: Final = 1 << 20
"""Characters after which a line is taken for whole though it has no end."""

_END = re.compile(r"\r\n|\r(?!$)|\n")


class Splitter:
    """Text that comes in pieces, cut into lines."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def decode(self, text: bytes) -> list[str]:
        """Return the lines that these bytes end; none of them means that there are no more."""
        lines = self.cut(self._decoder.decode(text, final=not text))
        return lines if text else lines + self.end()

    def cut(self, text: str) -> list[str]:
        """Return the lines that this text ends."""
        *lines, self._rest = _END.split(self._rest + text)
        return lines + self.end() if len(self._rest) > UNENDED else lines

    def end(self) -> list[str]:
        """Return the line that has no end, if there is one."""
        line, self._rest = self._rest.removesuffix("\r"), ""
        return [line] if line else []


class Log:
    """The lines of one run of a job, from any thread. `say` takes them."""

    def __init__(self, say: Callable[[Lines], None]) -> None:
        self._say = say
        self._lock = threading.RLock()  # a signal's handler may say something, too
        self._splitters = {"out": Splitter(), "err": Splitter()}
        self._lines: Lines = []
        self._dropped = 0
        self._told = 0.0

    def add(self, stream: str, line: str) -> None:
        """Take a line."""
        if len(line) > LONGEST:
            line = f"{line[: LONGEST - 1]}…"
        # Text that cannot be stored (a lone surrogate, a zero byte) is shown as what it is.
        line = line.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
        with self._lock:
            self._lines.append((stream, line))
            if len(self._lines) >= 2 * MOST:
                self._dropped += len(self._lines) - MOST
                del self._lines[:-MOST]

    def write(self, stream: str, text: str | bytes) -> None:
        """Take text, of which whole lines are handed on."""
        with self._lock:
            splitter = self._splitters[stream]
            for line in splitter.decode(text) if isinstance(text, bytes) else splitter.cut(text):
                self.add(stream, line)

    def tell_in_time(self) -> bool:
        """Hand on what has come, now and then; return whether something waits for that."""
        if monotonic() - self._told >= TELL_EVERY:
            self.tell()
        return bool(self._lines)

    def tell(self) -> None:
        """Hand on what has come."""
        with self._lock:
            lines, self._lines, self._told = self._lines, [], monotonic()
            if self._dropped:
                lines.insert(0, ("err", f"… {self._dropped:,} lines came too fast and are not kept"))
                self._dropped = 0
            if lines:
                self._say(lines)

    def end(self) -> None:
        """Hand on what is left, lines without an end too."""
        with self._lock:
            for stream in self._splitters:
                self.write(stream, b"")
            self.tell()
