"""The one task of directory queues: run a procedure in the directory of its job.

Served by `JobQueue.runNextAvailableJob`, and by any worker: `ramify worker ramify.compat.cgkit.run`, with
`--queue` and the name of the directory if its jobs are kept elsewhere.
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

home: Final[ContextVar[str | None]] = ContextVar("ramify_cgkit_home", default=None)
"""Where the queue's directory is in this program, which need not see it where the one that stored the job did; its
working directory is not ours to change. None in a worker.
"""


def run(location: str, directory: str, name: str, params: str) -> None:
    """Run the procedure `name` of the queue at `location` for the job in `directory`, which is under it."""
    here = home.get()
    location = here or location
    files = Files(os.path.join(location, directory))
    shutil.rmtree(files.runningDir, ignore_errors=True)
    os.makedirs(files.runningDir)
    for path, text in ((files.pidFile, os.getpid()), (files.hostFile, socket.gethostname())):
        with open(path, "w") as file:
            print(text, file=file)
    proc = Place(location).make(name, read(params))
    there: AbstractContextManager[None] = nullcontext() if here else chdir(files.runningDir)
    with running(proc, files), there:
        proc.run()
    if os.path.exists(files.errorMarkerFile):
        current().fail(f"{name} set its error")
