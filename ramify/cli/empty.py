"""`ramify empty`: take out of queues what has not begun. How, and what stays, is `ramify/empty.py`."""

from typing import Annotated

import typer
from rich.text import Text

from ramify.cli.complete import names_of
from ramify.cli.facts import Json, print_facts
from ramify.cli.screen import note, out
from ramify.cli.store import Url, open_existing
from ramify.cli.text import suggest
from ramify.empty import empty_queues
from ramify.model import Which
from ramify.picture.words import many, plain


def empty(
    queues: Annotated[
        list[str], typer.Argument(metavar="QUEUE…", help="The queues to empty.", autocompletion=names_of("queue"))
    ],
    json: Json = False,
    url: Url = None,
) -> None:
    """Remove from queues what has not begun; print how many jobs.

    What runs is left alone, with the jobs above it. A tree of which nothing has begun is deleted; of any other, what
    had not begun is cancelled.
    """
    with open_existing(url) as app:
        known = app.store.counts(Which(), "queue")
        emptied = empty_queues(app.store, queues)
    n = emptied.deleted + emptied.cancelled
    if json:
        print_facts(
            {
                "queues": queues,
                "removed": n,
                "deleted": emptied.deleted,
                "cancelled": emptied.cancelled,
                "kept": emptied.kept,
            }
        )
        return
    out().print(Text(plain(f"{many(n, 'job')} removed from {', '.join(queues)}")), soft_wrap=True)
    if emptied.cancelled:
        note(f"{emptied.cancelled:,} of them belong to trees that had begun: they are cancelled, and can be seen there")
    if emptied.kept:
        note(f"{emptied.kept:,} stay, as they have jobs under them that run or are of other queues")
    for queue in queues:
        if queue not in known:
            note(f"note: there is no job of queue {queue!r}{suggest(queue, known)}")
