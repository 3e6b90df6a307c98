"""What a program and a worker must know before they begin: arguments, else the environment, else files, else defaults.

They are read once, at the edge. Where they are written is `sources.py`.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ramify.cpus import count_cpus
from ramify.errors import BadSettings
from ramify.sources import Found, Source, read_arguments, read_config, read_directory, read_environment
from ramify.sources import find_strays as _find_strays
from ramify.span import read_span, read_typed

MOST: Final = 1024
"""So many children, at most: beyond this it is a slip of the finger."""


class Settings(Struct, frozen=True):
    """The settings. `children` None means one a CPU, `units` None that they are not counted, `limit` None that a worker
    takes as many jobs as its children can run.

    `workers` is how many a pool keeps, None one a CPU, or how many for each queue; `project` are the tables
    `[project.NAME]`, which `ramify pool` reads.
    """

    url: str = "sqlite:///ramify.db"
    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ("default",)
    children: int | None = None
    grace: float = 30.0
    multiprocessing: bool = False
    burst: bool = False
    units: int | None = None
    limit: int | None = None
    watch: tuple[str, ...] = ()
    log: str = "text"
    workers: int | dict[str, int | None] | None = None
    project: dict[str, dict[str, Any]] = {}

    def count_children(self) -> int:
        """Return how many processes that is here."""
        return self.children or count_cpus()


def read_settings(
    *,
    config: str | None = None,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **given: object,
) -> Settings:
    """Return the settings: each as it is `given`, else by `find_settings`. Raise `BadSettings` naming what is wrong."""
    found = find_settings(config=config, directory=directory, environment=environment, **given)
    return Settings(**{name: setting.value for name, setting in found.items()})  # type: ignore[arg-type]


def find_settings(
    *,
    config: str | None = None,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **given: object,
) -> dict[str, Found]:
    """Return each setting with where it was found, the first of: arguments, `$RAMIFY_…`, `config`, files, defaults.

    `config` names a TOML file or a Python module. The files are `ramify.toml` or else `pyproject.toml`
    (`[tool.ramify]`) of the directory, by default the current one. Raise `BadSettings` naming the mistake and its
    place.
    """
    directory = directory or Path()
    sources = [
        read_arguments(given),
        read_environment(os.environ if environment is None else environment, _VARIABLES),
        read_config(config, directory, READERS) if config else {},
        read_directory(directory, READERS),
        {name: Found(value, "default") for name, value in _defaults().items()},
    ]
    return {name: _find(name, sources) for name in READERS}


def find_strays(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return, in sentences, the variables of the environment that look like a setting and are none."""
    return _find_strays(os.environ if environment is None else environment, _VARIABLES)


def _find(name: str, sources: list[Source]) -> Found:
    found = next(source[name] for source in sources if name in source)
    if found.origin == "default":
        return found
    read, words = READERS[name]
    try:
        return Found(read(found.value), found.origin)
    except (TypeError, ValueError):
        place = "" if found.origin == "argument" else f"{found.origin}: "
        raise BadSettings(f"{place}{name} is {words}, not {found.value!r}") from None


def _defaults() -> dict[str, Any]:
    settings = Settings()
    return {name: getattr(settings, name) for name in READERS}


# A reader takes what is written, text from the environment as well as values of TOML, or raises.


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value.strip()


def _read_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple | str):
        raise TypeError
    names = value.replace(",", " ").split() if isinstance(value, str) else map(_read_text, value)
    if not (found := tuple(filter(None, names))):
        raise ValueError
    return found


def _read_log(value: object) -> str:
    if value not in ("text", "json"):
        raise ValueError
    return str(value)


def _read_children(value: object) -> int | None:
    if isinstance(value, str) and value.strip() == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int | str) or not 1 <= int(value) <= MOST:
        raise ValueError
    return int(value)


def _read_units(value: object) -> int | None:
    return _read_whole(value, 0)


def _read_limit(value: object) -> int | None:
    return _read_whole(value, 1)


def _read_whole(value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or int(value) < least:
        raise ValueError
    return int(value)


def _read_workers(value: object) -> int | dict[str, int | None] | None:
    """Return a number, or numbers by queue: a table, or text as `mail:2 default:auto`."""
    if isinstance(value, str) and ":" in value:
        value = dict(word.rsplit(":", 1) for word in value.replace(",", " ").split())
    if isinstance(value, dict):
        return {_read_text(queue): _read_children(n) for queue, n in value.items()}
    return _read_children(value)


def _read_projects(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise TypeError
    return value


def _read_grace(value: object) -> float:
    return read_typed("grace", value, 0) if isinstance(value, str) else read_span("grace", value, 0)


def _read_flag(value: object) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    word = str(value).strip().lower()
    if word not in words:
        raise ValueError
    return words[word]


READERS: Final[dict[str, tuple[Callable[[object], object], str]]] = {
    "url": (_read_text, "the address of a store, as 'sqlite:///jobs.db'"),
    "tasks": (_read_names, "a list of modules, as ['my_tasks']"),
    "queues": (_read_names, "a list of queues, as ['default']"),
    "children": (_read_children, f"a number from 1 to {MOST} or 'auto'"),
    "grace": (_read_grace, "a number of seconds, or a text as '5m'"),
    "multiprocessing": (_read_flag, "true or false"),
    "burst": (_read_flag, "true or false"),
    "units": (_read_units, "a whole number"),
    "limit": (_read_limit, "a whole number from 1"),
    "watch": (_read_names, "a list of functions, as ['my_module:my_function']"),
    "log": (_read_log, "'text' or 'json'"),
    "workers": (_read_workers, f"a number from 1 to {MOST}, 'auto', or such a number for each queue"),
    "project": (_read_projects, "a table for each project, as [project.shop]"),
}
"""How each setting is read, and what it is in words."""

_VARIABLES: Final = [name for name in READERS if name != "project"]
