"""The SQL of this store: one file per verb in `sql/`, each statement under a line `--: name`."""

from importlib.resources import files
from typing import Final


def _read_statements() -> dict[str, str]:
    statements: dict[str, str] = {}
    for file in files(__package__).joinpath("sql").iterdir():
        if not file.name.endswith(".sql"):
            continue
        for part in file.read_text("utf-8").split("--: ")[1:]:
            name, _, text = part.partition("\n")
            statements[f"{file.name.removesuffix('.sql')}.{name.strip()}"] = text.strip()
    return statements


def _read_migrations() -> list[str]:
    folder = files(__package__).joinpath("sql/migrations")
    return [file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)]


SQL: Final = _read_statements()
"""Statements by `file.name`."""

MIGRATIONS: Final = _read_migrations()
"""Scripts in order; the schema's version is how many were applied."""
