"""Where a command finds the store, its jobs, and the modules that may run; each mistake is told with its remedy."""

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

import typer

from ramify.app import Ramify
from ramify.errors import BadSettings, BadStore, NotFound
from ramify.ids import begins_id, is_id
from ramify.model import Page, Row, Which
from ramify.modules import load
from ramify.settings import read_settings
from ramify.stores.address import mask
from ramify.stores.protocol import Store
from ramify.stores.read import NAMED, name_row, read_rows

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The store, as sqlite:///jobs.db; by default $RAMIFY_URL, else that of ramify.toml, else sqlite:///ramify.db.",
    ),
]

Directory: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--dir", metavar="DIR", file_okay=False, exists=True, help="Work in this directory, as if started there."
    ),
]

Config: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="Settings besides: a TOML file, or a module like `settings` (REDIS_URL)."
    ),
]


NoPager: TypeAlias = Annotated[bool, typer.Option("--no-pager", help="Print all at once, however long it is.")]


def open_any(url: str | None) -> Ramify:
    """Open a store, which is made if it is not there yet. Raise `BadStore` for one that nobody else could see."""
    found = read_settings(url=url).url
    _refuse_memory(found)
    return Ramify(found)


def open_existing(url: str | None, config: str | None = None) -> Ramify:
    """Open a store that is there already. Raise `BadStore` instead of making an empty one in the wrong place."""
    found = read_settings(config=config, url=url).url
    _refuse_memory(found)
    parts = urlsplit(found)
    if parts.scheme == "dir" and not os.path.exists(os.path.join(parts.path, "ramify.json")):
        raise BadStore(f"there is no queue at {mask(found)} yet; --url names another, `ramify enqueue` makes one")
    file = parts.path[1:]
    if parts.scheme == "sqlite" and not (os.path.exists(file) and os.path.getsize(file)):
        raise BadStore(f"there is no store at {mask(found)} yet; --url names another, `ramify enqueue` makes one")
    return Ramify(found)


def _refuse_memory(url: str) -> None:
    if url.startswith("memory:"):
        raise BadStore("a memory: store lives in one process only, so there is nothing to see from another")


def find_jobs(app: Ramify, ids: Sequence[str]) -> list[Row]:
    """Return the jobs of these ids, in capitals or not; a beginning that only one stored job has is enough.

    Raise `NotFound` naming what begins no id, or those that one begins.
    """
    starts = list(dict.fromkeys(id.strip().lower() for id in ids))
    for start in starts:
        if not begins_id(start):
            raise NotFound(
                f"{start!r} is not the id of a job: that is 26 letters and digits, as `ramify jobs` shows them, "
                "or the first of them"
            )
    whole = read_rows(app.store, [start for start in starts if is_id(start)])
    found = {start: [whole[start]] if start in whole else _begun(app.store, start) for start in starts}
    if missing := [start for start, rows in found.items() if not rows]:
        raise NotFound(f"there is no job {', '.join(missing)} in {mask(app.url)}")
    for start, rows in found.items():
        if len(rows) > 1:
            names = ", ".join(map(name_row, rows[:NAMED])) + (" and others" if len(rows) > NAMED else "")
            raise NotFound(f"several jobs begin with {start}, so type more of the one you mean: {names}")
    return list({row.id: row for (row,) in found.values()}.values())


def _begun(store: Store, start: str) -> list[Row]:
    """Return the newest jobs whose ids begin so, of many only a few: it is one look at the order of ids."""
    newest = store.jobs(Which(), Page(after=f"{start}~", size=NAMED + 1, newest=True))
    return [row for row in newest if row.id.startswith(start)]


def look_here(directory: Path | None = None) -> None:
    """Work in the directory, and let modules be found there as `python -m` does."""
    if directory is not None:
        os.chdir(directory)
    try:
        here = os.getcwd()
    except FileNotFoundError:
        raise BadSettings("the directory that this works in was removed; go to another one") from None
    if sys.path[0] != here:
        sys.path.insert(0, here)


def import_tasks(modules: Sequence[str]) -> None:
    """Import the modules; what they print meanwhile goes to stderr, as nobody asked for it.

    Raise `BadTask` with the line that is to blame if one cannot be imported.
    """
    with redirect_stdout(sys.stderr):
        for name in modules:
            load(name)
