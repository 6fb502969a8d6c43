"""The dialects of older agents: `compat`, by the versions in the declarations."""

import os
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.errors import CommandError
from qga.protocol import COMMANDS, UPSTREAM_VERSION
from qga.protocol.model import version
from tests.agent.conftest import AgentFactory
from tests.agent.harness import answer, call, raw_answer, request, until

OF_2011 = {
    "guest-sync", "guest-ping", "guest-info", "guest-shutdown", "guest-file-open",
    "guest-file-close", "guest-file-read", "guest-file-write", "guest-file-seek",
    "guest-file-flush", "guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-fsfreeze-thaw",
}  # fmt: skip


@pytest.fixture
def old(make: AgentFactory) -> Agent:
    """An agent that speaks as that of 2011 did."""
    return make(compat="1.0")


def names(agent: Agent) -> set[str]:
    return {entry["name"] for entry in call(agent, "guest-info")["supported_commands"]}


def error(agent: Agent, message: Any) -> Any:
    reply = answer(agent, message)
    assert set(reply) == {"error"}
    return reply["error"]


# Versions.


@pytest.mark.parametrize("since", ["1.0", "1.1", "2.5", "7.2", "9.1", UPSTREAM_VERSION])
def test_an_agent_has_the_commands_of_its_version(make: AgentFactory, since: str) -> None:
    agent = make(compat=since)
    known = {
        command.NAME
        for command in COMMANDS
        if version(command.SINCE) <= version(since)
        # Those of other platforms were there, disabled, until 9.0.
        and not (command.PLATFORM and version(since) >= (9, 1))
    }
    assert names(agent) == known == set(agent.dispatcher.entries)
    assert call(agent, "guest-info")["version"] == since
    for command in COMMANDS:
        if command.NAME not in known:
            assert "error" in answer(agent, request(command.NAME, {"id": 1}))


def test_commands_of_other_platforms_are_disabled_before_9_1(make: AgentFactory) -> None:
    agent = make(compat="9.0")
    listed = call(agent, "guest-info")["supported_commands"]
    elsewhere = [command.NAME for command in COMMANDS if command.PLATFORM]
    assert elsewhere == ["guest-get-devices"]
    assert [entry["name"] for entry in listed if not entry["enabled"]] == elsewhere
    desc = "Command guest-get-devices has been disabled: the command is not allowed"
    assert error(agent, request("guest-get-devices"))["desc"] == desc
    desc = "The command guest-get-devices has not been found"
    assert error(make(compat="9.1"), request("guest-get-devices"))["desc"] == desc


def test_the_version_told_by_default_is_that_of_the_schema(agent: Agent) -> None:
    assert call(agent, "guest-info")["version"] == UPSTREAM_VERSION


@pytest.mark.parametrize(("since", "member"), [("1.6", False), ("1.7", True), ("7.2", True)])
def test_success_response_is_told_since_1_7(make: AgentFactory, since: str, member: bool) -> None:
    for entry in call(make(compat=since), "guest-info")["supported_commands"]:
        assert ("success-response" in entry) is member


@pytest.mark.parametrize(("since", "known"), [("1.0", False), ("3.1", False), ("4.0", True)])
def test_ids_are_known_since_4_0(make: AgentFactory, since: str, known: bool) -> None:
    reply = answer(make(compat=since), request("guest-ping", id=7))
    assert (reply == {"return": {}, "id": 7}) is known
    assert ("error" in reply) is not known
    assert ("id" in reply) is known


@pytest.mark.parametrize(("since", "strict"), [("1.0", False), ("1.1", True), ("7.2", True)])
def test_unknown_arguments_are_refused_since_1_1(
    make: AgentFactory, since: str, strict: bool
) -> None:
    reply = answer(make(compat=since), request("guest-sync", {"id": 3, "foo": 1}))
    assert ("error" in reply) is strict
    assert (reply == {"return": 3}) is not strict


@pytest.mark.parametrize(("since", "legacy"), [("1.0", True), ("1.1", True), ("1.2", False)])
def test_errors_have_a_text_since_1_2(make: AgentFactory, since: str, legacy: bool) -> None:
    told = error(make(compat=since), request("guest-absent"))
    assert set(told) == ({"class", "data"} if legacy else {"class", "desc"})


