"""`ramify service`: what is written for whatever keeps a pool running."""

import os
import plistlib
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Command, run


@pytest.fixture(autouse=True)
def settings(place: Path) -> None:
    """A pool to be kept."""
    (place / "ramify.toml").write_text('tasks = ["chores"]\ngrace = 20\n')


def test_a_unit_names_where_and_what(place: Path, ask: Command) -> None:
    """`--print` shows the unit and writes nothing."""
    reply = ask("service", "install", "--by", "systemd", "--print", "--name", "shop")

    lines = reply.out.splitlines()
    assert f"WorkingDirectory={place}" in lines
    assert f"EnvironmentFile=-{place}/ramify.env" in lines
    assert "Type=notify" in lines
    assert "WatchdogSec=60" in lines
    assert "TimeoutStopSec=35" in lines
    assert any(line.startswith("ExecStart=") and line.endswith("-m ramify.cli pool") for line in lines)
    assert sorted(path.name for path in place.iterdir()) == ["chores.py", "ramify.toml"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("system", [True, False])
@pytest.mark.parametrize("folder", ["plain", "50% of\u00e9"])
def test_systemd_finds_nothing_wrong(
    tmp_path: Path, system: bool, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`systemd-analyze verify` accepts the unit, for the system and for a user, in odd directories too."""
    (tmp_path / folder).mkdir()
    shutil.copy("ramify.toml", tmp_path / folder)
    monkeypatch.chdir(tmp_path / folder)
    scope = ["--system"] if system else []
    unit = tmp_path / "ramify-shop.service"
    unit.write_text(run("service", "install", "--by", "systemd", "--print", "--name", "shop", *scope).out)

    checked = subprocess.run(
        ["systemd-analyze", *([] if system else ["--user"]), "verify", str(unit)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def _record(folder: Path, *tools: str) -> str:
    """Make tools that only write down how they were called; return the PATH to find them."""
    (folder / "bin").mkdir()
    for tool in tools:
        path = folder / "bin" / tool
        path.write_text(f'#!/bin/sh\necho {tool} "$@" >> {folder}/calls\n')
        path.chmod(0o755)
    return f"{folder / 'bin'}:{os.environ['PATH']}"


def test_a_unit_of_a_user_comes_and_goes(tmp_path: Path) -> None:
    """Installing writes it, starts it and lets it live without a login; uninstalling takes it away."""
    path = _record(tmp_path, "systemctl", "loginctl")
    config = str(tmp_path / "config")
    arguments = ("--by", "systemd", "--name", "shop")

    assert run("service", "install", *arguments, PATH=path, XDG_CONFIG_HOME=config).code == 0

    unit = tmp_path / "config" / "systemd" / "user" / "ramify-shop.service"
    assert "[Service]" in unit.read_text()
    assert (tmp_path / "calls").read_text().splitlines() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now ramify-shop.service",
        "loginctl enable-linger",
    ]
    reply = run("service", "status", *arguments, PATH=path, XDG_CONFIG_HOME=config)
    assert reply.code == 1
    assert reply.out.startswith(f"{unit}: ")
    assert "no pool runs here" in reply.out
    assert run("service", "uninstall", *arguments, PATH=path, XDG_CONFIG_HOME=config).code == 0
    assert not unit.exists()
    assert run("service", "uninstall", *arguments, PATH=path, XDG_CONFIG_HOME=config).code == 2


def test_what_the_system_says_is_passed_on(tmp_path: Path) -> None:
    """A tool that refuses is named with its words; status 2."""
    path = _record(tmp_path, "loginctl")
    tool = tmp_path / "bin" / "systemctl"
    tool.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    tool.chmod(0o755)

    reply = run("service", "install", "--by", "systemd", PATH=path, XDG_CONFIG_HOME=str(tmp_path))

    assert reply.code == 2
    assert reply.err == "ramify: `systemctl --user daemon-reload` failed: Failed to connect to bus\n"


def test_a_line_of_crontab_survives_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is quoted for the shell, and % for cron."""
    folder = tmp_path / "50% it's"
    folder.mkdir()
    shutil.copy("ramify.toml", folder)
    monkeypatch.chdir(folder)

    reply = run("service", "install", "--by", "cron", "--print", "--name", "shop")

    assert reply.out.startswith("@reboot cd ")
    assert reply.out.endswith(">> pool.log 2>&1 # ramify-shop\n")
    assert reply.out.count("\\%") == reply.out.count("%")
    command = reply.out.removeprefix("@reboot ").replace("\\%", "%").partition("&& exec")[0] + "&& pwd"
    assert subprocess.check_output(["/bin/sh", "-c", command], text=True) == f"{folder}\n"


def test_launchd_is_told_in_a_property_list(place: Path, ask: Command) -> None:
    """The agent starts with the session, and again when it ends."""
    agent = plistlib.loads(ask("service", "install", "--by", "launchd", "--print", "--name", "shop").out.encode())

    assert agent["Label"] == "ramify-shop"
    assert agent["WorkingDirectory"] == str(place)
    assert agent["ProgramArguments"][1:] == ["-m", "ramify.cli", "pool"]
    assert agent["KeepAlive"] is True


@pytest.mark.parametrize(("scope", "trigger"), [([], "LogonTrigger"), (["--system"], "BootTrigger")])
def test_windows_is_told_in_xml(place: Path, ask: Command, scope: list[str], trigger: str) -> None:
    """The task starts with the session, or with the machine."""
    task = ElementTree.fromstring(ask("service", "install", "--by", "windows", "--print", *scope).out)

    names = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert task.find(f"t:Triggers/t:{trigger}", names) is not None
    assert task.findtext("t:Actions/t:Exec/t:Arguments", "", names) == "-m ramify.cli pool"
    assert task.findtext("t:Actions/t:Exec/t:WorkingDirectory", "", names) == str(place)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["install", "--print", "--by", "systemd", "--name", "a b"], "'a b' is no name for a service"),
        (["install", "--print", "--by", "upstart"], "Invalid value for '--by'"),
    ],
)
def test_a_mistake_is_one_line(place: Path, ask: Command, arguments: list[str], message: str) -> None:
    """Status 2 and what to do."""
    reply = ask("service", *arguments)

    assert (reply.code, reply.out, reply.err.count("\n")) == (2, "", 1)
    assert message in reply.err


def test_nothing_is_installed_that_could_not_run(place: Path, ask: Command) -> None:
    """Settings without tasks are found before anything is written."""
    (place / "ramify.toml").write_text("")

    assert "no workers are asked for" in ask("service", "install", "--print", "--by", "cron").err
