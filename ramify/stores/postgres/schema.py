"""The schema: made and brought up to date by numbered migrations, in one transaction, whoever calls and how often."""

from typing import Final

import psycopg
from psycopg import errors

from ramify.errors import BadStore, NewerSchema
from ramify.stores.postgres.server import Connection, Server, end, key
from ramify.stores.postgres.statements import migrations, quote

LONGEST_NAME: Final = 63
OLDEST_SERVER: Final = 150_000


def check_name(schema: str) -> None:
    """Raise `BadStore` unless a schema can have this name."""
    if not schema or "\0" in schema or len(schema.encode()) > LONGEST_NAME:
        raise BadStore(
            f"{schema!r} cannot be the name of a schema: it has 1 to {LONGEST_NAME} bytes, none of them zero"
        )
    if schema.startswith("pg_") or schema == "information_schema":
        raise BadStore(f"schema {schema!r} belongs to PostgreSQL; choose another name")


def deploy(server: Server, schema: str) -> None:
    """Make the schema, or bring it up to date. Raise `NewerSchema`, or `BadStore`."""
    scripts = migrations(schema)
    with server.alone() as connection:
        if connection.info.server_version < OLDEST_SERVER:
            raise BadStore(
                f"{server.address} is PostgreSQL {connection.info.server_version // 10_000}; 15 is the oldest"
            )
        if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
            raise BadStore(f"{server.address} keeps its texts as {encoding}; make a database with ENCODING 'UTF8'")
        if read_version(connection, schema, server.address) == len(scripts):
            return
        try:
            connection.execute("BEGIN")
            # All who want to change the schema wait here, and find it changed when their turn comes.
            connection.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [key(schema, "deploy")])
            version = read_version(connection, schema, server.address)
            if version == 0:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
                connection.execute(f"CREATE TABLE {quote(schema)}.version (version integer NOT NULL)")
                connection.execute(f"INSERT INTO {quote(schema)}.version VALUES (0)")
            for script in scripts[version:]:
                connection.execute(script)
            connection.execute(f"UPDATE {quote(schema)}.version SET version = {len(scripts)}")
            connection.execute("COMMIT")
        except (errors.DuplicateTable, errors.DuplicateObject, errors.DuplicateFunction) as error:
            raise BadStore(
                f"schema {schema!r} of {server.address} is another program's ({error.diag.message_primary}); "
                "name another: schema='…'"
            ) from error
        finally:
            end(connection, "ROLLBACK")


def read_version(connection: Connection, schema: str, address: str) -> int:
    """Return how many migrations were applied, 0 if there is no schema. Raise if it is newer than this program."""
    # Asked of the catalog, as a name looked up by the server may be remembered from before another one made it.
    there = (
        "SELECT 1 FROM pg_class c, pg_namespace n WHERE n.oid = relnamespace AND nspname = %s AND relname = 'version'"
    )
    if connection.execute(there, [schema]).fetchone() is None:
        return 0
    try:
        row = connection.execute(f"SELECT max(version) FROM {quote(schema)}.version").fetchone()
    except (errors.UndefinedColumn, psycopg.ProgrammingError) as error:
        raise BadStore(f"schema {schema!r} of {address} is not ramify's: {error.diag.message_primary}") from error
    version = int(row[0] or 0) if row else 0
    if version > (known := len(migrations(schema))):
        raise NewerSchema(
            f"schema {schema!r} of {address} was written by a newer ramify (version {version}; {known} is known here); "
            "upgrade ramify here"
        )
    return version
