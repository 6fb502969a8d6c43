"""What is loaded to run a command in a pipe: each module takes its time."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.testing import AgentProcess

PROGRAM = """
import sys
from qga.cli import main
code = main()
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""

# What is for terminals, libvirt, Proxmox, YAML and asyncio.
UNWANTED = {"asyncio", "httpx", "libvirt", "markdown_it", "pygments", "yaml"}

COMMANDS = {
    "--version": ["--version"],
    "ping": ["ping", "T"],
    "ping, as JSON": ["ping", "T", "-o", "json"],
    "status": ["status", "T"],
    "info": ["info", "T"],
    "call": ["call", "T", "guest-get-host-name"],
    "cat": ["cat", "T:/etc/passwd"],
    "cp": ["cp", "T:/etc/passwd", "copy"],
    "--help": ["--help"],
    "completion": ["__complete", "bash", "qga ping w", ""],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_what_is_loaded(words: list[str], real_agent: AgentProcess, tmp_path: Path) -> None:
    command = [word.replace("T", real_agent.target, 1) for word in words]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert "qga.cli" in loaded
    assert set(top_level(loaded)) & UNWANTED == set()
    # Rich itself tells whether it is there; what it draws with is another matter.
    assert {name for name in loaded if name.startswith("rich.")} <= {"rich._extension"}


def top_level(modules: set[str]) -> Iterator[str]:
    return (name.partition(".")[0] for name in modules)
