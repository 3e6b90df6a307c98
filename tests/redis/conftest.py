"""What the tests of the Redis store share: servers of their own, and stores on them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramify.stores.redis import Redis
from tests.redis.proxy import Proxy
from tests.stores.redis_server import Server

Start = Callable[..., Server]
Open = Callable[..., Redis]
Cut = Callable[[Server], Proxy]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start servers with these options, each in a folder of its own; they end with the test."""
    servers: list[Server] = []

    def begin(*options: str, port: int = 0, folder: Path | None = None) -> Server:
        servers.append(Server(folder or tmp_path_factory.mktemp("r"), *options, port=port))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


@pytest.fixture
def open_() -> Iterator[Open]:
    """Open stores; they are closed with the test."""
    stores: list[Redis] = []

    def begin(url: str, **options: object) -> Redis:
        stores.append(Redis(url, **options))  # type: ignore[arg-type]
        return stores[-1]

    yield begin
    for store in stores:
        store.close()


@pytest.fixture
def cut(tmp_path: Path) -> Iterator[Cut]:
    """Put something between a store and its server that can cut the connection."""
    proxies: list[Proxy] = []

    def begin(server: Server) -> Proxy:
        proxies.append(Proxy(tmp_path / "p", server.socket))
        return proxies[-1]

    yield begin
    for proxy in proxies:
        proxy.close()
