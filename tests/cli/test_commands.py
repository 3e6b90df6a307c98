"""What all commands share: help, version, mistakes, addresses of stores."""

import json
from pathlib import Path

import pytest

import ramify
import ramify.cli.commands
import ramify.model
from tests.cli.conftest import ROOT, Command, run

UNKNOWN = "01m7y2n3t4fngr08tmpk90tv5s"
COMMANDS = [
    *["worker", "run", "enqueue", "info", "jobs", "tree", "explain", "result", "release", "cancel", "retry", "requeue"],
    *["empty", "suspend", "resume", "limit", "doctor"],
]


def test_the_version_is_that_of_the_package(ask: Command) -> None:
    """`--version` says the name and the version."""
    assert f"ramify {ramify.__version__}\n" == ask("--version").out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(ask: Command, command: str) -> None:
    """`--help` of each command says what it does, and that it takes `--url`."""
    reply = ask(command, "--help")

    assert reply.code == 0
    assert "--url" in reply.out


def test_the_help_names_all_commands(ask: Command) -> None:
    """Without arguments all commands are listed, and nothing is called a mistake."""
    reply = ask()

    assert [command for command in COMMANDS if f" {command} " not in reply.out] == []
    assert reply.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frob"], "No such command 'frob'; see `ramify --help`"),
        (["tree"], "Missing argument 'ID'; see `ramify tree --help`"),
        (["info", "--bad"], "No such option: --bad; see `ramify info --help`"),
        (["jbos"], "No such command 'jbos'. Did you mean 'jobs'? See `ramify --help`"),
        (["enqueue", "chores:double", "-1"], "No such option: -1; put -- before arguments that begin with a dash; see"),
        (["enqueue", "double"], "'double' does not name a function"),
        (
            ["enqueue", "chores:double", "1", "--delay", "soon"],
            "--delay is a number of seconds, not 'soon'; or a text as '90s', '6h' or",
        ),
        (["enqueue", "chores:double", "1", "x=2"], "chores:double(x: int) -> int: multiple values for argument 'x'"),
        (["enqueue", "chores:double", "x=1", "x=2"], "argument 'x' is given twice"),
        (["enqueue", "chores:dubble", "1"], "did you mean chores:double?"),
        (["enqueue", "chores:double", "1", "--dir", "nix"], "Directory 'nix' does not exist"),
        (["enqueue", "chores:double", "1", "--url", "memory:"], "a memory: store lives in one process only"),
        (["jobs", "--state", "faild"], "there is no state 'faild'; did you mean 'failed'? There are held, waiting"),
        (["retry"], "name jobs by their ids, or all that failed by --all or --queue NAME, one or the other"),
        (["suspend", "--queue", ""], "a queue or task has a name; without --queue and --task all is meant"),
        (["enqueue", "chores:double", "\udcff"], "\\udcff"),
        (["limit", "gpu", "3"], "'gpu' cannot be limited"),
        (["limit", "all", "few"], "a limit on all is a number of running jobs or 'none', not 'few'"),
        (["info"], "there is no store at sqlite:///ramify.db yet; --url names another, `ramify enqueue` makes one"),
        (["info", "--url", "memory:"], "a memory: store lives in one process only"),
        (["info", "--url", "pg://x"], "'pg://x' is not the address of a store; use sqlite:///path/to/file.db"),
        (["info", "--url", "sqlite:///chores.py"], "chores.py is not an SQLite database; name another file"),
    ],
)
def test_a_mistake_is_one_line(place: Path, ask: Command, arguments: list[str], message: str) -> None:
    """A mistake ends a command with status 2 and one line that says what is wrong and what to do."""
    if arguments[:1] != ["info"]:
        ramify.Ramify("sqlite:///ramify.db").close()

    reply = ask(*arguments)

    assert (reply.code, reply.out) == (2, "")
    assert reply.err.startswith("ramify: ")
    assert message in reply.err
    assert reply.err.count("\n") == 1


@pytest.mark.parametrize("command", ["tree", "result", "cancel", "retry", "requeue", "release", "explain"])
def test_an_unknown_job_is_named(app: ramify.Ramify, ask: Command, command: str) -> None:
    """A command for a job that is not there says so and does nothing."""
    known = app.enqueue("tests.face.tasks:double", 1)

    reply = ask(command, UNKNOWN)
    both = ask("cancel", known.id, UNKNOWN)

    assert (2, f"ramify: there is no job {UNKNOWN} in sqlite:///ramify.db\n") == (reply.code, reply.err)
    assert both.code == 2
    assert known.state == "ready"


@pytest.mark.parametrize("command", ["info", "jobs", "doctor", "limit", "tasks", "health"])
def test_who_only_looks_makes_no_store(place: Path, ask: Command, command: str) -> None:
    """An address of nothing, or of an empty file, is a slip of the pen, and stays as it is."""
    (place / "empty.db").touch()

    replies = [ask(command, "--url", f"sqlite:///{name}.db") for name in ("empty", "missing")]

    for reply, name in zip(replies, ("empty", "missing"), strict=True):
        assert f"there is no store at sqlite:///{name}.db yet; --url names another" in reply.err
        assert reply.code == 2
    assert [("empty.db", 0)] == [(file.name, file.stat().st_size) for file in place.glob("*.db*")]


