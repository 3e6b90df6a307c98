"""`ramify tree`: a tree of jobs, folded so that it can be read."""

from typing import Annotated

import typer

from ramify.cli.complete import ids_of
from ramify.cli.screen import out, print_lines
from ramify.cli.store import Url, find_jobs, open_existing
from ramify.picture.draw import draw_tree
from ramify.picture.fold import read_tree


def tree(
    job: Annotated[
        str,
        typer.Argument(metavar="ID", help="A job; the tree under it is shown.", autocompletion=ids_of(roots=True)),
    ],
    depth: Annotated[int, typer.Option("--depth", "-d", min=0, help="How many levels to show.")] = 6,
    url: Url = None,
) -> None:
    """Show a job and what is under it; siblings alike are one line."""
    console = out()
    with open_existing(url) as app:
        (row,) = find_jobs(app, [job])
        root = read_tree(app.store, row, depth)
        print_lines(console, draw_tree(app.store, root, console.width))
