"""Write down where a job runs: its variables, its directory, its host."""

import os
import socket

from ramify.compat.cgkit import JobProc


class dumpenv(JobProc):
    """Write the environment of the job into its `.stdout`."""

    def run(self) -> None:
        """Write each variable, then the host and the directory."""
        for name, value in sorted(os.environ.items()):
            print(f"{name}={value}", file=self.stdout)
        print(f"host: {socket.gethostname()}", file=self.stdout)
        print(f"directory: {self.runningDir}", file=self.stdout)
