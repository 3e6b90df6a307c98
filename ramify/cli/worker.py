"""`ramify worker`: run jobs until told to stop."""

import logging
import os
from typing import Annotated, Final

import typer

from ramify.app import Ramify
from ramify.cli.screen import note
from ramify.cli.store import Url, import_tasks, look_here
from ramify.errors import BadTask
from ramify.settings import read_settings

AUTO: Final = "auto"


def worker(
    modules: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODULE…", help="Modules whose functions may run; by default those of ramify.toml."),
    ] = None,
    queues: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            "-q",
            metavar="NAME",
            help="A queue to serve; several in this order; by default the one named default.",
        ),
    ] = None,
    children: Annotated[
        str, typer.Option("--children", "-n", metavar="N", help="How many processes run jobs, or auto: one a CPU.")
    ] = AUTO,
    multiprocessing: Annotated[
        bool, typer.Option("--multiprocessing", help="Start those processes afresh instead of by fork.")
    ] = False,
    burst: Annotated[bool, typer.Option("--burst", help="Stop when there is nothing left to run.")] = False,
    grace: Annotated[
        float, typer.Option("--grace", metavar="SECONDS", min=0, help="How long a stop waits for running jobs.")
    ] = 30.0,
    units: Annotated[
        int | None,
        typer.Option("--units", metavar="N", min=0, help="Units of this host, which its running jobs may not exceed."),
    ] = None,
    url: Url = None,
) -> None:
    """Run jobs until Ctrl-C, SIGTERM or, with --burst, until none are left."""
    look_here()
    served = read_settings(url, modules or ()).tasks
    if not served:
        raise BadTask(
            "name the modules whose functions may run: `ramify worker my_tasks`, or tasks = [...] in ramify.toml"
        )
    import_tasks(served)
    n = count_children(children)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    with Ramify(url, tasks=served) as app:
        tasks = len(app.tasks.names())
        if not tasks:
            raise BadTask(f"{', '.join(served)} defines no function that could run")
        queued = tuple(queues or ("default",))
        note(
            f"ramify worker {os.getpid()} on {app.url}: {tasks} tasks of {', '.join(served)}, "
            f"queue {', '.join(queued)}, {n} children; Ctrl-C stops it"
        )
        for wrong in app.check():
            note(f"note: {wrong}")
        app.worker(
            children=n,
            queues=queued,
            multiprocessing=multiprocessing,
            grace=grace,
            burst=burst,
            units=units,
        ).run()


def count_children(text: str) -> int:
    """Return the number of children that `--children` asks for."""
    if text == AUTO:
        return os.cpu_count() or 1
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise typer.BadParameter(f"--children is a number from 1 to 1024 or {AUTO!r}, not {text!r}")
    return int(text)
