"""The one task of directory queues: run a procedure in the directory of its job.

Served by `JobQueue.runNextAvailableJob`, and by any worker: `ramify worker ramify.compat.cgkit.run --queue NAME`.
"""

import os
import shutil
import socket
from contextlib import AbstractContextManager, chdir, nullcontext
from contextvars import ContextVar
from typing import Final

from ramify.compat.cgkit.files import Files
from ramify.compat.cgkit.place import Place, read
from ramify.compat.cgkit.proc import running
from ramify.context import current

at_home: Final[ContextVar[bool]] = ContextVar("ramify_cgkit_at_home", default=False)
"""Whether this is the process of a program of its own, whose working directory is not ours to change."""


def run(location: str, directory: str, name: str, params: str) -> None:
    """Run the procedure `name` of the queue at `location` for the job in `directory`, which is under it."""
    files = Files(os.path.join(location, directory))
    shutil.rmtree(files.runningDir, ignore_errors=True)
    os.makedirs(files.runningDir)
    for path, text in ((files.pidFile, os.getpid()), (files.hostFile, socket.gethostname())):
        with open(path, "w") as file:
            print(text, file=file)
    proc = Place(location).make(name, read(params))
    there: AbstractContextManager[None] = nullcontext() if at_home.get() else chdir(files.runningDir)
    with running(proc, files), there:
        proc.run()
    if os.path.exists(files.errorMarkerFile):
        current().fail(f"{name} set its error")
