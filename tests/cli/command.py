"""Runs `qga` in the test's own process: `qga_command("ping", target)`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qga.cli.app import run
from qga.client import targetsfile


@dataclass
class Done:
    """What a run of `qga` left."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def qga_command(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    for name in ("QGA_TARGET", "QGA_TARGETS"):
        monkeypatch.delenv(name, raising=False)
    # Not this user's own names.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(targetsfile, "SYSTEM", tmp_path / "etc" / "targets.toml")

    def command(*words: str, lines: int | None = 1) -> Done:
        """Run `qga`. A failure is told in so many *lines*; None where the program's own may be."""
        code = run(list(words))
        captured = capfdbinary.readouterr()
        done = Done(code, captured.out, captured.err.decode())
        assert "Traceback" not in done.err
        if code and lines is not None:
            told = done.err.splitlines()
            assert len(told) == lines, done.err
            assert all(line.startswith("qga: ") for line in told)
        return done

    return command
