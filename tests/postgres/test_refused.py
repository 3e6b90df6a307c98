"""What the server refuses for its data is told as that, and what is wrong with the server as something that passes."""

import os
import random
import time

import psycopg
import pytest

from ramify.errors import BadValue, StoreDown
from ramify.graph.plan import Into, plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Array, Grown, Lane, Row, Session, Step, Want, Which
from ramify.node import Node
from ramify.stores.postgres import Postgres
from ramify.stores.postgres.server import raise_translated
from tests.postgres.server import Server


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1 / 0", BadValue),
        ("CREATE TEMPORARY TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (1)", BadValue),
        ("SELECT repeat('(', 100000)::tsquery", BadValue),
        ("SELECT " + "+".join("1" * 40_000), BadValue),
        ("SET statement_timeout = 1; SELECT pg_sleep(10)", StoreDown),
        ("SELECT pg_terminate_backend(pg_backend_pid())", StoreDown),
    ],
)
def test_only_what_may_pass_is_called_down(
    connection: psycopg.Connection, statement: str, expected: type[Exception]
) -> None:
    """Who hears that a store is down asks again; for data that would be for ever."""
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(statement)
    with pytest.raises(expected):
        raise_translated(refused.value, "here")


def test_who_stood_still_in_the_middle_of_a_step_may_try_again(connection: psycopg.Connection) -> None:
    """The server ends a transaction in which nothing happens; a worker that was frozen there finds the store down."""
    connection.execute("SET idle_in_transaction_session_timeout = 1")
    connection.execute("BEGIN")

    with pytest.raises(psycopg.Error) as ended:
        while True:
            time.sleep(0.01)
            connection.execute("SELECT 1")

    with pytest.raises(StoreDown, match="idle-in-transaction"):
        raise_translated(ended.value, "here")


def test_a_batch_beyond_a_limit_of_the_server_is_bad_and_changes_nothing(database: Server, schema: str) -> None:
    """An entry that is too long for an index is refused whenever it comes, so the store is not down for it."""
    store = Postgres(database.url(), schema=schema)
    try:
        store.add(plan(sketch([Node("m:f")]), make_ids))
        store.enter(Session("s", pid=os.getpid()))
        [claim] = store.exchange("s", [], Want(1)).claims
        row: Row = claim.row
        batch = plan(sketch([Node("m:g")]), make_ids, Into(row.id, row.id, Array(0, None, None), "default", 0))
        luck = random.Random(1)
        long = "".join(chr(luck.randrange(0x4E00, 0x9F00)) for _ in range(6000))  # what repeats is stored shorter
        batch.rows[0].lane = Lane("default", "m:g", long)

        with pytest.raises(BadValue, match="cannot store this: index row"):
            store.exchange("s", [Grown(row.id, row.attempt, batch, Step.END)], Want(1))

        assert [one.state for one in store.jobs(Which())] == ["running"]
    finally:
        store.close()
