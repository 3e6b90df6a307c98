"""The process that runs jobs: receive a call, run it, report. It knows no store.

Functions run one at a time in the main thread; coroutines run together on one event loop in a thread of their own.
"""

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from ramify.lines import TELL_EVERY, Lines
from ramify.model import Failure
from ramify.system import HAS_PACKETS, take
from ramify.tasks import Tasks
from ramify.worker import pipe, stream
from ramify.worker.board import Board
from ramify.worker.call import Advance, Began, Call, Message, Report, Said
from ramify.worker.output import Piped, Pipes, printing
from ramify.worker.process import leave_to_guard, settle_in
from ramify.worker.run import Runner

LOOK_EVERY = 0.1


class Child:
    """Runs what comes through its end of the line until that closes."""

    def __init__(self, end: pipe.ChildEnd | stream.ChildEnd, tasks: Tasks, directory: Path, pipes: Pipes) -> None:
        self._end, self._board = end, end.board
        self._lock = threading.Lock()
        keeper = (self._board.own, self._board.disown)
        self._runner = Runner(
            tasks, self._is_cancelled, self._advance, self._say, keeper, directory, Piped(pipes) if pipes else None
        )
        self._loop: Loop | None = None
        if not pipes:  # else what is printed is handed on by who reads them
            threading.Thread(target=self._tell, name="output", daemon=True).start()

    def serve(self) -> None:
        """Run calls until the supervisor is gone."""
        receive, run, begin, awaits = self._end.receive, self._runner.run, self._board.begin, self._runner.awaits
        call = receive()
        leave_to_guard()
        while call is not None:
            if awaits(call.task):
                self._start(call)
            else:
                begin(call.number)
                # The number stays on the board when the run is over; its report tells that.
                self._send(run(call))
            call = receive()

    def _start(self, call: Call) -> None:
        if self._loop is None:
            self._loop = Loop(self._runner, self._board, self._send)
        self._loop.start(call)

    def _tell(self) -> None:
        while True:
            time.sleep(TELL_EVERY)
            self._runner.tell()

    def _send(self, message: Message) -> None:
        with self._lock:
            self._end.send(message)

    def _is_cancelled(self, number: int) -> bool:
        return number in self._board.cancels()

    def _advance(self, number: int, percent: int | None, status: str | None) -> None:
        self._send(Advance(number, percent, status))

    def _say(self, number: int, lines: Lines) -> None:
        self._send(Said(number, lines))


class Loop:
    """An event loop in a thread, on which coroutines run together."""

    def __init__(self, runner: Runner, board: Board, send: Callable[[Message], None]) -> None:
        self._runner, self._board, self._send = runner, board, send
        self._loop = asyncio.new_event_loop()
        self._running: dict[int, asyncio.Task[object]] = {}
        self._looks = False
        threading.Thread(target=self._serve, name="coroutines", daemon=True).start()

    def start(self, call: Call) -> None:
        """Begin a coroutine; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._begin, call)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while True:
            # What a coroutine raised to end the process is in its own report; the others go on.
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    def _begin(self, call: Call) -> None:
        started = self._runner.start(call)
        if isinstance(started, Report):
            self._send(started)
            return
        coroutine, finish = started
        task = self._loop.create_task(coroutine)
        if not self._looks:
            self._looks = True
            self._loop.call_later(LOOK_EVERY, self._look)
        self._running[call.number] = task
        if call.timeout is not None:
            self._send(Began(call.number))
        late: list[bool] = []
        timer = None if call.timeout is None else self._loop.call_later(call.timeout, _expire, task, late)

        def end(task: "asyncio.Task[object]") -> None:
            del self._running[call.number]
            if timer is not None:
                timer.cancel()
            report = finish(task)
            if late and report.failure is not None:
                report.failure = timed_out(call.timeout)
                report.names = TIMEOUT_NAMES
            self._send(report)

        task.add_done_callback(end)

    def _look(self) -> None:
        """Cancel what is to be cancelled and hand on what was said, as long as anything runs."""
        for number in self._board.cancels() & self._running.keys():
            self._running[number].cancel()
        self._runner.tell()
        self._looks = bool(self._running)
        if self._looks:
            self._loop.call_later(LOOK_EVERY, self._look)


TIMEOUT_NAMES = ["TimeoutError", "builtins.TimeoutError", "OSError", "builtins.OSError", "Exception"]


def timed_out(seconds: float | None) -> Failure:
    """Return the failure of a run that took longer than it may."""
    return Failure("timeout", f"the run took longer than {seconds:g} seconds, its time limit", "TimeoutError")


def _expire(task: "asyncio.Task[object]", late: list[bool]) -> None:
    late.append(True)
    task.cancel()


def main(arguments: Sequence[str]) -> None:
    """Serve as a spawned child: supervisor's pid, its end of the line and of the output, path of the board, modules."""
    supervisor, ends, path, *modules = arguments
    settle_in(int(supervisor))
    tasks, board = Tasks(modules), Board(Path(path))
    inbox, outbox, *output = map(take, ends.split(","))
    end: pipe.ChildEnd | stream.ChildEnd
    end = (
        pipe.ChildEnd(socket.socket(fileno=inbox), outbox, board)
        if HAS_PACKETS
        else stream.ChildEnd(inbox, outbox, board)
    )
    tasks.names()
    pipes = list(zip(output[::2], output[1::2], strict=True))
    with nullcontext() if pipes else printing():
        Child(end, tasks, Path(path).parent, pipes).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
