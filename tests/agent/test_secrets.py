"""What requests contain is in no log, whatever becomes of them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.errors import BadArgument, GuestOSError
from qga.protocol import COMMANDS
from qga.protocol.codec import split_optional
from qga.protocol.model import (
    Alternate,
    Command,
    Data,
    Enum,
    Struct,
    annotation,
    members,
    wire_name,
)
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import answer, request
from tests.agent.logdaemon import LogDaemon, directed

SECRET = "S3CRET"
ENCODED = base64.b64encode(SECRET.encode()).decode()

# What the account names on purpose.
NAMED = {
    ("guest-exec", "path"),
    ("guest-exec", "arg"),
    ("guest-file-open", "path"),
    ("guest-file-open", "mode"),
    ("guest-shutdown", "mode"),
}


def secret_of(kind: Any) -> Any:
    """A valid value with a secret wherever one can be."""
    kind, _ = split_optional(kind)
    if isinstance(kind, Alternate):
        return secret_of(next(iter(kind.branches.values())))
    if kind is str:
        return SECRET
    if kind in {bytes, Data}:
        return ENCODED
    if getattr(kind, "__origin__", None) is list:
        return [secret_of(kind.__args__[0])]
    if kind is bool:
        return True
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind.VALUES))
    if isinstance(kind, type) and issubclass(kind, Struct):
        return {
            wire_name(name, m): secret_of(annotation(kind, name))
            for name, m in members(kind).items()
        }
    return 1


def secret_arguments(command: type[Command[Any]]) -> dict[str, Any]:
    found = {}
    for name, description in members(command).items():
        member = wire_name(name, description)
        value = secret_of(annotation(command, name))
        if (command.NAME, member) in NAMED:
            value = json.loads(json.dumps(value).replace(SECRET, "known"))
        found[member] = value
    return found


@pytest.fixture
def logs(make: AgentFactory, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator["Logs"]:
    found = Logs(make(verbose=True, blocked=[]), tmp_path, capfd)
    yield found
    found.syslog.close()


class Logs:
    """An agent whose handlers do nothing, and all that it tells about itself."""

    def __init__(self, agent: Agent, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.agent = agent
        self.syslog = LogDaemon(folder / "syslog")
        self._capfd = capfd
        self.behave(None)

    def behave(self, error: Exception | None) -> None:
        """Let each handler return, or raise *error*."""

        def handler(_: object, __: object) -> int:
            if error is not None:
                raise error
            return 1

        for entry in self.agent.dispatcher.entries.values():
            entry.handler = handler

    def text(self) -> str:
        return self._capfd.readouterr().err + "\n".join(self.syslog.pending())


def requests() -> Iterator[Any]:
    for command in COMMANDS:
        arguments = secret_arguments(command)
        yield request(command.NAME, arguments, id=SECRET)
        yield request(command.NAME, {**arguments, SECRET: SECRET})
        yield request(command.NAME, {**arguments}, **{SECRET: SECRET})
        for member in arguments:
            if (command.NAME, member) not in NAMED:
                for wrong in (SECRET, {SECRET: SECRET}, [SECRET], [[SECRET]], -1):
                    yield request(command.NAME, {**arguments, member: wrong})
    yield {"execute": SECRET}
    yield {"execute": {SECRET: SECRET}}
    yield [SECRET]
    yield SECRET


def test_there_are_secrets_in_these_requests() -> None:
    found = {
        (command.NAME, member)
        for command in COMMANDS
        for member, value in secret_arguments(command).items()
        if SECRET in json.dumps(value) or ENCODED in json.dumps(value)
    }
    assert found >= {
        ("guest-file-write", "buf-b64"),
        ("guest-exec", "env"),
        ("guest-exec", "input-data"),
        ("guest-set-user-password", "password"),
        ("guest-ssh-add-authorized-keys", "keys"),
    }


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError(SECRET),
        OSError(5, SECRET, SECRET),
        GuestOSError(SECRET, 5),
        BadArgument(SECRET),
        MemoryError(SECRET),
        UnicodeEncodeError("ascii", SECRET, 0, 1, SECRET),
    ],
)
def test_no_log_has_what_was_in_a_request(logs: Logs, error: Exception | None) -> None:
    logs.behave(error)
    for message in requests():
        answer(logs.agent, message)
        told = logs.text()
        assert SECRET not in told, message
        assert ENCODED not in told, message
    answer(logs.agent, request("guest-ping"))
    assert "guest-ping" in logs.text()


def test_no_log_has_what_was_in_broken_requests(start: Starter) -> None:
    syslog = LogDaemon(start.folder / "syslog")
    log = start.folder / "log"
    running = start("-v", "-l", str(log), changes=directed(start.folder))
    with running.connect() as peer:
        for text in (
            f'{{"execute": "guest-file-write", "arguments": {{"buf-b64": "{ENCODED}", }}}}',
            f'{{"execute": "guest-file-write", "arguments": {{"buf-b64": "{ENCODED}}}}}\x01',
            f'{{"{SECRET}": tRue}}',
            f"{{'{SECRET}': 1, '{SECRET}': 2}}",
            f'["{SECRET}\\ud800"]',
            f"{SECRET}",
            f'{{"execute": "guest-ping", "id": "{SECRET}"}}',
        ):
            peer.send(text.encode() + b"\n")
            peer.line()
        peer.send(b'\xff{"execute": "guest-ping"}\n')
        while b"return" not in peer.line():
            pass
        # One that its sender never finishes.
        peer.send(f'{{"execute": "guest-file-write", "arguments": {{"x": "{SECRET}'.encode())
    assert running.end() == 0
    told = log.read_text(encoding="utf-8") + running.errors() + "\n".join(syslog.pending())
    assert SECRET not in told
    assert ENCODED not in told
    assert "guest-ping" in told
    syslog.close()
