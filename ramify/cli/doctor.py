"""`ramify doctor`: does what is stored keep the promises of the store?"""

import typer
from rich.text import Text

from ramify.cli.screen import out
from ramify.cli.store import Url, open_existing
from ramify.graph.check import find_violations
from ramify.picture.words import plain


def doctor(url: Url = None) -> None:
    """Check what is stored: exit with 0 if it is sound, 1 if not, 2 if it could not be checked."""
    console = out()
    with open_existing(url) as app:
        snapshot = app.store.snapshot()
    violations = find_violations(snapshot)
    for violation in violations:
        console.print(Text(plain(violation), style="red"), soft_wrap=True)
    size = f"{len(snapshot.rows):,} jobs, {len(snapshot.edges):,} edges"
    if violations:
        console.print(f"{len(violations):,} violations in {size}", soft_wrap=True)
        raise typer.Exit(1)
    console.print(f"sound: {size}", soft_wrap=True)
