"""An agent and the command line in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.testing import FakeAgent
from tests.client.spools import spools
from tests.support.stock import agent, exec_agent

from .command import Run, qga_command

__all__ = ["agent", "exec_agent", "qga_command", "spools"]


@pytest.fixture
def two(
    target: str, qga_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeAgent]:
    """The guests web1, which is the module's `target`, and web2; the latter, which is another."""
    names = tmp_path / "names.toml"
    monkeypatch.setenv("QGA_TARGETS", str(names))
    other = FakeAgent()
    with other.serve() as second:
        names.write_text(f'[targets]\nweb1 = "{target}"\nweb2 = "{second}"\n')
        yield other
