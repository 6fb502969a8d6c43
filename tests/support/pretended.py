"""An agent in a process of its own that only pretends to freeze, and logs what it was asked."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.stock import listens

AGENT = Path(__file__).with_name("pretended_agent.py")


class Pretended:
    """Such an agent."""

    def __init__(self, directory: Path) -> None:
        self.target = f"unix:{directory / 's'}"
        self._log = directory / "log"

    @property
    def asked(self) -> list[str]:
        """The commands that it was asked for, but for synchronisations."""
        names = self._log.read_text().split() if self._log.exists() else []
        return [name for name in names if "sync" not in name]


@contextmanager
def pretending() -> Iterator[Pretended]:
    """One that runs for the length of a `with` block."""
    with tempfile.TemporaryDirectory(prefix="qga-") as name:
        directory = Path(name)
        socket, log = directory / "s", directory / "log"
        process = subprocess.Popen([sys.executable, str(AGENT), str(socket), str(log)])
        try:
            assert listens(socket, process)
            yield Pretended(directory)
        finally:
            process.kill()
            process.wait()
