"""The numbered scripts that make the schema, and bring older files up to it."""

import re
import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from ramify.stores.sqlite.file import APPLICATION_ID
from ramify.stores.sqlite.statements import MIGRATIONS
from tests.sqlite.kit import needs_processes, open_fast, opened, planned, session, together, work
from tests.stores.kit import leaf


def schema(path: Path) -> list[tuple[str, ...]]:
    """Return what the database says of its tables and indexes."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [owner] = connection.execute("PRAGMA application_id").fetchone()
    connection.close()
    return [*found, (str(version), str(owner))]


def make_old(path: Path, version: int) -> None:
    """Make the file that an older ramify left, which knew so many scripts."""
    connection = sqlite3.connect(path, isolation_level=None)
    for script in MIGRATIONS[:version]:
        connection.executescript(script)
    if version:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_scripts_are_numbered() -> None:
    """Scripts are numbered in their order, no number twice, and each says what it does."""
    names = sorted(file.name for file in files("ramify.stores.sqlite").joinpath("sql/migrations").iterdir())

    assert len({name[:4] for name in names}) == len(names)
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", name) for name in names)
    assert all(script.startswith("-- ") for script in MIGRATIONS)


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_old_file_becomes_as_a_new_one(tmp_path: Path, version: int) -> None:
    """A file of any earlier version has the schema of a new one once it was opened."""
    make_old(tmp_path / "old.db", version)

    open_fast(tmp_path / "old.db").close()
    open_fast(tmp_path / "new.db").close()

    assert schema(tmp_path / "new.db") == schema(tmp_path / "old.db")


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """A file that is up to date is not written to."""
    open_fast(tmp_path / "jobs.db").close()
    before = (tmp_path / "jobs.db").read_bytes()

    open_fast(tmp_path / "jobs.db").close()

    assert before == (tmp_path / "jobs.db").read_bytes()


def test_ids_are_stored_once() -> None:
    """Tables that are looked up by an id of ours are stored in its order, and hold no other kind of value."""
    tables = re.findall(r"CREATE TABLE (\w+) .*?\)( STRICT)?(, WITHOUT ROWID)?;", "\n".join(MIGRATIONS), re.DOTALL)

    assert {name for name, strict, _ in tables if strict} == {name for name, _, _ in tables}
    assert {"lane", "work"} == {name for name, _, without in tables if not without}


@needs_processes
def test_ten_processes_open_a_new_file(tmp_path: Path) -> None:
    """All of them find a store, made once, and what each adds is there."""

    def act(number: int, path: Path) -> None:
        with opened(path) as store:
            store.add(planned(leaf(str(number))))

    open_fast(tmp_path / "model.db").close()
    for turn in range(5):
        path = tmp_path / f"{turn}.db"

        together(act, path, n=10)

        assert schema(tmp_path / "model.db") == schema(path)
        with opened(path) as store:
            store.enter(session("s"))
            found: list[str] = []
            work(store, "s", each=found.append)
            assert [str(number) for number in range(10)] == sorted(found)
