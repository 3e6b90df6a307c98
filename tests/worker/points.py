"""A worker that something happens to at a named point of its protocol with the store or its children, once.

`python -m tests.worker.points URL MARK [POINT ACTION]` runs jobs until none are left. The file MARK is made when it
has happened. `python -m tests.worker.points URL` claims what there is and dies.
"""

import itertools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from ramify.errors import StoreDown
from ramify.ids import make_session_id
from ramify.model import Again, Ended, Grown, Session, Want
from ramify.stores.open import open_store
from ramify.stores.protocol import Store
from ramify.worker import pipe
from ramify.worker.call import Report
from ramify.worker.loop import Worker
from tests.worker.short import LEASE, shorten

Seen = Callable[[tuple[Any, ...], Any], bool]
"""Tells by the arguments of a call, and by its reply (None before it), whether it is the one that is meant."""


def _always(arguments: tuple[Any, ...], reply: Any) -> bool:
    return True


def _holds(kind: type) -> Seen:
    return lambda arguments, reply: any(isinstance(outcome, kind) for outcome in arguments[1])


CALLS: Final[dict[str, tuple[str, Seen]]] = {
    "enter": ("enter", _always),
    "claim": ("exchange", lambda arguments, reply: arguments[2].n > 0 and (reply is None or bool(reply.claims))),
    "end": ("exchange", _holds(Ended)),
    "grow": ("exchange", _holds(Grown)),
    "try again": ("exchange", _holds(Again)),
    "read results": ("results", _always),
    "say": ("append", _always),
    "beat": ("beat", _always),
    "adopt": ("adopt", lambda arguments, reply: reply is None or bool(reply)),
    "leave": ("leave", _always),
}
CHILD: Final = ("a call has come", "a report is made", "a report is sent")
POINTS: Final = [f"{when} {name}" for name in CALLS for when in ("before", "after")] + list(CHILD)
CASES: Final = [
    (point, action)
    for point, action in itertools.product(POINTS, ("kill", "break", "stop", "freeze"))
    if point not in CHILD or action == "kill"
]


def prepare(store: Store, mark: str, point: str, action: str) -> None:
    """Let it happen at that point."""

    def strike() -> None:
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        elif action == "freeze":
            time.sleep(2 * LEASE)
        else:
            raise StoreDown(f"it broke {point}")

    if point in CHILD:
        _prepare_child(point, strike)
        return
    when, _, name = point.partition(" ")
    verb, is_meant = CALLS[name]
    call = getattr(store, verb)

    def struck(*arguments: Any) -> Any:
        if when == "before" and is_meant(arguments, None):
            strike()
        reply = call(*arguments)
        if when == "after" and is_meant(arguments, reply):
            strike()
        return reply

    setattr(store, verb, struck)


def _prepare_child(point: str, strike: Callable[[], None]) -> None:
    receive, send = pipe.ChildEnd.receive, pipe.ChildEnd.send

    def struck_receive(self: pipe.ChildEnd) -> Any:
        call = receive(self)
        if point == "a call has come" and call is not None:
            strike()
        return call

    def struck_send(self: pipe.ChildEnd, message: Any) -> None:
        if point == "a report is made" and isinstance(message, Report):
            strike()
        send(self, message)
        if point == "a report is sent" and isinstance(message, Report):
            strike()

    pipe.ChildEnd.receive, pipe.ChildEnd.send = struck_receive, struck_send  # type: ignore[method-assign]


def main(url: str, mark: str = "", point: str = "", action: str = "") -> None:
    if action == "freeze":
        shorten()
    logging.basicConfig(level=logging.INFO, format="%(process)d %(message)s")
    store = open_store(url)
    if not mark:
        session = make_session_id()
        store.enter(Session(session, os.uname().nodename, os.getpid(), ("default",)))
        assert store.exchange(session, [], Want(1)).claims
        os._exit(0)
    if point:
        prepare(store, mark, point, action)
    Worker(store, ["tests.worker.jobs"], children=1, grace=5.0, burst=True).run()


def run(arguments: Sequence[str]) -> list[str]:
    """Return the command that does this."""
    return [sys.executable, "-m", "tests.worker.points", *arguments]


if __name__ == "__main__":
    main(*sys.argv[1:])
