"""launchd: an agent of the user who installs it, on macOS."""

import plistlib
from pathlib import Path

from ramify.errors import CannotInstall
from ramify.service.service import Service, ask, tell
from ramify.system import user


class Launchd:
    """An agent that starts with the user's session and is started again when it ends."""

    def path(self, service: Service) -> Path:
        """Return where the agent is described."""
        return Path.home() / "Library" / "LaunchAgents" / f"{service.title}.plist"

    def show(self, service: Service) -> str:
        """Return the property list."""
        log = str(service.directory / "pool.log")
        return plistlib.dumps(
            {
                "Label": service.title,
                "ProgramArguments": service.command,
                "WorkingDirectory": str(service.directory),
                "RunAtLoad": True,
                "KeepAlive": True,
                "ThrottleInterval": 5,
                "ExitTimeOut": int(service.grace + 15),
                "StandardOutPath": log,
                "StandardErrorPath": log,
            }
        ).decode()

    def install(self, service: Service) -> list[str]:
        """Write the description and load it."""
        path = self.path(service)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.show(service), "utf-8")
        tell("launchctl", "bootstrap", _domain(), str(path))
        return [f"wrote {path}", f"`launchctl print {_domain()}/{service.title}` shows how it is"]

    def uninstall(self, service: Service) -> list[str]:
        """Unload the agent and remove its description."""
        path = self.path(service)
        if not path.exists():
            raise CannotInstall(f"{path} is not there, so nothing was removed")
        tell("launchctl", "bootout", f"{_domain()}/{service.title}")
        path.unlink()
        return [f"removed {path}"]

    def status(self, service: Service) -> str:
        """Return whether the agent is there and loaded."""
        path = self.path(service)
        if not path.exists():
            return f"not installed ({path} is not there)"
        loaded = "loaded" if ask("launchctl", "print", f"{_domain()}/{service.title}") else "not loaded"
        return f"{path}: {loaded}"


def _domain() -> str:
    return f"gui/{user()}"
