"""How SQLite looks for what it is asked for: pinned, because a scan is not seen until the file is large."""

import re
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import pytest

from ramify.model import ENDED, Ended, Failure, Lane, Page, Session, State, Unless, Verb, Want, Which
from ramify.stores.sqlite.select import count_rows, select_rows
from ramify.stores.sqlite.statements import SQL
from tests.sqlite.kit import done, open_fast, planned
from tests.stores.kit import leaf, series, tree

BIG: Final = ("job", "edge", "payload", "result", "mark", "request")
"""Tables that grow with what is stored. Those of lanes, sessions, limits and of the worklist stay small."""

INDEXES: Final = {
    "add.lanes": "PRIMARY KEY",
    "claim.due": "job_due",
    "claim.ends": "job_end",
    "claim.lane": "job_ready",
    "claim.next due": "job_due",
    "claim.read": "PRIMARY KEY",
    "claim.running": "job_running",
    "claim.running on": "job_running",
    "claim.start": "PRIMARY KEY",
    "edges.bad into": "PRIMARY KEY",
    "edges.forgive": "PRIMARY KEY",
    "edges.into": "PRIMARY KEY",
    "edges.into these": "PRIMARY KEY",
    "edges.lowest": "PRIMARY KEY",
    "edges.out": "edge_out",
    "edges.out of these": "edge_out",
    "edges.slots": "PRIMARY KEY",
    "end.end": "PRIMARY KEY",
    "end.read": "PRIMARY KEY",
    "names.done since": "PRIMARY KEY",
    "names.unfinished": "PRIMARY KEY",
    "rows.edge out of tree": "job_tree",
    "rows.forget edges out": "edge_out",
    "rows.forget mark": "mark_job",
    "rows.forget request": "request_job",
    "rows.held": "job_held",
    "rows.members": "job_tree",
    "rows.read": "PRIMARY KEY",
    "rows.unfinished member": "job_tree",
    "rows.write": "PRIMARY KEY",
    "session.cancels": "job_running",
    "session.orphans": "job_running",
    "session.overdue": "job_deadline",
    "settle.count": "edge_out",
    "settle.edges": "edge_out",
    "settle.first bad": "edge_out",
    "settle.rows": "edge_out",
}
"""By which index each statement that every job passes, or that looks through many, finds its rows."""

