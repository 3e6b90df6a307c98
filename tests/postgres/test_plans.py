"""The plans of statements: a connection keeps them, also from the time when its tables were empty."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ramify.stores.postgres import Postgres
from ramify.stores.postgres.statements import statements
from tests.postgres.server import Server

LARGE = {"job", "payload", "result", "edge", "mark", "request", "line"}
"""Tables that grow with the history."""

OF_WHAT_IS_THERE = {"job_ready", "job_end", "job_due", "job_running", "job_marked"}
"""Indexes of a few jobs only, which may be read from end to end."""

WHOLE = re.compile(r"examine\.|\w+\.all$|task\.reset$")
"""Statements that are meant to read everything."""


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the parts of a plan that read a table."""
    if "Relation Name" in plan and plan["Node Type"].endswith("Scan"):
        yield plan
    for part in plan.get("Plans", ()):
        yield from scans(part)


def read_whole(connection: psycopg.Connection, text: str) -> list[str]:
    """Return the large tables that the plan for any values reads from end to end."""
    values = re.findall(r"%s|%\(\w+\)s", text)
    numbers = {name: f"${number}" for number, name in enumerate(dict.fromkeys(values), 1) if name != "%s"}
    places = iter(range(1, len(values) + 1))
    text = re.sub(r"%\(\w+\)s", lambda found: numbers[found.group()], text)
    text = re.sub("%s", lambda _: f"${next(places)}", text).replace("%%", "%")
    n = len(set(re.findall(r"\$\d+", text)))
    connection.execute(f"PREPARE planned AS {text}", prepare=False)
    try:
        execute = f"EXECUTE planned ({', '.join(['NULL'] * n)})" if n else "EXECUTE planned"
        [plan] = connection.execute(f"EXPLAIN (FORMAT JSON) {execute}", prepare=False).fetchone() or [None]
    finally:
        connection.execute("DEALLOCATE planned", prepare=False)
    return [
        f"{scan['Relation Name']} by {scan.get('Index Name')}"
        for scan in scans(plan[0]["Plan"])
        if scan["Relation Name"] in LARGE and scan.get("Index Name") not in OF_WHAT_IS_THERE
        if not (scan.get("Index Cond") or scan.get("TID Cond"))
    ]


@pytest.mark.parametrize("cleaned", [False, True], ids=["new", "cleaned"])
def test_a_plan_from_when_the_tables_were_empty_reads_none_from_end_to_end(
    database: Server, schema: str, cleaned: bool
) -> None:
    """A worker that was there before the jobs works as fast as one that comes later, when they are a million."""
    store = Postgres(database.url(), schema=schema)
    store.close()
    found: dict[str, list[str]] = {}

    with psycopg.connect(store._server.conninfo, autocommit=True) as connection:
        if cleaned:  # then the server knows that they are empty, and does not guess
            connection.execute("VACUUM (ANALYZE)")
        for name, text in statements(schema).items():
            if not WHOLE.match(name) and (whole := read_whole(connection, text)):
                found[name] = whole

    assert found == {}
