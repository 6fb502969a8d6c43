"""`qga cp` over a virtio-serial port, with our agent and QEMU's; and to one of this machine."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.stock import BLOCKED_BUT_EXEC, either
from tests.vm.conftest import GuestFactory
from tests.vm.observe import wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

MIB = 1 << 20
PROGRAM = [sys.executable, "-m", "qga.cli", "cp", "--timeout", "300"]

# What each copies in moments: qemu-ga writes some 0.7 MB/s there.
AGENTS = [
    pytest.param(AGENT, 3 * MIB, id="ours"),
    pytest.param(STOCK_AGENT, MIB, id="stock"),
]


def cp(*words: object) -> list[dict[str, object]]:
    """What `qga cp` tells of each SRC."""
    command = [*PROGRAM, "-o", "json", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    found = json.loads(done.stdout)
    return found if isinstance(found, list) else [found]


def sums(guest: Guest, path: str) -> list[str]:
    """Names, modes and checksums of all in a directory of the guest."""
    text = f"cd {path} && find . -type f -exec stat -c '%a %n' {{}} + -exec sha256sum {{}} +"
    done = guest.sh(f"{text}; find . -type l -exec readlink {{}} \\;", timeout=300)
    assert done.code == 0, done
    return sorted(done.out.splitlines())


def interrupted(guest: Guest, *words: object) -> bytes:
    """What a copy into the guest shows that is interrupted on its terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    wait_until(
        lambda: guest.sh("find /root -name '.qga-*' -size +100").out != "", "begun", timeout=300
    )
    process.send_signal(signal.SIGINT)
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # how a terminal tells that its other side is gone
        pass
    os.close(ours)
    assert process.wait(60) == 130
    return shown


@pytest.mark.parametrize(("agent", "size"), AGENTS)
def test_there_and_back(
    guest_factory: GuestFactory, tmp_path: Path, agent: Sequence[str], size: int
) -> None:
    guest = guest_factory(agent)
    there = f"unix:{guest.agent_socket}"
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "large").write_bytes(os.urandom(size))
    (tree / "below/program").write_bytes(b"#!/bin/sh\n")
    (tree / "below/program").chmod(0o751)
    (tree / "link").symlink_to("large")

    (done,) = cp("--mode", "600", tree / "large", f"{there}:/root/")
    assert (done["count"], done["verified"]) == (size, True)
    (done,) = cp("-r", tree, f"{there}:/root")
    assert (done["count"], done["files"]) == (size + 10, 3)
    expected = sums(guest, "/root/tree")
    assert f"{0o751:o} ./below/program" in expected
    assert guest.sh("stat -c '%a %u' /root/large").out == "600 0\n"
    assert [done["verified"] for done in cp(f"{there}:/root/large", tmp_path)] == [True]
    assert (tmp_path / "large").read_bytes() == (tree / "large").read_bytes()
    cp("-r", f"{there}:/root/tree", tmp_path / "back")
    assert (tmp_path / "back/link").readlink() == Path("large")
    assert (tmp_path / "back/below/program").stat().st_mode & 0o7777 == 0o751
    # Within the guest; and between it and another agent.
    cp("-r", f"{there}:/root/tree", f"{there}:/mnt/data/copy")
    assert sums(guest, "/mnt/data/copy") == expected
    with either("ours", BLOCKED_BUT_EXEC) as other:
        elsewhere = f"{other.target}:{other.directory}/copy"
        (done,) = cp("-r", f"{there}:/root/tree", elsewhere)
        assert (done["count"], done["files"]) == (size + 10, 3)
        (done,) = cp("--verify", f"{elsewhere}/large", f"{there}:/root/again")
        assert done["verified"]
        cp("-r", "--verify", f"{elsewhere}/.", f"{there}:/mnt/data/again")
    assert sums(guest, "/mnt/data/again") == expected
    assert guest.sh("cmp /root/large /root/again").code == 0

    (tmp_path / "huge").write_bytes(os.urandom(3 * size))
    shown = interrupted(guest, tmp_path / "huge", f"{there}:/root/large")
    assert b"huge" in shown
    assert shown.endswith(b"qga: interrupted\r\n")
    assert guest.sh("cmp /root/large /root/again").code == 0
    wait_until(lambda: not guest.sh("find /root /tmp /run -name '.qga-*'").out, "removed")
