"""What the terminal shows: consoles, complaints, lines, JSON. How a job is called and coloured: `picture/words.py`."""

import sys
from collections.abc import Iterable
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from ramify.picture.words import plain

WHOLE: Final = 1 << 16
"""The width of a line in a pipe."""


def out() -> Console:
    """Return the console for what was asked for; in a pipe its lines are as long as they are."""
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else WHOLE)


def err() -> Console:
    """Return the console for everything else, so that pipes get only what was asked for."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def complain(message: str) -> None:
    """Say in one red line what is wrong."""
    err().print(Text(f"ramify: {plain(message)}", style="bold red"), soft_wrap=True)


def note(message: str) -> None:
    """Say something beside what was asked for."""
    err().print(Text(plain(message)), soft_wrap=True)


def print_lines(console: Console, lines: Iterable[Text]) -> None:
    """Print lines, each cut at the edge of the screen."""
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis")


def print_json(text: bytes) -> None:
    """Print JSON: indented for a reader, on one line for a program, in UTF-8 always."""
    if sys.stdout.isatty():
        text = msgspec.json.format(text)
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.buffer.flush()
