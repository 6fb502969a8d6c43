"""What is told of file systems while mounts come and go, in a mount namespace of its own.

Run by test_filesystems, as `unshare --mount python -m tests.agent.on_mounts FOLDER`; all mounts end
with that namespace. What an agent tells that has kept what it knows is compared with what one tells
that knows nothing yet.
"""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from qga.agent.commands.storage import filesystems
from qga.agent.later import Text
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.freezer import LinuxFreezer
from qga.agent.system.linux.storage import LinuxStorage
from qga.protocol.storage import GetFsinfo

_MS_BIND = 4096
_MANY = 1000
_SIZES = ("used-bytes", "total-bytes", "total-bytes-privileged")

_KEEPING = LinuxStorage()


def told(storage: LinuxStorage) -> dict[str, dict[str, Any]]:
    """What guest-get-fsinfo replies, by mount point."""
    config = SimpleNamespace(compat=(10, 2))
    agent: Any = SimpleNamespace(system=FakeSystem(storage=storage), config=config)
    reply = filesystems(agent, GetFsinfo())
    assert isinstance(reply, Text)
    return {info["mountpoint"]: info for info in json.loads(b"".join(reply.pieces))}


def added(folder: Path) -> dict[str, dict[str, Any]]:
    """What is told of what is mounted below *folder*, by the paths there."""
    kept, fresh = told(_KEEPING), told(LinuxStorage())
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


def changes(folder: Path) -> None:
    """Each is seen by the next question."""
    (folder / "a").mkdir()
    (folder / "outer/b").mkdir(parents=True)
    assert added(folder) == {}
    run("mount", "-o", "loop", folder / "image", folder / "a")
    (before,) = added(folder).values()
    assert (before["type"], before["disk"]) == ("ext4", [])
    with (folder / "a/file").open("wb") as file:
        file.write(bytes(1 << 20))
        os.fsync(file.fileno())
    (after,) = added(folder).values()
    assert after["used-bytes"] >= before["used-bytes"] + (1 << 20)
    run("mount", "-o", "remount,ro", folder / "a")
    run("mount", "--move", folder / "a", folder / "outer/b")
    assert list(added(folder)) == ["outer/b"]
    # Of this the kernel does not tell.
    (folder / "outer").rename(folder / "renamed")
    assert list(added(folder)) == ["renamed/b"]
    run("mount", "-t", "tmpfs", "tmpfs", folder / "renamed/b")
    (covered,) = added(folder).values()
    assert not set(covered) & set(_SIZES)
    run("umount", folder / "renamed/b")
    (uncovered,) = added(folder).values()
    assert set(uncovered) >= set(_SIZES)
    # As when it was replaced by another one.
    run("umount", folder / "renamed/b")
    run("mount", "-o", "loop", folder / "other", folder / "renamed/b")
    (other,) = added(folder).values()
    assert other["total-bytes-privileged"] != uncovered["total-bytes-privileged"]
    run("umount", folder / "renamed/b")
    assert added(folder) == {}


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


def many(folder: Path) -> None:
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
        after_changes.append(work(lambda: told(_KEEPING)))
        unchanged.append(work(lambda: told(_KEEPING)))
        planning.append(work(LinuxFreezer().mounts))
        assert list(added(folder)) == ["device"]
    for none, thousand, two_thousand in (after_changes, planning):
        assert thousand - none > _MANY
        assert two_thousand - thousand < 1.05 * (thousand - none)
    assert len(set(unchanged)) == 1
    assert unchanged[0] < 200


if __name__ == "__main__":
    changes(Path(sys.argv[1]))
    many(Path(sys.argv[1]))
    print("done")
