"""`ramify service`: let the pool of this directory come back with the machine."""

import getpass
import os
import re
import shutil
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from ramify.cli.screen import out
from ramify.cli.store import Directory, look_here
from ramify.errors import CannotInstall, NotFound
from ramify.pool.control import Ask, ask
from ramify.pool.line import read_lines
from ramify.service.crontab import Crontab
from ramify.service.launchd import Launchd
from ramify.service.service import Keeper, Service
from ramify.service.systemd import Systemd
from ramify.service.windows import ScheduledTask
from ramify.system import NAME as SYSTEM

service: Final = typer.Typer(no_args_is_help=True, help="Let the pool come back with the machine, or not.")


class Kind(StrEnum):
    """What keeps the pool running."""

    SYSTEMD = "systemd"
    CRON = "cron"
    LAUNCHD = "launchd"
    WINDOWS = "windows"


Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="What it is called; by default like the directory.")
]
By = Annotated[
    Kind | None,
    typer.Option("--by", help="What keeps it running; by default what this machine has.", show_choices=True),
]
System = Annotated[bool, typer.Option("--system", help="For the whole machine, not only for you.")]


@service.command()
def install(
    name: Name = None,
    by: By = None,
    system: System = False,
    show: Annotated[bool, typer.Option("--print", help="Show what would be written, and write nothing.")] = False,
    directory: Directory = None,
) -> None:
    """Start the pool of this directory now, and whenever the machine starts."""
    look_here(directory)
    grace = max(line.settings.grace for line in read_lines(os.environ))
    found, keeper = _make(name, grace), _keeper(by, system)
    if show:
        out().print(keeper.show(found), end="", soft_wrap=True)
        return
    _say(keeper.install(found))


@service.command()
def uninstall(name: Name = None, by: By = None, system: System = False, directory: Directory = None) -> None:
    """Stop the pool, and do not start it with the machine any more."""
    look_here(directory)
    _say(_keeper(by, system).uninstall(_make(name)))


@service.command()
def status(name: Name = None, by: By = None, system: System = False, directory: Directory = None) -> None:
    """Show whether it is installed and runs: exit with 0 if the pool runs, else with 1."""
    look_here(directory)
    said = [_keeper(by, system).status(_make(name))]
    try:
        told = ask(Path(), Ask("status"))
        said.append(f"process {told.pid}: {sum(told.ready.values())} of {sum(told.wanted.values())} workers ready")
    except NotFound:
        _say([*said, "no pool runs here"])
        raise typer.Exit(1) from None
    _say(said)


def _make(name: str | None, grace: float = 30.0) -> Service:
    here = Path.cwd()
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", here.name).strip("-._") or "pool"
    user = os.environ.get("SUDO_USER") or getpass.getuser()
    return Service(name or slug, here, sys.executable, grace, user)


def _keeper(by: Kind | None, system: bool) -> Keeper:
    makers: dict[Kind, Callable[[], Keeper]] = {
        Kind.SYSTEMD: lambda: Systemd(system),
        Kind.CRON: Crontab,
        Kind.LAUNCHD: Launchd,
        Kind.WINDOWS: lambda: ScheduledTask(system),
    }
    return makers[by or _find_kind()]()


def _find_kind() -> Kind:
    if SYSTEM == "win32":
        return Kind.WINDOWS
    if SYSTEM == "darwin":
        return Kind.LAUNCHD
    if os.path.isdir("/run/systemd/system"):
        return Kind.SYSTEMD
    if shutil.which("crontab"):
        return Kind.CRON
    raise CannotInstall(
        "neither systemd nor cron runs here; let what starts this machine start `ramify pool`, "
        "or see `ramify service install --by systemd --print`"
    )


def _say(sentences: list[str]) -> None:
    for sentence in sentences:
        out().print(sentence, soft_wrap=True)
