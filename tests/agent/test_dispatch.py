"""From a message to its reply: errors, policy, ids, results that come later."""

import errno
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.dispatch import Deferred
from qga.agent.later import Pending, Stream
from qga.agent.policy import Policy
from qga.errors import CommandError, GuestOSError
from qga.protocol import COMMANDS, Ping
from tests.agent.conftest import AgentFactory
from tests.agent.harness import answer, call, raw_answer, refusal, request

IDS = [
    None, True, False, 0, -1, 2**63, -(2**63), 1.5, "", 'text \u00e9 \U0001f600 "\\\n',
    [], {}, [1, [2, {"three": None}]], {"execute": "guest-ping", "id": 1},
]  # fmt: skip


def handler_is(monkeypatch: pytest.MonkeyPatch, agent: Agent, handler: Any) -> None:
    """Let *handler* answer guest-ping."""
    monkeypatch.setattr(agent.dispatcher.entries["guest-ping"], "handler", handler)


def raising(error: BaseException) -> Any:
    def handler(agent: Agent, command: Ping) -> None:
        raise error

    return handler


# Replies.


@pytest.mark.parametrize("identity", IDS)
def test_the_id_comes_back_whatever_it_is(agent: Agent, identity: Any) -> None:
    assert answer(agent, request("guest-ping", id=identity)) == {"return": {}, "id": identity}
    reply = answer(agent, request("guest-absent", id=identity))
    assert reply["id"] == identity
    assert set(reply) == {"id", "error"}
    reply = answer(agent, {"exec": 1, "id": identity})
    assert reply["id"] == identity


def test_a_reply_without_an_id_has_none(agent: Agent) -> None:
    assert answer(agent, request("guest-ping")) == {"return": {}}
    assert set(answer(agent, request("guest-absent"))) == {"error"}


def test_replies_are_one_line_of_ascii(agent: Agent) -> None:
    raw = raw_answer(agent, request("guest-ping", id="\u00e9\n\U0001f600"))
    assert isinstance(raw, bytes)
    assert raw.isascii()
    assert raw.index(b"\n") == len(raw) - 1


def test_sync_delimited_is_preceded_by_ff(agent: Agent) -> None:
    assert raw_answer(agent, request("guest-sync-delimited", {"id": 1})) == b'\xff{"return": 1}\n'
    assert raw_answer(agent, request("guest-sync", {"id": 1})) == b'{"return": 1}\n'
    raw = raw_answer(agent, request("guest-sync-delimited", {"id": "1"}))
    assert isinstance(raw, bytes)
    assert raw.startswith(b'{"error"')


# Requests that are none.


def test_errors_of_the_splitter_have_each_their_own_reply(agent: Agent) -> None:
    first, second = CommandError("JSON parse error, one"), CommandError("JSON parse error, two")
    for error in (first, first, second, first, MemoryError(), second, second):
        desc = error.desc if isinstance(error, CommandError) else "not enough memory"
        assert answer(agent, error)["error"]["desc"].startswith(desc)
        assert not isinstance(error, CommandError) or error.__traceback__ is None


BAD_ARGUMENTS = "QMP input member 'arguments' must be an object"
NO_INTEGER = "Invalid parameter type for 'id', expected: integer"


