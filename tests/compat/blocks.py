"""The code blocks of the requirement documents, which lie beside this file word for word."""

import re
import textwrap
from pathlib import Path

DOCUMENTS = Path(__file__).parent / "documents"
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"::\n\n((?:  .*\n|\n)+)")


def read(document: str) -> list[tuple[str, str]]:
    """Return the language, in small letters, and the text of each block, in order."""
    text = (DOCUMENTS / document).read_text()
    if document.endswith(".md"):
        return [(language.lower(), block) for language, block in _FENCED.findall(text)]
    return [("", textwrap.dedent(block).strip() + "\n") for block in _INDENTED.findall(text)]
