"""What a freeze and a thaw spare themselves, and when they must not."""

import errno
import os
from types import SimpleNamespace

import pytest

from qga.agent import apart
from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.freezer import LinuxFreezer
from qga.agent.system.mounts import Survey
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem("/", "/home", "/data")


@pytest.fixture
def agent(make: AgentFactory, system: FakeSystem) -> Agent:
    return make(system)


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Each process that was started to thaw what others have frozen."""
    started: list[object] = []
    run = apart.run

    def note(*of: object) -> object:
        started.append(of)
        return run(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(apart, "run", note)
    return started


def none_is_frozen(system: FakeSystem) -> bool:
    return not any(system.freezer.frozen.values())


def test_where_all_was_frozen_nobody_looks_for_more(
    agent: Agent, system: FakeSystem, sweeps: list[object]
) -> None:
    system.freezer.unsupported.add("/home")
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 2
    assert none_is_frozen(system)
    assert sweeps == []
    # But where nothing was.
    system.freezer.frozen = {"/": 1}
    assert call(agent, "guest-fsfreeze-thaw") == 1
    assert len(sweeps) == 1


def test_others_may_have_frozen_what_was_not_asked_for(
    agent: Agent, system: FakeSystem, sweeps: list[object]
) -> None:
    assert call(agent, "guest-fsfreeze-freeze-list", mountpoints=["/", "/data"]) == 2
    system.freezer.frozen = {"/": 1, "/data": 1, "/home": 2}
    assert call(agent, "guest-fsfreeze-thaw") == 3
    assert none_is_frozen(system)
    assert len(sweeps) == 1


def test_others_may_have_frozen_it_before(
    agent: Agent, system: FakeSystem, sweeps: list[object]
) -> None:
    system.freezer.frozen = {"/home": 1}
    system.freezer.fail("freeze", "/home", errno.EBUSY)
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 3
    assert none_is_frozen(system)
    assert len(sweeps) == 1


def test_others_may_have_mounted_and_frozen_more(
    agent: Agent, system: FakeSystem, sweeps: list[object]
) -> None:
    *table, data = system.freezer.table
    system.freezer.table = table
    assert call(agent, "guest-fsfreeze-freeze") == 2
    system.freezer.table = [*table, data]
    system.freezer.frozen = {**system.freezer.frozen, "/data": 1}
    assert call(agent, "guest-fsfreeze-thaw") == 3
    assert none_is_frozen(system)
    assert len(sweeps) == 1


def test_a_mount_table_that_cannot_be_read_may_have_more(
    agent: Agent, system: FakeSystem, sweeps: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(system.freezer, "are_all", fail)
    monkeypatch.setattr(system.freezer, "is_current", fail)
    assert call(agent, "guest-fsfreeze-freeze") == 3
    assert call(agent, "guest-fsfreeze-thaw") == 3
    assert len(sweeps) == 1


def test_one_look_at_what_is_mounted_will_do(
    agent: Agent, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    survey = system.freezer.survey

    def note() -> Survey:
        looks.append(1)
        return survey()

    monkeypatch.setattr(system.freezer, "survey", note)
    call(agent, "guest-fsfreeze-freeze")
    call(agent, "guest-fsfreeze-thaw")
    assert len(looks) == 1


def test_whether_the_mount_table_has_changed() -> None:
    freezer = LinuxFreezer()
    survey = freezer.survey()
    assert freezer.is_current(survey)
    assert not freezer.is_current(Survey(survey.mounts, table=survey.table + b"\n"))


def test_whether_descriptors_are_of_all_file_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "qga.agent.system.linux.freezer._table",
        lambda: (
            b"1 0 0:5 / /proc rw - proc proc rw\n2 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
            b"3 2 8:1 /a /b rw - ext4 /dev/sda1 rw\n4 2 8:17 / /data rw - xfs /dev/sdb1 rw\n"
        ),
    )
    devices = {3: (8, 1), 4: (8, 17), 5: (8, 33)}

    def fstat(fd: int) -> object:
        return SimpleNamespace(st_dev=os.makedev(*devices[fd]))

    asked = SimpleNamespace(fstat=fstat, makedev=os.makedev, fsdecode=os.fsdecode)
    monkeypatch.setattr("qga.agent.system.linux.freezer.os", asked)
    freezer = LinuxFreezer()
    assert freezer.are_all([3, 4])
    assert freezer.are_all([5, 4, 3])
    assert not freezer.are_all([3])
    assert not freezer.are_all([])
