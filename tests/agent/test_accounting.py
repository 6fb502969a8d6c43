"""The account of what the host has the agent do, in the guest's log."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.agent import journal
from qga.agent.app import Agent
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import answer, call, own_descriptors, request
from tests.agent.logdaemon import LogDaemon, directed, fields


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[LogDaemon]:
    daemon = LogDaemon(tmp_path / "syslog")
    yield daemon
    daemon.close()


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[LogDaemon]:
    daemon = LogDaemon(tmp_path / "journal")
    yield daemon
    daemon.close()


def ask(agent: Agent, name: str, **arguments: Any) -> Any:
    named = {member.replace("_", "-"): value for member, value in arguments.items()}
    return answer(agent, request(name, named))


# What is told.


def test_files(agent: Agent, syslog: LogDaemon, tmp_path: Path) -> None:
    path = tmp_path / "a b"
    handle = call(agent, "guest-file-open", path=str(path), mode="w")
    call(agent, "guest-file-write", handle=handle, buf_b64="QUJD")
    ask(agent, "guest-file-read", handle=handle)  # is open for writing only
    ask(agent, "guest-file-read", handle=handle, count=-1)
    ask(agent, "guest-file-read", handle=99)
    call(agent, "guest-file-close", handle=handle)
    ask(agent, "guest-file-open", path=str(path / "absent"))
    handle = call(agent, "guest-file-open", path=str(path))
    ask(agent, "guest-file-write", handle=handle, buf_b64="QUJD")
    ask(agent, "guest-file-close", handle=99)
    assert syslog.texts() == [
        f"info: guest-file-open called, filepath: {path}, mode: w",
        "info: guest-file-open, handle: 1000",
        "info: guest-file-read failed, handle: 1000",
        "info: guest-file-close called, handle: 1000",
        f"info: guest-file-open called, filepath: {path}/absent, mode: r",
        f"info: guest-file-open called, filepath: {path}, mode: r",
        "info: guest-file-open, handle: 1001",
        "info: guest-file-write failed, handle: 1001",
        "info: guest-file-close called, handle: 99",
    ]


def test_the_rest(agent: Agent, syslog: LogDaemon) -> None:
    for name in ("guest-exec", "guest-exec-status", "guest-fstrim"):
        agent.dispatcher.entries[name].handler = lambda *_: None
    call(agent, "guest-ping")
    call(agent, "guest-sync", id=1)
    call(agent, "guest-info")
    call(agent, "guest-fsfreeze-status")
    ask(agent, "guest-exec", path="/bin/x", arg=["a b", "c\nd"], env=["A=1"], input_data="QUJD")
    ask(agent, "guest-exec", path="x")
    ask(agent, "guest-exec-status", pid=7)
    ask(agent, "guest-fstrim", minimum=5)
    ask(agent, "guest-shutdown", mode="nonsense")
    agent.dispatcher.answer(request("guest-shutdown"))
    assert syslog.texts() == [
        "info: guest-ping called",
        'info: guest-exec called: "/bin/x a b c\\x0ad"',
        'info: guest-exec called: "x"',
        "info: guest-exec-status called, pid: 7",
        "info: guest-fstrim called",
        "info: guest-shutdown called, mode: nonsense",
        "info: guest-shutdown called, mode: powerdown",
    ]


def test_what_is_refused_is_not_told(make: AgentFactory, syslog: LogDaemon) -> None:
    agent = make(blocked=["guest-ping"])
    ask(agent, "guest-ping")
    ask(agent, "guest-file-close")
    ask(agent, "guest-file-close", handle="x")
    ask(agent, "guest-nonsense")
    assert syslog.texts() == []


def test_journald_gets_fields(agent: Agent, journald: LogDaemon, syslog: LogDaemon) -> None:
    call(agent, "guest-ping")
    call(agent, "guest-ping")
    handle = call(agent, "guest-file-open", path="/")
    ping, again, opening, opened = journald.events()
    common = {"PRIORITY": "6", "SYSLOG_FACILITY": "1", "SYSLOG_IDENTIFIER": "qga-agent"}
    assert ping == again == common | {"MESSAGE": "guest-ping called", "QGA_COMMAND": "guest-ping"}
    assert opening == common | {
        "MESSAGE": "guest-file-open called, filepath: /, mode: r",
        "QGA_COMMAND": "guest-file-open",
        "QGA_PATH": "/",
        "QGA_MODE": "r",
    }
    assert opened["QGA_HANDLE"] == str(handle)
    assert syslog.texts() == []


def test_a_request_cannot_forge_messages(agent: Agent, journald: LogDaemon) -> None:
    ask(agent, "guest-file-open", path="/x\nMESSAGE=forged\nPRIORITY=0\x00\udce9" + "y" * 100_000)
    message = journald.message()
    found = fields(message)
    assert found["PRIORITY"] == "6"
    assert found["QGA_PATH"].startswith("/x\\x0aMESSAGE=forged\\x0aPRIORITY=0\\x00\\xdce9yyy")
    assert len(message) < 20_000


# The daemon.


def test_a_daemon_that_is_busy_loses_messages_and_is_told_so(
    agent: Agent, syslog: LogDaemon
) -> None:
    for _ in range(5000):
        call(agent, "guest-ping")
    assert 0 < len(syslog.texts()) < 5000
    call(agent, "guest-ping")
    ping, lost = syslog.texts()
    assert ping == "info: guest-ping called"
    assert lost.startswith("warning: ")
    assert lost.endswith(" messages were lost: the log daemon was busy")
    call(agent, "guest-ping")
    assert syslog.texts() == ["info: guest-ping called"]


def test_a_daemon_that_is_started_again_is_found(
    agent: Agent, syslog: LogDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_RETRY", 0.0)
    call(agent, "guest-ping")
    syslog.close()
    call(agent, "guest-ping")  # nobody is there
    again = LogDaemon(tmp_path / "syslog")
    call(agent, "guest-ping")
    assert again.texts() == ["info: guest-ping called"]
    again.close()
    other = LogDaemon(tmp_path / "journal")
    call(agent, "guest-ping")
    assert len(other.events()) == 1
    other.close()


def test_nobody_is_looked_for_all_the_time(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    call(agent, "guest-ping")
    syslog = LogDaemon(tmp_path / "syslog")
    for _ in range(3):
        call(agent, "guest-ping")
    assert syslog.texts() == []
    now[0] += 5
    call(agent, "guest-ping")
    assert syslog.texts() == ["info: guest-ping called"]
    syslog.close()


def test_commands_work_without_a_daemon_and_without_descriptors(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = own_descriptors()
    call(agent, "guest-ping")
    assert own_descriptors() == before

    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(journal, "_RETRY", 0.0)
    monkeypatch.setattr("qga.agent.journal.socket.socket", refuse)
    assert call(agent, "guest-ping") == {}


# While file systems are frozen.


def test_the_account_waits_for_the_thaw(agent: Agent, journald: LogDaemon) -> None:
    call(agent, "guest-fsfreeze-freeze")
    assert [event["MESSAGE"] for event in journald.events()] == ["guest-fsfreeze called"]
    for _ in range(2000):
        call(agent, "guest-ping")
    assert journald.events() == []
    call(agent, "guest-fsfreeze-thaw")
    pings, thaw = journald.events()
    assert pings["MESSAGE"] == "guest-ping called (2000 times)"
    assert thaw["MESSAGE"] == "guest-fsthaw called"
    assert thaw["SYSLOG_TIMESTAMP"].count(":") == 2
    call(agent, "guest-ping")
    assert "SYSLOG_TIMESTAMP" not in journald.events()[0]


# The agent's own messages.


def test_messages_go_to_journald_when_stderr_does(start: Starter) -> None:
    journald = LogDaemon(start.folder / "journal")
    reader, writer = os.pipe()
    status = os.fstat(writer)
    stream = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    running = start("-v", env=stream, stderr=writer, changes=directed(start.folder))
    os.close(writer)
    running.call("guest-ping")
    assert running.end() == 0
    found = journald.events()
    assert {
        "MESSAGE": "guest-ping",
        "PRIORITY": "7",
        "SYSLOG_FACILITY": "1",
        "SYSLOG_IDENTIFIER": "qga-agent",
        "QGA_COMMAND": "guest-ping",
    } in found
    assert "guest-ping called" in [event["MESSAGE"] for event in found]
    assert os.read(reader, 1000) == b""
    os.close(reader)
    journald.close()


@pytest.mark.parametrize("options", [(), ("-l", "log")])
def test_a_file_or_another_stderr_is_preferred_to_journald(
    start: Starter, options: tuple[str, ...]
) -> None:
    journald = LogDaemon(start.folder / "journal")
    running = start("-v", *options, env={"JOURNAL_STREAM": "1:2"}, changes=directed(start.folder))
    running.call("guest-ping")
    assert running.end() == 0
    (event,) = journald.events()
    assert event["MESSAGE"] == "guest-ping called"
    log = start.folder / "log"
    text = log.read_text(encoding="utf-8") if options else running.errors()
    assert ": debug: guest-ping\n" in text
    journald.close()
