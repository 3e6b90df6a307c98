"""`ramify cancel` and `ramify retry`: put jobs out of their misery, or give them another chance."""

from typing import Annotated, Final

import typer

from ramify.cli.complete import ids_of
from ramify.cli.screen import out
from ramify.cli.store import Url, find_jobs, open_existing
from ramify.model import ENDED, UNDONE, State
from ramify.picture.words import name_of

UNENDED: Final = frozenset(State) - ENDED
UNDER: Final = "Jobs; what is under them goes with them."


def cancel(
    jobs: Annotated[list[str], typer.Argument(metavar="ID…", help=UNDER, autocompletion=ids_of(UNENDED))],
    url: Url = None,
) -> None:
    """Cancel jobs and all under them: what waits never runs, what runs is stopped."""
    console = out()
    with open_existing(url) as app:
        for row in find_jobs(app, jobs):
            if row.state not in ENDED and app.job(row.id).cancel():
                console.print(f"{name_of(row)} is cancelled", soft_wrap=True)
            else:
                console.print(f"{name_of(row)} had ended: it is {app.job(row.id).state}", soft_wrap=True)


def retry(
    jobs: Annotated[list[str], typer.Argument(metavar="ID…", help=UNDER, autocompletion=ids_of(UNDONE))],
    url: Url = None,
) -> None:
    """Try jobs again that failed, were cancelled or skipped, with all that made them so; what is done stays done."""
    console = out()
    with open_existing(url) as app:
        for row in find_jobs(app, jobs):
            if row.state not in UNDONE:
                why = "it is done" if row.state in ENDED else f"it has not ended: it is {row.state}"
                console.print(f"{name_of(row)} is left alone: {why}", soft_wrap=True)
                continue
            others = app.job(row.id).retry()
            console.print(f"{name_of(row)} will be tried again", soft_wrap=True)
            for other in others:
                console.print(
                    f"  it waits for {other.id} in another tree, which did not end well either", soft_wrap=True
                )
