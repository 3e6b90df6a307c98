"""`ramify info --settings`: what each setting is, and where it came from."""

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ramify.cli.screen import note, out, print_json
from ramify.picture.words import plain
from ramify.settings import find_settings, find_strays
from ramify.sources import Found
from ramify.stores.address import find_open_door, mask


def show_settings(url: str | None, config: str | None, json: bool) -> None:
    """Show the settings that a command given here would use, without any password."""
    found = find_settings(config=config, url=url)
    door = find_open_door(str(found["url"].value))
    notes = [*find_strays(), *([door] if door else [])]
    if json:
        settings = {name: {"value": _value(name, one), "origin": one.origin} for name, one in found.items()}
        print_json(msgspec.json.encode({"settings": settings, "notes": notes}))
        return
    _show(out(), found)
    for each in notes:
        note(f"note: {each}")


def _show(console: Console, found: dict[str, Found]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="")
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for name, one in found.items():
        table.add_row(name, Text(plain(_spell(_value(name, one)))), Text(plain(one.origin), "bright_black"))
    console.print(table)


def _value(name: str, one: Found) -> object:
    if name == "url":
        return mask(str(one.value))
    if name == "project":  # an environment may hold secrets
        return tuple(one.value) if isinstance(one.value, dict) else ()
    return "auto" if name in ("children", "workers") and one.value is None else one.value


def _spell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{queue}: {n or 'auto'}" for queue, n in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if value is None:
        return "any"
    return f"{value:g}" if isinstance(value, float) else str(value)
