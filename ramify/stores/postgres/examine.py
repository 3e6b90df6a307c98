"""What a look at the jobs would not show: rows that belong to nobody, and how the server is."""

from collections.abc import Mapping

from psycopg import Connection
from psycopg.rows import TupleRow

from ramify.checkup import Findings
from ramify.stores.damage import find_in_tables, tell


def examine(connection: Connection[TupleRow], statements: Mapping[str, str], schema: str) -> Findings:
    """Return what is wrong in the schema, seen at one moment, and notes about the server. It only reads."""
    found = tell(find_in_tables(statements, lambda name: connection.execute(statements[name], ())))
    found.wrong += [text for (text,) in connection.execute(statements["examine.invalid indexes"], (schema,))]
    found.notes += [text for (text,) in connection.execute(statements["examine.old transactions"], ())]
    found.notes += [text for (text,) in connection.execute(statements["examine.dead rows"], (schema,))]
    return found
