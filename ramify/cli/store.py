"""Where a command finds the store, its jobs, and the modules that may run; each mistake is told with its remedy."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

import typer

from ramify.app import Ramify
from ramify.errors import BadStore, BadTask, NotFound
from ramify.ids import is_id
from ramify.model import JobId, Row
from ramify.settings import read_settings
from ramify.stores.read import read_rows

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The store, as sqlite:///jobs.db; by default $RAMIFY_URL, else that of ramify.toml, else sqlite:///ramify.db.",
    ),
]


def open_existing(url: str | None) -> Ramify:
    """Open a store that is there already. Raise `BadStore` instead of making an empty one in the wrong place."""
    found = read_settings(url).url
    parts = urlsplit(found)
    if parts.scheme == "memory":
        raise BadStore("a memory: store lives in one process only, so there is nothing to see from another")
    if parts.scheme == "dir" and not os.path.exists(os.path.join(parts.path, "ramify.json")):
        raise BadStore(f"there is no queue at {found} yet; --url names another, `ramify run` makes one")
    if parts.scheme == "sqlite" and not os.path.exists(parts.path[1:]):
        raise BadStore(f"there is no store at {found} yet; --url names another, `ramify run` makes one")
    return Ramify(found)


def find_jobs(app: Ramify, ids: Sequence[str]) -> list[Row]:
    """Return the jobs of these ids, which people may write in capitals. Raise `NotFound` naming those that are not."""
    wanted: list[JobId] = [id.strip().lower() for id in ids]
    for id in wanted:
        if not is_id(id):
            raise NotFound(f"{id!r} is not the id of a job: that is 26 letters and digits, as `ramify tree` shows them")
    rows = read_rows(app.store, wanted)
    if missing := [id for id in wanted if id not in rows]:
        raise NotFound(f"there is no job {', '.join(missing)} in {app.url}")
    return [rows[id] for id in dict.fromkeys(wanted)]


def look_here() -> None:
    """Let modules of the working directory be found, as `python -m` does."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)


def import_tasks(modules: Sequence[str]) -> None:
    """Import the modules. Raise `BadTask` with the line that is to blame if one cannot be imported."""
    for name in modules:
        if name.endswith(".py"):
            raise BadTask(f"{name!r} is a file; name the module, as in `import {Path(name).stem}`")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                raise BadTask(
                    f"there is no module {name!r} here; name it as in `import {name}`, in the directory where it lies"
                ) from None
            raise BadTask(f"module {name!r} cannot be imported: {error}{_place(error)}") from error
        except Exception as error:  # importing runs the user's code, which may raise anything
            raise BadTask(
                f"module {name!r} cannot be imported: {type(error).__name__}: {error}{_place(error)}"
            ) from error


def _place(error: Exception) -> str:
    if isinstance(error, SyntaxError):  # tells its place itself
        return ""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({Path(frame.filename).name}, line {frame.lineno})"
