"""A directory of fsfreeze hooks that note what they are told, and agents that run them."""

from pathlib import Path
from typing import Any

from tests.agent.conftest import Starter
from tests.agent.frozenfiles import FileFreezer, on_files
from tests.agent.harness import RunningAgent, until
from tests.agent.logdaemon import directed
from tests.support.stock import BLOCKED

# Notes its name, what it is told, and whether something is frozen then.
NOTE = """#!/bin/sh
echo "${{0##*/}} $1$(cat {disks}/a {disks}/b)" >> {events}
"""


class HookFolder:
    """Agents, their hooks, and what those have noted."""

    def __init__(self, start: Starter, freezer: FileFreezer) -> None:
        self._start = start
        self.freezer = freezer
        self.folder = start.folder / "hooks.d"
        self.folder.mkdir()
        self._events = start.folder / "events"
        self._note = NOTE.format(disks=freezer.folder, events=self._events)

    def write(self, name: str, body: str = "", *, folder: Path | None = None) -> Path:
        """Have the hook *name* note what it is told, and then do *body*."""
        path = (folder or self.folder) / name
        path.write_text(f"{self._note}{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def start(self, settings: str = "", *, timeout: float = 60, hook: str = "") -> RunningAgent:
        """An agent with these hooks, and more *settings* in its configuration file."""
        config = self._start.folder / "agent.conf"
        lines = ["[general]", f"fsfreeze-hook-dir={self.folder}", f"fsfreeze-timeout={timeout}"]
        if hook:
            lines.append(f"fsfreeze-hook={hook}")
        config.write_text("\n".join([*lines, settings, ""]), encoding="utf-8")
        blocked = ",".join(name for name in BLOCKED if "fsfreeze" not in name)
        changes = f"{directed(self._start.folder)}\n{on_files(self.freezer)}"
        return self._start("-c", str(config), changes=changes, blocked=blocked)

    def events(self) -> list[str]:
        """What each was told, and "frozen" if something was."""
        try:
            return self._events.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def forget(self) -> None:
        """What was noted until now."""
        self._events.unlink(missing_ok=True)

    def wait(self, *expected: str) -> None:
        """Wait until they have noted that, and nothing else."""
        until(lambda: len(self.events()) >= len(expected), f"hooks to note {expected}")
        assert self.events() == [*expected]

    def pid(self, name: str) -> int:
        """What the hook *name* writes into a file beside it, when it does."""
        path = self.folder / f"{name}.pid"
        return int(until(lambda: path.exists() and path.read_text().strip(), f"{name} to run"))

    def go(self) -> str:
        """What a hook does that waits for `release`."""
        return f"until test -e {self._start.folder}/go; do sleep 0.05; done"

    def release(self) -> None:
        (self._start.folder / "go").touch()


def runs(report: Any) -> list[tuple[str, str, bool]]:
    """Name, action and success of each run in a report."""
    return [(run["name"], run["action"], run["ok"]) for run in report.get("hooks", [])]
