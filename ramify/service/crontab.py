"""cron: a line that starts the pool when the machine has started, for machines without systemd."""

import shlex
import subprocess

from ramify.errors import CannotInstall
from ramify.service.service import Service, tell


class Crontab:
    """A line of the user's crontab. It starts the pool, and does not start it again if it ends."""

    def show(self, service: Service) -> str:
        """Return the line."""
        command = " ".join(map(shlex.quote, service.command))
        line = f"@reboot cd {shlex.quote(str(service.directory))} && exec {command} >> pool.log 2>&1"
        # In a crontab a bare % is the end of the line.
        return f"{line.replace('%', chr(92) + '%')} {_mark(service)}\n"

    def install(self, service: Service) -> list[str]:
        """Add the line, or put it in the place of the one that was there, and start the pool."""
        tell("crontab", "-", text=self._others(service) + self.show(service))
        with (service.directory / "pool.log").open("ab") as log:
            subprocess.Popen(
                service.command,
                cwd=service.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return ["added a line to your crontab", f"the pool runs, and writes to {service.directory / 'pool.log'}"]

    def uninstall(self, service: Service) -> list[str]:
        """Remove the line."""
        if _mark(service) not in _read():
            raise CannotInstall(f"your crontab has no line for {service.title}, so nothing was removed")
        tell("crontab", "-", text=self._others(service))
        return ["removed the line from your crontab; SIGTERM stops the pool that runs"]

    def status(self, service: Service) -> str:
        """Return whether the line is there."""
        return "a line of your crontab" if _mark(service) in _read() else "not installed (no line of your crontab)"

    def _others(self, service: Service) -> str:
        lines = _read().splitlines(keepends=True)
        return "".join(line for line in lines if not line.rstrip().endswith(_mark(service)))


def _mark(service: Service) -> str:
    return f"# {service.title}"


def _read() -> str:
    """Return the crontab; empty if there is none yet."""
    try:
        return tell("crontab", "-l")
    except CannotInstall as error:
        if "no crontab" in str(error):
            return ""
        raise
