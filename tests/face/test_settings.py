"""Where settings come from: arguments, the environment, a named file, the directory's files, defaults."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify import BadSettings, Ramify
from ramify.settings import Settings, find_settings, find_strays, read_settings


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, from which modules are imported, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAMIFY_URL", raising=False)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        yield tmp_path


def read(environment: dict[str, str] | None = None, config: str | None = None, **given: object) -> Settings:
    return read_settings(environment=environment or {}, config=config, **given)


def test_without_settings_the_store_lies_beside_the_program() -> None:
    """The default is a SQLite file in the current directory, one queue, and a process for each CPU."""
    assert read() == Settings("sqlite:///ramify.db", (), ("default",), None, 30.0, False, False)
    assert read().count_children() >= 1


def test_each_setting_comes_from_the_first_place_that_has_it(here: Path) -> None:
    """Arguments go before `$RAMIFY_…`, that before a named file, that before `ramify.toml`, that before defaults."""
    (here / "ramify.toml").write_text('url = "memory:"\ntasks = ["a"]\nchildren = 2\ngrace = 1.5\nburst = true\n')
    (here / "other.toml").write_text('tasks = ["b"]\nchildren = 3\ngrace = 2\n')
    environment = {"RAMIFY_CHILDREN": "4", "RAMIFY_GRACE": "3"}

    found = find_settings(environment=environment, config="other.toml", grace="4")

    assert {name: (one.value, one.origin) for name, one in found.items()} == {
        "url": ("memory:", "ramify.toml, line 1"),
        "tasks": (("b",), "other.toml, line 1"),
        "queues": (("default",), "default"),
        "children": (4, "$RAMIFY_CHILDREN"),
        "grace": (4.0, "argument"),
        "multiprocessing": (False, "default"),
        "units": (None, "default"),
        "limit": (None, "default"),
        "watch": ((), "default"),
        "log": ("text", "default"),
        "burst": (True, "ramify.toml, line 5"),
        "workers": (None, "default"),
        "project": ({}, "default"),
    }


def test_every_setting_can_come_from_every_place(here: Path) -> None:
    """The environment, a file and arguments say the same things, each in its way."""
    said = Settings("memory:", ("a", "b"), ("high", "low"), 3, 1.5, True, True, 16, 5)
    environment = {
        "RAMIFY_URL": "memory:",
        "RAMIFY_TASKS": "a b",
        "RAMIFY_QUEUES": "high, low",
        "RAMIFY_CHILDREN": "3",
        "RAMIFY_GRACE": "1.5",
        "RAMIFY_MULTIPROCESSING": "1",
        "RAMIFY_BURST": "yes",
        "RAMIFY_UNITS": "16",
        "RAMIFY_LIMIT": "5",
    }

    assert read(environment) == said
    assert read(**{name: getattr(said, name) for name in said.__struct_fields__}) == said
    (here / "pyproject.toml").write_text(
        '[tool.other]\nurl = 1\n[tool.ramify]\nurl = "memory:"\ntasks = ["a", "b"]\nqueues = ["high", "low"]\n'
        "children = 3\ngrace = '1.5s'\nmultiprocessing = true\nburst = true\nunits = 16\nlimit = 5\n"
    )
    assert read() == said
    assert find_settings(environment={})["url"].origin == "pyproject.toml, line 4"
    (here / "ramify.toml").write_text("children = 'auto'\n")
    assert read() == Settings()


def test_unset_is_not_a_value(here: Path) -> None:
    """An empty variable, text or list is passed over; 0 and false are values."""
    (here / "ramify.toml").write_text('url = ""\ntasks = []\nqueues = ["mail"]\ngrace = 0\nburst = true\n')

    settings = read({"RAMIFY_URL": " ", "RAMIFY_QUEUES": "", "RAMIFY_GRACE": ""}, url="", tasks=(), burst=False)

    assert settings == Settings(queues=("mail",), grace=0.0, burst=False)


def test_pyproject_without_settings_does_not_matter(here: Path) -> None:
    """A project need not name ramify in its `pyproject.toml`."""
    (here / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.other]\nurl = 1\n")

    assert read() == Settings()


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('\nulr = "memory:"', "ramify.toml, line 2: there is no setting 'ulr'; did you mean 'url'?"),
        ("[queue]\nmail = 1", "ramify.toml, line 1: there is no setting 'queue'; did you mean 'queues'?"),
        ("wibble = 1", "there is no setting 'wibble'; there are url, tasks, queues, children, grace"),
        ("url = 3", "ramify.toml, line 1: url is the address of a store, as 'sqlite:///jobs.db', not 3"),
        ("tasks = 3", "tasks is a list of modules, as ['my_tasks'], not 3"),
        ("queues = [1]", "queues is a list of queues, as ['default'], not [1]"),
        ("children = 0", "children is a number from 1 to 1024 or 'auto', not 0"),
        ("children = true", "children is a number"),
        ("grace = -1", "grace is a number of seconds, or a text as '5m', not -1"),
        ("grace = inf", "grace is a number of seconds, or a text as '5m', not inf"),
        ("burst = 'perhaps'", "burst is true or false, not 'perhaps'"),
        ("url = ", "ramify.toml: Invalid value (at "),
    ],
)
def test_a_wrong_setting_is_named_with_its_file_and_line(here: Path, text: str, mistake: str) -> None:
    """`BadSettings` says what is wrong, where it was read, and what was probably meant."""
    (here / "ramify.toml").write_text(text)

    with pytest.raises(BadSettings) as told:
        read()

    assert mistake in str(told.value)


def test_a_wrong_setting_elsewhere_is_named_too(here: Path) -> None:
    """Variables and arguments are named as such, and so is a table that is none, or a file that is not there."""
    for environment, given, mistake in [
        ({"RAMIFY_CHILDREN": "many"}, {}, "$RAMIFY_CHILDREN: children is a number"),
        ({"RAMIFY_TASKS": ","}, {}, "$RAMIFY_TASKS: tasks is a list of modules"),
        ({}, {"children": 5000}, "children is a number from 1 to 1024 or 'auto', not 5000"),
        ({}, {"config": "nowhere.toml"}, "nowhere.toml: No such file"),
        ({}, {"config": "../nowhere.py"}, "--config ../nowhere.py: a module is imported from the working directory"),
        ({}, {"config": "nowhere"}, f"--config nowhere: there is no module 'nowhere'; searched: {here}"),
    ]:
        with pytest.raises(BadSettings) as told:
            read(environment, **given)
        assert mistake in str(told.value)
    (here / "pyproject.toml").write_text("[tool]\nramify = 3\n")
    with pytest.raises(BadSettings, match=r"tool\.ramify is a table"):
        read()


def test_a_slip_in_a_variable_is_told() -> None:
    """A variable that only looks like a setting is no error, as it may be somebody else's, but it is named."""
    assert find_strays({"RAMIFY_ULR": "x", "RAMIFY_PORT": "tcp://1.2.3.4:80", "RAMIFY_URL": "memory:"}) == [
        "$RAMIFY_ULR is not read; did you mean $RAMIFY_URL?"
    ]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("REDIS_URL = 'redis://emm.com:6387/1'\nREDIS_HOST = 'other'", "redis://emm.com:6387/1"),
        ("REDIS_HOST = 'emm.com'\nREDIS_PORT = 6387", "redis://emm.com:6387/0"),
        ("REDIS_HOST = 'emm.com'\nREDIS_PORT = '6387'\nREDIS_DB = 2", "redis://emm.com:6387/2"),
        ("REDIS_HOST = '::1'\nREDIS_PASSWORD = 'a/b@c'\nREDIS_SSL = True", "rediss://:a%2Fb%40c@[::1]:6379/0"),
        ("URL = 'memory:'\nREDIS_URL = 'redis://emm.com'", "memory:"),
        ("NAME = 'a worker of rq'", "sqlite:///ramify.db"),
    ],
)
def test_a_settings_module_says_where_the_server_is(here: Path, text: str, url: str) -> None:
    """`REDIS_URL`, or host and port, become an address; what else such a module holds does not matter."""
    name = f"settings_{abs(hash(text))}"
    (here / f"{name}.py").write_text(f"import os\nQUEUES = ['high', 'low']\nSENTRY_DSN = ''\n{text}\n")

    for config in (name, f"{name}.py"):
        settings = read(config=config)
        assert (settings.url, settings.queues) == (url, ("high", "low"))


