"""Reading selections of jobs: the one place where SQL is put together, from constant parts."""

from typing import Any, Final

from psycopg.sql import SQL, Composable, Identifier

from ramify.model import Page, Row, Which
from ramify.stores.postgres.lanes import Lanes
from ramify.stores.postgres.server import Connection
from ramify.stores.sqlite.rows import read_row

SHOWN_STATE: Final = SQL("CASE WHEN state = 'ready' AND due IS NOT NULL THEN 'scheduled' ELSE state END")
KEYS: Final = {"state": SHOWN_STATE, "queue": SQL("l.queue"), "task": SQL("coalesce(l.task, '')")}


def select_rows(connection: Connection, schema: str, lanes: Lanes, which: Which, page: Page) -> list[Row]:
    """Return a page of the selected rows in order of id."""
    where, values = _condition(which, schema)
    if page.after is not None:
        where += SQL(" AND j.id < %s") if page.newest else SQL(" AND j.id > %s")
        values.append(page.after)
    order = SQL("DESC") if page.newest else SQL("ASC")
    text = SQL("SELECT j.* FROM {}.job j WHERE ") + where + SQL(" ORDER BY j.id {} LIMIT %s")
    cursor = connection.cursor(binary=True)
    found = cursor.execute(text.format(Identifier(schema), order), [*values, None if page.size < 0 else page.size])
    rows = found.fetchall()

    def ask(statement: str, values: Any) -> list[Any]:
        return cursor.execute(lanes.sql[statement], values).fetchall()

    known = lanes.read({values[3] for values in rows}, ask)
    return [read_row(values, known) for values in rows]


def count_rows(connection: Connection, schema: str, which: Which, by: str) -> dict[str, int]:
    """Return how many of the selected rows there are, by `state`, `queue` or `task`."""
    where, values = _condition(which, schema)
    text = SQL("SELECT {key}, count(*) FROM {schema}.job j JOIN {schema}.lane l ON l.id = j.lane WHERE ")
    text = text.format(key=KEYS[by], schema=Identifier(schema)) + where + SQL(" GROUP BY 1")
    return dict(connection.execute(text, values).fetchall())


def _condition(which: Which, schema: str) -> tuple[Composable, list[Any]]:
    parts: list[Composable] = [SQL("true")]
    values: list[Any] = []
    if which.ids is not None:
        parts.append(SQL("j.id = ANY(%s)"))
        values.append(sorted(which.ids))
    for column, wanted in (("queue", which.queues), ("task", which.tasks)):
        if wanted is not None:
            text = SQL("j.lane IN (SELECT id FROM {}.lane WHERE {} = ANY(%s))")
            parts.append(text.format(Identifier(schema), Identifier(column)))
            values.append(sorted(wanted))
    if which.states is not None:
        # Spelt out, because an index of some states only is used for nothing else.
        states = [SQL("j.state = {}").format(state.value) for state in sorted(which.states)]
        parts.append(SQL("({})").format(SQL(" OR ").join(states) if states else SQL("false")))
    if which.tree is not None:
        parts.append(SQL("(j.id = %s OR j.tree = %s AND j.parent IS NOT NULL)"))
        values += [which.tree, which.tree]
    if which.roots:
        parts.append(SQL("j.parent IS NULL"))
    if which.ended_before is not None:
        parts.append(SQL("j.ended < %s"))
        values.append(which.ended_before)
    return SQL(" AND ").join(parts), values
