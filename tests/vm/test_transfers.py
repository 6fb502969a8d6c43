"""Files and trees over a virtio-serial port, with our agent and QEMU's.

QEMU's writes some 0.7 MB/s in an emulated guest, so it gets less. The guest's tar is busybox's;
GNU's is that of the tests on this machine.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

import qga
from qga import TransferProgress
from tests.support.trees import LISTING, listing, plant
from tests.vm.conftest import GuestFactory
from tests.vm.observe import connect, wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

MIB = 1 << 20
# MiB up and MiB down.
AGENTS = [
    pytest.param(AGENT, (64, 64), id="ours"),
    pytest.param(STOCK_AGENT, (4, 16), id="stock"),
]
FILES = 2000


def checksum(guest: Guest, path: str) -> str:
    done = guest.sh(f"sha256sum {path}", timeout=300)
    assert done.code == 0, done
    return done.out[:64]


def local_checksum(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def left(guest: Guest) -> list[str]:
    """What transfers have left behind."""
    places = "/root /mnt/data /tmp /run /dev/shm"
    return guest.sh(f"find {places} -name '.qga-*' -o -name 'qga-????????????????'").out.split()


@pytest.mark.parametrize(("agent", "sizes"), AGENTS)
def test_files_and_trees(
    guest_factory: GuestFactory, tmp_path: Path, agent: Sequence[str], sizes: tuple[int, int]
) -> None:
    up, down = sizes
    guest = guest_factory(agent)
    source, back = tmp_path / "source", tmp_path / "back"
    with source.open("wb") as file:
        for _ in range(down):
            file.write(os.urandom(MIB))
    with connect(guest, 300) as client:
        client.files.touch("/root/empty")
        done = client.files.download("/root/empty", back)
        assert (done.size, done.verified) == (0, True)
        head = tmp_path / "head"
        head.write_bytes(source.read_bytes()[: up * MIB])
        done = client.files.upload(head, "/root/file", mode=0o640, owner=1)
        assert (done.size, done.verified) == (up * MIB, True)
        assert checksum(guest, "/root/file") == local_checksum(head)
        assert guest.sh("stat -c '%a %u' /root/file").out == "640 1\n"
        if down > up:
            guest.sh(f"dd if=/dev/urandom of=/root/file bs=1M count={down}")
        done = client.files.download("/root/file", back)
        assert (done.size, done.verified) == (down * MIB, True)
        assert checksum(guest, "/root/file") == local_checksum(back)
        guest.sh("rm /root/file")

        tree = tmp_path / "tree"
        plant(tree, FILES)
        expected = listing(tree)
        assert client.files.upload_tree(tree, "/mnt/data/tree").files == FILES + 8
        guest.write("/tmp/listing.py", LISTING.encode())
        assert (
            guest.sh("python3 /tmp/listing.py /mnt/data/tree >/tmp/listed", timeout=300).code == 0
        )
        listed = set(guest.read("/tmp/listed").decode().split("\n"))
        if os.geteuid() == 0:
            assert listed == expected
        assert client.files.download_tree("/mnt/data/tree", tmp_path / "tree back", special=True)
        assert listing(tmp_path / "tree back") == listed
    wait_until(lambda: not left(guest), "everything removed")


@pytest.mark.parametrize("agent", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
def test_an_agent_that_is_gone_in_the_middle(
    guest_factory: GuestFactory, tmp_path: Path, agent: Sequence[str]
) -> None:
    guest = guest_factory(agent)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 * MIB))
    gone: list[int] = []

    def interrupt(moment: TransferProgress) -> None:
        if moment.done >= MIB and not gone:
            gone.append(moment.done)
            guest.signal_agent(signal.SIGSTOP)

    with connect(guest) as client:
        with pytest.raises(qga.AgentTimeout), qga.deadline(12):
            client.files.upload(source, "/root/file", resume=True, progress=interrupt)
        guest.kill_agent()
        guest.start_agent(agent, port=None)  # which is taken: by this client
        client.ping()
        done = client.files.upload(source, "/root/file", resume=True)
        assert (done.verified, done.moved < 3 * MIB) == (True, True)
        assert checksum(guest, "/root/file") == local_checksum(source)
        assert guest.sh("ls -A /root").out == "file\n"
        done = client.files.download("/root/file", tmp_path / "back")
        assert done.verified
