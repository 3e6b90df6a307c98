"""`ramify deploy` and `ramify check`: what tasks say of themselves goes into the store; mistakes in it are named."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ramify.app import Ramify
from ramify.cli.facts import Json, print_facts
from ramify.cli.screen import err, note, out
from ramify.cli.store import Directory, Url, import_tasks, look_here, open_existing
from ramify.errors import BadSettings, BadTask
from ramify.picture.words import many, plain
from ramify.settings import read_settings
from ramify.stores.address import mask

Modules = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODULE…", help="Modules of tasks; by default those of ramify.toml."),
]
WORD = "reset"


def deploy(
    modules: Modules = None,
    reset: Annotated[bool, typer.Option("--reset", help="First forget everything in the store: jobs, limits.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a reset.")] = False,
    json: Json = False,
    url: Url = None,
    directory: Directory = None,
) -> None:
    """Write the tasks of modules into the store.

    They can be enqueued without their code then. Jobs stay.
    """
    served = _import("deploy", modules, url, directory)
    with Ramify(url, tasks=served) as app:
        if reset and not yes:
            _ask(app)
        wrong = app.deploy(reset=reset)
        n = len(app.tasks.current())
        if json:
            print_facts({"modules": served, "tasks": n, "wrong": wrong})
            return
        out().print(f"{many(n, 'task')} of {', '.join(served)} deployed", soft_wrap=True)
    for sentence in wrong:
        note(f"note: {sentence}")


def check(modules: Modules = None, json: Json = False, url: Url = None, directory: Directory = None) -> None:
    """Say what is wrong with tasks, or with jobs for them.

    Those are needs that cannot be met, and ready jobs that the modules do not serve. Status 1: there are some.
    """
    served = _import("check", modules, url, directory)
    open_existing(url).close()
    with Ramify(url, tasks=served) as app:
        wrong = app.check()
    if json:
        print_facts({"modules": served, "wrong": wrong})
        raise typer.Exit(bool(wrong))
    console = out()
    for sentence in wrong:
        console.print(Text(plain(sentence), style="red"), soft_wrap=True)
    if wrong:
        raise typer.Exit(1)
    console.print(f"nothing is wrong with {', '.join(served)}", soft_wrap=True)


def _import(command: str, modules: list[str] | None, url: str | None, directory: Path | None) -> tuple[str, ...]:
    look_here(directory)
    served = read_settings(url=url, tasks=modules).tasks
    if not served:
        raise BadTask(f"name the modules of your tasks: `ramify {command} my_tasks`, or tasks = [...] in ramify.toml")
    import_tasks(served)
    return served


def _ask(app: Ramify) -> None:
    jobs = sum(app.counts().values())
    if not sys.stdin.isatty():
        raise BadSettings(
            f"a reset would forget {jobs:,} jobs of {mask(app.url)}; say --yes if nobody is there to confirm it"
        )
    err().print(f"This forgets {jobs:,} jobs, and all limits and tasks, of {mask(app.url)}.", soft_wrap=True)
    if typer.prompt(f"Type {WORD} to go on", err=True) != WORD:
        raise BadSettings(f"that was not {WORD!r}, so nothing was forgotten, and nothing deployed")
