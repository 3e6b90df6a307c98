"""systemd: a unit of the system, or of one user."""

import os
from pathlib import Path
from typing import Final

from ramify.errors import CannotInstall
from ramify.service.service import Service, ask, tell

UNIT: Final = """\
# Written by `ramify service install`; `ramify service uninstall` removes it.
[Unit]
Description=ramify pool {name} in {directory}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory={directory}
{user}# What must not stand in a file that all can read, as RAMIFY_URL with a password: mode 0600, if it is there.
EnvironmentFile=-{directory}/ramify.env
Restart=always
RestartSec=5
WatchdogSec=60
TimeoutStartSec=300
# SIGTERM for the pool alone, which lets running jobs end; what is left after that is killed.
KillMode=mixed
TimeoutStopSec={stop:.0f}
# One job that takes too much memory does not end the others.
OOMPolicy=continue

{sandbox}
[Install]
WantedBy={target}
"""

SANDBOX_OF_USER: Final = """\
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
"""

SANDBOX: Final = f"""\
# No PrivateTmp: programs outside wake the workers by sockets in the temporary directory.
{SANDBOX_OF_USER}ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
"""


class Systemd:
    """Units of the whole system, or of the user who installs them."""

    def __init__(self, system: bool) -> None:
        self._system = system
        self._control = ["systemctl"] if system else ["systemctl", "--user"]

    def path(self, service: Service) -> Path:
        """Return where the unit stands."""
        if self._system:
            return Path("/etc/systemd/system") / f"{service.title}.service"
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return home / "systemd" / "user" / f"{service.title}.service"

    def show(self, service: Service) -> str:
        """Return the unit."""
        return UNIT.format(
            name=service.name,
            directory=_escape(str(service.directory)),
            command=" ".join(map(_quote, service.command)),
            user=f"User={service.user}\n" if self._system and service.user else "",
            stop=service.grace + 15,
            sandbox=SANDBOX if self._system else SANDBOX_OF_USER,
            target="multi-user.target" if self._system else "default.target",
        )

    def install(self, service: Service) -> list[str]:
        """Write the unit, enable and start it; a user's lives on without a login."""
        path = self.path(service)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.show(service), "utf-8")
        except OSError as error:
            raise CannotInstall(f"{path}: {error.strerror}; `sudo ramify service install --system` may") from error
        tell(*self._control, "daemon-reload")
        tell(*self._control, "enable", "--now", path.name)
        done = [f"wrote {path}", f"`{' '.join(self._control)} status {path.name}` shows how it is"]
        if not self._system:
            tell("loginctl", "enable-linger")
            done.append("it also runs while you are not logged in (`loginctl disable-linger` ends that)")
        return done

    def uninstall(self, service: Service) -> list[str]:
        """Stop and disable the unit, and remove it."""
        path = self.path(service)
        if not path.exists():
            raise CannotInstall(f"{path} is not there, so nothing was removed")
        tell(*self._control, "disable", "--now", path.name)
        path.unlink()
        tell(*self._control, "daemon-reload")
        return [f"removed {path}"]

    def status(self, service: Service) -> str:
        """Return whether the unit is there, enabled and active."""
        path = self.path(service)
        if not path.exists():
            return f"not installed ({path} is not there)"
        states = [ask(*self._control, verb, path.name) or "unknown" for verb in ("is-enabled", "is-active")]
        return f"{path}: {', '.join(states)}"


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _quote(word: str) -> str:
    """Return one word of a command line as systemd reads it."""
    escaped = _escape(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"' if any(letter in " \t'\"\\;" for letter in word) else escaped
