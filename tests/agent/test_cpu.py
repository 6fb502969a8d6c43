"""guest-get-vcpus and guest-set-vcpus, on processors that are files."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux import LinuxSystem
from qga.agent.system.linux.processors import LinuxProcessors
from qga.errors import CommandError
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call, own_descriptors, refusal


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two processors, one of which is always there; and what else there is in such a folder."""
    folder = tmp_path / "cpus"
    for name in ("cpu0", "cpu1", "cpuidle", "cpufreq", "cpu", "cpu1x", "power"):
        (folder / name).mkdir(parents=True)
    (folder / "cpu1/online").write_text("1\n")
    (folder / "online").write_text("0-1\n")
    return folder


def system(root: Path) -> FakeSystem:
    return FakeSystem(processors=LinuxProcessors(str(root)))


def vcpu(number: int, online: bool) -> dict[str, object]:
    return {"logical-id": number, "online": online}


def test_all_are_listed(make: AgentFactory, root: Path) -> None:
    found = call(make(system(root)), "guest-get-vcpus")
    # In the folder's own order, as upstream has it.
    names = [name for name in os.listdir(root) if name in {"cpu0", "cpu1"}]  # noqa: PTH208
    assert [f"cpu{cpu['logical-id']}" for cpu in found] == names
    assert sorted(found, key=lambda cpu: int(cpu["logical-id"])) == [
        {"logical-id": 0, "online": True, "can-offline": False},
        {"logical-id": 1, "online": True, "can-offline": True},
    ]
    (root / "cpu1/online").write_text("0\n")
    assert call(make(system(root)), "guest-get-vcpus")[names.index("cpu1")]["online"] is False


def test_files_are_opened_once_and_again_when_the_processor_has_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses to read what belongs to a processor that was unplugged."""
    opened: list[str] = []
    gone = False

    def open_(path: str, flags: int, open_: Any = os.open) -> int:
        opened.append(path)
        return int(open_(path, flags))

    def pread(fd: int, size: int, at: int, pread: Any = os.pread) -> bytes:
        nonlocal gone
        if gone:
            gone = False
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return bytes(pread(fd, size, at))

    monkeypatch.setattr("os.open", open_)
    monkeypatch.setattr("os.pread", pread)

    before = own_descriptors()
    processors = LinuxProcessors(str(root))

    def states(processors: LinuxProcessors = processors) -> dict[int, bool]:
        return {cpu.logical_id: cpu.online for cpu in processors.list()}

    assert states() == states() == {0: True, 1: True}
    (root / "cpu1/online").write_text("0\n")
    assert states() == {0: True, 1: False}
    assert len(opened) == 1
    # Another one in its place.
    (root / "cpu1/online").unlink()
    (root / "cpu1/online").write_text("1\n")
    gone = True
    assert states() == states() == {0: True, 1: True}
    assert len(opened) == 2
    # And none.
    (root / "cpu1/online").unlink()
    (root / "cpu1").rmdir()
    assert states() == {0: True}
    # One that can be taken offline now.
    (root / "cpu0/online").write_text("0\n")
    assert states() == {0: False}
    assert own_descriptors() == before + 2
    del processors, states
    assert own_descriptors() == before


def test_a_thousand(make: AgentFactory, tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"root/cpu{number}").mkdir(parents=True)
        (tmp_path / f"root/cpu{number}/online").write_text(f"{number % 2}\n")
    found = call(make(system(tmp_path / "root")), "guest-get-vcpus")
    states = {cpu["logical-id"]: cpu["online"] for cpu in found}
    assert states == {number: number % 2 == 1 for number in range(1000)}


def test_those_of_this_machine() -> None:
    found = LinuxSystem().processors.list()
    online = sum(processor.online for processor in found)
    assert online == os.sysconf("SC_NPROCESSORS_ONLN")


def test_offline_and_back(make: AgentFactory, root: Path) -> None:
    agent = make(system(root))
    state = root / "cpu1/online"
    assert call(agent, "guest-set-vcpus", vcpus=[vcpu(1, False)]) == 1
    # One character is written, as to the kernel.
    assert state.read_text() == "0\n"
    before = state.stat().st_mtime_ns
    assert call(agent, "guest-set-vcpus", vcpus=[vcpu(1, False), vcpu(0, True)]) == 2
    assert state.stat().st_mtime_ns == before
    assert call(agent, "guest-set-vcpus", vcpus=[vcpu(1, True), vcpu(1, False)]) == 2
    assert state.read_text() == "0\n"
    assert call(agent, "guest-set-vcpus", vcpus=[]) == 0


def test_it_ends_where_one_fails(make: AgentFactory, root: Path) -> None:
    agent = make(system(root))
    wanted = [vcpu(1, False), vcpu(0, False), vcpu(1, True)]
    assert call(agent, "guest-set-vcpus", vcpus=wanted) == 1
    assert (root / "cpu1/online").read_text() == "0\n"
    text = refusal(agent, "guest-set-vcpus", vcpus=wanted[1:])
    assert text == "logical processor #0 can't be offlined"
    for number in (7, -1):
        text = refusal(agent, "guest-set-vcpus", vcpus=[vcpu(number, True)])
        assert text == f"Could not open '{root}/cpu{number}/': No such file or directory"


def test_odd_processors(root: Path) -> None:
    processors = LinuxProcessors(str(root))
    (root / "cpu2").symlink_to("absent")  # unplugged while the folder was read
    (root / "cpu3").mkdir()
    assert {cpu.logical_id for cpu in processors.list()} == {0, 1, 3}
    (root / "cpu3/online").touch()
    for fails in (processors.list, lambda: processors.set_online(3, online=True)):
        with pytest.raises(CommandError) as error:
            fails()
        assert error.value.desc == f'pread("{root}/cpu3//online"): unexpected EOF'
    (root / "cpu3/online").unlink()
    (root / "cpu3/online").mkdir()
    with pytest.raises(CommandError) as error:
        processors.set_online(3, online=True)
    assert error.value.desc == f'open("{root}/cpu3//online"): Is a directory'
    with pytest.raises(CommandError) as error:
        LinuxProcessors("/absent").list()
    assert error.value.desc == "failed to list entries: /absent: No such file or directory"


def test_what_the_kernel_refuses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr("os.pwrite", refuse)
    with pytest.raises(CommandError) as error:
        LinuxProcessors(str(root)).set_online(1, online=False)
    assert error.value.desc == f'pwrite("{root}/cpu1//online"): Device or resource busy'
