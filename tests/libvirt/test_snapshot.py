"""`qga snapshot`, and two guests frozen as one: by a real libvirt, of real guests."""

import asyncio
import itertools
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import qga
from qga.client import libvirthost
from tests.cli.command import Run, qga_command
from tests.libvirt.domain import Domain
from tests.libvirt.pair import Pair
from tests.libvirt.test_client import target
from tests.support.need import need_module
from tests.vm.observe import wait_until

__all__ = ["qga_command"]

STATUS = '{"execute": "guest-fsfreeze-status"}'
THAWED, FROZEN = '{"return":"thawed"}', '{"return":"frozen"}'


@pytest.fixture(autouse=True)
def _module() -> Iterator[None]:
    need_module("libvirt", "apt-get install gcc libvirt-dev pkg-config python3-dev; make clean")
    yield
    assert libvirthost._shared == {}


def needs_recovery(image: Path) -> bool:
    """Whether the ext4 in *image* was left in the middle of something, as its superblock says."""
    with image.open("rb") as file:
        file.seek(1024 + 0x60)  # s_feature_incompat
        return bool(int.from_bytes(file.read(4), "little") & 4)


def test_a_snapshot_lies_within_the_freeze(pair: Pair, qga_command: Run) -> None:
    # Written and not synced; the freeze brings it to the disk.
    pair.sh("echo first-$((2000 + 1)) > /root/before")
    for domain in pair:
        image = domain.image("root")
        assert needs_recovery(image)
        words = ("--name", "one", "--disk", "vda", "--no-metadata", "--timeout", "120")
        done = qga_command("snapshot", target(domain), *words, "-o", "json")
        assert done.code == 0, done.err
        found = done.json
        assert (found["consistent"], found["domain"], found["frozen"]) == (True, domain.name, 2)
        times = found["times"]
        moments = ("frozen", "snapshot_begun", "snapshot_made", "thaw_begun")
        assert [times[name] for name in moments] == sorted(times.values())
        overlay = image.with_suffix(".one")
        assert found["disks"] == [{"name": "vda", "image": str(image), "overlay": str(overlay)}]
        assert overlay.exists()
        assert domain.virsh("qemu-agent-command", STATUS).out == THAWED
        assert domain.virsh("snapshot-list", "--name").out == ""
    pair.sh("echo second-$((2000 + 1)) > /root/after && sync")
    for domain in pair:
        assert not needs_recovery(domain.image("root"))
        snapshot = domain.image("root").read_bytes()
        assert b"first-2001\n" in snapshot
        assert b"second-2001\n" not in snapshot


def test_a_snapshot_that_libvirt_refuses(pair: Pair, qga_command: Run) -> None:
    for domain in pair:
        for disk in ("vdb=/no/such/directory/file", "vdz"):
            done = qga_command("snapshot", target(domain), "--disk", disk, "--timeout", "120")
            assert (done.code, done.out) == (1, b"")
            why = "has no disk 'vdz': it has vda, vdb" if disk == "vdz" else "made no snapshot: "
            assert why in done.err
        assert domain.virsh("qemu-agent-command", STATUS).out == THAWED
        pair.sh("echo x > /mnt/data/still-writable && sync")


def test_a_snapshot_in_an_event_loop(pair: Pair) -> None:
    async def both() -> list[qga.Snapshot]:
        taken = (
            qga.asnapshot(target(domain), "two", disks=["vda"], metadata=False, timeout=120)
            for domain in pair
        )
        return await asyncio.gather(*taken)

    for domain, found in zip(pair, asyncio.run(both()), strict=True):
        assert found.consistent, found.report
        assert (found.domain, found.frozen, found.thawed) == (domain.name, 2, 2)
        assert found.confirmed <= found.begun <= found.made <= found.ended
        [disk] = found.disks
        assert disk.name == "vda"
        assert disk.overlay.endswith(".two")
        assert disk.overlay in domain.virsh("domblklist").out
        assert domain.virsh("qemu-agent-command", STATUS).out == THAWED


def last(domain: Domain, name: str) -> int:
    """The highest number behind *name* on the domain's second disk, as it is now."""
    disks = dict(line.split() for line in domain.virsh("domblklist").out.splitlines()[2:])
    return max(map(int, re.findall(rb"%s-(\d+)-" % name.encode(), Path(disks["vdb"]).read_bytes())))


def test_two_guests_are_frozen_at_the_same_moment(pair: Pair) -> None:
    """Whatever was written into the one after the other is in the snapshots in this order."""
    done, over = [0], threading.Event()

    def write() -> None:
        for number in itertools.count(1):
            if over.is_set():
                return
            for domain, name in ((pair.stock, "first"), (pair.ours, "second")):
                path = f"/mnt/data/{name}"
                said = domain.sh(f"echo {name}-{number}- >> {path} && sync {path}")
                assert said.code == 0
            done[0] = number

    pair.sh("rm -f /mnt/data/first /mnt/data/second")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: done[0] >= 5, "something is written")
        targets = [target(domain) for domain in pair]
        with qga.freeze_group(targets, deadline=600, window=300, timeout=120) as group:
            first, second = last(pair.stock, "first"), last(pair.ours, "second")
        assert group.held, group.report
        before = done[0]
        wait_until(lambda: done[0] > before + 1, "it goes on")
    finally:
        over.set()
        writer.join()
    assert second <= first <= second + 1
    assert first >= 5


def test_two_guests_as_one(pair: Pair) -> None:
    targets = [target(domain) for domain in pair]
    with qga.freeze_group(targets, deadline=600, window=300, timeout=120) as group:
        assert all(member.watched for member in group.members)
        assert [member.frozen for member in group.members] == [2, 2]
        for domain in pair:
            assert domain.virsh("qemu-agent-command", STATUS).out == FROZEN
    assert group.held, group.report
    assert group.together > 0
    for domain in pair:
        assert domain.virsh("qemu-agent-command", STATUS).out == THAWED
    # One that is frozen already keeps the other from being frozen at all.
    assert pair.ours.virsh("domfsfreeze").code == 0
    try:
        with pytest.raises(qga.GroupFreezeFailed) as raised:
            qga.freeze_group(targets, timeout=120).__enter__()
        assert raised.value.failures.keys() == {targets[1]}
        assert pair.ours.virsh("qemu-agent-command", STATUS).out == FROZEN
        assert pair.stock.virsh("qemu-agent-command", STATUS).out == THAWED
    finally:
        pair.ours.virsh("domfsthaw")
