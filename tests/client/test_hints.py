"""What errors say is to be done."""

import errno
import grp
import os
import pwd
from pathlib import Path

import pytest

import qga
from qga.client import hints
from qga.client.flows.steps import Flow, Together
from qga.protocol import FileOpen, Ping, Shutdown
from qga.wire.refusal import refusal
from tests.support.stock import RunningAgent

from .peer import Peer, Peers


def advised(kind: str, desc: str) -> qga.CommandError:
    error = refusal({"class": kind, "desc": desc})
    hints.advise(error)
    return error


@pytest.mark.parametrize(
    ("kind", "desc", "hint"),
    [
        (
            "CommandNotFound",
            "The command guest-get-osinfo has not been found",
            "the agent in the guest is too old: qemu-ga has it since 2.10",
        ),
        (
            "CommandNotFound",
            "The command guest-get-devices has not been found",
            "only agents of Windows guests have it",
        ),
        (
            "CommandNotFound",
            "The command guest-nonsense has not been found",
            "the agent in the guest has no such command",
        ),
        (
            "CommandNotFound",
            "Command guest-exec has been disabled: the command is not allowed",
            (
                "the agent's configuration in the guest (block-rpcs, allow-rpcs) forbids it, "
                "or a freeze does"
            ),
        ),
        (
            "CommandNotFound",
            "Command guest-exec has been disabled: the agent is in frozen state",
            "file systems of the guest are frozen: thaw() ends that",
        ),
        (
            "GenericError",
            "Parameter 'new' is unexpected",
            "agents of this version do not have it",
        ),
        ("GenericError", "failed to open file '/x': No such file or directory", ""),
    ],
)
def test_what_an_agent_answers(kind: str, desc: str, hint: str) -> None:
    error = advised(kind, desc)
    assert (error.hint, error.desc, error.text) == (hint, desc, desc)
    assert str(error) == (f"{desc}; {hint}" if hint else desc)


def test_every_way_of_asking_is_advised(agent: RunningAgent) -> None:
    with qga.connect(agent.target) as client:
        for ask in (
            lambda: client.call("guest-shutdown"),
            client.shutdown,
            lambda: client.perform(together()),
        ):
            with pytest.raises(qga.CommandDisabled, match=r"guest-shutdown .*; the agent's config"):
                ask()


def together() -> Flow[None]:
    yield Together([Ping(), Shutdown()])


def test_time_is_over(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-file-open")
        peer.request()

    client = peers(script)
    with pytest.raises(qga.AgentTimeout) as raised:
        client.execute(FileOpen(path="/x"), timeout=0.2)
    assert str(raised.value) == (
        "guest-file-open: no answer within 0.2 s; "
        "the guest may still be at it: a longer timeout waits for it"
    )


def test_a_channel_that_cannot_be_opened(tmp_path: Path) -> None:
    def why(target: str, number: int) -> str:
        return hints.opening(target, OSError(number, os.strerror(number)))

    path = tmp_path / "s"
    path.touch(0o640)
    path.chmod(0o640)
    owner = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(path.stat().st_gid).gr_name}"
    denied = why(f"unix:{path}", errno.EACCES)
    assert denied == f"it is of {owner} with mode 0640: be that user, or in that group"
    assert "of nobody" in why(f"serial:{tmp_path}/absent", errno.EACCES)
    assert "the path of its agent's channel?" in why("unix:/nowhere", errno.ENOENT)
    assert "nobody listens" in why("unix:/somewhere", errno.ECONNREFUSED)
    assert "it is no socket" in why(f"unix:{path}", errno.ECONNREFUSED)
    assert "with this CID" in why("vsock:3:1234", errno.ENODEV)
    assert why("unix:/somewhere", errno.EIO) == ""
    assert hints.opening("unix:/somewhere", None) == ""


def test_a_directory_that_may_not_be_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    tmp_path.chmod(0o700)
    hint = hints.opening(f"unix:{tmp_path}/s", PermissionError(errno.EACCES, "denied"))
    assert hint.startswith(f"this user may not enter {tmp_path}, which is of ")
    assert hint.endswith("with mode 0700")
