"""The functions that may run here: those defined in the modules that were named, and no others.

Data is never code: a name that comes out of a store selects one of these functions or nothing.
"""

import difflib
import importlib
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from ramify.errors import BadTask
from ramify.proc import is_proc
from ramify.task import Function, name_of, terms_of


class Tasks:
    """The functions of some modules, by name. Modules given by name are imported when they are first needed."""

    def __init__(self, modules: Sequence[str | ModuleType] = ()) -> None:
        self.modules = tuple(module if isinstance(module, str) else module.__name__ for module in modules)
        self._functions: dict[str, Function] | None = None

    def names(self) -> frozenset[str]:
        """Return the names of all functions that are served, those that they had before among them."""
        return frozenset(self._load())

    def current(self) -> frozenset[str]:
        """Return the names that these functions have now."""
        return frozenset(name for name, function in self._load().items() if name_of(function) == name)

    def find(self, name: str) -> Function:
        """Return the function of this name. Raise `BadTask` if the modules served here do not define it."""
        function = self._load().get(name)
        if function is None:
            served = ", ".join(self.modules) or "none"
            close = difflib.get_close_matches(name, self._load(), 1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise BadTask(f"{name} is not a function of the modules that are served here ({served}){meant}")
        return function

    def _load(self) -> dict[str, Function]:
        if self._functions is None:
            own = {name: function for module in self.modules for name, function in _functions_of(module)}
            # A function that is there goes before one that once had its name.
            self._functions = {
                alias: function for function in own.values() for alias in terms_of(function).aliases
            } | own
        return self._functions


def _functions_of(name: str) -> Iterator[tuple[str, Function]]:
    module = sys.modules.get(name) or _import(name)
    for attribute, value in list(vars(module).items()):
        # What was imported from elsewhere, and an alias, are not defined here.
        if _is_defined(value, name, attribute):
            yield f"{name}:{attribute}", value


def _is_defined(value: Any, module: str, attribute: str) -> bool:
    if not callable(value) or (isinstance(value, type) and not is_proc(value)):
        return False
    try:
        return name_of(value) == f"{module}:{attribute}"
    except BadTask:
        return False


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise BadTask(f"there is no module {name!r} to serve tasks from; is its directory on sys.path?") from None
        raise
