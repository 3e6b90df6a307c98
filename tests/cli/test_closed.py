"""Commands whose standard input, output or error is closed, as some starters of services leave them."""

import subprocess
import sys
from pathlib import Path

import pytest

from ramify import Ramify
from tests.cli.conftest import environment


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_worker_and_a_list_without_output(place: Path, closed: str) -> None:
    """A worker runs what there is, and keeps what jobs print in their logs; who has nowhere to write ends well."""
    Path("loud.py").write_text(
        "def loud():\n    import os\n    print('here')\n    os.system('echo there')\n    return 1\n"
    )
    with Ramify() as app:
        job = app.enqueue("loud:loud")
        for command in ("worker loud --children 2 --burst", "jobs", "jobs --json"):
            line = f"{sys.executable} -m ramify.cli {command} {closed}"
            subprocess.run(line, shell=True, env=environment(), capture_output=True, timeout=60, check=True)

        assert job.result(timeout=10) == 1
        assert sorted(line.text for line in job.log()) == ["here", "there"]
