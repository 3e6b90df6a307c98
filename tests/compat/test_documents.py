"""Every code block of the documents runs with its import line changed, and gives what is printed below it.

Where a document contradicts itself the checklist decides (`documents/checklist.md`); the docs tell it too. A shell
block shows another program's command; what takes its place here is named beside it.
"""

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

import ramify.compat.cgkit
from ramify import Ramify
from ramify.cli.commands import commands as command_line
from ramify.compat import connect, rq
from ramify.compat.jobmaster import JobMaster
from ramify.compat.jobmaster.master import locate
from ramify.compat.jobmaster.task import TASKS as DECLARED
from ramify.compat.rq_manager import Queue, getProjectResults, manager
from tests.compat.blocks import DOCUMENTS, read
from tests.compat.tasks import add_marmalade, cut_bread, double

TREES, TASKS, GATES = "1-project-trees.md", "3-declared-tasks.md", "4-deferred-jobs.rst"
TREE_BLOCKS, GATE_BLOCKS = read(TREES), read(GATES)
DIFFERENT = {
    11: [[2, 4, 0, 2], 6],  # R1-42: the document prints what `2*n + i` gives, and its code says `i`
    14: [[2, 4, [0, 2]], 4],  # R1-44: likewise, and its last job says 2 where 3 was meant
}
SHELL = {
    "sudo apt update\nsudo apt install redis-server\n": "",
    "redis-server\n": "",
    "supervisord\n": "pool",
    "redis-cli FLUSHALL\n": "empty",
}


