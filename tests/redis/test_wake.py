"""Wake-ups between programs: hints that come at once, and polls where none come."""

import os
import threading
import time

from ramify.model import Want
from tests.redis.conftest import Open, Start
from tests.redis.kit import add, claim, done, enter

LONG = 20.0


def test_who_waits_for_work_wakes_when_some_is_added(start: Start, open_: Open) -> None:
    """Another program's addition ends the sleep."""
    server = start()
    worker, client = open_(server.url()), open_(server.url())
    enter(worker)
    timer = threading.Timer(0.1, add, [client])
    timer.start()
    begin = time.monotonic()

    woken = worker.wait(("default",), LONG)

    assert woken
    assert time.monotonic() - begin < LONG
    timer.join()


def test_what_was_added_before_the_sleep_is_not_slept_through(start: Start, open_: Open) -> None:
    """From `enter` on nothing that is published is lost."""
    server = start()
    worker, client = open_(server.url()), open_(server.url())
    enter(worker)
    add(client)

    assert worker.wait(("default",), LONG)
    assert not worker.wait(("default",), 0.01)


def test_who_waits_for_an_end_wakes_when_there_is_one(start: Start, open_: Open) -> None:
    """A watcher hears of reports, not of additions."""
    server = start()
    worker, client = open_(server.url()), open_(server.url())
    enter(worker)
    add(client)
    assert not client.wait(None, 0.01)

    worker.exchange("s", done(claim(worker)), Want())

    assert client.wait(None, LONG)


def test_a_descriptor_ends_the_sleep(start: Start, open_: Open) -> None:
    """A worker sleeps on its children too."""
    store = open_(start().url())
    near, far = os.pipe()
    os.write(far, b"!")

    assert store.wait(("default",), LONG, [near])
    os.close(near)
    os.close(far)


def test_a_server_that_goes_is_a_reason_to_wake(start: Start, open_: Open) -> None:
    """And while it is away, sleeps are short and wake nobody."""
    server = start()
    store = open_(server.url())
    enter(store)
    server.stop()

    assert store.wait(("default",), LONG)
    assert not store.wait(("default",), 0.05)
    server.start()
    assert not store.wait(("default",), 0.05)
    add(open_(server.url()))
    assert store.wait(("default",), LONG)
