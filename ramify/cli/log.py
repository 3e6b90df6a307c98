"""`ramify log`: what a job said."""

import sys
from typing import Annotated

import typer
from rich.text import Text

from ramify.cli.screen import err, out
from ramify.cli.store import Url, find_jobs, open_existing
from ramify.model import ENDED, JobId
from ramify.picture.words import plain
from ramify.stores.protocol import Store
from ramify.stores.read import read_log, read_row

PAUSE = 0.2
"""Seconds between looks at a log that is followed, where nothing wakes us."""


def log(
    job: Annotated[str, typer.Argument(metavar="ID", help="A job.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    url: Url = None,
) -> None:
    """Print what a job said, line by line.

    That is what it and its commands wrote: to their output, and in red to standard error, where its logging goes too.
    """
    with open_existing(url) as app:
        (row,) = find_jobs(app, [job])
        last = _print(app.store, row.id, 0)
        while follow:
            over = read_row(app.store, row.id).state in ENDED  # what is said before the end is in the log by then
            last = _print(app.store, row.id, last)
            if over:
                return
            app.store.wait(None, PAUSE)


def _print(store: Store, job: JobId, last: int) -> int:
    """Print the lines beyond number `last`; return the number of the newest."""
    console = out()
    for line in read_log(store, job, last):
        if line.number > last + 1:
            err().print(f"… {line.number - last - 1:,} lines are not kept any more", style="dim", soft_wrap=True)
        console.print(Text(plain(line.text.expandtabs()), "red" if line.stream == "err" else ""), soft_wrap=True)
        last = line.number
    sys.stdout.flush()
    return last
