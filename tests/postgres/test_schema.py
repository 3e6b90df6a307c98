"""The schema: made once by whoever comes first, brought up to date in one transaction, and nobody else's business."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from ramify import Ramify
from ramify.errors import BadStore, NewerSchema, StoreDown
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Which
from ramify.node import Node
from ramify.stores.open import open_store
from ramify.stores.postgres import Postgres
from ramify.stores.postgres.statements import migrations, quote
from tests.postgres.server import Server

CATALOG = """
SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = %(schema)s::text::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'index', c.relname, replace(pg_get_indexdef(c.oid), %(schema)s::text, ''), '', false FROM pg_class c
WHERE c.relnamespace = %(schema)s::text::regnamespace AND c.relkind = 'i'
UNION ALL SELECT 'function', p.proname, replace(pg_get_functiondef(p.oid), %(schema)s::text, ''), '', p.prosecdef
FROM pg_proc p
WHERE p.pronamespace = %(schema)s::text::regnamespace ORDER BY 1, 2, 3
"""


def batch() -> object:
    """Return one job."""
    return plan(sketch([Node("m:f")]), make_ids)


def test_ten_programs_deploy_at_once(database: Server, schema: str) -> None:
    """Whoever comes first makes the schema; the others find it."""
    with ThreadPoolExecutor(10) as threads:
        stores = list(threads.map(lambda _: Postgres(database.url(), schema=schema), range(10)))

    stores[0].add(batch())
    counts = [store.counts(Which(), "state") for store in stores]
    for store in stores:
        store.close()

    assert [{"ready": 1}] * 10 == counts


def test_migrations_one_by_one_make_what_a_fresh_schema_is(
    database: Server, connection: psycopg.Connection, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema that was brought up to date from every earlier version looks like a new one."""
    known = migrations(f"{schema}a")
    for n in range(1, len(known) + 1):
        monkeypatch.setattr("ramify.stores.postgres.schema.migrations", lambda schema, n=n: migrations(schema)[:n])
        Postgres(database.url(), schema=f"{schema}a").close()
    Postgres(database.url(), schema=f"{schema}b").close()

    grown, fresh = [connection.execute(CATALOG, {"schema": f"{schema}{each}"}).fetchall() for each in "ab"]

    assert fresh == grown
    assert len(fresh) > 50


def test_a_newer_schema_is_refused(database: Server, connection: psycopg.Connection, schema: str) -> None:
    """An older program does not touch what a newer one made, and says what to do."""
    Postgres(database.url(), schema=schema).close()
    connection.execute(f"UPDATE {schema}.version SET version = version + 1")

    with pytest.raises(NewerSchema, match="upgrade ramify here"):
        Postgres(database.url(), schema=schema)


def test_a_migration_that_fails_changes_nothing(
    database: Server, connection: psycopg.Connection, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or nothing: what was there before is there afterwards."""
    Postgres(database.url(), schema=schema).close()
    before = connection.execute(CATALOG, {"schema": schema}).fetchall()
    more = [*migrations(schema), "CREATE TABLE more (n int); SELECT 1 / 0"]
    monkeypatch.setattr("ramify.stores.postgres.schema.migrations", lambda schema: more)

    with pytest.raises(Exception, match="division by zero"):
        Postgres(database.url(), schema=schema)

    assert before == connection.execute(CATALOG, {"schema": schema}).fetchall()


NAMES = [
    "x" * 63,
    "Ünïcode 😀",
    "quote \" and ' and ;--",
    "per%cent %s %(a)s",
    "select",
    "1",
    "back\\slash",
    "$$",
    "a.b",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_legal_name_will_do(database: Server, name: str) -> None:
    """Names are composed by the driver; whatever is in them, jobs go in and come out."""
    store = Postgres(database.url(), schema=name)
    try:
        before = sum(store.counts(Which(), "state").values())
        store.add(batch())

        assert before + 1 == sum(store.counts(Which(), "state").values())
    finally:
        with psycopg.connect(database.url()) as connection:
            connection.execute(f"DROP SCHEMA {quote(name)} CASCADE")
        store.close()


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "pg_mine", "information_schema", "nul\0"])
def test_an_illegal_name_is_refused(database: Server, name: str) -> None:
    """Before anything is asked of the server."""
    with pytest.raises(BadStore):
        Postgres(database.url(), schema=name)


def test_schemas_of_one_database_know_nothing_of_each_other(database: Server, schema: str) -> None:
    """Jobs of one are not those of the other."""
    with Ramify(database.url(schema=schema)) as one, Ramify(database.url(schema=f"{schema}x")) as other:
        one.enqueue("m:f")

        assert ({"ready": 1}, {}) == (one.counts(), other.counts())


def test_a_schema_of_another_program_is_left_alone(
    database: Server, connection: psycopg.Connection, schema: str
) -> None:
    """Where a table of ours would be is another one: refused, and nothing is changed."""
    connection.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.job (mine int)")

    with pytest.raises(BadStore, match="another program's"):
        Postgres(database.url(), schema=schema)

    assert [("job",)] == connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'", [schema]
    ).fetchall()


def test_an_address_says_what_is_wrong_with_it(database: Server) -> None:
    """Unknown options are the driver's; ours say what they take; a server that is not there is down."""
    with pytest.raises(BadStore, match="pooler=some"):
        open_store(database.url(pooler="some"))
    with pytest.raises(BadStore, match="'full' or 'fast'"):
        open_store(database.url(durability="some"))
    with pytest.raises(BadStore, match="not the address"):
        open_store(database.url(nonsense="1"))
    with pytest.raises(StoreDown, match=r"^postgresql:///jobs\?host=/nowhere&port=6432: "):
        open_store("postgresql://me:secret@:6432/jobs?host=/nowhere&connect_timeout=9")


def test_no_password_is_shown(database: Server) -> None:
    """Messages name the server without what opens it."""
    with pytest.raises(StoreDown) as caught:
        open_store("postgresql://me:secret@localhost:1/db")

    assert "secret" not in str(caught.value)
    assert "localhost:1/db" in str(caught.value)
