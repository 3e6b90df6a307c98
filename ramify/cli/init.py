"""`ramify init`: what a project needs to begin with, one file of settings and one module of tasks."""

import keyword
import os
import sys
import tomllib
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Annotated, Final

import typer

from ramify.cli.screen import out
from ramify.errors import BadSettings

SETTINGS: Final = """\
# The settings of ramify in this directory. An argument goes before them, and so does $RAMIFY_URL, $RAMIFY_TASKS, …
# `ramify info --settings` shows what holds, and where it came from.
url = "sqlite:///ramify.db"
tasks = ["{module}"]
# queues = ["default"]      # served in this order
# children = "auto"         # so many processes run jobs; auto: one a CPU
# grace = 30                # so many seconds a worker that is told to stop waits for running jobs
# workers = "auto"          # so many workers `ramify pool` keeps alive
"""

TASKS: Final = '''\
"""What may be run as a job: the functions of this module, with arguments and results that are JSON."""

from pathlib import Path

from ramify import current, group, job, task


@task(retry=2)
def count(path: str) -> int:
    """Return how many lines a file has."""
    return len(Path(path).read_bytes().splitlines())


def add(numbers: list[int]) -> int:
    """Return the sum of the numbers."""
    return sum(numbers)


def survey(folder: str = ".", pattern: str = "*.py") -> str:
    """Count the lines of all files of a folder, each in a job of its own, and add them up."""
    paths = sorted(Path(folder).glob(pattern))
    counts = group(*(job(count, str(path)).options(label=path.name) for path in paths))
    current().spawn(job(add, counts).options(label="lines in all"))
    return f"{len(paths)} files"
'''


def init(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="The name of the module of tasks.")] = "tasks",
) -> None:
    """Begin a project: write settings and a first module of tasks.

    That is `ramify.toml` and MODULE.py here; what is there already is left alone.
    """
    _check_name(module)
    files = {Path("ramify.toml"): SETTINGS.format(module=module), Path(f"{module}.py"): TASKS}
    if there := [str(path) for path in files if path.exists()]:
        raise BadSettings(f"{' and '.join(there)} {_BE[len(there)]} here already; nothing was written{_advice(module)}")
    if _has_settings(Path("pyproject.toml")):
        raise BadSettings("pyproject.toml has settings already, under [tool.ramify]; nothing was written")
    for path, text in files.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    console = out()
    console.print(f"wrote {' and '.join(map(str, files))}; now begin with")
    console.print(f"  ramify enqueue {module}:survey")
    console.print("  ramify worker")


_BE: Final = {1: "is", 2: "are"}


def _check_name(module: str) -> None:
    """Refuse a name that is none, or that would hide another module."""
    if not module.isidentifier() or keyword.iskeyword(module):
        raise typer.BadParameter(f"{module!r} cannot be imported; a module is called like 'tasks'")
    here = os.getcwd()
    path = [place for place in sys.path if os.path.abspath(place or here) != here]
    if module in sys.builtin_module_names or PathFinder.find_spec(module, path):
        raise typer.BadParameter(f"there is another module {module!r}, which this one would hide; choose another name")


def _advice(module: str) -> str:
    if Path("ramify.toml").exists():
        return ""
    return f'; give another name (`ramify init jobs`), or write tasks = ["{module}"] into ramify.toml yourself'


def _has_settings(path: Path) -> bool:
    try:
        return "ramify" in tomllib.loads(path.read_text("utf-8")).get("tool", {})
    except (OSError, ValueError):
        return False
