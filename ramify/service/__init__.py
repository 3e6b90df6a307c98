"""A pool that comes back with the machine: by systemd, cron, launchd or the Task Scheduler of Windows."""
