"""A freeze whose guardian, agent or files meet with an accident: no guest is left frozen by it."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from qga.agent import guardian, hold
from qga.agent.app import Agent
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.frozenfiles import FileFreezer, FileSystem
from tests.agent.harness import (
    call,
    later,
    own_descriptors,
    raw_answer,
    refusal,
    request,
    until,
    wait_for,
)
from tests.agent.hookfolder import HookFolder

IN_FREEZE = "failed to thaw {}/a: it is being frozen still, and thawed right after"


@pytest.fixture
def agent(make: AgentFactory, freezer: FileFreezer) -> Agent:
    """An agent with two file systems that are files; b is frozen first."""
    return make(FileSystem(freezer.folder))


@pytest.fixture
def hooks(start: Starter, freezer: FileFreezer) -> HookFolder:
    return HookFolder(start, freezer)


def guardian_in(agent: Agent) -> int:
    held = agent.freeze.hold
    assert held is not None
    assert held.guardian is not None
    assert held.guardian.pid is not None
    return held.guardian.pid


def is_thawed(agent: Agent) -> bool:
    return bool(call(agent, "guest-fsfreeze-status") == "thawed")


# Guardians that are killed.


def test_a_guardian_that_is_killed_while_a_freeze_that_was_given_up_hangs(
    make: AgentFactory, freezer: FileFreezer
) -> None:
    """What it was freezing may be frozen when it has gone."""
    agent = make(FileSystem(freezer.folder), fsfreeze_mount_timeout=0.2)
    hanging = freezer.hang("a")
    refusal(agent, "guest-fsfreeze-freeze")
    assert call(agent, "guest-fsfreeze-status") == "error"
    # As if the kernel had frozen it before it let go of the process.
    (freezer.folder / "a").write_bytes(b"frozen")
    os.kill(guardian_in(agent), signal.SIGKILL)
    later(agent, lambda: is_thawed(agent), "the end")
    assert freezer.frozen() == []
    hanging.unlink()


@pytest.mark.parametrize("what", ["thaw", "renew"])
def test_a_guardian_that_is_killed_before_it_hears(
    agent: Agent, freezer: FileFreezer, what: str
) -> None:
    call(agent, "qga-fsfreeze-freeze", token="mine")
    first = guardian_in(agent)
    os.kill(first, signal.SIGSTOP)
    more = {} if what == "thaw" else {"deadline-ms": 80_000}
    waiting: Any = raw_answer(agent, request(f"qga-fsfreeze-{what}", {"token": "mine", **more}))
    os.kill(first, signal.SIGKILL)
    reply = wait_for(agent, waiting)
    if what == "renew":
        assert b'"token": "mine"' in reply
        assert 60_000 < call(agent, "qga-fsfreeze-report")["deadline-ms"] <= 80_000
        call(agent, "qga-fsfreeze-thaw", token="mine")
    else:
        assert b'"held": true' in reply
    assert freezer.frozen() == []


def no_more_processes(_: object) -> None:
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_one_that_cannot_be_replaced(
    agent: Agent, freezer: FileFreezer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a guardian there is no freeze: who could end it in time?"""
    call(agent, "guest-fsfreeze-freeze")
    first = guardian_in(agent)
    monkeypatch.setattr(guardian, "start", no_more_processes)
    os.kill(first, signal.SIGKILL)
    later(agent, lambda: is_thawed(agent), "the thaw")
    assert freezer.frozen() == []
    told = call(agent, "qga-fsfreeze-report")
    assert (told["held"], told["end"]) == (False, "stopped")
    monkeypatch.undo()
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 2


