"""Where the address of the store comes from."""

from pathlib import Path

import pytest

from ramify import BadSettings
from ramify.settings import Settings, read_settings


def test_an_argument_wins_over_the_environment_over_files(tmp_path: Path) -> None:
    """The first place that names a store decides; tasks come from arguments or a file."""
    environment = {"RAMIFY_URL": "sqlite:///environment.db"}
    (tmp_path / "ramify.toml").write_text('url = "sqlite:///file.db"\ntasks = ["my_tasks"]\n')

    def read(url: str | None, environment: dict[str, str]) -> str:
        return read_settings(url, (), tmp_path, environment).url

    assert read("memory:", environment) == "memory:"
    assert read(None, environment) == "sqlite:///environment.db"
    assert read(None, {}) == "sqlite:///file.db"
    assert read_settings("memory:", (), tmp_path, {}).tasks == ("my_tasks",)
    assert read_settings("memory:", ["other"], tmp_path, {}).tasks == ("other",)


def test_pyproject_may_hold_the_settings(tmp_path: Path) -> None:
    """`[tool.ramify]` counts if there is no `ramify.toml`, and a `pyproject.toml` without it does not matter."""
    (tmp_path / "pyproject.toml").write_text('[tool.ramify]\nurl = "memory:"\ntasks = ["a"]\n')
    assert read_settings(None, (), tmp_path, {}) == Settings("memory:", ("a",))

    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert read_settings(None, (), tmp_path, {}) == Settings("sqlite:///ramify.db", ())


def test_without_settings_the_store_lies_beside_the_program(tmp_path: Path) -> None:
    """The default is a SQLite file in the current directory."""
    assert read_settings(None, (), tmp_path, {}) == Settings("sqlite:///ramify.db")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('ulr = "memory:"', "no setting 'ulr'"),
        ("url = 3", "url is a text"),
        ('tasks = "my_tasks"', "tasks is a list of modules"),
        ("url = ", "ramify.toml: "),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, mistake: str) -> None:
    """`BadSettings` says what is wrong and where it was read."""
    (tmp_path / "ramify.toml").write_text(text)

    with pytest.raises(BadSettings, match=rf"ramify\.toml.*{mistake}|{mistake}"):
        read_settings(None, (), tmp_path, {})
