"""A snapshot by a libvirt that only pretends, of a guest that does: what lies within what."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

import qga
from qga import protocol
from qga.client import domainsnapshot, libvirthost, signals
from qga.client.domainsnapshot import SnapshotFailed, snapshot
from qga.testing import FakeAgent
from tests.cli.command import Run, qga_command
from tests.support.pretended_libvirt import Failure, Host, pretended_host

__all__ = ["qga_command"]


@pytest.fixture
def host() -> Iterator[Host]:
    with pretended_host() as made:
        yield made
    assert libvirthost._shared == {}
    assert not signals._guards


def test_it_lies_within_the_freeze(host: Host) -> None:
    states = []
    host.domain.make = lambda: states.append(str(host.agent.state))
    found = snapshot("libvirt:web", "one")
    assert states == ["frozen"]
    assert (found.consistent, found.frozen, found.thawed) == (True, 2, 2)
    assert found.confirmed <= found.begun <= found.made <= found.ended
    assert (found.name, found.domain) == ("one", "web")
    assert found.report.startswith("the snapshot lies within the freeze: 2 file systems stayed")
    [disk] = found.disks
    assert (disk.name, disk.image, disk.overlay) == ("vda", "/img/root.qcow2", "/img/root.new")
    [(description, flags)] = host.domain.asked
    assert description.findtext("name") == "one"
    assert description.find("disks") is None
    assert flags == 16 | 128
    assert host.agent.state == "thawed"


def test_what_is_asked_for(host: Host) -> None:
    snapshot("libvirt:web", disks={"vda": "/new/root"}, metadata=False)
    snapshot("libvirt:web", disks=["vdb"])
    (first, flags), (second, _) = host.domain.asked
    assert flags == 16 | 128 | 4
    assert (first.findtext("name") or "").startswith("qga-20")
    kinds = {disk.get("name"): disk.get("snapshot") for disk in first.iterfind("./disks/disk")}
    assert kinds == {"vda": "external", "vdb": "no", "hda": "no"}
    assert [source.attrib for source in first.iter("source")] == [{"file": "/new/root"}]
    assert list(second.iter("source")) == []


def test_a_snapshot_that_is_refused(host: Host, qga_command: Run) -> None:
    def refuse() -> None:
        raise Failure(1, "no room")

    host.domain.make = refuse
    with pytest.raises(SnapshotFailed, match="libvirt made no snapshot: prefix: no room"):
        snapshot("libvirt:web")
    assert host.agent.state == "thawed"
    done = qga_command("snapshot", "libvirt:web")
    assert (done.code, done.out) == (1, b"")
    assert done.err == "qga: libvirt made no snapshot: prefix: no room\n"
    assert host.agent.state == "thawed"


def test_nothing_is_asked_for_without_a_freeze(host: Host) -> None:
    with pytest.raises(SnapshotFailed, match="has no disk 'vdz': it has vda, vdb, hda"):
        snapshot("libvirt:web", disks=["vdz"])
    with pytest.raises(SnapshotFailed, match="no file system was frozen"):
        snapshot("libvirt:web", mountpoints="/nowhere*")
    host.agent.blocked |= {"guest-fsfreeze-freeze", "qga-fsfreeze-freeze"}
    with pytest.raises(qga.CommandDisabled):
        snapshot("libvirt:web")
    assert host.domain.asked == []


def test_it_takes_longer_than_the_freeze(host: Host, qga_command: Run) -> None:
    def late() -> None:
        # The guest thaws by itself, too; it is over for the host when that has asked for it.
        asked = len(host.agent.asked(protocol.QgaFsfreezeThaw))
        while len(host.agent.asked(protocol.QgaFsfreezeThaw)) == asked:
            time.sleep(0.01)

    host.domain.make = late
    found = snapshot("libvirt:web", deadline=0.3)
    assert not found.consistent
    assert "may not be consistent: the deadline of 0.3 s passed" in found.report
    assert found.begun < found.ended < found.made
    done = qga_command("snapshot", "libvirt:web", "--deadline", "0.3", lines=0)
    assert done.code == 1
    assert "the snapshot may not be consistent" in done.text


def test_somebody_else_thaws(host: Host) -> None:
    def somebody() -> None:
        host.agent.connect().thaw()

    host.domain.make = somebody
    found = snapshot("libvirt:web")
    assert not found.consistent
    assert found.report.endswith("somebody else thawed the guest before the end")


def test_a_thaw_that_fails(host: Host) -> None:
    host.agent.reply("qga-fsfreeze-thaw", qga.CommandError("failed to thaw /"))
    with pytest.raises(qga.CommandError, match="failed to thaw /") as raised:
        snapshot("libvirt:web")
    doubt, comfort, made = raised.value.__notes__
    assert doubt == "the guest may still be frozen"
    assert comfort.startswith("it thaws by itself within ")
    assert made == "the snapshot was made all the same"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt(host: Host, number: signal.Signals) -> None:
    """The guest is thawed at once; then it is told what became of the snapshot."""
    thawed = threading.Event()

    def interrupted() -> None:
        os.kill(os.getpid(), number)
        while host.agent.state == "frozen":
            time.sleep(0.01)
        thawed.set()

    host.domain.make = interrupted
    with pytest.raises((KeyboardInterrupt, SystemExit)) as raised:
        snapshot("libvirt:web")
    assert thawed.is_set()
    assert raised.value.__notes__ == ["the snapshot was made all the same"]


def test_an_interrupt_of_a_libvirt_that_hangs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domainsnapshot, "PATIENCE", 0.1)
    go_on = threading.Event()

    def hang() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        go_on.wait(60)

    host.domain.make = hang
    with pytest.raises(KeyboardInterrupt) as raised:
        snapshot("libvirt:web")
    go_on.set()
    assert raised.value.__notes__ == ["libvirt has not answered: the snapshot may still be made"]
    assert host.agent.state == "thawed"


def test_no_domain(fake_agent: FakeAgent, host: Host) -> None:
    with fake_agent.serve() as target:
        with pytest.raises(qga.InvalidTarget, match="is no domain of libvirt: which one is it"):
            snapshot(target)
        assert snapshot(target, domain="libvirt:web").consistent
    assert [each.name for each in fake_agent.requests][-1] == "qga-fsfreeze-thaw"


def test_for_people_and_for_programs(host: Host, qga_command: Run) -> None:
    done = qga_command("snapshot", "libvirt:web", "--name", "one", "--disk", "vda=/img/new")
    assert done.code == 0
    lines = done.text.splitlines()
    assert lines[0] == "snapshot one of web, 2 file systems frozen"
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["frozen", lines[3].split()[1]], ["snapshot", "begun"], ["snapshot", "made"],
        ["thaw", "begun"],
    ]  # fmt: skip
    assert lines[9].split() == ["vda", "/img/root.qcow2", "/img/root.new"]
    assert lines[-1].startswith("the snapshot lies within the freeze")
    host.domain.files["root"] = "root.qcow2"
    shown = qga_command("snapshot", "libvirt:web", "--name", "two", "-o", "json").json
    times = shown["times"]
    assert times["frozen"] <= times["snapshot_begun"] <= times["snapshot_made"]
    assert times["snapshot_made"] <= times["thaw_begun"]
    assert shown["disks"] == [
        {"name": "vda", "image": "/img/root.qcow2", "overlay": "/img/root.new"}
    ]
    assert (shown["consistent"], shown["domain"], shown["frozen"]) == (True, "web", 2)
    assert qga_command("snapshot", "libvirt:web", "--disk", "vda=new", lines=1).code == 2
