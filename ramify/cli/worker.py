"""`ramify worker`: run jobs until told to stop."""

import os
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

import typer

from ramify.app import Ramify
from ramify.cli.complete import names_of
from ramify.cli.screen import log_as, log_plainly, note
from ramify.cli.store import Config, Directory, Url, import_tasks, look_here
from ramify.errors import BadTask, StoreDown
from ramify.model import UNDONE, State
from ramify.observe.logs import Json, tell
from ramify.picture.words import many
from ramify.settings import Settings, find_strays, read_settings
from ramify.stores.address import mask
from ramify.stores.open import is_elsewhere
from ramify.worker.loop import LONGEST_PAUSE
from ramify.worker.manager import Manager
from ramify.worker.process import tie_to
from ramify.worker.watch import Watch, find_watch


def worker(
    modules: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODULE…", help="Modules whose functions may run; by default those of the settings."),
    ] = None,
    queues: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            "-q",
            metavar="NAME",
            help="A queue to serve; several in this order; by default the one named default.",
            autocompletion=names_of("queue"),
        ),
    ] = None,
    children: Annotated[
        str | None,
        typer.Option("--children", "-n", metavar="N", help="How many processes run jobs; by default one a CPU (auto)."),
    ] = None,
    multiprocessing: Annotated[
        bool | None,
        typer.Option("--multiprocessing/--no-multiprocessing", help="Start those processes afresh instead of by fork."),
    ] = None,
    burst: Annotated[
        bool | None, typer.Option("--burst/--no-burst", help="Stop when there is nothing left to run.")
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option("--grace", metavar="TIME", help="How long a stop waits for running jobs; by default 30s."),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option("--units", metavar="N", help="Units of this host, which its running jobs may not exceed."),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option("--limit", metavar="N", help="How many jobs this worker runs at once, coroutines among them."),
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option("--watch", metavar="MODULE:FUNCTION", help="A function to tell of each run; again for several."),
    ] = None,
    log: Annotated[
        str | None, typer.Option("--log", metavar="FORM", help="text, or json: a line for each run, for programs.")
    ] = None,
    url: Url = None,
    config: Config = None,
    directory: Directory = None,
    pool: Annotated[int, typer.Option("--pool", hidden=True)] = 0,
) -> None:
    """Run jobs until told to stop.

    That is Ctrl-C, SIGTERM or, with --burst, when none are left; then status 1 means that some did not end done.
    """
    manager = Manager.find(pool)
    if pool:
        tie_to(pool)
    look_here(directory)
    settings = read_settings(
        config=config,
        url=url,
        tasks=modules,
        queues=queues,
        children=children,
        grace=grace,
        multiprocessing=multiprocessing,
        burst=burst,
        units=units,
        limit=limit,
        watch=watch,
        log=log,
    )
    if not settings.tasks:
        raise BadTask(
            "name the modules whose functions may run: `ramify worker my_tasks`, or tasks = [...] in ramify.toml"
        )
    import_tasks(settings.tasks)
    watches = [find_watch(name) for name in settings.watch]
    if settings.log == "json":
        log_as(Json())
        watches.append(tell)
    else:
        log_plainly()
    _run(settings, watches, manager)


def _run(settings: Settings, watches: Sequence[Watch], manager: Manager) -> None:
    """Run a worker to its end, and say what it is for."""
    served, n = settings.tasks, settings.count_children()
    with _open(settings, manager) as app:
        tasks = len(app.tasks.current())
        if not tasks:
            raise BadTask(f"{', '.join(served)} defines no function that could run")
        note(
            f"ramify worker {os.getpid()} on {mask(app.url)}: {many(tasks, 'task')} of {', '.join(served)}, "
            f"queue {', '.join(settings.queues)}, {n} {'child' if n == 1 else 'children'}; Ctrl-C stops it"
        )
        wrong = _check(app)
        for each in [*find_strays(), *wrong]:
            note(f"note: {each}")
        hand = app.worker(
            children=n,
            queues=settings.queues,
            multiprocessing=settings.multiprocessing,
            grace=settings.grace,
            burst=settings.burst,
            units=settings.units,
            limit=settings.limit,
            watch=watches,
        )
        hand.run(manager)
        if settings.burst:
            note(spell_ends(hand.ended))
            for each in _check(app):  # what jobs have added meanwhile may be for others
                if each not in wrong:
                    note(f"note: {each}")
            if any(hand.ended[state] for state in UNDONE):
                raise typer.Exit(1)


def _check(app: Ramify) -> list[str]:
    """Return what is wrong with tasks or jobs; nothing while the store is down, which the worker waits for itself."""
    with suppress(StoreDown):
        return app.check()
    return []


def _open(settings: Settings, manager: Manager) -> Ramify:
    """Open the store. One whose server is down is waited for, as it is later on, unless there may be nothing to run.

    A container that starts before its server would else be started anew, ever more slowly.
    """
    pause, said = 0.25, ""
    while True:
        try:
            return Ramify(settings.url, tasks=settings.tasks)
        except StoreDown as error:
            if settings.burst or not is_elsewhere(settings.url):
                raise
            if said != str(error):
                said = str(error)
                note(f"the store cannot be used; trying again: {said}")
            pause = min(LONGEST_PAUSE, 2 * pause)
            manager.wait(2 * LONGEST_PAUSE)
            time.sleep(pause * (0.5 + random.random() / 2))
            if manager.is_gone():
                raise


def spell_ends(ended: Mapping[State, int]) -> str:
    """Return how many jobs ended how, in words."""
    return ", ".join(f"{n:,} {state}" for state in State if (n := ended.get(state, 0))) or "no job ended"
