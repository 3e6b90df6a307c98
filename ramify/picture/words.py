"""How jobs and states are shown: names made harmless, and a colour for each state."""

from typing import Final

from rich.text import Text

from ramify.model import Row, State

COLOURS: Final = {
    State.HELD: "magenta",
    State.WAITING: "bright_black",
    State.READY: "cyan",
    State.RUNNING: "bold yellow",
    State.DONE: "green",
    State.FAILED: "bold red",
    State.CANCELLED: "magenta",
    State.SKIPPED: "bright_black",
}


def plain(text: str) -> str:
    r"""Return the text with control characters spelt out (`\x1b`), as a terminal would obey them."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def name_of(row: Row) -> str:
    """Return what a job is called: its label, or its function without the module."""
    return plain(row.label or (row.lane.task or "group").rpartition(":")[2])


def many(n: int, what: str) -> str:
    """Return how many there are of something: "1 job", "1,200 jobs"."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def coloured(state: State, text: str | None = None) -> Text:
    """Return the state, or `text`, in the state's colour."""
    return Text(state.value if text is None else text, style=COLOURS[state])
