"""Where the files of a job are: those of its run lie in `.running`, beside the directories of its sub-jobs."""

import os
from typing import Final

RUNNING: Final = ".running"


class Files:
    """The paths of a job, whose directory is `location`."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.runningDir = os.path.join(location, RUNNING)

    @property
    def stdoutFile(self) -> str:
        """What commands of the job printed."""
        return os.path.join(self.runningDir, ".stdout")

    @property
    def stderrFile(self) -> str:
        """What commands of the job printed as errors."""
        return os.path.join(self.runningDir, ".stderr")

    @property
    def procTracebackFile(self) -> str:
        """The traceback of a procedure that raised."""
        return os.path.join(self.runningDir, ".proc_traceback")

    @property
    def errorMarkerFile(self) -> str:
        """There if the job set its error."""
        return os.path.join(self.runningDir, ".error_marker")

    @property
    def pidFile(self) -> str:
        """The process that runs, or ran, the job."""
        return os.path.join(self.runningDir, ".pid")

    @property
    def hostFile(self) -> str:
        """The host that runs, or ran, the job."""
        return os.path.join(self.runningDir, ".host")

    def setError(self) -> None:
        """Mark the job as one with an error: it fails when its procedure is over."""
        os.makedirs(self.runningDir, exist_ok=True)
        with open(self.errorMarkerFile, "wb"):
            pass