def test_a_settings_module_with_a_mistake_is_told(here: Path) -> None:
    """A module that raises, and a port that is no number, are told with their place."""
    (here / "broken_settings.py").write_text("1 / 0\n")
    (here / "wrong_settings.py").write_text("REDIS_HOST = 'emm.com'\nREDIS_PORT = 'tcp'\n")

    with pytest.raises(BadSettings, match=r"--config broken_settings: .*ZeroDivisionError.*line 1"):
        read(config="broken_settings")
    with pytest.raises(BadSettings, match=r"wrong_settings\.py, REDIS_HOST: REDIS_PORT and REDIS_DB are numbers"):
        read(config="wrong_settings")


def test_an_app_and_its_worker_take_the_settings(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Ramify()` opens the store of the settings, and its worker serves their queues unless it is told otherwise."""
    (here / "chores_of_settings.py").write_text("def double(x):\n    return 2 * x\n")
    (here / "ramify.toml").write_text(
        'url = "sqlite:///mine.db"\ntasks = ["chores_of_settings"]\nqueues = ["mail"]\nchildren = 1\nburst = true\n'
    )
    with Ramify() as app:
        mail = app.enqueue({"func": "chores_of_settings:double", "args": 2, "queue": "mail"})
        other = app.enqueue("chores_of_settings:double", 3)

        app.worker().run()
        assert (mail.result(timeout=0), other.state) == (4, "ready")

        app.worker(queues=["default"]).run()
        assert other.result(timeout=0) == 6
    assert (here / "mine.db").exists()


def test_check_names_an_open_door(here: Path) -> None:
    """`app.check()`, and so every worker that starts, says that a server wants no password."""
    with Ramify("memory:") as app:
        app.url = "redis://emm.com:6387/0"

        assert [wrong for wrong in app.check() if "names no password" in wrong] == app.check()[:1]
