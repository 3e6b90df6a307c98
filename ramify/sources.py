"""Where settings are written: the environment, TOML files and a Python module. What they mean is `settings.py`.

A source gives values by name, each with the place where it stands. What is unset there (an empty variable, text or
list) is left out: it is no value.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePath
from typing import Any, Final
from urllib.parse import quote

from msgspec import Struct

from ramify.errors import BadSettings, BadTask
from ramify.modules import load

PREFIX: Final = "RAMIFY_"


class Found(Struct, frozen=True):
    """The value of a setting, and where it was found."""

    value: object
    origin: str


Source = dict[str, Found]


def is_set(value: object) -> bool:
    """Tell whether this is a value at all."""
    return value is not None and value not in ("", (), [], {}) and not (isinstance(value, str) and value.isspace())


def read_arguments(given: Mapping[str, object]) -> Source:
    """Return what a program or a command line says itself."""
    return {name: Found(value, "argument") for name, value in given.items() if is_set(value)}


def read_environment(environment: Mapping[str, str], names: Collection[str]) -> Source:
    """Return what the variables `RAMIFY_NAME` say; others that begin like this may belong to somebody else."""
    variables = {name: PREFIX + name.upper() for name in names}
    return {
        name: Found(environment[variable], f"${variable}")
        for name, variable in variables.items()
        if is_set(environment.get(variable))
    }


def read_directory(directory: Path, names: Collection[str]) -> Source:
    """Return what `ramify.toml` says, or without one `[tool.ramify]` of `pyproject.toml`."""
    own = directory / "ramify.toml"
    if own.is_file():
        return read_toml(own, "", names)
    shared = directory / "pyproject.toml"
    return read_toml(shared, "tool.ramify", names) if shared.is_file() else {}


def read_toml(path: Path, table: str, names: Collection[str]) -> Source:
    """Return what a table of a TOML file says. Raise `BadSettings` with file and line for a setting there is not."""
    try:
        text = path.read_text("utf-8")
        written: Any = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: {error}") from error
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from error
    for part in filter(None, table.split(".")):
        written = written.get(part, {})
        if not isinstance(written, dict):
            raise BadSettings(f"{path}: {table} is a table")
    for name in written:
        if name not in names:
            raise BadSettings(f"{_place(path, text, table, name)}: there is no setting {name!r}; {guess(name, names)}")
    return {name: Found(value, _place(path, text, table, name)) for name, value in written.items() if is_set(value)}


def read_config(name: str, directory: Path, names: Collection[str]) -> Source:
    """Return what a file says that was named: a TOML file like `ramify.toml`, or a module like rq's `settings.py`.

    In a module a setting is written in capitals (`QUEUES`); `REDIS_URL`, or `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB`,
    `REDIS_PASSWORD` and `REDIS_SSL`, stand for `URL`. Its other names are its own affair.
    """
    path = PurePath(name)
    if path.suffix == ".toml":
        return read_toml(directory / path, "", names)
    if path.is_absolute() or ".." in path.parts:
        raise BadSettings(f"--config {name}: a module is imported from the working directory; name it as in `import`")
    try:
        module = load(".".join(path.with_suffix("").parts) if path.suffix == ".py" else name)
    except BadTask as error:
        raise BadSettings(f"--config {name}: {error}") from error
    written = {key: value for key, value in vars(module).items() if key.isupper() and is_set(value)}
    place = Path(module.__file__).name if module.__file__ else name
    found = {key.lower(): Found(value, f"{place}, {key}") for key, value in written.items() if key.lower() in names}
    if "url" not in found and (key := next((key for key in ("REDIS_URL", "REDIS_HOST") if key in written), None)):
        found["url"] = Found(_redis_url(written, f"{place}, {key}"), f"{place}, {key}")
    return found


def guess(name: str, names: Collection[str]) -> str:
    """Return which setting was probably meant, or which there are."""
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"


def find_strays(environment: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Return, in sentences, the variables that look like a setting and are none."""
    known = [PREFIX + name.upper() for name in names]
    strays = [name for name in sorted(environment) if name.startswith(PREFIX) and name not in known]
    near = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.8) for name in strays}
    return [f"${name} is not read; did you mean ${meant[0]}?" for name, meant in near.items() if meant]


def _redis_url(written: Mapping[str, Any], place: str) -> object:
    if "REDIS_URL" in written:
        return written["REDIS_URL"]
    host, port, number = str(written["REDIS_HOST"]), written.get("REDIS_PORT", 6379), written.get("REDIS_DB", 0)
    if not re.fullmatch(r"\d{1,5}", str(port)) or not re.fullmatch(r"\d+", str(number)):
        raise BadSettings(f"{place}: REDIS_PORT and REDIS_DB are numbers, not {port!r} and {number!r}")
    scheme = "rediss" if written.get("REDIS_SSL") else "redis"
    password = f":{quote(str(written['REDIS_PASSWORD']), safe='')}@" if "REDIS_PASSWORD" in written else ""
    return f"{scheme}://{password}{f'[{host}]' if ':' in host else host}:{port}/{number}"


def _place(path: Path, text: str, table: str, name: str) -> str:
    """Return file and line of a setting, as far as a look at the beginnings of lines tells it."""
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]*)\]", line):
            inside = re.sub(r"[\s\"']", "", header[1])
        elif inside == table and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*[=.]", line):
            return f"{path}, line {number}"
        if f"{inside}.".startswith(f"{table}.{name}.".lstrip(".")):
            return f"{path}, line {number}"
    return str(path)
