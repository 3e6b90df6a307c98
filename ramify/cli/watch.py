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

from ramify.cli.screen import err
from ramify.model import ENDED, JobId, Page, Row, State, Which
from ramify.picture.draw import draw_tree
from ramify.picture.fold import Branch, read_tree
from ramify.picture.words import coloured
from ramify.stores.protocol import Store
from ramify.stores.read import read_row, read_rows

FRAME: Final = 0.1
"""Seconds between two pictures, at least; and ten times what it takes to read one, so that looking costs little."""

WORD: Final = 5.0
"""Seconds between two lines where there is no terminal."""

DEPTH: Final = 24
NAMED: Final = 8
"""So many of the running jobs, and of the failed ones, are shown each by itself, with all that is above them."""

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
        for row in _looks(store, job, check):
            frame = draw_frame(store, row, time.monotonic() - started, console.width, console.height - BELOW)
            live.update(frame, refresh=True)
    counts = store.counts(Which(tree=row.tree), "state")
    console.print(_count_up(counts).append(f" in {time.monotonic() - started:.1f} s", "dim"), soft_wrap=True)
    return row


def draw_frame(store: Store, row: Row, seconds: float, width: int, height: int) -> Group:
    """Return one picture: how much is done after so many seconds, and of the tree what fits."""
    counts = store.counts(Which(tree=row.tree), "state")
    room = max(3, height)
    # What fits is shown whole.
    only = _active(store, row, counts) if sum(counts.values()) > room else None
    tree = read_tree(store, row, DEPTH, only)
    lines = draw_tree(store, _lift(tree), width, ids=False)
    if len(lines) > room:
        lines[room - 1 :] = [Text(f"… {len(lines) - room + 1:,} more lines", "bright_black")]
    return Group(_bar(counts, seconds), *lines)


def _tell(store: Store, job: JobId, check: Callable[[], None], console: Console) -> Row:
    told, when = "", time.monotonic()
    for row in _looks(store, job, check):
        if time.monotonic() - when >= WORD or row.state in ENDED:
            when = time.monotonic()
            words = _count_up(store.counts(Which(tree=row.tree), "state")).plain
            if words != told:
                console.print(words, soft_wrap=True)
            told = words
    return row


def _looks(store: Store, job: JobId, check: Callable[[], None]) -> Iterator[Row]:
    """Yield the job's row now and then, the last time when it has ended."""
    while True:
        began = time.monotonic()
        row = read_row(store, job)
        yield row
        if row.state in ENDED:
            return
        until = began + max(FRAME, 10 * (time.monotonic() - began))
        check()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, FRAME))
            check()


def _active(store: Store, top: Row, counts: dict[str, int]) -> dict[JobId, Row]:
    """Return the jobs that run or failed, some of each, and those above them."""
    active: dict[JobId, Row] = {}
    for state in (State.RUNNING, State.FAILED):
        which = Which(tree=top.tree, states=frozenset({state}))
        level = store.jobs(which, Page(size=NAMED)) if counts.get(state) else []
        while level:
            active |= {row.id: row for row in level}
            above = {row.parent for row in level if row.parent is not None} - active.keys()
            level = list(read_rows(store, sorted(above)).values())
    return active


def _lift(branch: Branch) -> Branch:
    """Put what is in a group without a name under the job that the group was made for: the picture has little room."""
    stack = [branch]
    while stack:
        above = stack.pop()
        while above.row and above.row.lane.task and any(map(_is_nameless, above.children)):
            above.children = [
                under for child in above.children for under in (child.children if _is_nameless(child) else [child])
            ]
        stack += above.children
    return branch


def _is_nameless(branch: Branch) -> bool:
    row = branch.row
    return row is not None and row.lane.task is None and row.label is None and bool(branch.children)


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
    parts += [
        coloured(state, f"{n:,} {state}") for state in State if state is not State.DONE and (n := counts.get(state, 0))
    ]
    return Text(", ").join(parts)
