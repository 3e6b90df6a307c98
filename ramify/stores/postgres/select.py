"""Reading selections of jobs: the one place where SQL is put together, from constant parts."""

from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from ramify.model import Page, Row, Which
from ramify.stores.postgres.lanes import Lanes
from ramify.stores.postgres.server import Connection
from ramify.stores.postgres.statements import quote_beside_values
from ramify.stores.relational import read_row

SHOWN_STATE: Final = "CASE WHEN j.state = 'ready' AND j.due IS NOT NULL THEN 'scheduled' ELSE j.state END"
TASK: Final = "coalesce(l.task, '')"
KEYS: Final = {
    "state": SHOWN_STATE,
    "queue": "l.queue",
    "task": TASK,
    "queue state": f"l.queue || ' ' || {SHOWN_STATE}",
    "task state": f"{TASK} || ' ' || {SHOWN_STATE}",
}


def select_rows(connection: Connection, schema: str, lanes: Lanes, which: Which, page: Page) -> list[Row]:
    """Return a page of the selected rows in order of id."""
    name = quote_beside_values(schema)
    where, values = _condition(which, name)
    if page.after is not None:
        where += f" AND j.id {'<' if page.newest else '>'} %s"
        values.append(page.after)
    order = "DESC" if page.newest else "ASC"
    text = f"SELECT j.* FROM {name}.job j WHERE {where} ORDER BY j.id {order} LIMIT %s"
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)  # a caller's own makes rows of another form
    cursor.format = psycopg.pq.Format.BINARY
    rows = cursor.execute(text, [*values, None if page.size < 0 else page.size]).fetchall()

    def ask(statement: str, values: Any) -> list[Any]:
        return cursor.execute(lanes.sql[statement], values).fetchall()

    known = lanes.read({values[3] for values in rows}, ask)
    return [read_row(values, known) for values in rows]


def count_rows(connection: Connection, schema: str, which: Which, by: str) -> dict[str, int]:
    """Return how many of the selected rows there are, by one of `KEYS`."""
    name = quote_beside_values(schema)
    where, values = _condition(which, name)
    text = f"SELECT {KEYS[by]}, count(*) FROM {name}.job j JOIN {name}.lane l ON l.id = j.lane WHERE {where} GROUP BY 1"
    return dict(connection.execute(text, values).fetchall())


def _condition(which: Which, name: str) -> tuple[str, list[Any]]:
    parts = ["true"]
    values: list[Any] = []
    if which.ids is not None:
        parts.append("j.id = ANY(%s)")
        values.append(sorted(which.ids))
    for column, wanted in (("queue", which.queues), ("task", which.tasks)):
        if wanted is not None:
            parts.append(f"j.lane IN (SELECT id FROM {name}.lane WHERE {column} = ANY(%s))")
            values.append(sorted(wanted))
    if which.states is not None:
        # Spelt out, because an index of some states only is used for nothing else.
        states = [f"j.state = '{state.value}'" for state in sorted(which.states)]
        parts.append(f"({' OR '.join(states) or 'false'})")
    if which.tree is not None:
        parts.append("(j.id = %s OR j.tree = %s AND j.parent IS NOT NULL)")
        values += [which.tree, which.tree]
    if which.under is not None:
        parts.append(f"j.id IN (SELECT before FROM {name}.edge WHERE after = %s AND kind = 'child')")
        values.append(which.under)
    if which.roots:
        parts.append("j.parent IS NULL")
    if which.ended_before is not None:
        parts.append("j.ended < %s")
        values.append(which.ended_before)
    return " AND ".join(parts), values
