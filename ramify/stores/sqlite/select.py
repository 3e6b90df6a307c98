"""Reading selections of jobs: the one place where SQL is put together, from constant parts."""

import json
import sqlite3
from typing import Any

from ramify.model import Lane, Page, Row, Which
from ramify.stores.relational import read_row

SHOWN_STATE = "CASE WHEN state = 'ready' AND due IS NOT NULL THEN 'scheduled' ELSE state END"
KEYS = {
    "state": f"SELECT {SHOWN_STATE}, count(*) FROM job WHERE {{}} GROUP BY 1",
    "queue": "SELECT l.queue, count(*) FROM job JOIN lane l ON l.id = lane WHERE {} GROUP BY 1",
    "task": "SELECT coalesce(l.task, ''), count(*) FROM job JOIN lane l ON l.id = lane WHERE {} GROUP BY 1",
    "queue state": f"""SELECT l.queue || ' ' || shown, sum(n) FROM
        (SELECT lane, {SHOWN_STATE} AS shown, count(*) AS n FROM job WHERE {{}} GROUP BY 1, 2)
        JOIN lane l ON l.id = lane GROUP BY 1""",
    "task state": f"""SELECT coalesce(l.task, '') || ' ' || shown, sum(n) FROM
        (SELECT lane, {SHOWN_STATE} AS shown, count(*) AS n FROM job WHERE {{}} GROUP BY 1, 2)
        JOIN lane l ON l.id = lane GROUP BY 1""",
}


def select_rows(connection: sqlite3.Connection, which: Which, page: Page, lanes: dict[int, Lane]) -> list[Row]:
    """Return a page of the selected rows in order of id."""
    where, values = _condition(which)
    if page.after is not None:
        where += f" AND job.id {'<' if page.newest else '>'} ?"
        values.append(page.after)
    order = "DESC" if page.newest else "ASC"
    text = f"SELECT job.* FROM job WHERE {where} ORDER BY job.id {order} LIMIT ?"
    return [read_row(found, lanes) for found in connection.execute(text, [*values, page.size])]


def count_rows(connection: sqlite3.Connection, which: Which, by: str) -> dict[str, int]:
    """Return how many of the selected rows there are, by `state`, `queue` or `task`."""
    where, values = _condition(which)
    return dict(connection.execute(KEYS[by].format(where), values).fetchall())


def _condition(which: Which) -> tuple[str, list[Any]]:
    parts = ["1"]
    values: list[Any] = []
    for column, wanted in (
        ("job.id", which.ids),
        ("lane.queue", which.queues),
        ("lane.task", which.tasks),
    ):
        if wanted is None:
            continue
        inside = "IN (SELECT value FROM json_each(?))"
        if column.startswith("lane."):
            inside = f"IN (SELECT id FROM lane WHERE {column.removeprefix('lane.')} {inside})"
        parts.append(f"{column if not column.startswith('lane.') else 'job.lane'} {inside}")
        values.append(json.dumps(sorted(wanted)))
    if which.states is not None:
        # Spelt out, because an index of some states only is used for nothing else.
        states = [f"state = '{state.value}'" for state in sorted(which.states)]
        parts.append(f"({' OR '.join(states) or '0'})")
    if which.tree is not None:
        parts.append("(job.id = ? OR tree = ? AND parent IS NOT NULL)")
        values += [which.tree, which.tree]
    if which.under is not None:
        parts.append("job.id IN (SELECT before FROM edge WHERE after = ? AND kind = 'child')")
        values.append(which.under)
    if which.roots:
        parts.append("parent IS NULL")
    if which.ended_before is not None:
        parts.append("ended < ?")
        values.append(which.ended_before)
    return " AND ".join(parts), values