@pytest.fixture
def program(url: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Write a module into the working directory, to be what workers run, and import it."""
    names = []

    def write(name: str, source: str) -> ModuleType:
        names.append(name)
        (place / f"{name}.py").write_text(source)
        monkeypatch.setenv("RAMIFY_URL", url)
        monkeypatch.setenv("RAMIFY_TASKS", " ".join(names))
        return importlib.import_module(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)
    connect.connect(url).close()
    connect._open.cache_clear()


def test_every_block_is_run() -> None:
    """No block of a document is passed over by the tests below."""
    kinds = [_kind(language, block) for language, block in TREE_BLOCKS]

    projects = [number for number, kind in enumerate(kinds) if kind == "project"]
    assert [kinds[number + 1] for number in projects[1:]] == ["printed"] * 6
    assert set(kinds) == {"project", "printed", "functions", "usage", "shell"}
    assert [block for kind, (_, block) in zip(kinds, TREE_BLOCKS, strict=True) if kind == "shell"] == list(SHELL)
    assert (len(GATE_BLOCKS), len(read(TASKS))) == (7, 8)


def _kind(language: str, block: str) -> str:
    if language != "python":
        return "shell"
    if "project = " in block:
        return "project"
    return "printed" if block.startswith("[") else "functions" if block.startswith("def ") else "usage"


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 2, 4, 6, 8, 11, 14])
def test_a_project_of_the_first_document(program: Callable[[str, str], ModuleType], number: int) -> None:
    """The functions stand in a module; the project is given to a manager, as the second block says, and a worker runs
    it; what comes back is what the next block prints."""
    functions = "\n".join(
        block
        for language, block in TREE_BLOCKS
        if _kind(language, block) in ("functions", "project") and "def " in block
    )
    names = vars(program("their_tasks", functions)) | {
        "Queue": Queue,
        "manager": manager,
        "getProjectResults": getProjectResults,
    }
    exec(TREE_BLOCKS[number][1].partition("\n    \n")[2] if number == 0 else TREE_BLOCKS[number][1], names)
    *enqueue, collect = TREE_BLOCKS[1][1].splitlines()

    exec("\n".join(enqueue), names)
    rq.Worker().work(burst=True)
    exec(collect, names)

    printed = ast.literal_eval(TREE_BLOCKS[3 if number == 0 else number + 1][1].strip())
    assert DIFFERENT.get(number, printed) == names["projectResults"]


@pytest.mark.parametrize(("block", "command"), SHELL.items())
def test_a_shell_block_of_the_first_document(block: str, command: str) -> None:
    """Nothing is installed or started, and one command does what another program's did."""
    commands = CliRunner().invoke(command_line, ["--help"]).output
    if command == "pool" and "pool" not in commands:
        command = "worker"
    assert command in commands


def test_the_commands_of_the_second_document() -> None:
    """Each command that the document lists is a command here, and `--help` shows them with a line each."""
    text = (DOCUMENTS / "2-infrastructure.md").read_text()
    named = re.findall(r"^      (\w+) +\w", text[text.index("Commands:") :], re.MULTILINE)

    shown = CliRunner().invoke(command_line, ["--help"]).output

    assert named == ["empty", "info", "requeue", "resume", "suspend", "worker"]
    assert all(re.search(rf"^\W*{command} +\w", shown, re.MULTILINE) for command in named)


STAND_IN = """
class Engine:
    def __init__(self, url):
        self.url = self
        self.text = url

    def render_as_string(self, hide_password):
        return self.text


def create_engine(url):
    return Engine(url)
"""
"""What the adapter takes of SQLAlchemy, which is none of our dependencies: an engine's address."""


@pytest.fixture
def their(url: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The modules of the third document, in a package; what is changed is the import line and the database."""
    for name in list(DECLARED):
        monkeypatch.delitem(DECLARED, name)
    address = re.sub(r"[?&]schema=\w+", "", url)  # the document's own schema is meant
    modules = {}
    for _, block in read(TASKS):
        if named := re.match(r"# module (\w+)\.py\n", block):
            imported = block.replace("from jobmaster import", "from ramify.compat.jobmaster import")
            modules[named[1]] = imported.replace('"postgresql+pg8000://", ...', repr(address))
    (place / "their").mkdir()
    (place / "their" / "__init__.py").touch()
    (place / "sqlalchemy.py").write_text(STAND_IN)
    monkeypatch.delitem(sys.modules, "sqlalchemy", raising=False)
    for name, source in modules.items():
        (place / ("" if name == "my_tasks" else "their") / f"{name}.py").write_text(source)
    yield modules
    for name in ["my_tasks", "sqlalchemy", *(name for name in sys.modules if name.partition(".")[0] == "their")]:
        sys.modules.pop(name, None)
    connect.connect(locate(address)).close()
    connect._open.cache_clear()
    if address.startswith("postgresql:"):
        ask(address, "DROP SCHEMA IF EXISTS jobmaster, job_mistress CASCADE")


def ask(address: str, text: str) -> None:
    """Say something to a PostgreSQL server, as any program without ramify may."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(text.encode())


def test_the_third_document_from_task_to_result(their: dict[str, str], url: str, place: Path) -> None:
    """A task, the call that queues a job of it, and the script that pops and executes it.

    PostgreSQL gets the call as it stands; for other stores it is one of Python with the same arguments.
    """
    importlib.import_module("my_tasks")
    main = importlib.import_module("their.main")
    [call] = [block.replace("/tmp", str(place)) for language, block in read(TASKS) if language == "postgresql"]
    words = re.fullmatch(r"call jobmaster\.insert_job\((.*)::json\)\s*", call)
    assert words is not None

    if url.startswith("postgresql:"):
        main.jobmaster.deploy()
        ask(re.sub(r"[?&]schema=\w+", "", url), call)
    else:
        main.jobmaster.insert_job(*ast.literal_eval(f"({words[1]})"))
    ran = importlib.import_module("their.run")

    assert (ran.job.status_str, ran.job.priority) == ("complete", 10)
    assert (place / "sum.txt").read_text() == "3"


def test_the_third_document_deploys_and_goes_in_order(their: dict[str, str], place: Path) -> None:
    """The simple example, with what the checklist says of it (R3-X4): `baz` alone cannot make `bar`, whose `number` has
    no value; with a fresh `bar` it runs, in the order foo, bar, baz.
    """
    importlib.import_module("their.nice_tasks")
    master = importlib.import_module("their.main").jobmaster
    importlib.import_module("their.deploy_jobmaster")
    wrong = master.deploy()
    path = str(place / "nice.txt")

    alone, _ = master.insert_job("nice_tasks", "baz", {"file_path": f"{path}.alone"})
    master.run()
    master.insert_job("nice_tasks", "foo", {"file_path": path, "number": 10})
    master.run()
    master.insert_job("nice_tasks", "bar", {"file_path": path, "number": 1})
    master.run()
    last, _ = master.insert_job("nice_tasks", "baz", {"file_path": path})
    master.run()

    assert any("bar cannot be created automatically: required `number`" in sentence for sentence in wrong)
    assert master.job(alone).status_str == "failed"
    assert master.job(last).status_str == "complete"
    assert Path(path).read_text() == "11A"
    done = [job.task.partition(":")[2] for job in master.jobs_in_queue() if job.status_str == "complete"]
    assert done[-3:] == ["foo", "bar", "baz"]


@pytest.mark.slow
def test_the_third_document_is_deployed_by_a_command(their: dict[str, str], url: str, place: Path) -> None:
    """The document runs a module that imports a neighbour as a script; as a module of its package it runs."""
    if url == "memory:":
        pytest.skip("another process does not see this one's memory")
    [command] = [block for language, block in read(TASKS) if language == "bash"]
    assert command == "python3 deploy_jobmaster.py\n"

    environment = {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{Path(__file__).parents[2]}"}
    subprocess.run([sys.executable, "-m", "their.deploy_jobmaster"], cwd=place, env=environment, check=True, timeout=50)


def test_the_third_document_takes_another_schema(their: dict[str, str], url: str) -> None:
    """And leaves the first one alone."""
    if url == "memory:":
        pytest.skip("there is no place in memory but one")
    main = importlib.import_module("their.main")
    importlib.import_module("my_tasks")
    names = vars(main) | {"JobMaster": JobMaster}

    exec(read(TASKS)[7][1], names)
    names["jobmaster"].insert_job("my_tasks", "task1", {"file_path": "x", "a": 1, "b": 2})

    assert len(names["jobmaster"].jobs_in_queue()) == 1
    assert main.jobmaster.jobs_in_queue() == []
    names["jobmaster"].app.close()


def test_the_fourth_document(app: Ramify) -> None:
    """Typed as it stands, in one sitting; the names it leaves open, and what it writes `...` for, are filled in."""
    queue = rq.Queue()
    names: dict[str, Any] = {"queue": queue, "rq": rq, "cut_bread": cut_bread, "add_marmalade": add_marmalade}
    names |= {"parts": "parts", "strawberry": "strawberry"}  # the document forgets these quotes (R4-X2)
    names |= dict.fromkeys(["some_callable", "some_callable_1", "some_callable_2"], double)

    def type_in(number: int) -> list[Any]:
        lines = [line.removeprefix(">>> ").replace("...", "2") for line in GATE_BLOCKS[number][1].splitlines()]
        exec("\n".join(lines[:-1]), names)
        is_call = "=" not in lines[-1].partition("(")[0]
        last = eval(lines[-1], names) if is_call else exec(lines[-1], names)
        return [last]

    [marmalade] = type_in(0)
    app.run_until_empty()
    assert (names["bread_slices"].result, marmalade.result) == ("4 slices", "strawberry marmalade")

    for release in (4, 5, 6):
        type_in(1)
        [second] = type_in(2)
        names["future_job_id"] = names["future_job"].id
        listed = names["future_job"].deferred()
        assert listed[1] == f"default/{second.id}"
        assert len(listed) == GATE_BLOCKS[3][1].count("target_queue")  # what the third block shows of the list

        type_in(release)
        app.run_until_empty()

        assert (names["future_job"].result, second.result) == (4, 4)


def test_the_names_of_the_fifth_document() -> None:
    """It has no code but directives: each name that it documents is there, in the class it belongs to."""
    text = (DOCUMENTS / "5-directory-queue.rst").read_text()
    documented = []
    owner: Any = ramify.compat.cgkit
    for kind, dotted in re.findall(r"^ *\.\. (auto\w+|class|method):: ([\w.]+)", text, re.MULTILINE):
        name = dotted.rpartition(".")[2]
        if kind in ("class", "autoclass"):
            owner = getattr(ramify.compat.cgkit, name)
            documented.append(owner)
        else:
            documented.append(getattr(owner, name))

    assert len(documented) == 21
    assert all(thing.__doc__ for thing in documented)
