"""Which file systems of a real guest are frozen, and in which order."""

import gzip
import time

import pytest

import qga
from tests.vm.debs import packages
from tests.vm.disk import make_file_system
from tests.vm.observe import (
    MARKER,
    Writer,
    agents,
    blocked_writers,
    connect,
    refused,
    wait_until,
)
from tests.vm.qemu import Guest

# The first argument is the code of FIFREEZE or FITHAW.
BY_HAND = """
import fcntl, os, sys
for path in sys.argv[2:]: fcntl.ioctl(os.open(path, os.O_RDONLY), int(sys.argv[1]), 0)
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An ext4 in a file, compressed."""
    path = tmp_path_factory.mktemp("image") / "ext4"
    make_file_system(packages(), path, "8M")
    return gzip.compress(path.read_bytes())


def mount_loop(guest: Guest, image: bytes, file: str, directory: str) -> None:
    made = guest.sh(f"mkdir {directory}; zcat > {file} && mount -o loop {file} {directory}", image)
    assert made.code == 0, made.err


def freeze_by_hand(guest: Guest, *paths: str) -> None:
    assert guest.sh(f"python3 - {0xC0045877} {' '.join(paths)}", BY_HAND.encode()).code == 0


def thaw_by_hand(guest: Guest, *paths: str) -> None:
    assert guest.sh(f"python3 - {0xC0045878} {' '.join(paths)}", BY_HAND.encode()).code == 0


def test_a_file_system_in_a_file_of_another(guest: Guest, image: bytes) -> None:
    # Were the disk frozen before the file system in its file, the latter's freeze would wait for
    # ever for its last writes to reach the disk.
    mount_loop(guest, image, "/mnt/data/image", "/mnt/inner")
    mount_loop(guest, image, "/root/image", "/mnt/other")
    guest.sh("dd if=/dev/urandom of=/mnt/inner/big bs=64k count=16")
    with connect(guest) as client:
        for _ in range(2):
            with client.frozen() as freeze:
                assert freeze.frozen == 4
                writers = [Writer(guest, f"/mnt/{name}") for name in ("inner", "other")]
                for writer in writers:
                    wait_until(lambda w=writer: w.blocked, "frozen")  # type: ignore[misc]
            assert freeze.thawed == 4
            for writer in writers:
                writer.finish()
            guest.sh("rm /mnt/inner/written /mnt/other/written")


def test_a_file_system_in_a_file_of_one_that_was_mounted_later(guest: Guest, image: bytes) -> None:
    mount_loop(guest, image, "/mnt/data/image", "/mnt/inner")
    # Mounted anew, the disk is the last in the table, and with its path goes that of the file.
    guest.sh("umount -l /mnt/data; mount /dev/vdb /mnt/data")
    guest.sh("dd if=/dev/urandom of=/mnt/inner/big bs=64k count=16")
    with connect(guest) as client:
        planned = client.call("qga-fsfreeze-freeze", {"dry-run": True})["mounts"]
        assert [mount["path"] for mount in planned[:3]] == ["/mnt/inner", "/mnt/data", "/"]
        with client.frozen() as freeze:
            assert freeze.frozen == 3
        assert freeze.thawed == 3


def test_a_file_system_that_does_not_freeze(guest: Guest, image: bytes) -> None:
    mount_loop(guest, image, "/mnt/data/image", "/mnt/inner")
    guest.write("/etc/limit.conf", b"[general]\nfsfreeze-mount-timeout=2\n")
    guest.restart_agent("-c", "/etc/limit.conf")
    # Its last writes cannot reach the disk, which somebody else has frozen.
    guest.sh("dd if=/dev/urandom of=/mnt/inner/big bs=64k count=16")
    freeze_by_hand(guest, "/mnt/data")
    with connect(guest) as client:
        error = refused(client, "guest-fsfreeze-freeze")
        assert error.desc == "failed to freeze /mnt/inner within 2 s"
        Writer(guest, "/root").finish()
        assert client.fsfreeze_status() == "error"
        report = client.call("qga-fsfreeze-report")
        assert (report["state"], report["end"]) == ("error", "timeout")
        assert report["mounts"][0]["outcome"] == "hanging"
        # Whoever has frozen the disk lets go of it.
        thaw_by_hand(guest, "/mnt/data")
        wait_until(lambda: client.fsfreeze_status() == "thawed", "the rest")
    for directory in ("/mnt/data", "/mnt/inner"):
        Writer(guest, directory).finish()
    assert guest.sh(f"test -e {MARKER}").code == 1
    wait_until(lambda: agents(guest) == [guest.agent_pid()], "no guardian")


