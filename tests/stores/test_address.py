"""What an address of a store gives away. No store is opened here: it is about text."""

import pytest

from ramify.errors import BadStore
from ramify.stores.address import find_open_door, mask
from ramify.stores.open import open_store


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("memory:", "memory:"),
        ("redis://emm.com:6387/0", "redis://emm.com:6387/0"),
        ("redis://:secret@emm.com:6387/0", "redis://:***@emm.com:6387/0"),
        ("postgresql://me:se@cret/x@host/db?sslmode=require", "postgresql://me:***@host/db?sslmode=require"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("rediss://h?ssl_keyfile_Password=secret", "rediss://h?ssl_keyfile_Password=***"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    """Three stars stand for it, wherever it stood."""
    assert mask(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///jobs.db",
        "redis://localhost:6387/0",
        "redis://127.0.0.1",
        "redis://127.9.9.9",
        "redis://[::1]:6379",
        "redis://:secret@emm.com",
        "postgresql:///jobs",
        "postgresql://me:secret@emm.com/jobs",
        "postgresql://emm.com/jobs?passfile=/etc/pass",
        "postgresql://emm.com/jobs?sslcert=me.crt",
    ],
)
def test_who_shows_who_he_is_or_stays_at_home_is_not_warned(url: str) -> None:
    """With a password, or on this machine, there is nothing to say."""
    assert find_open_door(url, {}) is None


@pytest.mark.parametrize("url", ["redis://emm.com:6387/0", "rediss://10.0.0.1", "postgresql://me@emm.com/jobs"])
def test_a_server_elsewhere_without_password_is_an_open_door(url: str) -> None:
    """The warning names the server and what to do."""
    warning = find_open_door(url, {})

    assert warning is not None
    assert warning.startswith(f"{url} names no password")
    assert find_open_door("postgresql://me@emm.com/jobs", {"PGPASSWORD": "x"}) is None


def test_an_address_that_is_none_is_refused_without_its_password() -> None:
    """A mistake in an address does not put the password into a log."""
    with pytest.raises(BadStore, match=r"'mysql://me:\*\*\*@host/db' is not the address of a store"):
        open_store("mysql://me:secret@host/db")
