"""`ramify explain`: why does a job not run, and what mends it?"""

import shlex
from typing import Annotated

import typer
from rich.text import Text

from ramify.cli.complete import ids_of
from ramify.cli.facts import Json, facts_of, print_facts
from ramify.cli.screen import out
from ramify.cli.store import Url, find_jobs, open_existing
from ramify.explain import explain as find_reason
from ramify.picture.words import plain


def explain(
    job: Annotated[str, typer.Argument(metavar="ID", help="A job.", autocompletion=ids_of())],
    json: Json = False,
    url: Url = None,
) -> None:
    """Say why a job does not run, or how it ended.

    That is the first reason, and below it the command that mends it.
    """
    console = out()
    with open_existing(url) as app:
        (row,) = find_jobs(app, [job])
        reason = find_reason(app.store, row.id)
    where = ("--url", url) if url and reason.command else ()
    command = shlex.join(("ramify", *reason.command, *where)) if reason.command else None
    if json:
        told = {
            "kind": reason.kind,
            "text": reason.text,
            "job": reason.job,
            "others": reason.others,
            "command": command,
        }
        print_facts({"id": row.id, "state": facts_of(row)["state"], "reason": told})
        return
    console.print(Text(plain(reason.text)), soft_wrap=True)
    if command:
        console.print(Text(f"  {plain(command)}", "bold"), soft_wrap=True)
