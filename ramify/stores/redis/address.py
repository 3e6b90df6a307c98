"""From a URL to a connection: TCP, TLS, a socket file, or whoever the sentinels say is the master."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from msgspec import Struct
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from ramify.errors import BadStore

SCHEMES: Final = {
    "redis": "redis",
    "valkey": "redis",
    "rediss": "rediss",
    "valkeys": "rediss",
    "unix": "unix",
    "redis+sentinel": "sentinel",
    "valkey+sentinel": "sentinel",
}
"""The schemes of this store, and what each of them is."""

TIMEOUT: Final = 10.0
"""Seconds without an answer after which a server counts as down; less than a lease, more than any script takes."""

Connect = Callable[[tuple[str, int] | None], Any]
"""Makes a connection, to another node of a cluster if one is named."""


class Address(Struct, frozen=True):
    """Where a store is: how to connect, the prefix of its keys, how durable it must be, and how messages call it."""

    connect: Connect
    prefix: str
    durability: str
    shown: str


def read_address(url: str) -> Address:
    """Return what a URL says. Raise `BadStore` naming what is wrong with it."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = options.pop("prefix", "ramify")
    durability = options.pop("durability", "server")
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if durability not in ("server", "full"):
        raise BadStore(f"durability={durability} in {shown}: it is 'full', or 'server' for what the server keeps")
    if not prefix or set(prefix) & set("{}*?[]\\ "):
        raise BadStore(f"prefix={prefix!r} in {shown}: it is a name without spaces and braces")
    kind = SCHEMES[parts.scheme]
    plain = f"{kind}://{parts.netloc}{parts.path}?{urlencode(options)}"
    try:
        if kind == "sentinel":
            return Address(_by_sentinels(parts.netloc, parts.path, options), prefix, durability, shown)
        settings: dict[str, Any] = dict(parse_url(plain))  # type: ignore[no-untyped-call]
        connect = _directly(kind, settings)
        connect(None)  # checks the options; connects nowhere
    except (TypeError, ValueError) as error:
        raise BadStore(f"{shown}: {error}") from error
    return Address(connect, prefix, durability, shown)


def _settle(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the driver's own retries off: it would repeat a script that was slow to answer."""
    fixed: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
        "protocol": 2,
    }
    fixed["socket_read_size"] = 1 << 18
    return {"socket_timeout": TIMEOUT, "socket_connect_timeout": 5.0, **settings, **fixed}


def _directly(kind: str, settings: dict[str, Any]) -> Connect:
    makers: dict[str, Any] = {"redis": Connection, "rediss": SSLConnection, "unix": UnixDomainSocketConnection}
    settings.pop("connection_class", None)
    if kind != "unix":
        settings = {"socket_keepalive": True, **settings}

    def connect(node: tuple[str, int] | None) -> Any:
        moved = {"host": node[0] or settings.get("host"), "port": node[1]} if node and kind != "unix" else {}
        return makers[kind](**{**_settle(settings), **moved})

    return connect


def _by_sentinels(place: str, path: str, options: dict[str, str]) -> Connect:
    login, _, hosts = place.rpartition("@")
    name, _, database = path.strip("/").partition("/")
    pairs = [host.rpartition(":") for host in hosts.split(",")]
    if not name or not all(host and port.isdigit() for host, _, port in pairs):
        raise ValueError("write redis+sentinel://host:26379,host:26379/name-of-the-master/0")
    user, _, password = login.partition(":")
    settings: dict[str, Any] = {"db": int(database or 0), "socket_keepalive": True}
    settings |= {"username": unquote(user) or None, "password": unquote(password) or None}
    asking: dict[str, Any] = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
    asking |= {"username": options.pop("sentinel_username", None), "password": options.pop("sentinel_password", None)}
    if options:
        raise ValueError(f"unknown options: {', '.join(sorted(options))}")
    sentinels: Any = Sentinel([(host, int(port)) for host, _, port in pairs], **asking)  # type: ignore[no-untyped-call]

    def connect(node: tuple[str, int] | None) -> Any:
        host, port = sentinels.discover_master(name)
        return Connection(**_settle({**settings, "host": host, "port": port}))  # type: ignore[no-untyped-call]

    return connect


__all__ = ["SCHEMES", "Address", "RedisError", "read_address"]
