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

# What is for terminals, libvirt, Proxmox, YAML, directory trees and asyncio; concurrent.futures
# loads logging.
UNWANTED = {
    "asyncio", "concurrent", "httpx", "libvirt", "logging", "markdown_it", "pygments", "tarfile",
    "yaml",
}  # fmt: skip

COMMANDS = {
    "--version": ["--version"],
    "ping": ["ping", "T"],
    "ping, as JSON": ["ping", "T", "-o", "json"],
    "status": ["status", "T"],
    "info": ["info", "T"],
    "call": ["call", "T", "guest-get-host-name"],
    "cat": ["cat", "T:/etc/passwd"],
    "cp": ["cp", "T:/etc/passwd", "copy"],
    "exec": ["exec", "T", "--", "true"],
    "ls": ["ls", "-l", "T:/etc/passwd"],
    "fs": ["fs", "T"],
    "--help": ["--help"],
    "completion": ["__complete", "bash", "qga ping w", ""],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_what_is_loaded(
    words: list[str],
    real_agent: AgentProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [word.replace("T", real_agent.target, 1) for word in words]
    monkeypatch.setenv("QGA_FIND", "files")
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


def test_the_way_through_libvirt_loads_no_asyncio() -> None:
    program = "import sys, qga.client.libvirt; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "asyncio" not in top_level(set(done.stdout.split()))


def top_level(modules: set[str]) -> Iterator[str]:
    return (name.partition(".")[0] for name in modules)
