"""What programs of the client leave in the guest, where that is this machine: nothing, in the end.

`spools` is a fixture for tests that run programs through an agent on this machine.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.client.flows import process, wrapper

PATIENCE = 60.0


class Spools:
    """The spools that were made since."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def left(self) -> list[str]:
        """What is still there of them: directories, and processes that keep one."""
        found = [
            f"{place}/qga-{name}"
            for place in wrapper.PLACES
            for name in self.names
            if Path(f"{place}/qga-{name}").exists()
        ]
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = file.read_bytes()
            except OSError:
                continue  # it has just ended
            if any(f"/qga-{name}".encode() in words for name in self.names):
                found.append(str(file))
        return found

    def wait_gone(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while left := self.left():
            assert time.monotonic() < deadline, f"left in the guest: {left}"
            time.sleep(0.02)


@pytest.fixture
def spools(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spools]:
    """Sees to it that nothing is left of the programs of a test."""
    made = Spools()
    new_name = process.new_name

    def remembered() -> str:
        made.names.append(new_name())
        return made.names[-1]

    monkeypatch.setattr(process, "new_name", remembered)
    yield made
    made.wait_gone()
