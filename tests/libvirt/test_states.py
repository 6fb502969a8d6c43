"""An agent that comes, goes and hangs, and a guest that sleeps, restarts and ends."""

import re
import signal

from tests.cli.command import Run, qga_command
from tests.libvirt.pair import Pair
from tests.libvirt.test_client import target
from tests.support.need import need_module
from tests.vm.observe import wait_until

__all__ = ["qga_command"]


def test_the_agent_leaves_and_comes_back(pair: Pair) -> None:
    for domain in pair:
        expected = [
            ["'agent-lifecycle'", f"'{domain.name}'", f"'{state}'", "'channel event'"]
            for state in ("disconnected", "connected")
        ]
        with domain.events("agent-lifecycle") as happened:
            for _ in range(10):  # once, if virsh has begun to listen by then
                domain.kill_agent()
                wait_until(lambda d=domain: not d.connected, "the port is closed")  # type: ignore[misc]
                gone = domain.virsh("domtime")
                assert (gone.code, gone.asked) == (1, ())
                assert "QEMU guest agent is not connected" in gone.err
                domain.start_agent()
                assert domain.connected
                events = [re.findall("'[^']*'", line) for line in happened()[-2:]]
                if events == expected:
                    break
        assert events == expected


def test_an_agent_that_hangs(pair: Pair) -> None:
    pair.succeeds("guest-agent-timeout", "--timeout", "1")
    for domain in pair:
        domain.signal_agent(signal.SIGSTOP)
    for _ in range(2):
        late = pair.virsh("domtime")
        assert late.code == 1
        assert "Guest agent is not responding" in late.err
    for domain in pair:
        domain.signal_agent(signal.SIGCONT)
    pair.succeeds("guest-agent-timeout", "--timeout", "-2")
    pair.wait_agents()
    # The late replies are told apart from this one's.
    assert pair.succeeds("domhostname", "--source", "agent").out == "testguest"


def test_a_reply_that_libvirt_does_not_understand(pair: Pair) -> None:
    # It begins with 0xFF, which is for clients that ask for it.
    request = '{"execute": "guest-sync-delimited", "arguments": {"id": 5}}'
    confused = pair.virsh("qemu-agent-command", request)
    assert confused.code == 1
    assert "cannot parse json" in confused.err
    given_up = pair.virsh("domtime")
    assert (given_up.code, given_up.asked) == (1, ())
    assert "QEMU guest agent is not available due to an error" in given_up.err
    # For libvirt an agent that opens the port is a new one.
    for domain in pair:
        domain.kill_agent()
        domain.start_agent()
    assert pair.succeeds("domhostname", "--source", "agent").out == "testguest"


def test_reboot(pair: Pair) -> None:
    pair.sh("touch /run/before")
    for domain in pair:  # one after the other, as in `Pair.restart`
        answer = domain.virsh("reboot", "--mode", "agent")
        assert answer == (0, f"Domain '{domain.name}' is being rebooted", "", ("guest-shutdown",))
        wait_until(lambda d=domain: not d.connected, "the old system is gone")  # type: ignore[misc]
        domain.prepare()
    pair.sh("! test -e /run/before")


def test_suspend_and_wake_up(pair: Pair) -> None:
    pair.sh("touch /run/before")
    answer = pair.succeeds("dompmsuspend", "mem")
    assert answer.asked == ("guest-suspend-ram",)
    pair.wait_state("pmsuspended")
    pair.succeeds("dompmwakeup")
    pair.wait_state("running")
    pair.wait_agents()
    # It is the same guest, and libvirt takes the agent for present again.
    pair.sh("test -e /run/before")
    assert pair.succeeds("domhostname", "--source", "agent").out == "testguest"


def test_shutdown(pair: Pair, qga_command: Run) -> None:
    answer = pair.succeeds("shutdown", "--mode", "agent")
    assert answer.out == "Domain 'DOMAIN' is being shutdown"
    assert answer.asked == ("guest-shutdown",)
    pair.wait_state("")
    need_module("libvirt", "apt-get install gcc libvirt-dev pkg-config python3-dev; make clean")
    for domain in pair:
        assert qga_command("wait", target(domain), "--for", "down").text.startswith("down: the m")
        done = qga_command("shutdown", "--wait", target(domain))
        assert (done.code, "there is no domain" in done.err) == (3, True)
