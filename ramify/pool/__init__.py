"""A pool keeps workers alive: so many of each line, in the directory and with the Python of their project."""
