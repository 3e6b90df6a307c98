"""`ramify enqueue`: store one call of a function for whichever worker serves it."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import typer

from ramify.build import job
from ramify.cli.complete import names_of
from ramify.cli.facts import Json, facts_of, print_facts
from ramify.cli.screen import note, out
from ramify.cli.store import Directory, Url, find_jobs, import_tasks, look_here, open_any
from ramify.cli.text import read_seconds
from ramify.errors import BadArguments, BadTask
from ramify.model import When
from ramify.node import AnyNode
from ramify.stores.read import read_row
from ramify.task import read_name
from ramify.tasks import Tasks

KEYWORD: Final = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)


def enqueue(
    func: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION", help="What to call.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENT…", help="JSON, or else a text; name=value for one that goes by name."),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option("--queue", "-q", metavar="NAME", help="The queue it waits in.", autocompletion=names_of("queue")),
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", "-p", metavar="N", help="A higher one goes first; by default 0.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", "-l", metavar="TEXT", help="What people shall call the job.")
    ] = None,
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="TIME", help="Run it so much later: 90, 90s, 5m, 2h, 1d.")
    ] = None,
    at: Annotated[
        datetime | None, typer.Option("--at", metavar="DATE", help="Run it then, as 2030-01-31T08:00:00.")
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Keep it until `ramify release`.")] = False,
    after: Annotated[
        list[str] | None, typer.Option("--after", metavar="ID", help="Run it after this job; may be repeated.")
    ] = None,
    when: Annotated[When, typer.Option("--when", help="How the jobs of --after must end.")] = When.DONE,
    retry: Annotated[int | None, typer.Option("--retry", metavar="N", help="Try again so often if it fails.")] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="How long one try may take, as for --delay.")
    ] = None,
    by_name: Annotated[
        bool, typer.Option("--by-name", help="Do not import the module to check function and arguments.")
    ] = False,
    directory: Directory = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Store a call of a function, and print the id of the job.

    A worker that serves the module runs it. What is not JSON is a text: 42 is a number, '"42"' and abc are texts, x=42
    goes by name; -- stands before arguments that begin with a dash.
    """
    args, kwargs = read_arguments(arguments or ())
    name = read_name(func)
    look_here(directory)
    function, missing = (name, "") if by_name else _find(name)
    node: AnyNode = job(function, *args, **kwargs)
    node = node.options(
        queue=queue,
        priority=priority,
        label=label,
        delay=read_seconds("--delay", delay),
        at=at,
        hold=hold or None,
        retry=retry,
        timeout=read_seconds("--timeout", timeout),
    )
    with open_any(url) as app:
        if missing and not app.store.tasks([name]):
            note(f"note: {missing}; so nothing is checked before it runs")
        if after:
            befores = [app.job(row.id) for row in find_jobs(app, after)]
            node = node.options(after=befores, when=when.value)
        stored = app.enqueue(node)
        if json:
            print_facts(facts_of(read_row(app.store, stored.id)))
        else:
            out().print(stored.id)


def read_arguments(texts: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return what was typed as positional arguments and those by name; what is not JSON is the text itself."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        named = KEYWORD.fullmatch(text)
        if named is None:
            args.append(_read_value(text))
        elif named[1] in kwargs:
            raise BadArguments(f"argument {named[1]!r} is given twice")
        else:
            kwargs[named[1]] = _read_value(named[2])
    return args, kwargs


def _read_value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def _find(name: str) -> tuple[Callable[..., Any] | str, str]:
    """Return the function, or only its name and why the module cannot be imported: the producer need not have it."""
    module = name.partition(":")[0]
    try:
        import_tasks([module])
    except BadTask as error:
        return name, str(error)
    return Tasks([module]).find(name), ""
