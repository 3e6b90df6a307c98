"""`jobmaster`, said with ramify: `from ramify.compat.jobmaster import task, Dependency, same, JobMaster`.

An engine of SQLAlchemy is taken by its address; the address of any store will do.
"""

from ramify.compat.jobmaster.job import Job
from ramify.compat.jobmaster.master import JobMaster
from ramify.compat.jobmaster.task import Dependency, dep, task
from ramify.need import same

__all__ = ["Dependency", "Job", "JobMaster", "dep", "same", "task"]
