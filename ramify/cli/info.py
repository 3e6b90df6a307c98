"""`ramify info`: how many jobs there are where, who works on them, what is limited."""

import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from msgspec import Struct
from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ramify.app import Ramify
from ramify.cli.facts import Json, facts_of, print_facts
from ramify.cli.lanes import LONGEST, Lane, read_lanes
from ramify.cli.screen import out, print_page
from ramify.cli.settings import show_settings
from ramify.cli.store import Config, NoPager, Url, look_here, open_existing
from ramify.cli.suspend import limits_of, rule_facts, spell_rule
from ramify.explain import modules_of, spell
from ramify.model import ENDED, Info, Page, Row, Session, State, Which
from ramify.observe.oldest import ages_of_oldest
from ramify.picture.words import COLOURS, coloured, name_of, plain
from ramify.stores.address import mask

ALL: Final = "all"
GROUPS: Final = "(groups)"
SCHEDULED: Final = "scheduled"
LATEST: Final = 5
"""So many trees are named, for who has lost the id of his own."""

SHOWN: Final = [State.HELD, State.WAITING, SCHEDULED, *list(State)[2:]]


class _Look(Struct):
    """What is shown, read at about one time."""

    url: str
    counts: dict[str, dict[str, int]]
    trees: list[Row]
    info: Info
    lanes: list[Lane]
    oldest: dict[str, float]
    at: float


def info(
    interval: Annotated[
        float | None,
        typer.Option("--interval", "-i", metavar="SECONDS", min=0.1, help="Show it again and again until Ctrl-C."),
    ] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Show the settings instead, and where each came from.")
    ] = False,
    no_pager: NoPager = False,
    json: Json = False,
    url: Url = None,
    config: Config = None,
) -> None:
    """Show queues, lanes, latest trees, workers and limits.

    With --interval again and again, until Ctrl-C.
    """
    if config:
        look_here()
    if settings:
        show_settings(url, config, json)
        return
    with open_existing(url, config) as app:
        if interval is None:
            _show(_look(app), json, page=not no_pager)
        elif sys.stdout.isatty() and not json:
            _show_live(app, interval)
        else:
            before: _Look | None = None
            while True:
                look = _look(app)
                _show(look, json, before=before)
                before = look
                sys.stdout.flush()
                time.sleep(interval)


def _show(look: _Look, json: bool, page: bool = False, before: _Look | None = None) -> None:
    if json:
        print_facts(_facts(look))
    else:
        print_page(out(), _draw(look, before), page=page)


