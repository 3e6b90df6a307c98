"""Render a RIB file."""

import os
import shlex

from ramify.compat.cgkit import JobProc


class renderrib(JobProc):
    """Render `ribFile` with a program such as aqsis, prman or renderdl."""

    def __init__(self, ribFile: str, renderer: str = "aqsis", options: str = "", label: str | None = None) -> None:
        super().__init__(label or f"Render {os.path.basename(ribFile)}")
        self.ribFile, self.renderer, self.options = ribFile, renderer, options

    def run(self) -> None:
        """Run the program; any exit code but 0 is an error."""
        command = [self.renderer, *shlex.split(self.options), self.ribFile]
        if self.execCmd(shlex.join(command)) != 0:
            self.setError()
