"""What a look at the jobs would not show: rows that belong to nobody, and how the server is."""

from collections.abc import Mapping
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from ramify.codec import is_json
from ramify.model import Findings

NAMED: Final = 20
"""So many pieces of damage of one kind are named."""


def examine(connection: Connection[TupleRow], statements: Mapping[str, str], schema: str) -> Findings:
    """Return what is wrong in the schema, seen at one moment, and notes about the server. It only reads."""
    found = Findings()
    for name, statement in statements.items():
        if name.startswith("examine.wrong"):
            found.wrong += [f"job {job}: {wrong}" for job, wrong in connection.execute(statement, ())]
    arguments = connection.execute(statements["examine.arguments"], ())
    broken = [job for job, args in arguments if not is_json(args)]
    found.wrong += [f"job {job}: its arguments are not JSON" for job in broken[:NAMED]]
    found.wrong += [text for (text,) in connection.execute(statements["examine.invalid indexes"], (schema,))]
    found.notes += [text for (text,) in connection.execute(statements["examine.old transactions"], ())]
    found.notes += [text for (text,) in connection.execute(statements["examine.dead rows"], (schema,))]
    return found