def _show_live(app: Ramify, interval: float) -> None:
    look = _look(app)
    with Live(_draw(look), console=out(), auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            live.refresh()
            time.sleep(interval)
            before, look = look, _look(app)
            live.update(_draw(look, before))


def _look(app: Ramify) -> _Look:
    counts: dict[str, dict[str, int]] = {}
    for key, n in app.store.counts(Which(), "queue state").items():
        queue, _, state = key.rpartition(" ")
        counts.setdefault(queue, {})[state] = n
    trees = app.store.jobs(Which(roots=True), Page(size=LATEST, newest=True))
    ready = [queue for queue, row in sorted(counts.items()) if row.get(State.READY)]
    oldest = {queue: age for queue in ready for age in ages_of_oldest(app.store, queue)}
    facts = app.store.info()
    lanes = read_lanes(app.store, counts, facts)
    return _Look(app.url, dict(sorted(counts.items())), trees, facts, lanes, oldest, time.monotonic())


def _facts(look: _Look) -> dict[str, Any]:
    lost = look.info.lost
    return {
        "url": mask(look.url),
        "queues": look.counts,
        "lanes": [
            {"queue": lane.queue, "task": lane.task or None, "jobs": lane.counts, "room": lane.room}
            for lane in look.lanes
        ],
        "oldest": look.oldest,
        "trees": [facts_of(row) for row in look.trees],
        "workers": [_worker_facts(session, session.id in lost) for session in _sorted(look.info)],
        "limits": [rule_facts(name, rule) for name, rule in limits_of(look.info).items()],
        "worklist": look.info.worklist,
        "store": look.info.facts,
    }


def _worker_facts(session: Session, lost: bool) -> dict[str, Any]:
    return {
        "session": session.id,
        "host": session.host,
        "pid": session.pid,
        "queues": session.queues,
        "modules": modules_of([session]),
        "started": session.started,
        "lost": lost,
    }


def _draw(look: _Look, before: _Look | None = None) -> Group:
    gap = Text()
    parts: list[RenderableType] = [Text(plain(mask(look.url)), "bold"), gap, _draw_jobs(look.counts)]
    if before is not None:
        parts.append(Text(f"ended: {_count_ended(look, before) / max(look.at - before.at, 0.001):,.1f} a second"))
    if look.lanes:
        parts += [gap, _draw_lanes(look.lanes)]
    if look.trees:
        parts += [gap, _draw_trees(look.trees)]
    return Group(*parts, gap, _draw_workers(look.info), gap, *_draw_rest(look))


def _count_ended(look: _Look, before: _Look) -> int:
    """Return how many more jobs have ended; those that were purged meanwhile hide as many."""
    now, then = (sum(row.get(state, 0) for row in each.counts.values() for state in ENDED) for each in (look, before))
    return max(0, now - then)


def _draw_jobs(counts: Mapping[str, Mapping[str, int]]) -> RenderableType:
    total = {state: sum(row.get(state, 0) for row in counts.values()) for state in SHOWN}
    states = [state for state in SHOWN if total[state]]
    if not states:
        return Text("no jobs")
    table = _table("queue")
    for state in states:
        table.add_column(Text(state, COLOURS[State.READY if state == SCHEDULED else State(state)]), justify="right")
    for queue in counts:
        table.add_row(Text(plain(queue)), *(_number(counts[queue].get(state, 0)) for state in states))
    if len(counts) > 1:
        table.add_row(ALL, *(_number(total[state]) for state in states), style="bold")
    return table


def _draw_lanes(lanes: list[Lane]) -> RenderableType:
    """Draw the fullest lanes; the sum of the others stands below, so that nobody takes them for all."""
    states = [state for state in SHOWN if any(state in lane.counts for lane in lanes)]
    table = _table("lane", "queue")
    for state in [*states, "at most"]:
        table.add_column(Text(state), justify="right")
    for lane in lanes[:LONGEST]:
        room = "·" if lane.room is None else f"{lane.room:,}"
        cells = [Text(plain(lane.task or GROUPS)), Text(plain(lane.queue))]
        table.add_row(*cells, *(_number(lane.counts.get(state, 0)) for state in states), room)
    if rest := lanes[LONGEST:]:
        total = [sum(lane.counts.get(state, 0) for lane in rest) for state in states]
        table.add_row(f"{len(rest):,} more", "", *map(_number, total), "", style="bold")
    return table


def _draw_trees(trees: list[Row]) -> Table:
    table = _table("latest trees", "", "")
    for row in trees:
        table.add_row(Text(name_of(row)), coloured(row.state), row.id)
    return table


def _draw_workers(facts: Info) -> RenderableType:
    if not facts.sessions:
        return Text("no workers")
    table = _table("worker", "queues", "modules", "for")
    for session in _sorted(facts):
        lost = session.id in facts.lost
        table.add_row(
            Text(plain(f"{session.host}:{session.pid}")),
            Text(plain(", ".join(session.queues))),
            Text(plain(", ".join(modules_of([session])))),
            Text("lost", "bold red") if lost else Text(spell(time.time() - session.started)),
        )
    return table


def _draw_rest(look: _Look) -> list[Text]:
    facts = look.info
    lines = [plain(spell_rule(name, rule)) for name, rule in limits_of(facts).items()]
    oldest = [f"{queue} {spell(age)}" for queue, age in look.oldest.items()]
    lines += [plain(f"oldest ready: {', '.join(oldest)}")] if oldest else []
    lines.append(f"worklist: {facts.worklist:,}" if facts.worklist else "worklist: empty")
    lines += [plain(f"{name}: {fact}") for name, fact in sorted(facts.facts.items())]
    return [Text(line) for line in lines]


def _sorted(facts: Info) -> list[Session]:
    return sorted(facts.sessions, key=lambda session: session.started)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="")
    for column in columns:
        table.add_column(column)
    return table


def _number(n: int) -> str:
    return f"{n:,}" if n else "·"
