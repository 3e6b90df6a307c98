"""From what the older systems call a connection to a `Ramify`, and the modules whose functions a program may run."""

import atexit
import functools
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from ramify.app import Ramify
from ramify.errors import BadStore
from ramify.settings import read_settings

_INSTALLED: Final = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]


def connect(connection: object = None) -> Ramify:
    """Return the app for an address, a Redis connection, or an app; without any, the one of the settings.

    Within a process the same address gives the same app, which is closed when the process ends.
    """
    if isinstance(connection, Ramify):
        return connection
    url = connection if isinstance(connection, str | None) else address_of(connection)
    return _open(url or read_settings().url, os.getcwd(), os.getpid())


@functools.cache
def _open(url: str, directory: str, pid: int) -> Ramify:
    app = Ramify(url)
    atexit.register(app.close)
    return app


def address_of(connection: Any) -> str:
    """Return the address of the server that a Redis connection talks to."""
    pool = getattr(connection, "connection_pool", None)
    if pool is None:
        raise BadStore(f"{connection!r} is not a connection; give an address, a Redis connection, or a Ramify")
    at: dict[str, Any] = pool.connection_kwargs
    user, password = at.get("username") or "", at.get("password") or ""
    login = f"{quote(user, '')}:{quote(password, '')}@" if user or password else ""
    if at.get("path"):
        return f"unix://{login}{quote(at['path'])}?{urlencode({'db': at.get('db') or 0})}"
    secure = "SSL" in getattr(pool.connection_class, "__name__", "")
    host = at.get("host") or "localhost"
    host = f"[{host}]" if ":" in host else host
    return f"redis{'s' if secure else ''}://{login}{host}:{at.get('port') or 6379}/{at.get('db') or 0}"


def find_own_modules() -> list[str]:
    """Return the modules that this program imported and that are its own: neither installed nor part of Python.

    Their functions are what a worker may run that is named no modules.
    """
    own = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != "__main__" and name.partition(".")[0] != __name__.partition(".")[0]:
            path = Path(file).resolve()
            if not any(path.is_relative_to(place) for place in _INSTALLED):
                own.append(name)
    return own
