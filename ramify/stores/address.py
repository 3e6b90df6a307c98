"""What the address of a store gives away: it is shown without its password, and one that lacks a password is named."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlsplit

# Up to the last @: a password with a slash in it makes a wrong address, and is a password still.
SECRET: Final = re.compile(r"(?<=://)([^@:]*:).*(?=@)|((?<=[?&])[^=&]*password=)[^&#]*", re.IGNORECASE)
SERVERS: Final = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379, "valkey": 6379}
KEYS: Final = {"password", "passfile", "service", "sslcert"}
"""With one of these in its query, an address shows who one is."""


def mask(url: str) -> str:
    """Return the address as it may be shown: with `***` for each password."""
    return SECRET.sub(lambda found: f"{found[1] or found[2]}***", url)


def find_open_door(url: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return a warning if the address asks a server on another machine for no password, else None."""
    environment = os.environ if environment is None else environment
    parts = urlsplit(url)
    port = SERVERS.get(parts.scheme)
    if port is None or parts.password or _is_near(parts.hostname):
        return None
    if KEYS & dict(parse_qsl(parts.query)).keys():
        return None
    if parts.scheme.startswith("postgres") and {"PGPASSWORD", "PGPASSFILE"} & environment.keys():
        return None
    host = f"{parts.hostname}:{parts.port or port}"
    return (
        f"{mask(url)} names no password: whoever reaches {host} may read and change every job; "
        "set one on the server and in the address, or let the server listen on 127.0.0.1 only"
    )


def _is_near(host: str | None) -> bool:
    """Tell whether a host is this machine; without a host it is a socket in the file system."""
    if not host or host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
