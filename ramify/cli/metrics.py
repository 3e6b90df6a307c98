"""`ramify metrics`: what is stored, for Prometheus to ask for."""

import threading
from typing import Annotated

import typer

from ramify.cli.screen import note
from ramify.cli.store import Config, Url, look_here, open_existing
from ramify.errors import RamifyError
from ramify.stores.address import mask


def metrics(
    port: Annotated[
        int, typer.Option("--port", "-p", metavar="N", min=0, max=65535, help="The port to listen on.")
    ] = 9464,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="The address to listen on; by default only this host.")
    ] = "127.0.0.1",
    once: Annotated[bool, typer.Option("--once", help="Print the metrics once instead.")] = False,
    url: Url = None,
    config: Config = None,
) -> None:
    """Show Prometheus what is stored: jobs by queue and state, workers, the oldest job that is ready.

    One process is enough for a store, wherever its workers are.
    """
    look_here()
    try:
        from prometheus_client import CollectorRegistry, generate_latest, start_http_server

        from ramify.observe.metrics import Stored
    except ModuleNotFoundError as error:
        raise RamifyError(f"metrics need a library: install ramify[metrics] (no module named {error.name})") from None
    with open_existing(url, config) as app:
        registry = CollectorRegistry()
        registry.register(Stored(app.store))
        if once:
            typer.echo(generate_latest(registry).decode(), nl=False)
            return
        server, thread = start_http_server(port, host, registry)
        note(f"metrics of {mask(app.url)} on http://{host}:{server.server_port}/metrics; Ctrl-C stops it")
        try:
            threading.Event().wait()
        finally:
            server.shutdown()
            thread.join()
