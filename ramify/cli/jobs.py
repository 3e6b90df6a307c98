"""`ramify jobs`: the jobs that match, newest first."""

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import Annotated, Final

import typer
from rich.cells import cell_len
from rich.text import Text

from ramify.app import Ramify
from ramify.cli.complete import names_of
from ramify.cli.complete import states as offer_states
from ramify.cli.facts import SCHEDULED, Json, facts_of, print_facts, state_of
from ramify.cli.screen import note, out, print_lines
from ramify.cli.store import NoPager, Url, find_jobs, open_existing
from ramify.cli.text import suggest
from ramify.explain import spell
from ramify.model import JobId, Page, Row, State, Which
from ramify.picture.draw import ID_WIDTH, STATE_WIDTH
from ramify.picture.words import coloured, name_of, plain

STATES: Final = (*State, SCHEDULED)


def jobs(
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            metavar="STATE",
            help="Only those of this state; several: any.",
            autocompletion=offer_states,
        ),
    ] = None,
    queues: Annotated[
        list[str] | None,
        typer.Option(
            "--queue", "-q", metavar="NAME", help="Only those of this queue.", autocompletion=names_of("queue")
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--task", "-t", metavar="MODULE:FUNCTION", help="Only those of this task.", autocompletion=names_of("task")
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", "-l", metavar="PATTERN", help="Only those so labelled, as 'scene *'.")
    ] = None,
    roots: Annotated[bool, typer.Option("--roots", help="Only those without a job above them.")] = False,
    under: Annotated[str | None, typer.Option("--under", metavar="ID", help="Only the children of this job.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=0, help="At most so many; 0: all.")] = 20,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only those older than this one: the next page.")
    ] = None,
    no_pager: NoPager = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """List jobs, newest first."""
    for state in states or ():
        if state not in STATES:
            raise typer.BadParameter(
                f"there is no state {state!r}{suggest(state, STATES) or '.'} There are {', '.join(STATES)}"
            )
    with open_existing(url) as app:
        which = Which(
            under=find_jobs(app, [under])[0].id if under else None,
            states=frozenset(State.READY if state == SCHEDULED else State(state) for state in states)
            if states
            else None,
            queues=frozenset(queues) if queues else None,
            tasks=frozenset(tasks) if tasks else None,
            roots=roots,
        )
        start = find_jobs(app, [before])[0].id if before else None
        found = (row for row in _read(app, which, start, limit) if _fits(row, states, label))
        shown = islice(found, limit) if limit else found
        if json:
            for row in shown:
                print_facts(facts_of(row))
            return
        last = _Last()
        print_lines(console := out(), (_draw(row, console.width) for row in last.watch(shown)), page=not no_pager)
        if last.row is None:
            note(f"no such jobs{_hint(app, queues, tasks)}")
        elif next(found, None) is not None:
            note(f"… there are more: --before {last.row.id} goes on, --limit 0 shows all")


class _Last:
    """Remembers the last of the rows that pass by."""

    row: Row | None = None

    def watch(self, rows: Iterator[Row]) -> Iterator[Row]:
        for self.row in rows:
            yield self.row


def _read(app: Ramify, which: Which, after: JobId | None, limit: int) -> Iterator[Row]:
    size = min(limit + 1, 1000) if limit else 1000
    while page := app.store.jobs(which, Page(after, size, newest=True)):
        yield from page
        after, size = page[-1].id, 1000


def _fits(row: Row, states: list[str] | None, label: str | None) -> bool:
    return (not states or state_of(row) in states) and (label is None or fnmatchcase(row.label or "", label))


def _draw(row: Row, width: int) -> Text:
    """Return one line: state, name, then what must not be cut: queue, age and id."""
    now = time.time()
    when = row.ended or row.started
    age = (
        f"in {spell(row.due - now)}"
        if row.due is not None and row.due > now
        else f"{spell(now - when)} ago"
        if when
        else ""
    )
    tail = f"  {plain(row.lane.queue):<10}  {age:>14}  "
    line = coloured(row.state, f"{state_of(row):<{STATE_WIDTH}} ")
    name = Text(name_of(row))
    room = width - cell_len(line.plain) - ID_WIDTH - 2
    if room < cell_len(tail) + 8:  # a narrow screen has no place for more than the name and the id
        tail = "  "
    name.truncate(min(40, max(8, room + 2 - cell_len(tail))), overflow="ellipsis", pad=True)
    return line.append_text(name).append(tail, "bright_black").append(row.id)


def _hint(app: Ramify, queues: list[str] | None, tasks: list[str] | None) -> str:
    for wanted, by in ((queues, "queue"), (tasks, "task")):
        for name in wanted or ():
            known = app.store.counts(Which(), by)
            if name not in known:
                return f": there is no job of {by} {name!r}{suggest(name, known)}"
    return ""
