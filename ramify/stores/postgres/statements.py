"""The SQL of this store: one file per verb in `sql/`, each statement under a line `--: name`.

In the files the schema is called `ramify`; here it gets the name it has in the database, quoted by the driver.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

from psycopg import sql

_SCHEMA: Final = re.compile(r"\bramify\.")


@lru_cache(maxsize=16)
def statements(schema: str) -> Mapping[str, str]:
    """Return the statements by `file.name`, for values in the driver's style."""
    found: dict[str, str] = {}
    for file in files(__package__).joinpath("sql").iterdir():
        if not file.name.endswith(".sql"):
            continue
        for part in file.read_text("utf-8").split("--: ")[1:]:
            name, _, text = part.partition("\n")
            found[f"{file.name.removesuffix('.sql')}.{name.strip()}"] = _in_schema(
                text.strip(), quote_beside_values(schema)
            )
    return found


def migrations(schema: str) -> list[str]:
    """Return the scripts in order; the schema's version is how many were applied."""
    folder = files(__package__).joinpath("sql/migrations")
    scripts = sorted(folder.iterdir(), key=lambda file: file.name)
    text = sql.Literal(schema).as_string(None)
    return [_in_schema(script.read_text("utf-8"), quote(schema)).replace(":'schema'", text) for script in scripts]


def quote(name: str) -> str:
    """Return a name as SQL takes it."""
    return sql.Identifier(name).as_string(None)


def quote_beside_values(name: str) -> str:
    """Return a name as the driver takes it in a statement with values: what stands for one begins with %."""
    return quote(name).replace("%", "%%")


def _in_schema(text: str, quoted: str) -> str:
    return _SCHEMA.sub(lambda _: f"{quoted}.", text)
