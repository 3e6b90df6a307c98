"""`ramify enqueue`: what is typed becomes a job."""

import json
from pathlib import Path
from typing import Any

import pytest

from ramify import Ramify
from ramify.cli.enqueue import read_arguments
from ramify.model import Claim, Session, Want
from tests.cli.conftest import run


def payload(app: Ramify) -> Any:
    """Return the arguments of the one job that is stored."""
    app.store.enter(Session("s"))
    [claim] = app.store.exchange("s", [], Want(n=1, queues=("default", "mail"))).claims
    assert isinstance(claim, Claim)
    return json.loads(claim.payload.args)


@pytest.mark.parametrize(
    ("texts", "args", "kwargs"),
    [
        (["1", "1.5", "true", "null"], [1, 1.5, True, None], {}),
        (["hello", "two words", "007", "", "NaN"], ["hello", "two words", "007", "", "NaN"], {}),
        (['"42"', "[1, 2]", '{"a": 1}'], ["42", [1, 2], {"a": 1}], {}),
        (["x=42", "name=a b", "größe=1"], [], {"x": 42, "name": "a b", "größe": 1}),
        (["a b=c", "1=2", "=", '"x=1"'], ["a b=c", "1=2", "=", "x=1"], {}),
        (["x="], [], {"x": ""}),
        (["path=/tmp/a=b"], [], {"path": "/tmp/a=b"}),
    ],
)
def test_arguments_are_json_or_text(texts: list[str], args: list[Any], kwargs: dict[str, Any]) -> None:
    """What is JSON is its value, anything else the text itself; name=value goes by name."""
    assert (args, kwargs) == read_arguments(texts)


def test_the_id_is_printed_and_nothing_else() -> None:
    """A script can keep it; the store is made where there is none."""
    reply = run("enqueue", "chores:double", "21")

    assert (reply.code, reply.err) == (0, "")
    with Ramify("sqlite:///ramify.db") as app:
        assert [job.id for job in app.jobs()] == [reply.out.strip()]
        assert payload(app) == [[21], {}]


def test_options_are_those_of_a_node() -> None:
    """Queue, priority, label, delay and hold."""
    run("enqueue", "chores:double", "x=1", "-q", "mail", "-p", "7", "-l", "a label", "--delay", "5m", "--hold")

    with Ramify("sqlite:///ramify.db") as app:
        [row] = app.store.jobs(_all())
        assert (row.lane.queue, row.priority, row.label, row.hold) == ("mail", 7, "a label", row.id)
        assert row.due is not None


def test_a_job_may_come_after_others() -> None:
    """`--after` names stored jobs, `--when` how they must end."""
    first = run("enqueue", "chores:boom").out.strip()
    second = run("enqueue", "chores:double", "1", "--after", first.upper(), "--when", "failed").out.strip()
    unknown = run("enqueue", "chores:double", "1", "--after", "01m7y2n3t4fngr08tmpk90tv5s")

    run("worker", "chores", "--burst", "-n", "1")

    with Ramify("sqlite:///ramify.db") as app:
        assert [app.job(first).state, app.job(second).state] == ["failed", "done"]
    assert unknown.code == 2
    assert "there is no job 01m7y2n3t4fngr08tmpk90tv5s" in unknown.err


def test_the_consumers_code_need_not_be_there() -> None:
    """A module that is not here, or that fails to import, is stored by name, and said to be unchecked."""
    Path("broken.py").write_text("import nothing_of_the_kind\n")

    away, broken = run("enqueue", "elsewhere:paint", "red"), run("enqueue", "broken:paint", "red")
    quiet = run("enqueue", "chores:double", "--by-name")

    assert [away.code, broken.code, quiet.code] == [0, 0, 0]
    assert "there is no module 'elsewhere'" in away.err
    assert away.err.endswith("so nothing is checked before it runs\n")
    assert "No module named 'nothing_of_the_kind'" in broken.err
    assert quiet.err == ""
    with Ramify("sqlite:///ramify.db") as app:
        assert app.counts("task") == {"broken:paint": 1, "chores:double": 1, "elsewhere:paint": 1}


def test_a_mistake_stores_nothing() -> None:
    """Arguments are checked against the function where that can be imported."""
    reply = run("enqueue", "chores:double", "1", "2")

    assert (reply.code, reply.out) == (2, "")
    assert reply.err == "ramify: chores:double(x: int) -> int: too many positional arguments\n"
    assert not Path("ramify.db").exists()


def test_modules_may_lie_elsewhere(place: Path) -> None:
    """`--dir` is where module and store are looked for, by the producer and by the worker."""
    (place / "lib").mkdir()
    (place / "lib" / "tools.py").write_text("def triple(x: int) -> int:\n    return 3 * x\n")

    stored = run("enqueue", "tools:triple", "2", "--dir", "lib").out.strip()
    missing = run("worker", "tools", "--burst")
    run("worker", "tools", "--dir", "lib", "--burst", "-n", "1", "--multiprocessing")

    assert f"there is no module 'tools'; searched: {place}" in missing.err
    assert run("result", stored, "--url", "sqlite:///lib/ramify.db").out == "6\n"


def test_json_says_what_was_stored() -> None:
    """The same shape as in `ramify jobs --json`."""
    told = json.loads(run("enqueue", "chores:double", "1", "--json").out)

    assert (told["task"], told["state"], told["queue"]) == ("chores:double", "ready", "default")


def _all() -> Any:
    from ramify.model import Which

    return Which()


def test_what_a_module_prints_is_not_the_id(place: Path) -> None:
    """`ID=$(ramify enqueue …)` holds the id, whatever the module says when it is imported."""
    Path("noisy.py").write_text("print('loading settings')\n\ndef f() -> None: ...\n")

    reply = run("enqueue", "noisy:f")

    assert len(reply.out.strip()) == 26
    assert "loading settings" in reply.err
