"""guest-set-user-password, with another program in place of the one that sets it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux import LinuxSystem
from qga.wire.splitter import Splitter
from tests.agent.conftest import AgentFactory
from tests.agent.harness import own_descriptors, request
from tests.agent.pending import desc, finish


class FakeAccounts:
    """A program in place of chpasswd."""

    def __init__(self, program: list[str]) -> None:
        self.program = program

    def password_command(self, *, crypted: bool) -> list[str]:
        return [*self.program, "-e"] if crypted else self.program


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """The file with what the program was given: its options, and its input."""
    return tmp_path / "given"


@pytest.fixture
def accounts(given: Path) -> FakeAccounts:
    return FakeAccounts(["/bin/sh", "-c", f'echo "[$*]" > {given}; cat >> {given}', "sh"])


@pytest.fixture
def agent(make: AgentFactory, accounts: FakeAccounts) -> Agent:
    return make(FakeSystem(accounts=accounts))


def encoded(password: bytes) -> str:
    return base64.b64encode(password).decode()


def change(agent: Agent, password: bytes, user: str = "alice", *, crypted: bool = False) -> Any:
    return finish(
        agent,
        "guest-set-user-password",
        username=user,
        password=encoded(password),
        crypted=crypted,
    )


@pytest.mark.parametrize(
    ("password", "line"),
    [
        (b"secret", b"alice:secret\n"),
        (b"", b"alice:\n"),
        (b"two words: \xff $HOME", b"alice:two words: \xff $HOME\n"),
        (b"cut\0off\n", b"alice:cut\n"),
        (bytes(range(11, 256)) * 4000, b"alice:" + bytes(range(11, 256)) * 4000 + b"\n"),
    ],
)
def test_a_password(agent: Agent, given: Path, password: bytes, line: bytes) -> None:
    before = own_descriptors()
    assert change(agent, password) == {"return": {}}
    assert given.read_bytes() == b"[]\n" + line
    assert change(agent, password, crypted=True) == {"return": {}}
    assert given.read_bytes() == b"[-e]\n" + line
    assert own_descriptors() == before


def test_a_password_of_a_megabyte_from_the_wire(agent: Agent, given: Path) -> None:
    """Where strings that long are decoded while they arrive."""
    arguments = {"username": "alice", "password": encoded(b"x" * 1_000_000), "crypted": False}
    text = json.dumps(request("guest-set-user-password", arguments))
    (message,) = Splitter().feed(text.encode() + b"\n")
    assert message["arguments"]["username"] == "alice"
    arguments = {key.replace("-", "_"): value for key, value in message["arguments"].items()}
    assert finish(agent, "guest-set-user-password", **arguments) == {"return": {}}
    assert given.read_bytes() == b"[]\nalice:" + b"x" * 1_000_000 + b"\n"


@pytest.mark.parametrize(
    ("user", "password", "text"),
    [
        ("alice", b"a\nb", "forbidden characters in raw password"),
        ("a:b", b"a\nb", "forbidden characters in raw password"),
        ("a:b", b"", "forbidden characters in username"),
        ("a\nb", b"", "forbidden characters in username"),
        ("a\0b", b"", "forbidden characters in username"),
    ],
)
def test_forbidden_characters(
    agent: Agent, given: Path, user: str, password: bytes, text: str
) -> None:
    assert desc(change(agent, password, user)) == text
    assert not given.exists()


FAILED = "child process has failed to set user password: "


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo user not known >&2; exit 1", FAILED + "user not known\n"),
        ("cat; exit 1", FAILED + "exit status 1"),
        ("echo the password is secret; kill -9 $$", "child process has terminated abnormally"),
    ],
)
def test_what_the_program_says_without_the_password(
    agent: Agent, accounts: FakeAccounts, script: str, text: str
) -> None:
    accounts.program = ["/bin/sh", "-c", script]
    assert desc(change(agent, b"secret")) == text


def test_no_program(agent: Agent, accounts: FakeAccounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    accounts.program = ["no-such-chpasswd"]
    text = FAILED + "failed to exec 'no-such-chpasswd': No such file or directory"
    assert desc(change(agent, b"secret")) == text


def test_the_program_of_linux() -> None:
    accounts = LinuxSystem().accounts
    assert accounts.password_command(crypted=False) == ["chpasswd"]
    assert accounts.password_command(crypted=True) == ["chpasswd", "-e"]
