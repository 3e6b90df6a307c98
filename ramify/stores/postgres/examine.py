"""What the server says of the database that the jobs are in: what holds up its cleaning, and indexes it cannot use."""

from collections.abc import Mapping
from typing import Final

from ramify.model import Findings
from ramify.stores.postgres.server import Connection

OLD: Final = 300.0
"""Seconds that a transaction may be open without being named."""

MANY: Final = 100_000
"""So many dead rows, and half as many as live ones, are named."""


def examine(connection: Connection, sql: Mapping[str, str], schema: str) -> Findings:
    """Return what is wrong with the database, and what is worth a note. A role may not see the others' transactions."""
    found = Findings()
    for (name,) in connection.execute(sql["examine.invalid"], [schema]):
        found.wrong.append(f"index {name} is not valid; `REINDEX INDEX` makes it anew")
    for pid, who, age in connection.execute(sql["examine.old"], [OLD]):
        found.notes.append(
            f"a transaction of {who} (pid {pid}) has been open for {age / 60:.0f} min; as long as it is the server "
            "cleans nothing up, and what comes in out of turn starts later"
        )
    for name, dead, live in connection.execute(sql["examine.dead"], [schema, MANY]):
        found.notes.append(f"table {name} has {dead:,} dead rows beside {live:,}; see whether autovacuum comes to it")
    return found
