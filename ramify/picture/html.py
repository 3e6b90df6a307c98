"""A folded tree as HTML that needs nothing else: what a notebook shows of a job."""

import io
import re
from typing import Final

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from ramify.model import Row
from ramify.picture.draw import draw_tree
from ramify.picture.fold import read_tree
from ramify.stores.protocol import Store

WIDTH: Final = 120
MOST: Final = 200
"""So many lines are shown."""

# The picture brings its own background, as a page may be light or dark.
FRAME: Final = (
    '<pre style="display:inline-block;margin:0;padding:.7em 1em;border-radius:6px;line-height:1.35;'
    'background:{background};color:{foreground};font-family:Menlo,Consolas,monospace">{code}</pre>'
)


def draw_html(store: Store, top: Row, depth: int) -> str:
    """Return the job and `depth` levels under it as HTML of at most `MOST` lines, with all names escaped."""
    lines = draw_tree(store, read_tree(store, top, depth), WIDTH)
    if len(lines) > MOST:
        lines[MOST:] = [Text(f"… {len(lines) - MOST:,} more lines", "bright_black")]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, markup=False, emoji=False)
    for line in lines:
        line.rstrip()
        console.print(line, no_wrap=True)
    # Underlines are not used, so their colour is only ballast.
    return re.sub(
        r" text-decoration-color: #\w+;?",
        "",
        console.export_html(theme=SVG_EXPORT_THEME, code_format=FRAME, inline_styles=True),
    )
