"""The Lua of this store: one script per file in `lua/`, each behind `guard.lua`."""

import hashlib
from importlib.resources import files
from typing import Final


def _read_scripts() -> dict[str, bytes]:
    folder = files(__package__).joinpath("lua")
    guard = folder.joinpath("guard.lua").read_bytes()
    found = [file for file in folder.iterdir() if file.name.endswith(".lua") and file.name != "guard.lua"]
    return {file.name.removesuffix(".lua"): guard + file.read_bytes() for file in found}


SCRIPTS: Final = _read_scripts()
"""Their text, by name."""

DIGESTS: Final = {name: hashlib.sha1(text, usedforsecurity=False).hexdigest() for name, text in SCRIPTS.items()}
"""How a server calls them."""
