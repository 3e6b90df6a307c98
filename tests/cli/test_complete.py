"""The Tab key: commands, options, and ids that fit the command, in a real shell."""

import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from ramify import Ramify, job
from tests.cli.conftest import environment
from tests.face.tasks import boom, double

PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"


def complete(*words: str) -> list[str]:
    """Return what bash would offer for the last of these words."""
    done = subprocess.run(
        ["ramify"],
        env=environment(
            PATH=PATH,
            COMP_WORDS=" ".join(("ramify", *words)),
            COMP_CWORD=str(len(words)),
            _RAMIFY_COMPLETE="complete_bash",
        ),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_options_are_completed() -> None:
    """What begins like it."""
    assert complete("in") == ["init", "info"]
    assert complete("worker", "--mul") == ["--multiprocessing"]


@pytest.mark.slow
def test_ids_that_fit_the_command_are_completed(app: Ramify) -> None:
    """A job that may be cancelled for `cancel`, one that may be retried for `retry`, the newest first."""
    bad = app.enqueue(boom, "x")
    done = app.enqueue(double, 1)
    app.run_until_empty()
    first, second = (app.enqueue(job(double, n).options(queue="mail")) for n in range(2))

    assert complete("cancel", "") == [second.id, first.id]
    assert complete("retry", bad.id[:20]) == [bad.id]
    assert complete("result", "") == [done.id, bad.id]
    assert complete("tree", first.id[:4])[0] == second.id
    assert complete("worker", "--queue", "") == ["default", "mail"]
    assert complete("tree", "--url", "sqlite:///nowhere.db", "") == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_when_tab_is_pressed(app: Ramify) -> None:
    """The script that `--show-completion` prints makes a real bash complete a line, which then runs."""
    stored = app.enqueue(double, 1)
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        env=environment(PATH=PATH, TERM="dumb", PS1="$ "),
        encoding="utf-8",
        codec_errors="replace",
        timeout=20,
        dimensions=(24, 200),
    )

    shell.sendline("source <(ramify --show-completion) && echo rea''dy")
    shell.expect("ready")
    shell.send("ramify tre\t")
    shell.expect("ramify tree ")
    shell.send("01\t")
    shell.expect(stored.id)
    shell.sendline("")
    shell.expect("ready .*double")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    shell.close()
