"""Render frames of a Blender file."""

import os
import re
import shlex

from ramify.compat.cgkit import JobProc


class blender(JobProc):
    """Render the frames `begin` to `end` of `file`."""

    def __init__(
        self, file: str, begin: int = 1, end: int = 1, program: str = "blender", label: str | None = None
    ) -> None:
        super().__init__(label or f"Render {os.path.basename(file)}, frames {begin} to {end}")
        self.file, self.begin, self.end, self.program = file, begin, end, program

    def run(self) -> None:
        """Run Blender in the background; it says which frame it is at."""
        command = [self.program, "-b", self.file, "-s", str(self.begin), "-e", str(self.end), "-a"]
        if self.execCmd(shlex.join(command)) != 0:
            self.setError()

    def stdoutCallback(self, lineNr: int, line: str) -> None:
        """Take the frame from lines as `Fra:12 …`."""
        if frame := re.match(r"Fra:(\d+)", line):
            done = int(frame[1]) - self.begin
            self.setProgress(100 * done / (self.end - self.begin + 1))
            self.setStatusLine(f"frame {frame[1]}")
