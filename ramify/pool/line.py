"""What a pool is to keep: lines of like workers, read from the settings and their `[project.NAME]` tables.

A project takes what it does not say itself from the settings of its own directory. Nothing is started here.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ramify.cpus import count_cpus
from ramify.errors import BadSettings
from ramify.settings import READERS, Settings, read_settings

WORKER: Final = "worker"
"""What workers are called that belong to no project and serve all its queues."""

OWN: Final = ("directory", "venv", "environment")
"""What a project says beyond settings."""

PASSED: Final = ("url", "tasks", "queues", "children", "grace", "multiprocessing", "burst", "units", "limit")


class Line(Struct, frozen=True):
    """`n` like workers: where they run, with which Python, and the settings that their environment tells them."""

    name: str
    n: int
    directory: Path
    python: str
    settings: Settings
    environment: Mapping[str, str]


def read_lines(environment: Mapping[str, str], config: str | None = None, **given: Any) -> list[Line]:
    """Return the lines that the settings ask for. Raise `BadSettings` naming the project and the mistake."""
    here = Path().absolute()
    settings = read_settings(config=config, environment=environment, **given)
    lines = []
    if settings.tasks:
        lines = _split(WORKER, "", settings, here, sys.executable, environment)
    for name, table in settings.project.items():
        try:
            lines += _read_project(name, table, here, environment)
        except BadSettings as error:
            raise BadSettings(f"[project.{name}]: {error}") from None
    if not lines:
        raise BadSettings(
            "no workers are asked for: name the modules whose functions may run with tasks = [...] in ramify.toml, "
            "or `ramify init` begins a project"
        )
    return lines


def _read_project(name: str, table: Mapping[str, Any], here: Path, environment: Mapping[str, str]) -> list[Line]:
    given = {key: value for key, value in table.items() if key not in OWN}
    if wrong := [key for key in given if key not in READERS or key == "project"]:
        raise BadSettings(f"there is no setting {wrong[0]!r} of a project")
    directory = here / _read_text(table, "directory", ".")
    if not directory.is_dir():
        raise BadSettings(f"there is no directory {directory}")
    own = table.get("environment", {})
    if not isinstance(own, dict) or not all(isinstance(value, str) for value in own.values()):
        raise BadSettings(f"environment is a table of texts, not {own!r}")
    python = sys.executable
    if "venv" in table:
        python = _find_python(directory / _read_text(table, "venv", ""))
    whole = {**environment, **own}
    settings = read_settings(directory=directory, environment=whole, **given)
    if not settings.tasks:
        raise BadSettings("tasks names no module, neither here nor in the settings of its directory")
    return _split(name, f"{name}.", settings, directory, python, whole)


def _read_text(table: Mapping[str, Any], name: str, default: str) -> str:
    value = table.get(name, default)
    if not isinstance(value, str):
        raise BadSettings(f"{name} is a path, not {value!r}")
    return os.path.expanduser(value)


def _find_python(venv: Path) -> str:
    for name in ("bin/python", "Scripts/python.exe"):
        if (venv / name).exists():
            return str(venv / name)
    raise BadSettings(f"{venv} holds no Python; make it with `python3 -m venv {venv}`, and install ramify there")


def _split(
    name: str, prefix: str, settings: Settings, directory: Path, python: str, environment: Mapping[str, str]
) -> list[Line]:
    """Return one line for all queues, or one for each queue that asks for workers of its own."""
    if not isinstance(settings.workers, dict):
        return [_make(name, settings.workers, settings, directory, python, environment)]
    return [
        _make(prefix + queue, n, _with_queue(settings, queue), directory, python, environment)
        for queue, n in settings.workers.items()
    ]


def _with_queue(settings: Settings, queue: str) -> Settings:
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return Settings(**{**fields, "queues": (queue,)})


def _make(
    name: str, n: int | None, settings: Settings, directory: Path, python: str, environment: Mapping[str, str]
) -> Line:
    count = count_cpus() if n is None else n
    said = {key: getattr(settings, key) for key in PASSED}
    passed = {f"RAMIFY_{key.upper()}": _spell(value) for key, value in said.items() if value is not None}
    # Each worker of a pool has one child unless more are asked for: what a pool has more of is workers.
    passed["RAMIFY_CHILDREN"] = str(settings.children or 1)
    return Line(name, count, directory, python, settings, {**environment, **passed})


def _spell(value: object) -> str:
    """Return a setting as a variable of the environment says it."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