@pytest.mark.parametrize(
    ("message", "desc"),
    [
        (1, "QMP input must be a JSON object"),
        ([], "QMP input must be a JSON object"),
        (None, "QMP input must be a JSON object"),
        ({}, "QMP input lacks member 'execute'"),
        ({"execute": 1}, "QMP input member 'execute' must be a string"),
        ({"execute": None}, "QMP input member 'execute' must be a string"),
        (request("guest-ping") | {"arguments": None}, BAD_ARGUMENTS),
        (request("guest-ping") | {"arguments": []}, BAD_ARGUMENTS),
        ({"execute": "guest-ping", "control": {}}, "QMP input member 'control' is unexpected"),
        ({"exec-oob": "guest-ping"}, "QMP input member 'exec-oob' is unexpected"),
        (request("guest-ping", {"x": 1}), "Parameter 'x' is unexpected"),
        (request("guest-sync"), "Parameter 'id' is missing"),
        (request("guest-sync", {"id": "1"}), NO_INTEGER),
        (request("guest-sync", {"id": 1.0}), NO_INTEGER),
        (request("guest-sync", {"id": True}), NO_INTEGER),
        (request("guest-sync", {"id": None}), NO_INTEGER),
        (request("guest-sync", {"id": 2**63}), NO_INTEGER),
        (
            request("guest-file-open", {"path": "/", "mode": None}),
            "Invalid parameter type for 'mode', expected: string",
        ),
    ],
)
def test_bad_requests(agent: Agent, message: Any, desc: str) -> None:
    assert answer(agent, message) == {"error": {"class": "GenericError", "desc": desc}}


@pytest.mark.parametrize("name", ["guest-absent", "", "GUEST-PING", "guest-ping ", "qga"])
def test_commands_that_do_not_exist(agent: Agent, name: str) -> None:
    desc = f"The command {name} has not been found"
    assert answer(agent, request(name)) == {"error": {"class": "CommandNotFound", "desc": desc}}


def test_what_the_splitter_refused_is_told(agent: Agent) -> None:
    reply = answer(agent, CommandError("JSON parse error, expecting value"))
    assert reply["error"]["desc"] == "JSON parse error, expecting value"


# What handlers raise.


@pytest.mark.parametrize(
    ("error", "desc"),
    [
        (CommandError("as it is"), "as it is"),
        (GuestOSError("with a number", 5), "with a number"),
        (OSError(errno.EACCES, os.strerror(errno.EACCES), "/secret"), "Permission denied"),
        (OSError("odd"), "odd"),
        (MemoryError(), "not enough memory in the guest for this request"),
        (ValueError("s3cret"), "internal error: ValueError"),
        (RecursionError("s3cret"), "internal error: RecursionError"),
        (AssertionError(), "internal error: AssertionError"),
    ],
)
def test_whatever_a_handler_raises_is_answered(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, error: Exception, desc: str
) -> None:
    handler_is(monkeypatch, agent, raising(error))
    reply = answer(agent, request("guest-ping", id=1))
    assert reply == {"id": 1, "error": {"class": "GenericError", "desc": desc}}
    assert call(agent, "guest-sync", id=2) == 2


