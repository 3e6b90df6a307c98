"""Where the store is and which modules hold tasks: arguments, environment or a file, read once, at the edge."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ramify.errors import BadSettings

DEFAULT_URL: Final = "sqlite:///ramify.db"


class Settings(Struct, frozen=True):
    """What a program must know before it opens a store."""

    url: str = DEFAULT_URL
    tasks: tuple[str, ...] = ()


def read_settings(
    url: str | None = None,
    tasks: Sequence[str] = (),
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings: arguments, else `$RAMIFY_URL`, else `ramify.toml`, else `[tool.ramify]` of `pyproject.toml`.

    The files are those of the directory, by default the current one. Raise `BadSettings` naming what is wrong where.
    """
    environment = os.environ if environment is None else environment
    url = url or environment.get("RAMIFY_URL") or None
    if url is not None and tasks:
        return Settings(url, tuple(tasks))
    written = _read_files(directory or Path())
    return Settings(url or written.url, tuple(tasks) or written.tasks)


def _read_files(directory: Path) -> Settings:
    own = directory / "ramify.toml"
    if own.is_file():
        return _check(_read(own), str(own))
    shared = directory / "pyproject.toml"
    if shared.is_file():
        tool = _read(shared).get("tool", {})
        if "ramify" in tool:
            return _check(tool["ramify"], f"{shared} [tool.ramify]")
    return Settings()


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: {error}") from error


def _check(written: object, place: str) -> Settings:
    if not isinstance(written, dict):
        raise BadSettings(f"{place}: settings are a table")
    if unknown := sorted(written.keys() - {"url", "tasks"}):
        raise BadSettings(f"{place}: there is no setting {unknown[0]!r}; there are 'url' and 'tasks'")
    url, tasks = written.get("url", DEFAULT_URL), written.get("tasks", [])
    if not isinstance(url, str) or not url:
        raise BadSettings(f"{place}: url is a text, as 'sqlite:///jobs.db', not {url!r}")
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise BadSettings(f"{place}: tasks is a list of modules, as ['my_tasks'], not {tasks!r}")
    return Settings(url, tuple(tasks))
