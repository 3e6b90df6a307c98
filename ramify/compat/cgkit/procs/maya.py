"""Render frames of a Maya scene."""

import os
import re
import shlex

from ramify.compat.cgkit import JobProc


class maya(JobProc):
    """Render the frames `begin` to `end` of `scene`."""

    def __init__(
        self, scene: str, begin: int = 1, end: int = 1, program: str = "Render", label: str | None = None
    ) -> None:
        super().__init__(label or f"Render {os.path.basename(scene)}, frames {begin} to {end}")
        self.scene, self.begin, self.end, self.program = scene, begin, end, program

    def run(self) -> None:
        """Run Maya's renderer; any exit code but 0 is an error."""
        command = [self.program, "-s", str(self.begin), "-e", str(self.end), self.scene]
        if self.execCmd(shlex.join(command)) != 0:
            self.setError()

    def stderrCallback(self, lineNr: int, line: str) -> None:
        """Take the progress from lines as `… 42% …`."""
        if percent := re.search(r"(\d+)\s*%", line):
            self.setProgress(int(percent[1]))