@pytest.mark.parametrize(("since", "names_too"), [("2.5", False), ("2.6", True)])
def test_whence_may_be_a_name_since_2_6(
    make: AgentFactory, tmp_path: Path, since: str, names_too: bool
) -> None:
    agent = make(compat=since)
    handle = call(agent, "guest-file-open", path=str(tmp_path))
    for whence in ("set", "cur"):
        reply = answer(
            agent, request("guest-file-seek", {"handle": handle, "offset": 0, "whence": whence})
        )
        assert ("return" in reply) is names_too
    assert call(agent, "guest-file-seek", handle=handle, offset=0, whence=1)["position"] == 0


@pytest.mark.parametrize(("since", "answered"), [("1.0", True), ("1.1", False)])
def test_a_shutdown_is_answered_before_1_1(make: AgentFactory, since: str, answered: bool) -> None:
    agent = make(FakeSystem(shutdown=["/bin/false"]), compat=since)
    reply = raw_answer(agent, request("guest-shutdown"))
    # At once, whatever becomes of the program.
    assert (reply == b'{"return": {}}\n') is answered

    def ended() -> bool:
        agent.programs.on_child_ended()
        return not agent.programs._running

    until(ended, "the program to end")


# The dialect of 2011.


def test_the_agent_of_2011_has_thirteen_commands(old: Agent) -> None:
    assert len(OF_2011) == 13
    assert names(old) == OF_2011
    assert call(old, "guest-info")["version"] == "1.0"


@pytest.mark.parametrize(
    ("message", "name", "data"),
    [
        (request("guest-absent"), "CommandNotFound", {"name": "guest-absent"}),
        (request("guest-sync-delimited", {"id": 1}), "CommandNotFound",
         {"name": "guest-sync-delimited"}),
        (request("guest-sync"), "MissingParameter", {"name": "id"}),
        (request("guest-sync", {"id": "1"}), "InvalidParameterType",
         {"name": "id", "expected": "integer"}),
        (request("guest-file-close", {"handle": 5}), "FdNotFound", {"name": "5"}),
        (request("guest-file-open", {"path": "/absent"}), "OpenFileFailed",
         {"filename": "/absent"}),
        (request("guest-file-open", {"path": "/", "mode": "x"}), "InvalidParameter",
         {"name": "mode"}),
        (request("guest-shutdown", {"mode": "x"}), "InvalidParameter", {"name": "mode"}),
        (request("guest-ping", id=1), "QMPExtraInputMember", {"member": "id"}),
        ([], "QMPBadInputObject", {"expected": "object"}),
        ({}, "QMPBadInputObject", {"expected": "execute"}),
        ({"execute": 1}, "QMPBadInputObjectMember", {"member": "execute", "expected": "string"}),
        (CommandError("text"), "QgaCommandFailed", {"message": "text"}),
    ],
)  # fmt: skip
def test_errors_of_2011_are_class_and_data(
    old: Agent, message: Any, name: str, data: dict[str, str]
) -> None:
    assert error(old, message) == {"class": name, "data": data}


def test_whence_of_2011_goes_to_the_kernel_as_it_came(old: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    handle = call(old, "guest-file-open", path=str(tmp_path / "file"))
    for whence, position in ((0, 4), (1, 8), (2, 14)):
        result = call(old, "guest-file-seek", handle=handle, offset=4, whence=whence)
        assert result == {"position": position, "eof": False}
    result = call(old, "guest-file-seek", handle=handle, offset=2, whence=os.SEEK_HOLE)
    assert result["position"] == 10
    told = error(old, request("guest-file-seek", {"handle": handle, "offset": 0, "whence": 99}))
    assert told["class"] == "QgaCommandFailed"


def test_a_failed_thaw_of_2011_returns_a_negative_errno(make: AgentFactory) -> None:
    system = FakeSystem("/", "/data")
    agent = make(system, compat="1.0")
    assert call(agent, "guest-fsfreeze-freeze") == 2
    system.freezer.fail("thaw", "/", 5)
    assert call(agent, "guest-fsfreeze-thaw") == -5
    assert call(agent, "guest-fsfreeze-status") == "error"
    assert call(agent, "guest-fsfreeze-thaw") == 1
    assert call(agent, "guest-fsfreeze-status") == "thawed"


def test_a_failed_freeze_of_2011_is_an_error(make: AgentFactory) -> None:
    system = FakeSystem("/")
    agent = make(system, compat="1.0")
    system.freezer.fail("freeze", "/", 5)
    assert error(agent, request("guest-fsfreeze-freeze"))["class"] == "QgaCommandFailed"
    assert call(agent, "guest-fsfreeze-status") == "thawed"
