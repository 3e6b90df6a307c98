"""Addresses of Redis stores, and what a server must keep to be one."""

import re

import pytest

from ramify.errors import BadStore, NewerSchema, StoreDown
from ramify.model import Want
from ramify.stores.open import open_store
from ramify.stores.redis.address import read_address
from tests.redis.conftest import Open, Start
from tests.redis.kit import add, claim, done, enter, states


@pytest.mark.parametrize(
    ("url", "kind", "where"),
    [
        ("redis://h:6380/2", "Connection", ("h", 6380, 2)),
        ("valkey://h", "Connection", ("h", 6379, 0)),
        ("rediss://h:1/0", "SSLConnection", ("h", 1, 0)),
        ("valkeys://h:1/0", "SSLConnection", ("h", 1, 0)),
    ],
)
def test_a_url_names_a_server(url: str, kind: str, where: tuple[str, int, int]) -> None:
    """Host, port and database are read from it; valkey is another word for redis."""
    connection = read_address(url).connect(None)

    assert (type(connection).__name__, (connection.host, connection.port, connection.db)) == (kind, where)


def test_a_user_and_a_password_are_used_and_never_shown() -> None:
    """Messages name the server without what opens it."""
    address = read_address("redis://me:secret@h:1/0?prefix=p")

    connection = address.connect(None)

    assert (connection.username, connection.password) == ("me", "secret")
    assert (address.shown, address.prefix) == ("redis://h:1/0", "p")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://h/0?durability=some", "durability=some"),
        ("redis://h/0?prefix=a{b", "prefix='a{b'"),
        ("redis://h/0?frob=1", "frob"),
        ("redis+sentinel://h/x", "name-of-the-master"),
    ],
)
def test_a_mistake_in_a_url_is_named(url: str, message: str) -> None:
    """Nothing is connected to before the address is understood."""
    with pytest.raises(BadStore, match=message):
        read_address(url)


def test_nobody_there_is_said() -> None:
    """A server that is not there is down, with its name."""
    with pytest.raises(StoreDown, match="unix:///nowhere/at/all"):
        open_store("unix:///nowhere/at/all?prefix=x")


def test_two_prefixes_are_two_stores(start: Start, open_: Open) -> None:
    """What one program adds under its prefix another does not see."""
    server = start()
    one, other = open_(server.url(prefix="one")), open_(server.url(prefix="other"))

    root = add(one)

    assert (states(one), states(other)) == ({root: "ready"}, {})


def test_a_server_that_evicts_is_refused(start: Start, open_: Open) -> None:
    """Jobs must not be thrown away because memory is short."""
    server = start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")

    with pytest.raises(BadStore, match="noeviction"):
        open_(server.url())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "loses what came after its last snapshot"),
        (("--appendonly", "yes"), "may lose the last second"),
        (("--appendonly", "yes", "--appendfsync", "no"), "may lose the last half minute"),
        (("--appendonly", "yes", "--appendfsync", "always"), "full: every step"),
    ],
)
def test_what_may_get_lost_is_said(start: Start, open_: Open, options: tuple[str, ...], said: str) -> None:
    """The server's own settings are read, and put into words."""
    store = open_(start(*options).url())

    assert said in store.info().facts["durability"]


def test_full_durability_is_refused_where_it_cannot_hold(start: Start, open_: Open) -> None:
    """Asking for the disk where there is none, or only every second, is a mistake."""
    with pytest.raises(BadStore, match="appendfsync always"):
        open_(start().url(durability="full"))


def test_full_durability_holds_with_an_fsync_for_each_write(start: Start, open_: Open) -> None:
    """What was accepted is there after the server was killed."""
    server = start("--appendonly", "yes", "--appendfsync", "always")
    root = add(open_(server.url(durability="full")))

    server.kill()
    server.start()

    assert states(open_(server.url())) == {root: "ready"}


def test_full_durability_waits_for_the_disk_of_a_newer_server(start: Start, open_: Open) -> None:
    """A server that has WAITAOF is asked with it before an addition or a report counts, and needs no other setting."""
    server = start("--appendonly", "yes")
    version = open_(server.url()).info().facts["version"]
    if b"ERR unknown command" in server.ask("WAITAOF 0 0 0"):
        pytest.skip(f"WAITAOF came with Redis 7.2 and Valkey; this is Redis {version}")
    store = open_(server.url(durability="full"))

    root = add(store)
    enter(store)
    store.exchange("s", done(claim(store)), Want())

    calls = re.search(rb"cmdstat_waitaof:calls=(\d+)", server.ask("INFO commandstats"))
    assert calls is not None
    assert int(calls[1]) >= 2
    server.kill()
    server.start()
    assert states(open_(server.url())) == {root: "done"}


def test_a_store_from_before_the_first_release_is_refused(start: Start, open_: Open) -> None:
    """Its rows are written otherwise."""
    server = start()
    open_(server.url())
    server.ask("HSET {ramify}:meta format 1")

    with pytest.raises(BadStore, match="another one with"):
        open_(server.url())


def test_a_store_of_a_newer_ramify_is_refused(start: Start, open_: Open) -> None:
    """It may hold what this one does not understand."""
    server = start()
    open_(server.url())
    server.ask("HSET {ramify}:meta format 99")

    with pytest.raises(NewerSchema):
        open_(server.url())
