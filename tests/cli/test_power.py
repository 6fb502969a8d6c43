"""`qga shutdown`, `reboot`, `halt`, `suspend`: what they say, and whom they ask."""

from collections.abc import Iterator

import pytest

import qga
from qga.client.flows import timing
from qga.protocol import Shutdown
from qga.testing import FakeAgent
from qga.wire import handshake

from .command import Run
from .typist import at_terminal

BOOT_ID = "/proc/sys/kernel/random/boot_id"


@pytest.fixture
def target(fake_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(handshake, "SILENCE", 0.1)
    with fake_agent.serve() as target:
        yield target


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that are over soon, for who does not answer."""
    monkeypatch.setattr(timing, "LOOK", 0.3)


def test_off(fake_agent: FakeAgent, target: str, qga_command: Run) -> None:
    found = qga_command("shutdown", target, "--wait", "-o", "json").json
    assert found.pop("seconds") >= 0
    assert found == {"mode": "powerdown", "refused": False, "down": "off"}
    assert fake_agent.guest.shut_down == ["powerdown"]


@pytest.mark.usefixtures("quick")
def test_halted(fake_agent: FakeAgent, target: str, qga_command: Run) -> None:
    # It answers nothing any more, and its channel is still there.
    fake_agent.disturb(silent=True, skip=4, times=1000)
    fake_agent.reply(Shutdown, None)
    text = qga_command("halt", target, "--wait").text
    assert text.startswith("halt: nobody answers any more; its machine is still there, after ")


def test_rebooted(fake_agent: FakeAgent, target: str, qga_command: Run) -> None:
    def boots(command: Shutdown) -> None:
        fake_agent.guest.shut_down.append(str(command.mode))
        fake_agent.files[BOOT_ID] = b"another\n"

    fake_agent.reply(Shutdown, boots)
    found = qga_command("reboot", target, "--wait", "-o", "json").json
    assert (found["mode"], found["boot_id"]) == ("reboot", "another")
    assert qga_command("shutdown", "--mode", "reboot", target).text.startswith(
        "reboot: the agent d"
    )
    assert fake_agent.guest.shut_down == ["reboot", "reboot"]
    done = qga_command("reboot", target, "--wait", "--timeout", "2")
    assert done.code == 3
    assert "was not booted again after " in done.err
    assert "its agent answers, of the same boot as before" in done.err


def test_what_does_not_go_down(
    fake_agent: FakeAgent, target: str, qga_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_agent.reply(Shutdown, None)
    done = qga_command("shutdown", target, "--wait", "--timeout", "2")
    assert (done.code, done.out) == (3, b"")
    assert "the machine is not off after " in done.err
    monkeypatch.setattr(handshake, "SILENCE", 60.0)  # the error may be slow to come
    fake_agent.reply(Shutdown, qga.CommandError("child process has failed to shutdown"))
    done = qga_command("shutdown", target, "--wait")
    assert (done.code, done.err) == (1, "qga: child process has failed to shutdown\n")


@pytest.mark.usefixtures("quick")
def test_asleep(fake_agent: FakeAgent, target: str, qga_command: Run) -> None:
    assert qga_command("suspend", target).text.startswith("ram: the agent did not refuse")
    fake_agent.disturb(silent=True, skip=4, times=1000)
    found = qga_command("suspend", target, "--mode", "hybrid", "--wait", "-o", "json").json
    assert (found["mode"], found["down"]) == ("hybrid", "silent")
    assert fake_agent.guest.slept == ["ram", "hybrid"]


def test_what_would_be_done(fake_agent: FakeAgent, two: FakeAgent, qga_command: Run) -> None:
    for words, text in (
        (["shutdown"], "power down"),
        (["shutdown", "--mode", "reboot"], "reboot"),
        (["reboot", "--wait"], "reboot"),
        (["halt"], "halt"),
        (["suspend", "--mode", "disk"], "suspend to disk"),
    ):
        done = qga_command(*words, "--all", "--dry-run")
        assert sorted(done.text.splitlines()) == [f"web1: would {text}", f"web2: would {text}"]
    two.blocked.add("guest-shutdown")
    done = qga_command("shutdown", "web2", "--dry-run", "-o", "json", lines=0)
    assert (done.code, done.json) == (
        1, {"mode": "powerdown", "dry_run": True, "allowed": False},
    )  # fmt: skip
    text = qga_command("shutdown", "web2", "--dry-run", lines=0).text
    assert text == "could not power down: the agent does not allow guest-shutdown\n"
    assert fake_agent.guest.shut_down == two.guest.shut_down == []


def test_nobody_shuts_down_many_by_mistake(
    fake_agent: FakeAgent, two: FakeAgent, qga_command: Run
) -> None:
    for words in (["--all"], ["--limit", "web1"], ["web1", "web2"]):
        done = qga_command("shutdown", *words)
        assert done.code == 2
        assert "--yes says that this is meant, --dry-run what would be done" in done.err
    code, shown = at_terminal(
        "reboot", "--all", answers=[("Reboot 2 guests (web1, web2)? [y/N]", "\n")]
    )
    assert code == 130
    assert fake_agent.guest.shut_down == two.guest.shut_down == []
    code, shown = at_terminal(
        "halt", "--all", answers=[("Halt 2 guests (web1, web2)? [y/N]", "y\n")]
    )
    assert code == 0, shown
    assert "qga: 2 guests: 2 done" in shown
    assert fake_agent.guest.shut_down == two.guest.shut_down == ["halt"]
    for agent in (fake_agent, two):
        agent.start()
    assert qga_command("suspend", "--all", "--yes").code == 0
    assert fake_agent.guest.slept == two.guest.slept == ["ram"]
