"""What a person sees in a terminal."""

import json
import sys
from pathlib import Path

import pexpect
import pytest

from ramify import Ramify, job
from tests.cli.conftest import environment
from tests.face.tasks import double


def spawn(*arguments: str, **more: str) -> pexpect.spawn:
    """Start `ramify` in a terminal of 24 lines."""
    kept = environment(TERM="xterm-256color", **more)
    kept.pop("COLUMNS", None)
    command = ["-m", "ramify.cli", *arguments]
    return pexpect.spawn(sys.executable, command, env=kept, dimensions=(24, 80), encoding="utf-8", timeout=20)


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


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_states_have_colours_unless_nobody_wants_them(app: Ramify, more: dict[str, str], coloured: bool) -> None:
    """`NO_COLOR` is respected."""
    tree = app.enqueue(job(double, 1))

    terminal = spawn("tree", tree.id, **more)
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert ("\x1b[36mready" in terminal.before) is coloured
    assert "ready" in terminal.before
