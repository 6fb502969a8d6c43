"""`qga doctor`, against real agents."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qga.testing import FakeAgent
from qga.testing.server import short_directory
from tests.support.stock import RunningAgent

from .command import Run


def test_for_people_and_programs(qga_command: Run, agent: RunningAgent) -> None:
    done = qga_command("doctor", "--timeout", "30", agent.target)
    assert (done.code, done.err) == (0, "")
    lines = done.text.splitlines()
    assert lines[0].split() == ["ok", "target", agent.target, "is", "understood"]
    assert any(line.startswith("note     commands ") for line in lines)
    assert any(line.strip().startswith("-> in the guest, ") for line in lines)
    found = qga_command("doctor", "--timeout", "30", "-o", "json", agent.target).json
    assert found.keys() == {"target", "full", "healthy", "findings"}
    assert found["healthy"]
    assert found["findings"][0] == {
        "step": "target",
        "grade": "ok",
        "text": f"{agent.target} is understood",
        "advice": "",
    }


def test_exit_codes(qga_command: Run, tmp_path: Path) -> None:
    assert qga_command("doctor", "unix:/nonexistent/s", lines=None).code == 3
    assert qga_command("doctor", "nobody").code == 2
    agent = FakeAgent()
    agent.guest.clock_offset = 60
    with agent.serve() as target:
        assert qga_command("doctor", "--timeout", "30", target, lines=None).code == 1
        done = qga_command(
            "doctor", "--timeout", "30", target, "unix:/nonexistent/s", "-o", "json", lines=1
        )
        assert done.code == 1
        assert [record["code"] for record in done.json] == [1, 3]


@pytest.mark.parametrize("command", ["doctor", "targets"])
def test_help_has_examples(qga_command: Run, command: str) -> None:
    assert f"Examples:\n    qga {command}" in qga_command(command, "--help").text


def test_as_a_user_would(tmp_path: Path) -> None:
    """Processes, in the directory of the socket; names from a file."""
    with short_directory() as folder, FakeAgent().serve(folder / "vm.sock") as target:
        (folder / "names.toml").write_text(f'targets.web = "{target}"')
        environment = {**os.environ, "QGA_TARGETS": str(folder / "names.toml")}

        def output(*words: str) -> str:
            return subprocess.run(
                [sys.executable, "-m", "qga.cli", *words],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout

        assert output("ping", "./vm.sock").startswith("./vm.sock answers in ")
        assert output("ping", "vm.sock").startswith("vm.sock answers in ")
        assert output("targets").splitlines()[1].split() == ["web", "ready", target]
        assert f"web is {target}, says {folder}/names.toml: targets.web" in output("doctor", "web")
