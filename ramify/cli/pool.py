"""`ramify pool`: keep workers alive; its `status`, `scale`, `reload` and `stop` speak to the one that runs here."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from ramify.cli.screen import note, out
from ramify.cli.store import Config, Directory, Url, look_here
from ramify.errors import BadSettings, NotFound
from ramify.pool.control import Ask, Tell, ask
from ramify.pool.line import Line, read_lines
from ramify.pool.log import Log
from ramify.pool.pool import Pool
from ramify.worker.manager import Manager

AUTO: Final = "auto"
pool: Final = typer.Typer(invoke_without_command=True, help="Keep workers alive until Ctrl-C or SIGTERM.")


@pool.callback()
def keep(
    context: typer.Context,
    workers: Annotated[
        str | None,
        typer.Option("--workers", "-n", metavar="N", help="How many workers; by default one a CPU (auto)."),
    ] = None,
    queues: Annotated[
        list[str] | None,
        typer.Option("--queue", "-q", metavar="NAME[:N]", help="A queue to serve; with :N, by N workers of its own."),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", "-t", metavar="MODULE", help="A module whose functions may run."),
    ] = None,
    children: Annotated[
        str | None,
        typer.Option("--children", metavar="N", help="How many processes each worker has; by default 1."),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option("--grace", metavar="SECONDS", help="How long a stop waits for running jobs; by default 30."),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Replace the workers when a Python file or the settings change.")
    ] = False,
    url: Url = None,
    config: Config = None,
    directory: Directory = None,
) -> None:
    """Keep workers alive until Ctrl-C or SIGTERM; SIGHUP replaces them one by one."""
    if context.invoked_subcommand is not None:
        return
    look_here(directory)
    manager = Manager.find()
    environment = dict(os.environ)
    sizes, served = _read_queues(queues or (), workers)

    def read() -> list[Line]:
        return read_lines(
            environment,
            config=config,
            url=url,
            tasks=tasks,
            queues=served,
            workers=sizes,
            children=children,
            grace=grace,
        )

    raise typer.Exit(Pool(read, Log(sys.stdout), directory=Path(), watch=reload, manager=manager).run())


@pool.command()
def status(directory: Directory = None) -> None:
    """Show how many workers the pool of this directory has: exit with 0 if all are ready, else with 1."""
    told = ask(directory or Path(), Ask("status"))
    _show(told)
    if told.ready != told.wanted:
        raise typer.Exit(1)


@pool.command()
def scale(
    sizes: Annotated[list[str], typer.Argument(metavar="N | LINE:N…", help="How many workers; of which line.")],
    directory: Directory = None,
) -> None:
    """Change how many workers the pool of this directory keeps, until it is started anew."""
    lines = {}
    for size in sizes:
        name, _, n = size.rpartition(":")
        if not n.isdecimal() or int(n) > 1024:
            raise typer.BadParameter(f"{size!r} is no size; write 8, or mail:8 for one line")
        lines[name] = int(n)
    _show(ask(directory or Path(), Ask("scale", lines)))


@pool.command()
def reload(directory: Directory = None) -> None:
    """Let the pool of this directory read its settings anew and replace its workers one by one."""
    _show(ask(directory or Path(), Ask("reload")))


@pool.command()
def stop(directory: Directory = None) -> None:
    """Let the pool of this directory stop, and wait until it has."""
    place = directory or Path()
    told = ask(place, Ask("stop"))
    note(f"pool {told.pid} stops; its workers finish what runs")
    try:
        while ask(place, Ask("status")).pid == told.pid:
            time.sleep(0.1)
    except NotFound:
        return


def _show(told: Tell) -> None:
    if told.wrong:
        raise BadSettings(told.wrong)
    console = out()
    for name, wanted in told.wanted.items():
        console.print(f"{name}: {told.ready[name]} of {wanted} workers ready")


def _read_queues(queues: list[str] | tuple[()], workers: str | None) -> tuple[str | None, list[str]]:
    """Return the setting `workers` and the queues that all workers serve. A queue without number has `workers`."""
    if not any(":" in queue for queue in queues):
        return workers, list(queues)
    return " ".join(queue if ":" in queue else f"{queue}:{workers or AUTO}" for queue in queues), []