def test_one_that_cannot_be_replaced_nor_be_done_without(
    agent: Agent, freezer: FileFreezer, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(agent, "guest-fsfreeze-freeze")
    first = guardian_in(agent)
    monkeypatch.setattr(guardian, "start", no_more_processes)
    monkeypatch.setattr(hold, "RETRY", 0.1)
    (freezer.folder / "broken").touch()
    os.kill(first, signal.SIGKILL)
    later(agent, lambda: call(agent, "guest-fsfreeze-status") == "error", "the failure to show")
    assert refusal(agent, "guest-fsfreeze-thaw").startswith("failed to thaw ")
    (freezer.folder / "broken").unlink()
    later(agent, lambda: is_thawed(agent), "the thaw")
    assert freezer.frozen() == []


def test_guardians_that_cannot_begin(
    agent: Agent, freezer: FileFreezer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where there is no room for a thread."""

    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("qga.agent.workers.Workers.start", start)
    assert refusal(agent, "guest-fsfreeze-freeze").startswith(
        "failed to freeze: the guardian was killed"
    )
    assert is_thawed(agent)
    monkeypatch.undo()
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 2


# Thaws that come late.


@pytest.mark.parametrize("name", ["guest-fsfreeze-thaw", "qga-fsfreeze-thaw"])
def test_hooks_are_told_of_a_thaw_that_was_waited_for_in_vain(
    hooks: HookFolder, freezer: FileFreezer, name: str
) -> None:
    hooks.write("database")
    hanging = freezer.hang("a")
    agent = hooks.start()
    with agent.connect() as freezing, agent.connect() as thawing_:
        freezing.send(request("guest-fsfreeze-freeze"))
        until(hanging.read_bytes, "the freeze to hang")
        error = thawing_.ask(name)["error"]["desc"]
        assert error == IN_FREEZE.format(freezer.folder)
        hanging.unlink()
        until(lambda: agent.call("guest-fsfreeze-status") == "thawed", "the thaw")
        hooks.wait("database freeze", "database thaw")


# Files.


def test_descriptors_that_run_out_are_not_lost(
    agent: Agent, freezer: FileFreezer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = freezer.open, list[Any]()

    def open_(_: FileFreezer, mount: Any) -> int:
        calls.append(mount)
        if len(calls) == 2:
            raise OSError(24, "Too many open files")
        return real(mount)

    def mounts(_: FileFreezer) -> list[Any]:
        raise OSError(24, "Too many open files")

    survey = freezer.survey()
    monkeypatch.setattr(FileFreezer, "survey", lambda _: survey)
    monkeypatch.setattr(FileFreezer, "open", open_)
    monkeypatch.setattr(FileFreezer, "mounts", mounts)
    call(agent, "guest-fsfreeze-status")
    before = own_descriptors()
    assert "Too many open files" in refusal(agent, "guest-fsfreeze-freeze")
    assert own_descriptors() == before


def marker(agent: Agent) -> Path:
    return Path(agent.state.marker)


@pytest.mark.parametrize(
    "text",
    [
        b"x" * 200 + b"\n/a\n",
        bytes(4096),
        b"0123456789abcdef\n" + b"9" * 5000 + b"\n/a\n",
        b" \n\n",
        b"0123456789abcdef\n\xb2\n/a\n",
    ],
)
def test_a_marker_that_is_odd(make: AgentFactory, freezer: FileFreezer, text: bytes) -> None:
    """As a disk may have it after a crash."""
    agent = make(FileSystem(freezer.folder), fsfreeze_timeout=1.0)
    marker(agent).write_bytes(text)
    (freezer.folder / "a").write_bytes(b"frozen")
    assert agent.freeze.resume()
    later(agent, lambda: is_thawed(agent), "the end of the lease")
    assert freezer.frozen() == []
    assert len(call(agent, "qga-fsfreeze-report")["token"]) <= 128
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 2


def test_a_lease_that_has_ended_before_the_freeze_begins(
    agent: Agent, freezer: FileFreezer
) -> None:
    for _ in range(20):
        raw: Any = raw_answer(agent, request("qga-fsfreeze-freeze", {"deadline-ms": 1}))
        assert b"None" not in wait_for(agent, raw)
        later(agent, lambda: is_thawed(agent), "the end")


def test_the_marker_of_a_guest_that_was_restored(make: AgentFactory, freezer: FileFreezer) -> None:
    """The copy of a frozen disk has the mark of its freeze: where the state is on a disk."""
    agent = make(FileSystem(freezer.folder))
    call(agent, "guest-fsfreeze-freeze")
    text = marker(agent).read_bytes()
    call(agent, "guest-fsfreeze-thaw")
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    assert boot in text
    marker(agent).write_bytes(text.replace(boot, boot[::-1]))
    assert not agent.freeze.resume()
    assert is_thawed(agent)
    assert not marker(agent).exists()
    # The same of this boot counts.
    marker(agent).write_bytes(text)
    assert agent.freeze.resume()
    assert not is_thawed(agent)
    call(agent, "guest-fsfreeze-thaw")


def test_a_marker_that_does_not_fit(
    agent: Agent, freezer: FileFreezer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:20]))
    assert "No space left on device" in refusal(agent, "guest-fsfreeze-freeze")
    monkeypatch.undo()
    assert freezer.frozen() == []
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 2


def test_two_agents_with_one_state_directory(make: AgentFactory, freezer: FileFreezer) -> None:
    """The second one leaves the freeze of the first, and its mark, as they are."""
    second, first = make(FileSystem(freezer.folder)), make(FileSystem(freezer.folder))
    call(first, "qga-fsfreeze-freeze", token="mine")
    text = marker(first).read_bytes()
    desc = refusal(second, "guest-fsfreeze-freeze")
    assert desc == "another agent with the same state directory has frozen already"
    assert marker(first).read_bytes() == text
    assert call(first, "qga-fsfreeze-thaw", token="mine")["held"] is True
    assert call(second, "guest-fsfreeze-freeze") == 2
    assert call(second, "guest-fsfreeze-thaw") == 2
