"""A stored tree as something to look at: folded so that it can be read, drawn as text."""
