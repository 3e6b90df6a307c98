"""One log for all: each line with the name of who said it, in a colour of its own where colours are seen."""

import zlib
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

from ramify.inlet import open_inlet

COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
POOL: Final = "pool"
LONGEST: Final = 1 << 16
"""A line that has not ended by then is written in parts."""


class Log:
    """Writes lines of several sources to one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._width = len(POOL)
        self._prefixes: dict[str, str] = {}

    def widen(self, width: int) -> None:
        """Make room for names of this length."""
        if width > self._width:
            self._width = width
            self._prefixes.clear()

    def say(self, text: str) -> None:
        """Write what the pool itself has to say."""
        self.write(POOL, [text.encode()])

    def write(self, name: str, lines: list[bytes]) -> None:
        """Write lines that this source said."""
        prefix = self._prefixes.get(name) or self._make_prefix(name)
        text = "".join(f"{prefix}{line.decode('utf-8', 'backslashreplace')}\n" for line in lines)
        self._stream.write(text)
        self._stream.flush()

    def _make_prefix(self, name: str) -> str:
        colour = "bold" if name == POOL else COLOURS[zlib.crc32(name.encode()) % len(COLOURS)]
        with self._console.capture() as captured:
            self._console.print(Text(f"{name:<{self._width}} | ", colour), end="", soft_wrap=True)
        self._prefixes[name] = captured.get()
        return self._prefixes[name]


class Lines:
    """The lines that come out of a pipe, which may end anywhere."""

    def __init__(self, descriptor: int) -> None:
        self.inlet = open_inlet(descriptor)
        self._rest = b""

    def read(self) -> list[bytes]:
        """Return the lines that have come since the last time."""
        text = self.inlet.read()
        if text is None:
            return []
        *lines, self._rest = (self._rest + text).split(b"\n")
        if len(self._rest) > LONGEST or not text:
            lines += self.rest()
        return [line.rstrip(b"\r") for line in lines]

    def rest(self) -> list[bytes]:
        """Return the line that has not ended, as it will not any more."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []
