"""guest-shutdown, with other programs in place of the one that turns the machine off."""

import json
import signal
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.dispatch import Deferred
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.power import LinuxPower
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import raw_answer, refusal, request, until


def shut_down(agent: Agent, **arguments: Any) -> bytes:
    """The reply to guest-shutdown after its program has ended."""
    reply = raw_answer(agent, request("guest-shutdown", arguments, id=1))
    assert isinstance(reply, Deferred)
    replies: list[list[bytes]] = []
    reply.when_done(replies.append)

    def ended() -> bool:
        agent.programs.on_child_ended()
        return bool(replies)

    until(ended, "the program to end")
    return b"".join(replies[0])


def test_a_shutdown_that_works_is_not_answered(make: AgentFactory) -> None:
    system = FakeSystem()
    agent = make(system)
    assert shut_down(agent) == b""
    for mode in ("halt", "powerdown", "reboot"):
        assert shut_down(agent, mode=mode) == b""
    assert system.power.modes == ["powerdown", "halt", "powerdown", "reboot"]


@pytest.mark.parametrize(
    ("script", "desc"),
    [
        ("exit 3", "child process has failed to shutdown: exit status 3"),
        ("echo no; echo way >&2; exit 1", "child process has failed to shutdown: no\nway\n"),
        ("kill -9 $$", "child process has terminated abnormally"),
        ("echo ouch; kill -9 $$", "child process has terminated abnormally: ouch\n"),
        ("head -c 1000000 /dev/zero | tr '\\0' x; exit 1",
         "child process has failed to shutdown: " + 4096 * "x"),
    ],
)  # fmt: skip
def test_a_shutdown_that_fails_tells_what_its_program_said(
    make: AgentFactory, script: str, desc: str
) -> None:
    agent = make(FakeSystem(shutdown=["/bin/sh", "-c", script]))
    reply = json.loads(shut_down(agent))
    assert reply == {"id": 1, "error": {"class": "GenericError", "desc": desc}}


def test_a_program_that_cannot_be_started(make: AgentFactory) -> None:
    agent = make(FakeSystem(shutdown=["/absent/poweroff"]))
    assert refusal(agent, "guest-shutdown") == (
        "child process has failed to shutdown: "
        "failed to exec '/absent/poweroff': No such file or directory"
    )


@pytest.mark.parametrize("mode", ["", "HALT", "suspend"])
def test_bad_modes_of_shutdown(agent: Agent, mode: str) -> None:
    desc = refusal(agent, "guest-shutdown", mode=mode)
    assert desc == "mode is invalid (valid values are: halt|powerdown|reboot"


_SLOW_SHUTDOWN = """
from qga.agent.system.linux.power import LinuxPower
LinuxPower.shutdown_command = lambda self, mode: ["/bin/sleep", "1"]
"""


def test_others_are_served_while_a_program_runs(start: Starter) -> None:
    running = start(changes=_SLOW_SHUTDOWN, blocked="guest-fsfreeze-freeze")
    with running.connect() as waiting, running.connect() as other:
        waiting.send(request("guest-shutdown"), request("guest-sync", {"id": 1}))
        assert other.call("guest-ping") == {}
        # Its next request waits for the program, which sends no reply of its own.
        assert waiting.reply() == {"return": 1}
    assert running.end(signal.SIGTERM) == 0


def test_a_client_that_left_during_a_program_is_forgotten(start: Starter) -> None:
    running = start(changes=_SLOW_SHUTDOWN, blocked="guest-fsfreeze-freeze")
    before = running.descriptors()
    with running.connect() as waiting:
        waiting.send(request("guest-shutdown"), *[request("guest-ping")] * 3)
    until(lambda: running.descriptors() <= before, "the agent to forget its client")
    assert running.call("guest-ping") == {}


@pytest.mark.parametrize(
    ("mode", "program", "option"),
    [("powerdown", "poweroff", "-P"), ("halt", "halt", "-H"), ("reboot", "reboot", "-r")],
)
def test_linux_has_a_program_for_each_mode(
    monkeypatch: pytest.MonkeyPatch, mode: str, program: str, option: str
) -> None:
    power = LinuxPower()
    with monkeypatch.context() as changed:
        changed.setattr("os.access", lambda path, how: path == f"/sbin/{program}")
        assert power.shutdown_command(mode) == [f"/sbin/{program}"]
        changed.setattr("os.access", lambda path, how: False)
        assert power.shutdown_command(mode) == [
            "/sbin/shutdown", "-h", option, "+0", "hypervisor initiated shutdown",
        ]  # fmt: skip
