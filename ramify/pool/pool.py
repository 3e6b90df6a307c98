"""The pool: it starts its workers, writes down what they say, and replaces those that die, in one thread.

A turn: sleep until something happens, hear the workers, bury the dead, fill the posts, heed signals and questions.
"""

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, Final

from ramify.errors import BadSettings
from ramify.pool.control import Ask, Door, Tell
from ramify.pool.line import Line
from ramify.pool.log import Log
from ramify.pool.member import Member
from ramify.pool.post import SILENCE, Post
from ramify.pool.watch import Watch
from ramify.stores.address import mask
from ramify.system import wait_for_any
from ramify.worker.manager import NOBODY, Manager

LOOK_EVERY: Final = 1.0
PATIENCE: Final = 10.0
"""Seconds beyond its grace time after which a worker that was told to stop is killed."""

MISTAKE: Final = 2
"""The exit status of a command that was called wrongly."""


class Pool:
    """Keeps the workers alive that `read` asks for. With `watch` it reads anew when files of theirs change."""

    def __init__(
        self,
        read: Callable[[], list[Line]],
        log: Log,
        *,
        directory: Path,
        watch: bool = False,
        manager: Manager = NOBODY,
    ) -> None:
        self._read, self._log, self._manager = read, log, manager
        self._directory, self._watches = directory, watch
        self._lines: dict[str, Line] = {}
        self._posts: dict[str, list[Post]] = {}
        self._leaving: list[Member] = []
        self._watch: Watch | None = None
        self._stops = 0
        self._stopped = 0
        self._reload = self._proven = False
        self._mistaken = set[Post]()

    def run(self) -> int:
        """Keep the workers until told to stop; return the exit status: 2 if no worker could start at all.

        SIGTERM and SIGINT let the workers drain, a second signal ends them at once; SIGHUP reads everything anew.
        """
        lines = self._read()
        door = Door(self._directory)
        try:
            with tempfile.TemporaryDirectory(prefix="ramify-pool-") as place, self._signals() as woken:
                self._place = Path(place)
                self._arrange(lines)
                for line in lines:
                    served = f"{', '.join(line.settings.tasks)} on {mask(line.settings.url)}"
                    self._log.say(f"{line.name}: {line.n} of {served}")
                while self._posts or self._leaving:
                    self._turn(door, woken)
        finally:
            door.close()
            for member in self._members():
                member.kill()
                member.process.wait()
                self._log.write(member.name, member.close())
        return MISTAKE if self._mistaken and not self._proven else 0

    def stop(self) -> None:
        """Begin to stop; called again, end the workers at once."""
        self._stops += 1

    # A turn

    def _turn(self, door: Door, woken: socket.socket) -> None:
        self._sleep(door, woken)
        for member in self._members():
            member.hear()
            if lines := member.lines.read():
                self._log.write(member.name, lines)
        self._bury()
        self._hear_questions(door)
        self._heed_stop()
        if not self._stops:
            self._heed_changes()
            self._fill()
        ready, wanted = self._count_ready(), sum(map(len, self._posts.values()))
        if self._stops or all(post.is_settled() for post in self._each_post()):
            self._manager.alive(f"{ready} of {wanted} workers ready")
        self._give_up()

    def _sleep(self, door: Door, woken: socket.socket) -> None:
        sources: list[Any] = [woken, *door.sources()]
        for member in self._members():
            sources += member.sources()
        births = [post.next_birth for post in self._each_post() if post.member is None]
        until = min(births, default=monotonic() + LOOK_EVERY)
        wait_for_any(sources, max(0.0, min(LOOK_EVERY, until - monotonic())))
        with suppress(BlockingIOError):
            while woken.recv(4096):
                pass

    def _bury(self) -> None:
        for member in self._leaving[:]:
            if self._is_dead(member):
                self._leaving.remove(member)
            elif member.stop_by is not None and monotonic() > member.stop_by + PATIENCE:
                member.kill()
        for post in self._each_post():
            if post.heir is not None and self._is_dead(post.heir):
                post.heir = None
                self._log.say(f"{post.line.name}: the new workers cannot start, so the old ones stay")
                for other in self._posts[post.line.name]:
                    other.stale = False
            if post.member is not None and self._is_dead(member := post.member):
                post.lose(member)
                if member.process.returncode == MISTAKE and not member.ready:
                    self._mistaken.add(post)
            for member in post.members:
                self._proven = self._proven or member.ready
                if member.silence() > SILENCE:
                    self._log.say(f"{member.name} has not been heard for {SILENCE:.0f} s")
                    member.kill()

    def _is_dead(self, member: Member) -> bool:
        death = member.death()
        if death is None:
            return False
        self._log.write(member.name, member.close())
        expected = member.stop_by is not None and death == "ended with status 0"
        self._log.say(f"{member.name} (process {member.process.pid}) {'has stopped' if expected else death}")
        return True

    def _fill(self) -> None:
        for name, posts in self._posts.items():
            for post in posts:
                if (old := post.tend(self._start)) is not None:
                    self._retire(old)
            # One at a time: the others go on with the work meanwhile.
            if not any(post.heir for post in posts):
                stale = next((post for post in posts if post.stale and post.member is not None), None)
                if stale is not None:
                    stale.heir = self._start(self._lines[name], stale.number)

    def _start(self, line: Line, number: int) -> Member:
        member = Member(line, number, self._place)
        self._log.say(f"{member.name} starts (process {member.process.pid})")
        return member

    def _give_up(self) -> None:
        """End a pool in which nothing has ever worked: that is a mistake to be mended, not an accident."""
        posts = list(self._each_post())
        if not self._proven and posts and self._mistaken.issuperset(posts):
            self._log.say("no worker could start; see above")
            self._posts.clear()

    # What it is told

    def _heed_stop(self) -> None:
        if self._stopped == self._stops:
            return
        if not self._stopped:
            self._manager.tell("STOPPING=1")
            for posts in self._posts.values():
                for member in [member for post in posts for member in post.members]:
                    self._leaving.append(member)
            self._posts.clear()
            self._log.say(f"stops; {len(self._leaving)} workers finish what runs (once more: at once)")
        # Each signal is passed on once, and a worker takes its second one as: now.
        for member in self._leaving:
            if self._stopped or member.stop_by is None:
                member.stop(self._grace(member))
        self._stopped = self._stops

    def _hear_questions(self, door: Door) -> None:
        if (question := door.hear()) is not None:
            asked, line = question
            door.answer(line, self._answer(asked))

    def _heed_changes(self) -> None:
        if self._watch is not None and (path := self._watch.changed()) is not None:
            self._log.say(f"{os.path.relpath(path)} has changed")
            self._reload = True
        if self._reload:
            self._reload = False
            self._log.say(self._renew() or "reads everything anew, and replaces its workers one by one")

    def _answer(self, asked: Ask) -> Tell:
        wrong = ""
        if asked.verb == "stop":
            self.stop()
        elif self._stops and asked.verb != "status":
            wrong = "the pool stops"
        elif asked.verb == "reload":
            wrong = self._renew()
        elif asked.verb == "scale":
            wrong = self._scale(asked.lines)
        elif asked.verb != "status":
            wrong = f"{asked.verb!r} is nothing that a pool can do"
        wanted = {name: len(posts) for name, posts in self._posts.items()}
        ready = {name: sum(_is_ready(post) for post in posts) for name, posts in self._posts.items()}
        return Tell(os.getpid(), wanted, ready, wrong)

    def _renew(self) -> str:
        """Read the settings anew and let every worker be replaced; return what is wrong."""
        try:
            lines = self._read()
        except BadSettings as error:
            return f"{error}; everything stays as it was"
        for post in self._each_post():
            post.stale = True
            post.failures, post.next_birth = 0, 0.0
        self._arrange(lines)
        return ""

    def _scale(self, wanted: Mapping[str, int]) -> str:
        """Change how many workers lines have; return what is wrong. The name "" means the only line."""
        names = {name: name or next(iter(self._lines)) for name in wanted}
        if "" in wanted and len(self._lines) > 1:
            return f"name the line: {', '.join(self._lines)}; as `ramify pool scale {next(iter(self._lines))}:8`"
        if unknown := [name for name in names.values() if name not in self._lines]:
            return f"there is no line {unknown[0]!r}; there are {', '.join(self._lines)}"
        for name, n in wanted.items():
            self._resize(names[name], n)
        return ""

    def _arrange(self, lines: list[Line]) -> None:
        """Make the lines such as these."""
        self._lines = {line.name: line for line in lines}
        self._log.widen(max(len(f"{line.name}.{line.n}") for line in lines))
        if self._watches:
            self._watch = Watch({self._directory.absolute(), *(line.directory for line in lines)})
        for name in self._posts.keys() - self._lines.keys():
            self._resize(name, 0)
            del self._posts[name]
        for line in lines:
            for post in self._posts.get(line.name, ()):
                post.line = line
            self._resize(line.name, line.n)

    def _resize(self, name: str, n: int) -> None:
        posts = self._posts.setdefault(name, [])
        for post in posts[n:]:
            for member in post.members:
                self._retire(member)
        del posts[n:]
        posts += [Post(self._lines[name], number + 1) for number in range(len(posts), n)]

    def _retire(self, member: Member) -> None:
        member.stop(self._grace(member))
        self._leaving.append(member)

    def _grace(self, member: Member) -> float:
        line = self._lines.get(member.name.rpartition(".")[0])
        return line.settings.grace if line else 30.0

    # Who there is

    def _each_post(self) -> Iterator[Post]:
        return (post for posts in list(self._posts.values()) for post in posts)

    def _members(self) -> list[Member]:
        return [*self._leaving, *(member for post in self._each_post() for member in post.members)]

    def _count_ready(self) -> int:
        return sum(map(_is_ready, self._each_post()))

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        def stop(number: int, frame: FrameType | None) -> None:
            self.stop()

        def renew(number: int, frame: FrameType | None) -> None:
            self._reload = True

        def nothing(number: int, frame: FrameType | None) -> None: ...

        handlers = {"SIGTERM": stop, "SIGINT": stop, "SIGBREAK": stop, "SIGHUP": renew, "SIGCHLD": nothing}
        there = {signal.Signals[name]: act for name, act in handlers.items() if hasattr(signal, name)}
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        before = {number: signal.signal(number, act) for number, act in there.items()}
        woken = signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)
        try:
            yield near
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            near.close()
            far.close()


def _is_ready(post: Post) -> bool:
    return post.member is not None and post.member.ready
