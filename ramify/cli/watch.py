"""A tree while it is worked on: how much is done, and what goes on in it. It only looks; who works is `live.py`.

In a terminal that is a picture which changes, elsewhere a line now and then.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ramify.cli.draw import draw_tree
from ramify.cli.fold import read_tree
from ramify.cli.screen import coloured, err
from ramify.model import ENDED, JobId, Row, State, Which
from ramify.stores.protocol import Store
from ramify.stores.read import read_row

FRAME: Final = 0.1
"""Seconds between two pictures, at least; and ten times what it takes to read one, so that looking costs little."""

WORD: Final = 5.0
"""Seconds between two lines where there is no terminal."""

DEPTH: Final = 8
BELOW: Final = 3
"""Lines of the terminal that are left alone."""


def watch(store: Store, job: JobId, check: Callable[[], None] = lambda: None) -> Row:
    """Show the job and all under it until it has ended; return its row. `check` is called often and may raise."""
    console = err()
    if console.is_terminal and not console.is_dumb_terminal:
        return _show(store, job, check, console)
    return _tell(store, job, check, console)


def _show(store: Store, job: JobId, check: Callable[[], None], console: Console) -> Row:
    started = time.monotonic()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for row, pause in _looks(store, job, check):
            counts = store.counts(Which(tree=row.tree), "state")
            lines = draw_tree(store, read_tree(store, row, DEPTH, _is_open), console.width, ids=False)
            room = max(3, console.height - BELOW)
            if len(lines) > room:
                lines[room - 1 :] = [Text(f"… {len(lines) - room + 1:,} more lines", "bright_black")]
            live.update(Group(_bar(counts, time.monotonic() - started), *lines), refresh=True)
            pause(FRAME)
    return row


def _tell(store: Store, job: JobId, check: Callable[[], None], console: Console) -> Row:
    told, when = "", -WORD
    for row, pause in _looks(store, job, check):
        if time.monotonic() - when >= WORD or row.state in ENDED:
            when = time.monotonic()
            words = _count_up(store.counts(Which(tree=row.tree), "state")).plain
            if words != told:
                console.print(words, soft_wrap=True)
            told = words
        pause(FRAME)
    return row


def _looks(store: Store, job: JobId, check: Callable[[], None]) -> Iterator[tuple[Row, Callable[[float], None]]]:
    """Yield the job's row as it changes, the last time when it has ended, with what waits for the next look."""
    while True:
        began = time.monotonic()
        row = read_row(store, job)

        def pause(least: float, began: float = began) -> None:
            if row.state not in ENDED:
                until = began + max(least, 10 * (time.monotonic() - began))
                while (left := until - time.monotonic()) > 0:
                    check()
                    time.sleep(min(left, FRAME))

        check()
        yield row, pause
        if row.state in ENDED:
            return


def _is_open(row: Row) -> bool:
    # What is done is one line, or the picture would fill up with it.
    return row.state is not State.DONE


def _bar(counts: dict[str, int], seconds: float) -> Table:
    total, ended = sum(counts.values()), sum(counts.get(state, 0) for state in ENDED)
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_row(
        ProgressBar(total=max(1, total), completed=ended, width=30), _count_up(counts), Text(f"{seconds:.0f} s", "dim")
    )
    return line


def _count_up(counts: dict[str, int]) -> Text:
    total = sum(counts.values())
    parts = [coloured(State.DONE, f"{counts.get(State.DONE, 0):,} of {total:,} done")]
    parts += [coloured(state, f"{n:,} {state}") for state in State if state is not State.DONE and (n := counts.get(state, 0))]
    return Text(", ").join(parts)
