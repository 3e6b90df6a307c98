"""A stored tree as something to look at: folded so that it can be read, drawn as text, as HTML or as a graph."""

from ramify.picture.html import draw_html
from ramify.picture.mermaid import draw_mermaid
from ramify.picture.text import draw_text

__all__ = ["draw_html", "draw_mermaid", "draw_text"]
