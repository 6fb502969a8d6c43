"""guest-get-memory-blocks and its kin, on blocks that are files."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.memory import LinuxMemory
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call, refusal


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    for number, state, removable in ((0, "online", 0), (1, "offline", 1), (32, "online", 1)):
        block = folder / f"memory{number}"
        block.mkdir(parents=True)
        (block / "state").write_text(f"{state}\n")
        (block / "removable").write_text(f"{removable}\n")
    (folder / "memory").mkdir()
    (folder / "memory1x").mkdir()
    (folder / "power").mkdir()
    (folder / "block_size_bytes").write_text("8000000\n")
    return folder


@pytest.fixture
def agent(make: AgentFactory, root: Path) -> Agent:
    return make(FakeSystem(memory=LinuxMemory(f"{root}/", "5.5.19-amd64")))


def blocks(agent: Agent) -> dict[int, tuple[bool, bool]]:
    found = call(agent, "guest-get-memory-blocks")
    states = {b["phys-index"]: (b["online"], b["can-offline"]) for b in found}
    assert len(states) == len(found)
    return states


def switch(agent: Agent, *wanted: tuple[int, bool]) -> Any:
    arguments = [{"phys-index": number, "online": online} for number, online in wanted]
    return call(agent, "guest-set-memory-blocks", mem_blks=arguments)


def test_all_are_listed(agent: Agent) -> None:
    assert blocks(agent) == {0: (True, False), 1: (False, True), 32: (True, True)}
    assert call(agent, "guest-get-memory-block-info") == {"size": 1 << 27}


def test_newer_kernels_tell_of_each_block_the_same(
    make: AgentFactory, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_(path: str, *arguments: Any, open_: Any = os.open, **more: Any) -> int:
        opened.append(Path(path).name)
        return int(open_(path, *arguments, **more))

    monkeypatch.setattr("os.open", open_)
    for release, asked in (("5.5.0-rc7", 3), ("5.6.0", 1), ("6.1.0-18-amd64", 1), ("odd", 3)):
        for block in root.glob("memory?*/removable"):
            block.write_text("1\n")
        agent = make(FakeSystem(memory=LinuxMemory(f"{root}/", release)))
        opened.clear()
        assert blocks(agent) == {0: (True, True), 1: (False, True), 32: (True, True)}
        assert opened.count("removable") == asked
        # It is asked again each time, though.
        for block in root.glob("memory?*/removable"):
            block.write_text("0\n")
        assert {removable for _, removable in blocks(agent).values()} == {False}
    # The first block that is asked has just gone, or all are without that file.
    first = next(name for name in os.listdir(root) if name[6:].isdecimal())  # noqa: PTH208
    (root / first / "removable").unlink()
    for block in root.glob("memory?*/removable"):
        block.write_text("1\n")
    agent = make(FakeSystem(memory=LinuxMemory(f"{root}/", "6.1.0")))
    assert sum(removable for _, removable in blocks(agent).values()) == 2


def test_the_size_is_asked_for_once(agent: Agent, root: Path) -> None:
    """It is settled when the kernel starts."""
    assert call(agent, "guest-get-memory-block-info") == {"size": 1 << 27}
    (root / "block_size_bytes").unlink()
    assert call(agent, "guest-get-memory-block-info") == {"size": 1 << 27}


def test_ten_thousand(make: AgentFactory, tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"root/memory{number}").mkdir(parents=True)
        (tmp_path / f"root/memory{number}/state").write_text("online\n")
    agent = make(FakeSystem(memory=LinuxMemory(f"{tmp_path}/root/")))
    assert blocks(agent) == dict.fromkeys(range(10_000), (True, False))


def test_offline_and_back(agent: Agent, root: Path) -> None:
    assert switch(agent, (32, False), (7, True), (1, True), (1, True)) == [
        {"phys-index": 32, "response": "success"},
        {"phys-index": 7, "response": "not-found", "error-code": errno.ENOENT},
        {"phys-index": 1, "response": "success"},
        {"phys-index": 1, "response": "success"},
    ]
    assert (root / "memory32/state").read_text().startswith("offline")
    assert (root / "memory1/state").read_text().startswith("online")
    assert switch(agent) == []


def test_a_block_that_is_in_use(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EBUSY, "Device or resource busy")

    with monkeypatch.context() as changed:
        changed.setattr("os.write", refuse)
        (answer,) = switch(agent, (32, False))
    assert answer == {"phys-index": 32, "response": "operation-failed", "error-code": errno.EBUSY}


def test_old_kernels(agent: Agent, root: Path) -> None:
    (root / "memory0/state").unlink()
    (root / "memory1/removable").unlink()
    (root / "memory5").symlink_to("absent")  # unplugged while the folder was read
    assert blocks(agent) == {0: (True, False), 1: (False, False), 32: (True, True)}
    assert switch(agent, (0, True), (0, False)) == [
        {"phys-index": 0, "response": "success"},
        {"phys-index": 0, "response": "operation-not-supported", "error-code": errno.ENOENT},
    ]


def test_blocks_that_cannot_be_read(agent: Agent, root: Path) -> None:
    (root / "memory0/state").unlink()
    (root / "memory0/state").mkdir()
    text = 'pread sysfs file "state": Is a directory'
    assert refusal(agent, "guest-get-memory-blocks") == text
    (answer,) = switch(agent, (0, False))
    assert answer["response"] == "operation-failed"
    assert answer["error-code"] == errno.EISDIR


def test_a_kernel_without_blocks(make: AgentFactory, tmp_path: Path) -> None:
    agent = make(FakeSystem(memory=LinuxMemory(f"{tmp_path}/absent/")))
    assert call(agent, "guest-get-memory-blocks") == []
    (answer,) = switch(agent, (0, True))
    assert answer["response"] == "operation-not-supported"
    text = f'open("{tmp_path}/absent/"): No such file or directory'
    assert refusal(agent, "guest-get-memory-block-info") == text
    (tmp_path / "absent").mkdir()
    text = "guest reported zero memory blocks!"
    assert refusal(agent, "guest-get-memory-blocks") == text
    text = 'open sysfs file "block_size_bytes": No such file or directory'
    assert refusal(agent, "guest-get-memory-block-info") == text
    (tmp_path / "absent").rmdir()
    (tmp_path / "absent").touch()
    text = f'Can\'t open directory"{tmp_path}/absent/": Not a directory'
    assert refusal(agent, "guest-get-memory-blocks") == text


@pytest.mark.parametrize("size", ["", "0", "-1", "1" + 16 * "0", "many"])
def test_sizes_that_cannot_be(agent: Agent, root: Path, size: str) -> None:
    (root / "block_size_bytes").write_text(f"{size}\n")
    assert "does not hold a size" in refusal(agent, "guest-get-memory-block-info")
