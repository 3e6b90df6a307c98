"""`ramify health`: are there workers for what is to be done? For probes, load balancers and people in a hurry."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct
from rich.text import Text

from ramify.app import Ramify
from ramify.cli.screen import out, print_json
from ramify.cli.store import Config, Directory, Url, look_here, open_existing
from ramify.errors import NotFound
from ramify.model import Session, State, Which
from ramify.picture.words import plain
from ramify.pool.control import Ask, ask
from ramify.stores.address import mask
from ramify.worker.run import PLAN

READY = Which(states=frozenset({State.READY}))


class Health(Struct):
    """How many workers are alive, what is ready and running, and what is wrong, in sentences."""

    store: str
    workers: int
    ready: int
    running: int
    wrong: list[str]


def health(
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=0, help="So many workers must be alive, at least.")
    ] = 1,
    json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
    url: Url = None,
    config: Config = None,
    directory: Directory = None,
) -> None:
    """Check that workers are alive and know what is to be done.

    Exit with 0 if so, 1 if not, 2 if it cannot be seen.
    """
    look_here(directory)
    with open_existing(url, config) as app:
        found = examine(app, workers)
    if json:
        print_json(msgspec.json.encode(found))
    else:
        console = out()
        for sentence in found.wrong:
            console.print(Text(plain(sentence), style="red"), soft_wrap=True)
        console.print(f"{found.workers} workers, {found.ready:,} jobs ready, {found.running:,} running", soft_wrap=True)
    if found.wrong:
        raise typer.Exit(1)


def examine(app: Ramify, workers: int) -> Health:
    """Return how a store and those who work on it are."""
    info = app.store.info()
    sessions = [session for session in info.sessions if session.id not in info.lost]
    counts = app.store.counts(Which(states=frozenset({State.READY, State.RUNNING})), "state")
    wrong = [*_check_number(sessions, workers), *_check_tasks(app, sessions), *_check_queues(app, sessions)]
    wrong += _check_pool()
    running = counts.get(State.RUNNING, 0)
    return Health(mask(app.url), len(sessions), sum(counts.values()) - running, running, wrong)


def _check_number(sessions: list[Session], workers: int) -> Iterable[str]:
    if len(sessions) < workers:
        yield f"{len(sessions)} of at least {workers} workers are alive"


def _check_tasks(app: Ramify, sessions: list[Session]) -> Iterable[str]:
    known = {name for session in sessions for name in session.tasks}
    for task, n in sorted(app.store.counts(READY, "task").items()):
        if task and task != PLAN and task not in known:
            yield f"no worker knows {task}; {n:,} of its jobs are ready, and stay so until one does"


def _check_queues(app: Ramify, sessions: list[Session]) -> Iterable[str]:
    served = {queue for session in sessions for queue in session.queues}
    for queue, n in sorted(app.store.counts(READY, "queue").items()):
        if queue not in served:
            yield f"no worker serves the queue {queue}, in which {n:,} jobs are ready"


def _check_pool() -> Iterable[str]:
    """A pool that runs in this directory has all the workers that it wants."""
    try:
        told = ask(Path(), Ask("status"))
    except NotFound:
        return
    for line, wanted in told.wanted.items():
        if told.ready[line] < wanted:
            yield f"{told.ready[line]} of {wanted} workers of {line} are ready in the pool {told.pid}"
