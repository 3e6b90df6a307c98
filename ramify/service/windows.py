"""Windows: a scheduled task that starts with the machine (for an administrator) or with the user's session."""

import subprocess
import tempfile
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from ramify.service.service import Service, ask, tell

SPACE: Final = "http://schemas.microsoft.com/windows/2004/02/mit/task"


class ScheduledTask:
    """A task of the Task Scheduler. It is started again when it ends."""

    def __init__(self, system: bool) -> None:
        self._system = system

    def show(self, service: Service) -> str:
        """Return the description of the task in XML."""
        task = ElementTree.Element("Task", {"version": "1.2", "xmlns": SPACE})
        _add(_add(task, "RegistrationInfo"), "Description", f"ramify pool {service.name} in {service.directory}")
        _add(_add(_add(task, "Triggers"), "BootTrigger" if self._system else "LogonTrigger"), "Enabled", "true")
        principal = _add(_add(task, "Principals"), "Principal")
        principal.set("id", "Author")
        _add(principal, "UserId", "S-1-5-19" if self._system else service.user)  # S-1-5-19: the local service
        if not self._system:
            _add(principal, "LogonType", "InteractiveToken")
        settings = _add(task, "Settings")
        restart = _add(settings, "RestartOnFailure")
        _add(restart, "Interval", "PT1M")
        _add(restart, "Count", "999")
        for name, value in (
            ("MultipleInstancesPolicy", "IgnoreNew"),
            ("DisallowStartIfOnBatteries", "false"),
            ("StopIfGoingOnBatteries", "false"),
            ("ExecutionTimeLimit", "PT0S"),
        ):
            _add(settings, name, value)
        action = _add(_add(task, "Actions"), "Exec")
        _add(action, "Command", service.command[0])
        _add(action, "Arguments", subprocess.list2cmdline(service.command[1:]))
        _add(action, "WorkingDirectory", str(service.directory))
        ElementTree.indent(task)
        return ElementTree.tostring(task, "unicode") + "\n"

    def install(self, service: Service) -> list[str]:
        """Register the task and start it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "task.xml"
            path.write_text(self.show(service), "utf-16")
            tell("schtasks", "/Create", "/TN", service.title, "/XML", str(path), "/F")
        tell("schtasks", "/Run", "/TN", service.title)
        return [f"the scheduled task {service.title} runs the pool"]

    def uninstall(self, service: Service) -> list[str]:
        """End the task and remove it."""
        ask("schtasks", "/End", "/TN", service.title)
        tell("schtasks", "/Delete", "/TN", service.title, "/F")
        return [f"removed the scheduled task {service.title}"]

    def status(self, service: Service) -> str:
        """Return whether the task is there."""
        there = ask("schtasks", "/Query", "/TN", service.title)
        return f"the scheduled task {service.title}" if there else "not installed (no scheduled task)"


def _add(parent: ElementTree.Element, name: str, text: str | None = None) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, name)
    child.text = text
    return child
