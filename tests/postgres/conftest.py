"""A server, an empty schema on it, and connections beside the store."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgres.server import Server, binaries, default_version, server


@pytest.fixture(autouse=True)
def _here() -> None:
    if default_version() is None:
        pytest.skip("no PostgreSQL here")


@pytest.fixture(params=sorted(binaries()) or [None])
def database(request: pytest.FixtureRequest) -> Server:
    """The server of each version that tests share."""
    return server(request.param)


@pytest.fixture
def schema(tmp_path: Path) -> str:
    """The name of a schema that nobody else uses."""
    return f"t{hashlib.sha256(bytes(tmp_path)).hexdigest()[:16]}"


@pytest.fixture
def connection(database: Server) -> Iterator[psycopg.Connection]:
    """A connection that belongs to another program."""
    with psycopg.connect(database.url(), autocommit=True) as connection:
        yield connection
