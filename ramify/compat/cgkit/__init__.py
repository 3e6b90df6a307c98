"""cgkit's directory queue, said with ramify: `from ramify.compat.cgkit import JobQueue, JobProc, createJobQueue`.

The directory of a queue has its settings, its procedures and a directory for each job, with what the job wrote. What
state jobs are in is kept in a store: a directory within this one, unless `queue.cfg` names another one.
"""

from ramify.compat.cgkit.errors import JobQueueError
from ramify.compat.cgkit.handle import JobHandle
from ramify.compat.cgkit.job import Job, JobRoot
from ramify.compat.cgkit.proc import JobProc
from ramify.compat.cgkit.queue import JobQueue, createJobQueue

__all__ = ["Job", "JobHandle", "JobProc", "JobQueue", "JobQueueError", "JobRoot", "createJobQueue"]
