"""What the Tab key offers beside commands and options: ids of jobs that fit the command, queues, tasks, states.

A store that cannot be opened offers nothing: a line that is half typed is no place for complaints.
"""

from collections.abc import Callable, Iterable

import typer

from ramify.cli.store import open_existing
from ramify.errors import RamifyError
from ramify.model import ENDED, Page, State, Which

Completer = Callable[[typer.Context, str], list[tuple[str, str]]]


def ids_of(states: Iterable[State] = State, *, roots: bool = False) -> Completer:
    """Return what offers the newest jobs of these states."""
    which = Which(states=frozenset(states), roots=roots)

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        try:
            with open_existing(ctx.params.get("url")) as app:
                rows = app.store.jobs(which, Page(newest=True))
        except (RamifyError, OSError):
            return []
        return [
            (row.id, f"{row.label or row.lane.task or 'group'}, {row.state}")
            for row in rows
            if _fits(row.id, incomplete)
        ]

    return complete


def names_of(by: str) -> Completer:
    """Return what offers the names by which jobs are counted: `queue`, `task`."""

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        try:
            with open_existing(ctx.params.get("url")) as app:
                counts = app.store.counts(Which(), by)
        except (RamifyError, OSError):
            return []
        return [(name, f"{n:,} jobs") for name, n in sorted(counts.items()) if name and _fits(name, incomplete)]

    return complete


def states(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the states of jobs."""
    return [(state.value, "it has ended" if state in ENDED else "") for state in State if _fits(state, incomplete)]


def _fits(name: str, incomplete: str) -> bool:
    return name.startswith(incomplete)
