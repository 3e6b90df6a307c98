"""What the terminal shows: consoles, complaints, lines, JSON. How a job is called and coloured: `picture/words.py`."""

import logging
import os
import shutil
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import chain, islice
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType
from rich.text import Text

from ramify.picture.words import plain

WHOLE: Final = 1 << 16
"""The width of a line in a pipe."""


def out() -> Console:
    """Return the console for what was asked for; in a pipe its lines are as long as they are."""
    return _make_console(width=None if sys.stdout.isatty() else WHOLE)


def err() -> Console:
    """Return the console for everything else, so that pipes get only what was asked for."""
    return _make_console(stderr=True)


def _make_console(**options: Any) -> Console:
    console = Console(highlight=False, markup=False, emoji=False, **options)
    if console.is_dumb_terminal:  # which would be taken for one of 80 columns
        console.size = shutil.get_terminal_size()
    return console


def complain(message: str) -> None:
    """Say in one red line what is wrong."""
    err().print(Text(f"ramify: {plain(message)}", style="bold red"), soft_wrap=True)


def note(message: str) -> None:
    """Say something beside what was asked for."""
    err().print(Text(plain(message)), soft_wrap=True)


class Plainly(logging.Formatter):
    """A line of the log in which nothing is left that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with its time."""
        return "\n".join(map(plain, super().format(record).split("\n")))


def log_plainly() -> None:
    """Let the log appear beside what was asked for."""
    log_as(Plainly("%(asctime)s %(message)s"))


def log_as(formatter: logging.Formatter) -> None:
    """Let the log appear as this writes it."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def print_lines(console: Console, lines: Iterable[Text], *, page: bool = True) -> None:
    """Print lines, each cut at the edge of the screen; with `page`, through `$PAGER` if they do not fit on it."""
    first = list(islice(lines := iter(lines), console.height)) if page and _has_pager(console) else []
    if len(first) < console.height:
        _print_all(console, chain(first, lines))
        return
    with _pager(console):
        _print_all(console, chain(first, lines))


def print_page(console: Console, what: RenderableType, *, page: bool = True) -> None:
    """Print tables and the like; with `page`, through `$PAGER` if they do not fit on the screen."""
    long = page and _has_pager(console) and len(console.render_lines(what, pad=False)) >= console.height
    with _pager(console) if long else nullcontext():
        console.print(what, soft_wrap=not console.is_terminal)


def _pager(console: Console) -> AbstractContextManager[object]:
    # As Git has it: leave if it fits, keep colours, and what was shown stays on the screen.
    os.environ.setdefault("LESS", "FRX")
    return console.pager(styles=not console.no_color)


def _has_pager(console: Console) -> bool:
    wanted = os.environ.get("PAGER", "less").strip() not in {"", "cat"}
    return wanted and console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()


def _print_all(console: Console, lines: Iterable[Text]) -> None:
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis")


def print_json(text: bytes) -> None:
    """Print JSON: indented for a reader, on one line for a program, in UTF-8 always."""
    if sys.stdout.isatty():
        with suppress(RecursionError):  # too deep to be indented for anybody
            text = msgspec.json.format(text)
    sys.stdout.buffer.write(escape_json(text) + b"\n")
    sys.stdout.buffer.flush()


def escape_json(text: bytes) -> bytes:
    r"""Return JSON with what a terminal would obey spelt out (`\u009b`); what goes to a program stays as it is."""
    if not sys.stdout.isatty():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\n" else _spell(letter)
        for letter in text.decode("utf-8", "replace")
    ).encode()


def _spell(letter: str) -> str:
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
