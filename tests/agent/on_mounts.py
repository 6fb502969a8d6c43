"""What is told of file systems while mounts come and go, in a mount namespace of its own.

Run by test_filesystems, as `unshare --mount python -m tests.agent.on_mounts FOLDER`; all mounts end
with that namespace. What an agent tells that has kept what it knows is compared with what one tells
that knows nothing yet.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.freezer import LinuxFreezer
from qga.agent.system.linux.storage import LinuxStorage
from tests.agent.harness import call, make_agent

_MS_BIND = 4096
_MANY = 1000
_SIZES = ("used-bytes", "total-bytes", "total-bytes-privileged")


def told(agent: Agent) -> dict[str, dict[str, Any]]:
    """What guest-get-fsinfo replies, by mount point."""
    return {info["mountpoint"]: info for info in call(agent, "guest-get-fsinfo")}


def added(keeping: Agent, folder: Path) -> dict[str, dict[str, Any]]:
    """What is told of what is mounted below *folder*, by the paths there."""
    kept = told(keeping)
    ignorant = make_agent(folder, FakeSystem(storage=LinuxStorage()))
    fresh = told(ignorant)
    ignorant.close()
    own = {
        path.removeprefix(f"{folder}/"): info
        for path, info in kept.items()
        if path.startswith(f"{folder}/")
    }
    # Others may write to this machine's disks meanwhile.
    for info in (*kept.values(), *fresh.values()):
        if info not in own.values():
            for size in _SIZES:
                info.pop(size, None)
    assert kept == fresh
    return own


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def changes(agent: Agent, folder: Path) -> None:
    """Each is seen by the next question."""
    (folder / "a").mkdir()
    (folder / "outer/b").mkdir(parents=True)
    assert added(agent, folder) == {}
    run("mount", "-o", "loop", folder / "image", folder / "a")
    (before,) = added(agent, folder).values()
    assert (before["type"], before["disk"]) == ("ext4", [])
    with (folder / "a/file").open("wb") as file:
        file.write(bytes(1 << 20))
        os.fsync(file.fileno())
    (after,) = added(agent, folder).values()
    assert after["used-bytes"] >= before["used-bytes"] + (1 << 20)
    run("mount", "-o", "remount,ro", folder / "a")
    run("mount", "--move", folder / "a", folder / "outer/b")
    assert list(added(agent, folder)) == ["outer/b"]
    # Of this the kernel does not tell.
    (folder / "outer").rename(folder / "renamed")
    assert list(added(agent, folder)) == ["renamed/b"]
    run("mount", "-t", "tmpfs", "tmpfs", folder / "renamed/b")
    (covered,) = added(agent, folder).values()
    assert not set(covered) & set(_SIZES)
    run("umount", folder / "renamed/b")
    (uncovered,) = added(agent, folder).values()
    assert set(uncovered) >= set(_SIZES)
    # As when it was replaced by another one.
    run("umount", folder / "renamed/b")
    run("mount", "-o", "loop", folder / "other", folder / "renamed/b")
    (other,) = added(agent, folder).values()
    assert other["total-bytes-privileged"] != uncovered["total-bytes-privileged"]
    run("umount", folder / "renamed/b")
    assert added(agent, folder) == {}


def work(step: Callable[[], object]) -> int:
    """How many functions, Python's and C's, *step* calls."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(None)
    return calls


def bind(source: Path, target: Path) -> None:
    mount = ctypes.CDLL(None, use_errno=True).mount
    if mount(os.fsencode(source), os.fsencode(target), None, _MS_BIND, None):
        raise OSError(ctypes.get_errno(), str(target))


def many(agent: Agent, folder: Path) -> None:
    """The work grows with the number of mounts, and not faster; without a change, not at all."""
    (folder / "device").mkdir()
    run("mount", "-o", "loop", folder / "image", folder / "device")
    # Below one directory in memory, or each would be known to the disk's file system.
    (folder / "many").mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", folder / "many")
    after_changes, unchanged, planning = [], [], []
    for begin in (-_MANY, 0, _MANY):
        for number in range(max(begin, 0), begin + _MANY):
            (folder / f"many/{number}").mkdir()
            bind(folder / "device", folder / f"many/{number}")
        # Three lines more or less do not count, but the table has changed.
        bind(folder / "device", folder / "a")
        after_changes.append(work(lambda: told(agent)))
        unchanged.append(work(lambda: told(agent)))
        planning.append(work(LinuxFreezer().mounts))
        assert list(added(agent, folder)) == ["device"]
    for none, thousand, two_thousand in (after_changes, planning):
        assert thousand - none > _MANY
        assert two_thousand - thousand < 1.05 * (thousand - none)
    assert len(set(unchanged)) == 1
    assert unchanged[0] < 400


if __name__ == "__main__":
    own = Path(sys.argv[1])
    keeping = make_agent(own, FakeSystem(storage=LinuxStorage()))
    changes(keeping, own)
    many(keeping, own)
    keeping.close()
    print("done")