WHOLE: Final = {"claim.ends": "SCAN job USING INDEX job_end", "claim.running": "SCAN job USING INDEX job_running"}
"""Indexes of a few rows only, which are read from the first on."""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A database with jobs in every state, of several trees, queues and tasks."""
    path = tmp_path_factory.mktemp("plans") / "jobs.db"
    store = open_fast(path)
    store.enter(Session("s"))
    for number in range(20):
        leaves = [leaf(f"{number}.{n}", task=f"m:{n % 7}", queue="ab"[n % 2], priority=n % 3) for n in range(40)]
        held = leaf("held", hold=True, timeout=9).changed(marks=(f"mark {number}",), unless=Unless(f"mark {number}"))
        batch = planned(tree("top", *leaves, series("s", leaf("x"), leaf("y", leaf("z"))), held, timeout=number + 1))
        batch.request = f"request {number}"
        store.add(batch)
    reply = store.exchange("s", [], Want(300, ("a", "b")))
    outcomes = done(reply.claims)[:200]
    failed = [Ended(each.job, each.attempt, State.FAILED, failure=Failure("error", "no")) for each in outcomes[::9]]
    store.exchange("s", [*failed, *outcomes], Want(100, ("default",)))
    store.move(Which(ids=(batch.rows[-1].id,)), Verb.CANCEL)
    store.close()
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


def explain(connection: sqlite3.Connection, text: str, values: Any = None) -> list[str]:
    """Return the steps by which SQLite would execute a statement."""
    if values is None:
        names = set(re.findall(r":([a-z_]+)", text))
        values = dict.fromkeys(names) if names else [None] * text.count("?")
    return [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]


def scans(text: str, steps: list[str]) -> list[str]:
    """Return the steps that go through all rows of a table that grows."""
    big = {*BIG, *(alias for _, alias in re.findall(rf"\b({'|'.join(BIG)}) (\w)\b", text))}
    return [step for step in steps if (found := re.match(r"SCAN (\w+)", step)) and found[1] in big]


# Those of `examine` look at everything on purpose, when somebody asks.
@pytest.mark.parametrize("name", sorted(name for name in SQL if not name.startswith("examine.")))
def test_no_statement_scans(connection: sqlite3.Connection, name: str) -> None:
    """No statement goes through all jobs, edges, arguments, results or marks, save small indexes meant for that."""
    steps = explain(connection, SQL[name])

    assert ([WHOLE[name]] if name in WHOLE else []) == scans(SQL[name], steps)


def test_scan_is_seen(connection: sqlite3.Connection) -> None:
    """What these tests look for they would find."""
    text = "SELECT 1 FROM lane l CROSS JOIN job j ON j.label = l.queue"

    assert [step for step in explain(connection, text) if "j" in step] == scans(text, explain(connection, text))


@pytest.mark.parametrize("name", sorted(INDEXES))
def test_indexes(connection: sqlite3.Connection, name: str) -> None:
    """Each statement finds its rows by the index that was made for it."""
    steps = explain(connection, SQL[name])

    assert any(re.search(rf"USING (COVERING )?(INDEX )?(INTEGER )?{INDEXES[name]}\b", step) for step in steps), steps


@pytest.mark.parametrize("name", ["claim.lane", "claim.ends", "claim.next due", "rows.held", "edges.into", "edges.out"])
def test_first_rows_are_found_without_sorting(connection: sqlite3.Connection, name: str) -> None:
    """What asks for the first rows reads only those, whatever stands behind them."""
    steps = explain(connection, SQL[name])

    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_every_index_is_used(connection: sqlite3.Connection) -> None:
    """No index is kept up for nothing."""
    indexes = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE INDEX%'")}

    used = {name for text in SQL.values() for step in explain(connection, text) for name in indexes if name in step}

    assert {"job_undone"} == indexes - used, "that one is for selections"


# Selections are put together where they are asked for, so they are watched on their way.


def watch(connection: sqlite3.Connection, which: Which, page: Page | None = None) -> list[str]:
    """Return the steps of a selection, or of a count if no page is asked for."""
    asked: list[tuple[str, Any]] = []

    class Watching:
        def execute(self, text: str, values: Any) -> sqlite3.Cursor:
            asked.append((text, values))
            return connection.execute(text, values)

    lanes = {id: Lane() for (id,) in connection.execute("SELECT id FROM lane")}
    watching: Any = Watching()
    if page is None:
        count_rows(watching, which, "state")
    else:
        select_rows(watching, which, page, lanes)
    [(text, values)] = asked
    return explain(connection, text, values)


@pytest.mark.parametrize("page", [Page(), Page(newest=True), Page(after="0" * 26), Page(after="z" * 26, newest=True)])
@pytest.mark.parametrize(
    ("which", "index"),
    [
        (Which(ids=("0" * 26,)), "PRIMARY KEY"),
        (Which(tree="0" * 26), "job_tree"),
        (Which(states=frozenset({State.FAILED})), "job_undone"),
        (Which(states=frozenset({State.FAILED, State.CANCELLED, State.SKIPPED})), "job_undone"),
    ],
    ids=["ids", "tree", "failed", "undone"],
)
def test_selections(connection: sqlite3.Connection, which: Which, index: str, page: Page) -> None:
    """Jobs by their ids, those of a tree, and what ended badly are found without a look at the rest."""
    steps = watch(connection, which, page)

    assert any(index in step for step in steps), steps
    assert not any(step.startswith("SCAN job") for step in steps), steps


def test_counting_what_ended_badly(connection: sqlite3.Connection) -> None:
    """The number of jobs that ended badly is read from an index of those."""
    steps = watch(connection, Which(states=ENDED - {State.DONE}))

    assert any("job_undone" in step for step in steps), steps
    assert not any(step.startswith("SCAN job") for step in steps), steps


def test_pages_stop_early(connection: sqlite3.Connection) -> None:
    """A page of all jobs is read in order of id, without sorting what lies behind it."""
    for page in (Page(), Page(newest=True), Page(after="0" * 26)):
        steps = watch(connection, Which(states=frozenset({State.DONE, State.READY}), roots=True), page)

        assert not any("TEMP B-TREE" in step for step in steps), steps
