"""`ramify run`: a project document, run here and now."""

import importlib.util
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ramify import project
from ramify.app import Ramify
from ramify.cli.live import run_live
from ramify.cli.result import show_end
from ramify.cli.screen import note
from ramify.cli.store import Url, import_tasks, look_here
from ramify.errors import BadNode, BadTask, JobEnded
from ramify.model import JobId, State, Which
from ramify.picture.words import many
from ramify.settings import read_settings
from ramify.stores.address import mask
from ramify.stores.read import read_row
from ramify.task import read_name
from ramify.tasks import Tasks


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A project: .json or .toml.", show_default=False)],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks",
            "-t",
            metavar="MODULE",
            help="A module whose functions may run; by default those of FILE, from here.",
        ),
    ] = None,
    children: Annotated[
        str | None,
        typer.Option("--children", "-n", metavar="N", help="How many processes run jobs; by default one a CPU (auto)."),
    ] = None,
    url: Url = None,
) -> None:
    """Run the jobs that a file describes, and print the result.

    It is JSON, and what is shown meanwhile goes to stderr. Status 1: it did not end well.
    """
    look_here()
    document = project.load(file)
    settings = read_settings(url=url, tasks=tasks, children=children)
    modules = settings.tasks or _find_modules(document)
    import_tasks(modules)
    _find_functions(Tasks(modules), document)
    work = project.read(document)
    if work.how.hold:
        raise BadNode("the project: 'hold' keeps all of it from running; leave that out to run it now")
    work = work if work.how.label else work.options(label=file.name)
    # Only now, so that a mistake leaves nothing behind.
    with Ramify(settings.url, tasks=modules) as app:
        job = app.enqueue(work)
        note(f"job {job.id} in {mask(app.url)}")
        _note_others(app, job.id)
        try:
            run_live(app, job, children=settings.count_children())
        except JobEnded:
            pass
        except KeyboardInterrupt:
            if app.url.startswith("memory:"):
                raise
            where = f" --url {shlex.quote(url)}" if url else ""
            note(f"stopped; nothing is lost. `ramify worker {' '.join(modules)} --burst{where}` goes on,")
            note(f"`ramify tree {job.id}{where}` shows it, `ramify cancel {job.id}{where}` gives it up")
            raise
        show_end(app.store, read_row(app.store, job.id))


def _note_others(app: Ramify, job: JobId) -> None:
    """Say that the worker does not stop at this tree: what others have stored for it runs as well."""
    tasks = app.tasks.names()
    queues = frozenset({"default", *app.store.counts(Which(tree=job), "queue")})
    ready = [
        app.store.counts(Which(tree=tree, states=frozenset({State.READY}), queues=queues, tasks=tasks), "state")
        for tree in (None, job)
    ]
    if n := ready[0].get("ready", 0) - ready[1].get("ready", 0):
        note(f"note: {many(n, 'other ready job')} of these modules may run meanwhile")


def _find_modules(document: dict[str, Any]) -> list[str]:
    """Return the modules that the document names. Raise `BadTask` for one that is not of the working directory.

    A file must not have the last word on what may run: `os:system` is refused.
    """
    modules: dict[str, None] = {}
    here = Path.cwd()
    for path, job in _functions(document):
        module = _read_name(path, job["func"]).partition(":")[0]
        if module in modules:
            continue
        spec = importlib.util.find_spec(module.partition(".")[0])
        places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else []
        if spec is None:
            raise BadTask(f"{path}: there is no module {module!r} here; run this in the directory where it lies")
        if not any(Path(place).is_relative_to(here) for place in places if place):
            raise BadTask(f"{path}: module {module!r} lies elsewhere; allow it with --tasks {module}")
        modules[module] = None
    return list(modules)


def _find_functions(tasks: Tasks, document: dict[str, Any]) -> None:
    """Put functions where the document has their names, so that their arguments are checked before anything runs."""
    for path, job in _functions(document):
        try:
            job["func"] = tasks.find(_read_name(path, job["func"]))
        except BadTask as error:
            raise BadTask(f"{path}: {error}") from error


def _functions(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each job with a function by name and where it stands; what else is wrong is told by `project.read`."""
    stack: list[tuple[str, object]] = [("", document)]
    while stack:
        path, job = stack.pop()
        if not isinstance(job, dict):
            continue
        if isinstance(job.get("func"), str):
            yield path or "the project", job
        if isinstance(job.get("jobs"), list):
            under = f"{path}.jobs" if path else "jobs"
            stack += reversed([(f"{under}[{place}]", child) for place, child in enumerate(job["jobs"])])


def _read_name(path: str, name: str) -> str:
    try:
        return read_name(name)
    except BadTask as error:
        raise BadNode(f"{path}: {error}") from error
