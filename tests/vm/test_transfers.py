"""Files and trees over a virtio-serial port, with our agent and QEMU's.

QEMU's writes some 0.7 MB/s in an emulated guest, so it gets less. The guest's tar is busybox's;
GNU's is that of the tests on this machine. With QGA_TEST_TRANSFERS=1024,10000 both get a file of
1 GiB and a tree of 10,000 files, on a disk of their own; and an hour for it.
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
from tests.vm.debs import packages
from tests.vm.disk import make_file_system
from tests.vm.observe import connect, wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

MIB = 1 << 20
LARGE = tuple(map(int, filter(None, os.environ.get("QGA_TEST_TRANSFERS", "").split(","))))
# MiB up and MiB down.
AGENTS = [
    pytest.param(AGENT, LARGE[:1] * 2 or (64, 64), id="ours"),
    pytest.param(STOCK_AGENT, LARGE[:1] * 2 or (4, 16), id="stock"),
]
FILES = LARGE[1] if LARGE else 2000
# What scripts in the guest may take that read all of it.
PATIENCE = 3600 if LARGE else 300


def checksum(guest: Guest, path: str) -> str:
    done = guest.sh(f"sha256sum {path}", timeout=PATIENCE)
    assert done.code == 0, done
    return done.out[:64]


def local_checksum(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def left(guest: Guest) -> list[str]:
    """What transfers have left behind."""
    places = "/root /mnt /tmp /run /dev/shm"
    return guest.sh(f"find {places} -name '.qga-*' -o -name 'qga-????????????????'").out.split()


def places(guest: Guest, tmp_path: Path, mib: int) -> tuple[str, str]:
    """Where the file and the tree are to be: where there is room for them."""
    if not LARGE:
        return "/root", "/mnt/data"
    image = tmp_path / "image"
    make_file_system(packages(), image, f"{3 * mib + 1024}M", "-N", str(2 * FILES + 10_000))
    device = guest.plug_disk("large", image)
    mounted = guest.sh(f"mkdir /mnt/large && mount {device} /mnt/large")
    assert mounted.code == 0, mounted
    return "/mnt/large", "/mnt/large"


@pytest.mark.timeout(4 * 3600 if LARGE else 300)
@pytest.mark.parametrize(("agent", "sizes"), AGENTS)
def test_files_and_trees(
    guest_factory: GuestFactory, tmp_path: Path, agent: Sequence[str], sizes: tuple[int, int]
) -> None:
    up, down = sizes
    guest = guest_factory(agent)
    at, beside = places(guest, tmp_path, max(sizes))
    source, back = tmp_path / "source", tmp_path / "back"
    with source.open("wb") as file:
        for _ in range(down):
            file.write(os.urandom(MIB))
    with connect(guest, 300) as client:
        client.files.touch("/root/empty")
        done = client.files.download("/root/empty", back)
        assert (done.size, done.verified) == (0, True)
        if up < down:
            head = tmp_path / "head"
            head.write_bytes(source.read_bytes()[: up * MIB])
            source = head
        done = client.files.upload(source, f"{at}/file", mode=0o640, owner=1)
        assert (done.size, done.verified) == (up * MIB, True)
        assert checksum(guest, f"{at}/file") == local_checksum(source)
        assert guest.sh(f"stat -c '%a %u' {at}/file").out == "640 1\n"
        if down > up:
            guest.sh(f"dd if=/dev/urandom of={at}/file bs=1M count={down}")
        done = client.files.download(f"{at}/file", back)
        assert (done.size, done.verified) == (down * MIB, True)
        assert checksum(guest, f"{at}/file") == local_checksum(back)
        guest.sh(f"rm {at}/file")

        tree = tmp_path / "tree"
        plant(tree, FILES)
        expected = listing(tree)
        assert client.files.upload_tree(tree, f"{beside}/tree").files == FILES + 8
        guest.write("/tmp/listing.py", LISTING.encode())
        listed_there = f"python3 /tmp/listing.py {beside}/tree >/tmp/listed"
        assert guest.sh(listed_there, timeout=PATIENCE).code == 0
        listed = set(guest.read("/tmp/listed").decode().split("\n"))
        if os.geteuid() == 0:
            assert listed == expected
        assert client.files.download_tree(f"{beside}/tree", tmp_path / "tree back", special=True)
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
