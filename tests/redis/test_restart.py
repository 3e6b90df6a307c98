"""Workers and the server they work on."""

import threading
import time

from ramify import Ramify
from ramify.errors import StoreDown
from tests.redis.conftest import Start


def test_r2_19_workers_go_on_after_a_restart_of_the_server(start: Start) -> None:
    """A server that is restarted under its workers is connected to again; nobody restarts a worker."""
    server = start("--appendonly", "yes")
    with Ramify(server.url(), tasks=["statistics"]) as app:
        worker = app.worker(children=1)
        thread = threading.Thread(target=worker.run)
        thread.start()
        assert app.enqueue("statistics:mean", [3, 5]).result(timeout=20) == 4

        server.kill()
        time.sleep(0.2)  # so that the worker has noticed
        server.start()
        end = time.monotonic() + 20
        while True:
            try:
                result = app.enqueue("statistics:mean", [4, 6]).result(timeout=20)
                break
            except StoreDown:
                assert time.monotonic() < end
        worker.stop()
        thread.join(20)

    assert result == 5
    assert not thread.is_alive()
