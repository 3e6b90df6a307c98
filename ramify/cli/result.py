"""`ramify result`: what a job returned, as JSON."""

from typing import Annotated

import typer

from ramify.cli.complete import ids_of
from ramify.cli.screen import complain, note, print_json
from ramify.cli.store import Url, find_jobs, open_existing
from ramify.ended import error_of
from ramify.model import ENDED, Row, State
from ramify.stores.gather import gather
from ramify.stores.protocol import Store
from ramify.stores.read import name_row


def result(
    job: Annotated[str, typer.Argument(metavar="ID", help="A job that has ended.", autocompletion=ids_of(ENDED))],
    url: Url = None,
) -> None:
    """Print what a job returned, as JSON.

    Status 1, with the reason: it did not end well.
    """
    with open_existing(url) as app:
        (row,) = find_jobs(app, [job])
        show_end(app.store, row)


def show_end(store: Store, row: Row) -> None:
    """Print the job's result, or why there is none; then exit with 1."""
    if row.state is State.DONE:
        print_json(gather(store, [row.id])[row.id].json)
        return
    if row.state in ENDED:
        error = error_of(store, row)
        if error.error is not None and error.error.traceback:
            for line in error.error.traceback.splitlines():
                note(line)
        complain(str(error))
    else:
        complain(f"{name_row(row)} has no result yet: it is {row.state}")
    raise typer.Exit(1)
