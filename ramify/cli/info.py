"""`ramify info`: how many jobs there are where, who works on them, what is limited."""

import time
from collections.abc import Mapping
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ramify.app import Ramify
from ramify.cli.screen import out
from ramify.cli.settings import show_settings
from ramify.cli.store import Config, Url, look_here, open_existing
from ramify.model import Info, Page, Row, Session, State, Which
from ramify.picture.words import coloured, name_of, plain
from ramify.stores.address import mask

ALL: Final = "all"
LATEST: Final = 5
"""So many trees are named, for who has lost the id of his own."""


def info(
    settings: Annotated[
        bool, typer.Option("--settings", help="Show the settings instead, and where each came from.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
    url: Url = None,
    config: Config = None,
) -> None:
    """Show how many jobs there are by state and queue, the latest trees, the workers, and what is limited."""
    look_here()
    if settings:
        show_settings(url, config, json)
        return
    console = out()
    with open_existing(url, config) as app:
        counts = _count(app)
        trees = app.store.jobs(Which(roots=True), Page(size=LATEST, newest=True))
        facts = app.store.info()
    console.print(Text(plain(mask(app.url)), "bold"), soft_wrap=True)
    console.print()
    _show_jobs(console, counts)
    _show_trees(console, trees)
    _show_workers(console, facts.sessions)
    _show_rest(console, facts)


def _count(app: Ramify) -> dict[str, dict[State, int]]:
    """Return how many jobs there are, by queue and state."""
    counts: dict[str, dict[State, int]] = {}
    for state in State:
        for queue, n in app.store.counts(Which(states=frozenset({state})), "queue").items():
            counts.setdefault(queue, {})[state] = n
    return counts


def _show_jobs(console: Console, counts: Mapping[str, Mapping[State, int]]) -> None:
    total = {state: sum(row.get(state, 0) for row in counts.values()) for state in State}
    states = [state for state in State if total[state]]
    if not states:
        console.print("no jobs")
        return
    table = _table("queue")
    for state in states:
        table.add_column(coloured(state), justify="right")
    for queue in sorted(counts):
        table.add_row(Text(plain(queue)), *(_number(counts[queue].get(state, 0)) for state in states))
    if len(counts) > 1:
        table.add_row(ALL, *(_number(total[state]) for state in states), style="bold")
    console.print(table)


def _show_trees(console: Console, trees: list[Row]) -> None:
    if not trees:
        return
    console.print()
    table = _table("latest trees", "", "")
    for row in trees:
        table.add_row(Text(name_of(row)), coloured(row.state), row.id)
    console.print(table)


def _show_workers(console: Console, sessions: list[Session]) -> None:
    console.print()
    if not sessions:
        console.print("no workers")
        return
    table = _table("worker", "queues", "modules", "for")
    for session in sorted(sessions, key=lambda session: session.started):
        table.add_row(
            Text(plain(f"{session.host}:{session.pid}")),
            Text(plain(", ".join(session.queues))),
            Text(plain(", ".join(session.tasks))),
            _spell(time.time() - session.started),
        )
    console.print(table)


def _show_rest(console: Console, facts: Info) -> None:
    console.print()
    for name, rule in sorted(facts.limits.items()):
        console.print(Text(plain(f"limit on {name}: {rule.n} running" if rule.n else f"{name} is suspended")))
    console.print(f"worklist: {facts.worklist:,}" if facts.worklist else "worklist: empty")
    for name, fact in sorted(facts.facts.items()):
        console.print(Text(plain(f"{name}: {fact}")))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="")
    for column in columns:
        table.add_column(column)
    return table


def _number(n: int) -> str:
    return f"{n:,}" if n else "·"


def _spell(seconds: float) -> str:
    """Return a length of time as people say it."""
    minutes, seconds = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
