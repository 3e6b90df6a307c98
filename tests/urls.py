"""Addresses of empty stores, by kind: each stands for a folder, and is the same for the same folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.postgres.server import default_version, server
from tests.stores.redis_server import shared_url


def _postgres(folder: Path) -> str:
    return server().url(schema=f"s{hashlib.sha256(bytes(folder)).hexdigest()[:16]}")


URLS: Final[dict[str, Callable[[Path], str]]] = {
    "memory": lambda folder: "memory:",
    "sqlite": lambda folder: f"sqlite:///{folder}/jobs.db?durability=fast",
    "directory": lambda folder: f"dir://{folder}/queue?durability=fast",
    "redis": shared_url,
} | ({"postgres": _postgres} if default_version() else {})
"""Every kind; PostgreSQL is left out only where no server can be had."""
