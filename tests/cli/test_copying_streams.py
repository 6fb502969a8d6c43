"""`qga cp` from standard input, whose end nobody knows."""

import io
import sys
from pathlib import Path

import pytest

from qga.testing import FakeAgent
from tests.support.stock import RunningAgent

from .command import Run


class Typed(io.RawIOBase):
    """Standard input that looks at a file before it gives what there is."""

    def __init__(self, watched: Path, data: bytes) -> None:
        self._watched = watched
        self._data = data
        self.modes: list[int] = []

    @property
    def buffer(self) -> "Typed":
        return self

    def read(self, size: int = -1) -> bytes:
        self.modes.append(self._watched.stat().st_mode & 0o7777)
        data, self._data = self._data[:size], self._data[size:]
        return data


@pytest.mark.parametrize(
    ("options", "modes"),
    [
        ([], (0o644, 0o644)),
        (["--mode", "640"], (0o600, 0o640)),
        (["--mode", "400"], (0o400, 0o400)),
    ],
)
def test_nobody_else_may_write_to_it(
    qga_command: Run,
    exec_agent: RunningAgent,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    modes: tuple[int, int],
) -> None:
    during, after = modes
    new = exec_agent.directory / "new"
    typed = Typed(new, b"content")
    monkeypatch.setattr(sys, "stdin", typed)
    assert qga_command("cp", *options, "-", f"{exec_agent.target}:{new}").code == 0
    assert set(typed.modes) == {during}
    assert new.stat().st_mode & 0o7777 == after
    assert new.read_bytes() == b"content"
    # One that is there keeps its own.
    new.chmod(0o600)
    monkeypatch.setattr(sys, "stdin", Typed(new, b"other"))
    assert qga_command("cp", "-", f"{exec_agent.target}:{new}").code == 0
    assert new.stat().st_mode & 0o7777 == 0o600
    assert new.read_bytes() == b"other"


def test_of_an_agent_that_runs_nothing(qga_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = FakeAgent(blocked=["guest-exec"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"content")))
    with agent.serve() as target:
        assert qga_command("cp", "-", f"{target}:/new").code == 0
    assert agent.files["/new"] == b"content"
