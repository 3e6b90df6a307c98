"""A module by its name, or the reason why there is none, in one line."""

import importlib
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from ramify.errors import BadTask


def load(name: str) -> ModuleType:
    """Import a module. Raise `BadTask` with where it was searched, or with the line that is to blame."""
    if name.endswith(".py"):
        raise BadTask(f"{name!r} is a file; name the module, as in `import {Path(name).stem}`")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise BadTask(f"there is no module {error.name!r}; searched: {_searched()}") from None
        raise BadTask(f"module {name!r} cannot be imported: {error}{_place(error)}") from error
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise BadTask(f"module {name!r} cannot be imported: {type(error).__name__}: {error}{_place(error)}") from error


def _searched() -> str:
    """Return where modules were looked for; what came with Python is one of these places."""
    own = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)}
    places = [os.path.abspath(place) for place in sys.path]
    others = [place for place in places if not any(Path(os.path.realpath(place)).is_relative_to(o) for o in own)]
    return ", ".join([*dict.fromkeys(others), f"the packages of {sys.prefix}"])


def _place(error: Exception) -> str:
    if isinstance(error, SyntaxError):  # tells its place itself
        return ""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({Path(frame.filename).name}, line {frame.lineno})"