def test_what_is_no_id_is_not_looked_up(app: ramify.Ramify, ask: Command) -> None:
    """A text that cannot be an id is refused with what an id looks like."""
    reply = ask("result", "job-1")

    assert reply.code == 2
    assert "'job-1' is not the id of a job: that is 26 letters and digits" in reply.err


def test_the_beginning_of_an_id_is_enough(app: ramify.Ramify, ask: Command) -> None:
    """Wherever a command takes an id, it takes as much of it as no other job's id begins with."""
    first, second = (app.enqueue("tests.face.tasks:double", n) for n in (1, 2))
    start = next(second.id[: n + 1] for n in range(26) if first.id[n] != second.id[n])

    assert ask("tree", start).out == ask("tree", second.id).out
    assert second.id in ask("explain", start.upper()).out
    assert f'"id":"{second.id}"' in ask("cancel", "--json", start, second.id, start).out.strip()
    assert ["ready", "cancelled"] == [first.state, second.state]
    assert first.id in ask("jobs", "--before", start).out


def test_a_beginning_that_several_ids_have_is_not_enough(app: ramify.Ramify, ask: Command) -> None:
    """Some of the jobs are named, the newest first, and nothing is done; one that no id has is unknown."""
    few = [app.enqueue("tests.face.tasks:double", n) for n in (1, 2)]

    one = ask("cancel", few[0].id[:2])
    app.enqueue(ramify.group(*(ramify.job("tests.face.tasks:double", n) for n in range(9))))
    many = ask("cancel", few[0].id[:2])
    none = ask("cancel", "01" + "z" * 5)

    names = [f"tests.face.tasks:double ({job.id})" for job in reversed(few)]
    assert f"several jobs begin with 01, so type more of the one you mean: {', '.join(names)}\n" in one.err
    assert many.err.endswith(" and others\n")
    assert "ramify: there is no job 01zzzzz in sqlite:///ramify.db\n" == none.err
    assert [2, 2, 2] == [one.code, many.code, none.code]
    assert ["ready", "ready"] == [job.state for job in few]


def test_the_address_comes_from_the_environment(app: ramify.Ramify) -> None:
    """`$RAMIFY_URL` is used where `--url` is not given, and `--url` goes first."""
    other = "sqlite:///other.db"
    ramify.Ramify(other).close()

    from_environment = run("info", RAMIFY_URL=other)
    from_option = run("info", "--url", "sqlite:///ramify.db", RAMIFY_URL=other)

    assert other == from_environment.out.splitlines()[0]
    assert from_option.out.splitlines()[0] == "sqlite:///ramify.db"


def test_a_reader_may_stop_reading(app: ramify.Ramify) -> None:
    """A pipe that is closed early (`| head`) is no error."""
    app.enqueue("tests.face.tasks:double", 1)

    from tests.cli.conftest import start

    with start("info") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert (said, process.returncode) == ("", 0)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["jobs --limit 0", "jobs --limit 0 --json"])
def test_a_reader_may_stop_in_the_middle(app: ramify.Ramify, command: str) -> None:
    """So `set -o pipefail` does not take a good command for a failed one."""
    from tests.cli.conftest import start

    app.enqueue(ramify.group(*(ramify.job("tests.face.tasks:double", n) for n in range(3000))))

    with start(*command.split()) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert (said, process.returncode) == ("", 0)


@pytest.mark.parametrize(
    "command",
    [
        *["info", "jobs", "suspend", "resume", "limit", "doctor"],
        *["tree ID", "explain ID", "cancel ID", "retry ID", "release ID", "retry --all", "empty default"],
        "enqueue chores:double 1",
    ],
)
def test_whatever_prints_speaks_json(app: ramify.Ramify, ask: Command, command: str) -> None:
    """With `--json` stdout holds objects, each on a line of its own, and nothing else."""
    known = app.enqueue(ramify.job("tests.face.tasks:double", 1).options(label="\x1b[31mred"))
    app.store.limit("queue:mail", ramify.model.Rule(3))

    reply = ask(*command.replace("ID", known.id).split(), "--json")

    assert "\x1b" not in reply.out
    assert reply.out.count("\n") == 1
    assert all(isinstance(json.loads(line), dict) for line in reply.out.splitlines())


def test_the_documentation_names_every_command() -> None:
    """`docs/cli.md` has a line for each."""
    page = (ROOT / "docs/cli.md").read_text("utf-8")
    table = page[: page.index("Status 0 is good news")]

    assert [name for name in ramify.cli.commands.COMMANDS if f"{name} " not in table.replace("`", " ")] == []