def test_the_log_of_a_mishap_tells_where_and_no_content(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    handler_is(monkeypatch, agent, raising(ValueError("s3cret")))
    answer(agent, request("guest-ping", id="s3cret"))
    logged = capfd.readouterr().err
    assert "critical: ValueError at dispatch.py:" in logged
    assert "test_dispatch.py:" in logged
    assert "s3cret" not in logged


def test_a_verbose_log_has_no_content_either(
    make: AgentFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = make(verbose=True)
    handle = call(agent, "guest-file-open", path="/dev/null", mode="w")
    call(agent, "guest-file-write", handle=handle, buf_b64="czNjcmV0")
    refusal(agent, "guest-file-open", path="/s3cret")
    logged = capfd.readouterr().err
    assert "guest-file-write" in logged
    assert "s3cret" not in logged
    assert "czNjcmV0" not in logged


# Results that come later.


def test_a_pending_result_is_answered_when_it_comes(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending: Pending[None] = Pending()
    handler_is(monkeypatch, agent, lambda agent, command: pending)
    replies: list[list[bytes]] = []
    reply = raw_answer(agent, request("guest-ping", id=4))
    assert isinstance(reply, Deferred)
    reply.when_done(replies.append)
    assert replies == []
    pending.resolve(lambda: None)
    assert json.loads(b"".join(replies[0])) == {"return": {}, "id": 4}


def test_a_pending_result_may_fail_or_have_come_already(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending: Pending[None] = Pending()

    def fail() -> None:
        raise CommandError("too late")

    pending.resolve(fail)
    handler_is(monkeypatch, agent, lambda agent, command: pending)
    replies: list[list[bytes]] = []
    reply = raw_answer(agent, request("guest-ping", id=4))
    assert isinstance(reply, Deferred)
    reply.when_done(replies.append)
    assert json.loads(b"".join(replies[0]))["error"]["desc"] == "too late"


def test_a_stream_is_wrapped_in_a_reply(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    handler_is(monkeypatch, agent, lambda agent, command: Stream(iter([b"[1", b", 2]"])))
    reply = agent.dispatcher.answer(request("guest-ping", id=[]))
    assert isinstance(reply, Iterator)
    assert json.loads(b"".join(reply)) == {"return": [1, 2], "id": []}


# Policy.


def test_all_commands_are_allowed_by_default() -> None:
    policy = Policy()
    assert all(policy.allows(command.NAME) for command in COMMANDS if not command.PLATFORM)
    assert not any(policy.allows(command.NAME) for command in COMMANDS if command.PLATFORM)


@pytest.mark.parametrize(
    ("allowed", "blocked", "enabled"),
    [
        ([], ["guest-ping"], False),
        (["guest-ping"], [], True),
        (["guest-sync"], [], False),
        (["guest-ping"], ["guest-ping"], False),
        (["no-such-command"], [], False),
        ([], ["no-such-command", "guest-*", "GUEST-PING"], True),
    ],
)
def test_the_lists_of_the_configuration(
    make: AgentFactory, allowed: list[str], blocked: list[str], enabled: bool
) -> None:
    agent = make(allowed=allowed, blocked=blocked)
    reply = answer(agent, request("guest-ping", {"unexpected": 1}))
    desc = "Command guest-ping has been disabled: the command is not allowed"
    refused = {"error": {"class": "CommandNotFound", "desc": desc}}
    # A refusal comes before a look at the arguments.
    assert (reply != refused) is enabled


@pytest.mark.parametrize("lists", [{}, {"blocked": ["guest-fsfreeze-thaw", "guest-info"]}])
def test_while_frozen_only_the_safe_commands_whatever_the_lists(
    make: AgentFactory, lists: dict[str, list[str]]
) -> None:
    agent = make(**lists)
    assert call(agent, "guest-fsfreeze-freeze") == 2
    enabled = {
        entry["name"]
        for entry in call(agent, "guest-info")["supported_commands"]
        if entry["enabled"]
    }
    assert enabled == {
        "guest-ping", "guest-info", "guest-sync", "guest-sync-delimited",
        "guest-fsfreeze-status", "guest-fsfreeze-thaw", "qga-fsfreeze-renew", "qga-fsfreeze-thaw",
        "qga-fsfreeze-report",
    }  # fmt: skip
    for name in ("guest-file-open", "guest-shutdown", "guest-fsfreeze-freeze"):
        desc = f"Command {name} has been disabled: the command is not allowed"
        assert answer(agent, request(name))["error"] == {"class": "CommandNotFound", "desc": desc}
    assert call(agent, "guest-fsfreeze-thaw") == 2
    assert ("error" in answer(agent, request("guest-fsfreeze-thaw"))) is bool(lists)


def test_info_lists_the_commands_in_upstreams_order(make: AgentFactory) -> None:
    commands = call(make(blocked=["guest-ping"]), "guest-info")["supported_commands"]
    here = [command.NAME for command in COMMANDS if not command.PLATFORM]
    assert [entry["name"] for entry in commands] == here[::-1]
    assert [entry["name"] for entry in commands if not entry["enabled"]] == ["guest-ping"]
    silent = [entry["name"] for entry in commands if not entry["success-response"]]
    assert silent == [
        "guest-suspend-hybrid", "guest-suspend-ram", "guest-suspend-disk", "guest-shutdown",
    ]  # fmt: skip
