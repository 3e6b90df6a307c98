"""What a person sees in a terminal."""

import json
import re
import sys
from pathlib import Path

import pexpect
import pytest

from ramify import Ramify, group, job
from tests.cli.conftest import environment, start
from tests.face.tasks import double


def spawn(*arguments: str, columns: int = 80, **more: str) -> pexpect.spawn:
    """Start `ramify` in a terminal of 24 lines."""
    kept = environment(**{"TERM": "xterm-256color"} | more)
    kept.pop("COLUMNS", None)
    command = ["-m", "ramify.cli", *arguments]
    return pexpect.spawn(
        sys.executable,
        command,
        env=kept,
        dimensions=(24, columns),
        encoding="utf-8",
        codec_errors="replace",
        timeout=20,
    )


def test_the_tree_is_shown_while_it_runs(place: Path) -> None:
    """A bar, the running job with how far it is, and at last the result; the picture is gone then."""
    Path("project.json").write_text(
        json.dumps({"jobs": [{"func": "chores:wait_for", "args": "flag", "label": "the long one"}]})
    )

    terminal = spawn("run", "project.json", "-n", "1")
    terminal.expect("0 of 2 done")
    terminal.expect("running.*the long one")
    Path("flag").touch()
    terminal.expect("2 of 2 done.* in [0-9.]+ s")
    terminal.expect('"it is there"')
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0


@pytest.mark.parametrize("terminal", ["dumb", "xterm-256color"])
@pytest.mark.parametrize("columns", [60, 120])
def test_lines_are_as_wide_as_the_terminal(app: Ramify, terminal: str, columns: int) -> None:
    """What does not fit is cut where the terminal ends, also in one that can do nothing else."""
    tree = app.enqueue(job(double, 1).options(label="a" * 200))

    shown = spawn("tree", tree.id, columns=columns, TERM=terminal)
    shown.expect(pexpect.EOF)
    shown.close()

    assert [columns] == [len(re.sub("\x1b[^m]*m", "", line)) for line in shown.before.splitlines()]


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_states_have_colours_unless_nobody_wants_them(app: Ramify, more: dict[str, str], coloured: bool) -> None:
    """`NO_COLOR` is respected."""
    tree = app.enqueue(job(double, 1))

    terminal = spawn("tree", tree.id, **more)
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert ("\x1b[36mready" in terminal.before) is coloured
    assert "ready" in terminal.before


def read_all(terminal: pexpect.spawn) -> str:
    """Return what is still shown until the command ends, and end it."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return str(terminal.before)


def test_what_does_not_fit_is_paged(app: Ramify, place: Path) -> None:
    """A tree longer than the screen goes to `$PAGER`; a short one, `--no-pager` and PAGER=cat do without."""
    pager = place / "pager"
    pager.write_text("#!/bin/sh\necho 'this is the pager'\ncat\n")
    pager.chmod(0o755)
    short = app.enqueue(group(*(job(double, n) for n in range(3))))
    long = app.enqueue(group(*(job(double, n).options(label=f"no {n}") for n in range(30))))

    paged = read_all(spawn("tree", long.id, PAGER=str(pager)))
    others = [
        read_all(spawn("tree", short.id, PAGER=str(pager))),
        read_all(spawn("tree", long.id, "--no-pager", PAGER=str(pager))),
        read_all(spawn("jobs", "-n", "0", "--no-pager", PAGER=str(pager))),
        read_all(spawn("tree", long.id, PAGER="cat")),
    ]

    for queue in range(30):
        app.enqueue(job(double, 1).options(queue=f"queue {queue}"))
    assert "this is the pager" in read_all(spawn("info", PAGER=str(pager)))
    assert "this is the pager" not in read_all(spawn("info", "--no-pager", PAGER=str(pager)))
    assert "this is the pager" in paged
    assert "no 29" in paged
    assert "\x1b[36mready" in paged
    assert not any("this is the pager" in other for other in others)
    assert "no 29" in others[1] and "no 29" in others[2] and "no 29" in others[3]


@pytest.mark.parametrize("command", ["jobs", "tree ID"])
def test_a_narrow_terminal_cuts_names_but_no_ids(app: Ramify, command: str) -> None:
    """Each job stays on one line of 48 columns, and its id can be copied."""
    stored = app.enqueue(job(double, 1).options(label="a name that goes on and on"))

    shown = read_all(spawn(*command.replace("ID", stored.id).split(), columns=48, NO_COLOR="1"))

    [line] = [line for line in shown.splitlines() if line.strip()]
    assert line.endswith(f"…  {stored.id}")
    assert len(line) <= 48


def test_info_is_shown_again_and_again_until_interrupted(app: Ramify) -> None:
    """`--interval` redraws; what has changed is seen."""
    app.enqueue(job(double, 1))

    terminal = spawn("info", "--interval", "0.1", NO_COLOR="1")
    terminal.expect("default +1")
    app.enqueue(job(double, 2))
    terminal.expect("default +2")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 130


def test_info_in_a_pipe_is_a_line_each_time(app: Ramify) -> None:
    """With `--json` another program can follow."""
    with start("info", "--interval", "0.1", "--json") as process:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline())["worklist"] for _ in range(3)]
        process.kill()

    assert told == [0, 0, 0]


def test_json_in_a_terminal_obeys_nobody(app: Ramify) -> None:
    """Letters that a terminal would obey are spelt out, also those that JSON does not escape."""
    app.enqueue(job(double, 1).options(label="\x9b31m\u202ered"))

    shown = read_all(spawn("jobs", "--json"))

    assert json.loads(shown)["label"] == "\x9b31m\u202ered"
    assert not {"\x9b", "\u202e"} & set(shown)


@pytest.mark.slow
def test_a_reset_that_is_not_confirmed_says_so(app: Ramify) -> None:
    """A wrong word forgets nothing."""
    app.enqueue("tests.face.tasks:double", 1)
    terminal = spawn("deploy", "tests.face.tasks", "--reset")
    terminal.expect("Type reset to go on")
    terminal.sendline("yes")

    said = read_all(terminal)

    assert "nothing was forgotten" in said
    assert (terminal.exitstatus, app.counts()) == (2, {"ready": 1})
