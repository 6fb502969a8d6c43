"""The files of a real guest, through both agents: root's rights, mounts, devices, busybox."""

import asyncio
import errno
import os

import pytest

import qga
from qga.client.files import Files
from tests.vm.conftest import GuestFactory
from tests.vm.observe import PATIENCE, connect
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
TOP = "/mnt/data/top"
NAME = os.fsdecode(b"-\xff \n'")


@BOTH
def test_files(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    with connect(guest) as client:
        owners_and_links(client.files)
        space_and_mounts(guest, client.files)
        # Processes come and go meanwhile.
        assert "/proc/self" in {entry.path for entry in client.files.list("/proc")}
        assert len(client.files.walk("/proc/self", max_depth=2)) > 50
        with client.frozen(), pytest.raises(qga.CommandDisabled, match="must allow guest-exec"):
            client.files.list(TOP)
        client.files.remove(TOP, recursive=True)
        assert not client.files.exists(TOP)
        assert client.files.exists("/proc/1")
    asyncio.run(awaited(f"unix:{guest.agent_socket}"))
    assert guest.sh("ls -d /run/qga.?????? /dev/shm/qga.?????? /tmp/qga.??????").out == ""


def owners_and_links(files: Files) -> None:
    assert {e.name: e.stat.type for e in files.list("/dev") if e.name in ("vda", "null")} == {
        "vda": "block device",
        "null": "character device",
    }
    files.mkdir(f"{TOP}/{NAME}/sub", 0o2770, parents=True)
    files.touch(f"{TOP}/{NAME}/file")
    files.chown(f"{TOP}/{NAME}", 1234, 4321, recursive=True)
    found = files.stat(f"{TOP}/{NAME}/sub")
    # A change of owner takes set-id bits from files, not from directories.
    assert (found.permissions, found.uid, found.gid) == (0o2770, 1234, 4321)
    assert (found.user, found.group) == (None, None)
    files.chown(f"{TOP}/{NAME}/file", "root", "root")
    assert files.stat(f"{TOP}/{NAME}/file").user == "root"
    # Loops and what leads elsewhere.
    files.symlink("..", f"{TOP}/{NAME}/loop")
    files.symlink("/proc", f"{TOP}/proc")
    files.symlink("self", f"{TOP}/self")
    with pytest.raises(qga.GuestOSError) as caught:
        files.stat(f"{TOP}/self")
    assert caught.value.errno == errno.ELOOP
    walked = {entry.path.removeprefix(f"{TOP}/"): entry.stat for entry in files.walk(TOP)}
    odd = {f"{NAME}/{n}" for n in ("sub", "file", "loop")}
    assert walked.keys() == {NAME, *odd, "proc", "self"}
    assert walked[f"{NAME}/loop"].target == ".."
    assert files.glob(f"{TOP}/**/f*") == [f"{TOP}/{NAME}/file"]
    assert files.glob(f"{TOP}/*/self/comm") == [f"{TOP}/proc/self/comm"]


def space_and_mounts(guest: Guest, files: Files) -> None:
    sh = guest.sh
    sh(f"truncate -s 1G {TOP}/sparse")
    sparse = files.stat(f"{TOP}/sparse")
    assert (sparse.size, sparse.allocated) == (1 << 30, 0)
    assert files.du(f"{TOP}/sparse") == 0
    usage = files.disk_usage(TOP)
    left, unit = map(int, sh("stat -f -c '%f %S' /mnt/data").out.split())
    assert usage.total == usage.used + left * unit
    files.mkdir(f"{TOP}/mounted")
    sh(f"mount -t tmpfs -o size=1m none {TOP}/mounted && touch {TOP}/mounted/x")
    paths = [entry.path for entry in files.walk(TOP, one_file_system=True)]
    assert (f"{TOP}/mounted" in paths, f"{TOP}/mounted/x" in paths) == (True, False)
    assert files.exists(f"{TOP}/mounted/x")
    with pytest.raises(qga.GuestOSError) as caught:
        files.copy("/bin/busybox", f"{TOP}/mounted/y")
    assert caught.value.errno == errno.ENOSPC
    files.rename(f"{TOP}/mounted/x", f"{TOP}/moved")  # to another file system
    assert files.is_file(f"{TOP}/moved")
    sh(f"mount -o remount,ro {TOP}/mounted")
    with pytest.raises(qga.GuestOSError) as caught:
        files.touch(f"{TOP}/mounted/z")
    assert caught.value.errno == errno.EROFS
    with pytest.raises(qga.GuestOSError) as caught:
        files.remove(f"{TOP}/mounted")
    assert caught.value.errno == errno.EBUSY
    sh(f"umount {TOP}/mounted")
    assert files.checksum("/etc/passwd") == sh("sha256sum /etc/passwd").out.split()[0]


async def awaited(target: str) -> None:
    async with await qga.aconnect(target, timeout=PATIENCE) as client:
        await client.files.mkdir(TOP)
        async with await client.open(f"{TOP}/file", "w+") as file:
            await file.write(b"one\ntwo\n")
            await file.seek(0)
            assert [line async for line in file] == [b"one\n", b"two\n"]
        assert (await client.files.stat(f"{TOP}/file")).size == 8
        assert await client.files.glob(f"{TOP}/*") == [f"{TOP}/file"]
        await client.files.remove(TOP, recursive=True)