def test_a_host_that_has_lost_patience(guest: Guest, image: bytes) -> None:
    """It has one channel, and is served there while the kernel freezes, for as long as it may."""
    mount_loop(guest, image, "/mnt/data/image", "/mnt/inner")
    for ask in ("thaw", "synchronise"):
        guest.sh("dd if=/dev/urandom of=/mnt/inner/big bs=64k count=16")
        freeze_by_hand(guest, "/mnt/data")
        with connect(guest) as client:
            with pytest.raises(qga.AgentTimeout):
                client.call("guest-fsfreeze-freeze", timeout=3)
            if ask == "synchronise":
                began = time.monotonic()
                assert client.fsfreeze_status() != "thawed"
                assert client.call("qga-fsfreeze-report")["mounts"][0]["outcome"] == "hanging"
                Writer(guest, "/root").finish()
                print("served after", time.monotonic() - began, "s")
                thaw_by_hand(guest, "/mnt/data")
            # Also what somebody else has frozen, and what waits for that.
            began = time.monotonic()
            client.thaw()
            print("thawed after", time.monotonic() - began, "s")
            assert client.fsfreeze_status() == "thawed"
            report = client.call("qga-fsfreeze-report")
            assert (report["held"], report["reason"]) == (False, "thawed before all was frozen")
        for directory in ("/root", "/mnt/data", "/mnt/inner"):
            Writer(guest, directory).finish()
    assert guest.sh(f"test -e {MARKER}").code == 1
    wait_until(lambda: agents(guest) == [guest.agent_pid()], "no guardian")


def test_one_disk_mounted_twice_is_frozen_once(guest: Guest) -> None:
    guest.sh("mkdir /mnt/bound /mnt/again; mount --bind /mnt/data /mnt/bound")
    guest.sh("mount /dev/vdb /mnt/again; mount --bind /etc /mnt/data")
    guest.sh("umount /mnt/data; mount --bind /root /mnt/bound")
    with connect(guest) as client, client.frozen() as freeze:
        assert freeze.frozen == 2
    assert freeze.thawed == 2


def test_what_has_no_device_is_not_frozen(guest: Guest) -> None:
    guest.sh("mkdir /mnt/memory; mount -t tmpfs memory /mnt/memory")
    with connect(guest) as client, client.frozen() as freeze:
        assert freeze.frozen == 2
        for directory in ("/tmp", "/run", "/mnt/memory"):
            Writer(guest, directory).finish()


def test_a_disk_that_is_read_only(guest: Guest) -> None:
    assert guest.sh("mount -o remount,ro /mnt/data").code == 0
    with connect(guest) as client:
        with client.frozen() as freeze:
            assert freeze.frozen == 2
        assert freeze.thawed == 2
        assert guest.sh("mount -o remount,rw /mnt/data").code == 0
        client.write_file("/mnt/data/file", b"data")


def test_a_name_with_blanks(guest: Guest) -> None:
    guest.sh("umount /mnt/data; mkdir '/mnt/a b\\c\td'; mount /dev/vdb '/mnt/a b\\c\td'")
    with connect(guest) as client:
        with client.frozen() as freeze:
            assert freeze.frozen == 2
        assert freeze.thawed == 2


def test_frozen_by_somebody_else(guest: Guest) -> None:
    freeze_by_hand(guest, "/mnt/data")
    with connect(guest) as client:
        with client.frozen() as freeze:
            assert freeze.frozen == 1
        # What somebody else has frozen is left alone; a plain thaw thaws everything.
        assert (freeze.thawed, freeze.held) == (1, True)
        assert client.thaw() == 1
        client.write_file("/mnt/data/file", b"data")
        freeze_by_hand(guest, "/", "/mnt/data")
        # A freeze that finds nothing to freeze leaves the guest as it was.
        assert client.call("guest-fsfreeze-freeze") == 0
        assert client.fsfreeze_status() == "thawed"
        with blocked_writers(guest):
            assert client.thaw() == 2


def test_a_disk_that_is_covered(guest: Guest) -> None:
    guest.sh("mount -t tmpfs cover /mnt/data")
    with connect(guest) as client:
        with client.frozen() as freeze:
            assert freeze.frozen == 1
        assert freeze.thawed == 1


def test_a_disk_that_is_covered_and_mounted_elsewhere(guest: Guest) -> None:
    guest.sh("mkdir /tmp/a; mount --bind /mnt/data /tmp/a; mount -t tmpfs cover /mnt/data")
    with connect(guest) as client:
        with client.frozen() as freeze:
            assert freeze.frozen == 2
            writer = Writer(guest, "/tmp/a")
            wait_until(lambda: writer.blocked, "frozen")
        assert freeze.thawed == 2
    writer.finish()
