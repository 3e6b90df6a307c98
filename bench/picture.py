"""The picture of how fast jobs are worked off, beside others on the same store, drawn from `bench/results/`.

`RAMIFY_DRAW=1 pytest tests/docs` draws it anew.
"""

import json
from typing import Any, Final

from rich.text import Text

from bench.measure import ROOT

STORES: Final = {
    "SQLite": ("drain", (), {"ramify": "ramify", "huey, fsync": "Huey"}),
    "PostgreSQL": ("postgres", (), {"drain, ramify": "ramify", "drain, pgqueuer": "PgQueuer"}),
    "Redis": (
        "redis",
        ("no AOF",),
        {
            "drain, ramify": "ramify",
            "drain, huey": "Huey",
            "drain, dramatiq": "Dramatiq",
            "drain, saq": "SAQ",
            "drain, taskiq": "taskiq",
            "drain, celery": "Celery",
            "drain, rq": "RQ",
        },
    ),
    "a directory": ("directory", (), {"ramify": "ramify", "huey, files": "Huey", "jug": "Jug"}),
}
"""Which figures of which file stand for whom."""

WIDTH: Final = 40
"""Characters of the longest bar."""


def draw() -> list[Text]:
    """Return a bar for each system on each store, to one scale."""
    figures = {store: _read(name, path, names) for store, (name, path, names) in STORES.items()}
    most = max(n for bars in figures.values() for n in bars.values())
    lines: list[Text] = []
    for store, bars in figures.items():
        lines += [Text(f"on {store}", "bold")]
        for name, n in bars.items():
            bar = "█" * int(WIDTH * n / most) or "▏"
            lines.append(Text.assemble(f"  {name:<9} {n:>7,} ", (bar, "green" if name == "ramify" else "bright_black")))
        lines.append(Text())
    return lines[:-1]


def _read(name: str, path: tuple[str, ...], names: dict[str, str]) -> dict[str, int]:
    found: Any = json.loads((ROOT / "results" / f"{name}.json").read_text("utf-8"))
    for key in (*path, "figures"):
        found = found[key]
    return {shown: round(found[case]["median"]) for case, shown in names.items() if found[case]["median"]}
