"""`ramify purge`: forget what ended long ago. What stays, and why, is promised by `Ramify.purge`."""

from typing import Annotated

import typer
from rich.text import Text

from ramify.cli.facts import Json, print_facts
from ramify.cli.screen import out
from ramify.cli.store import Url, open_existing
from ramify.cli.text import read_seconds


def purge(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Only what ended so long ago: 90, 90s, 5m, 2h, 30d.")
    ],
    json: Json = False,
    url: Url = None,
) -> None:
    """Delete whole trees that ended long ago; print how many.

    With a tree go its results and logs. A tree that a job of another one waits for, or would if it were retried, stays.
    """
    seconds = read_seconds("--older-than", older_than)
    with open_existing(url) as app:
        purged = app.purge(older_than=seconds or 0.0)
    if json:
        print_facts({"purged": purged})
    else:
        out().print(Text(f"{purged:,} {'tree' if purged == 1 else 'trees'} purged"), soft_wrap=True)
