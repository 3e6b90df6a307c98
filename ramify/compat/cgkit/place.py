"""`Place`: the directory of a queue, with its `queue.cfg`, its `procs/`, and a directory for each job."""

import ast
import contextlib
import importlib.util
import itertools
import os
import re
import sys
from configparser import ConfigParser
from typing import Any, Final, Protocol

from ramify.compat.cgkit.errors import JobQueueError
from ramify.compat.cgkit.proc import JobProc
from ramify.errors import BadTask
from ramify.system import NAME as SYSTEM
from ramify.system import user

ALLOWED: Final = "RAMIFY_PROCS"
"""The variable that names queue directories whose procedures may run though others may write there."""
OPTIONS: Final = ("keepJobsInRepository", "useSymLinks")
_PLAIN: Final = (bool, int, float, str, type(None))


class Logger(Protocol):
    """What a logger must be able to do here."""

    def info(self, msg: str, *args: object) -> object:
        """Take a message."""

    def warning(self, msg: str, *args: object) -> object:
        """Take a warning."""


class Place:
    """A queue's directory. `store` is where its jobs are kept, `queue` the name of their queue there."""

    def __init__(self, location: str, logger: Logger | None = None) -> None:
        self.location = location
        config = ConfigParser(interpolation=None)
        config.optionxform = str  # type: ignore[method-assign, assignment]
        config.read(os.path.join(location, "queue.cfg"))
        main = {name.lower(): value for name, value in config["main"].items()} if "main" in config else {}
        for name in main.keys() - {option.lower() for option in OPTIONS}:
            if logger is not None:
                logger.warning("queue.cfg of %s has an unknown option: %s", location, name)
        keep, links = (main.get(option.lower(), "no").lower() in ("true", "yes", "on", "1") for option in OPTIONS)
        self.keepJobsInRepository, self.useSymLinks = keep, links
        elsewhere = config.get("ramify", "store", fallback=None)
        self.store = elsewhere or f"dir://{location}/store"
        self.queue = os.path.basename(location) if elsewhere else "default"  # a directory may be seen by other names
        self._defaults = {name[:-5]: dict(config[name]) for name in config.sections() if name.endswith(" proc")}

    def make(self, name: str, params: dict[str, Any]) -> JobProc:
        """Return a new procedure with these parameters, and the defaults of `queue.cfg`. Raise `ValueError` if there
        is none of this name.
        """
        return self._load(name)(**{**self._defaults.get(name, {}), **params})

    def _load(self, name: str) -> type[JobProc]:
        procs = os.path.join(self.location, "procs")
        path = os.path.join(procs, f"{name}.py")
        if not name.isidentifier() or not os.path.isfile(path):
            raise ValueError(f"there is no procedure {name!r} in {procs}")
        self._refuse_foreign(procs, path)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, procs)
        try:
            spec.loader.exec_module(module)
        finally:
            with contextlib.suppress(ValueError):
                sys.path.remove(procs)
        found = getattr(module, name, None)
        if not isinstance(found, type) or not issubclass(found, JobProc):
            raise ValueError(f"{path} has no class {name!r} that is a JobProc")
        return found

    def _refuse_foreign(self, *paths: str) -> None:
        """Data is never code: what others may have written into the directory does not run."""
        if SYSTEM == "win32" or self.location in os.environ.get(ALLOWED, "").split(os.pathsep):
            return
        for path in paths:
            stat = os.stat(path)
            if stat.st_uid not in (0, user()) or stat.st_mode & 0o002:
                raise BadTask(
                    f"{path} belongs to somebody else or may be written by anybody, so it is not run; "
                    f"if you trust it, name the queue: {ALLOWED}={self.location}"
                )

    def make_directory(self, parent: str, prefix: str = "job", first: int = 0) -> str:
        """Make the next directory of a row: `job0`, `job1`, … Others may do the same at the same time."""
        taken = [int(digits[0]) for name in os.listdir(parent) if (digits := re.findall(rf"^{prefix}(\d+)$", name))]
        for number in itertools.count(max([first - 1, *taken]) + 1):
            path = os.path.join(parent, f"{prefix}{number}")
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)
                return path
        raise JobQueueError(f"no number is left for a directory in {parent}")

    def link(self, target: str, parent: str, root: str) -> None:
        """Make the next of a row lead to another job of the same root."""
        path = self.make_directory(parent)
        os.rmdir(path)
        if self.useSymLinks:
            os.symlink(target, path)
        else:
            with open(path, "x") as file:
                file.write(f"[link]\ntarget=$JOBROOT{target.removeprefix(root)}\n")


def spell(params: dict[str, Any]) -> str:
    """Return parameters as the text that is stored. Raise `ValueError` for a type that procedures do not take."""
    _check(params)
    return repr(params)


def read(text: str) -> dict[str, Any]:
    """Return the parameters that a text holds; it is read, never run."""
    params: dict[str, Any] = ast.literal_eval(text)
    return params


def _check(value: object) -> None:
    if type(value) in (list, tuple):
        for part in value:  # type: ignore[attr-defined]
            _check(part)
    elif type(value) is dict:
        for part in itertools.chain.from_iterable(value.items()):
            _check(part)
    elif type(value) not in _PLAIN:
        raise ValueError(f"a parameter is a bool, int, float, str, tuple, list, dict or None, not {value!r:.80}")
    elif type(value) is float and not abs(value) < float("inf"):
        raise ValueError(f"{value} cannot be a parameter")
