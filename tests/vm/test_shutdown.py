"""guest-shutdown, as the machine under the guest sees it."""

import pytest

from tests.vm.observe import Process, Raw, connect, refused, replace_program
from tests.vm.qemu import Guest


def ask(port: Raw, mode: str) -> None:
    port.send(b'{"execute": "guest-shutdown", "arguments": {"mode": "%s"}}\n' % mode.encode())


def test_powerdown(guest: Guest) -> None:
    with Raw(guest) as port:
        ask(port, "powerdown")
        assert guest.qmp.wait_event("SHUTDOWN")["data"]["reason"] == "guest-shutdown"
        assert "SHUTDOWN: /sbin/poweroff \n" in guest.console()
        # QEMU has ended, and no reply was sent.
        assert port.socket.recv(100) == b""


def test_halt(guest: Guest) -> None:
    with Raw(guest) as port:
        ask(port, "halt")
        guest.wait_console("reboot: System halted")
        assert "SHUTDOWN: /sbin/halt \n" in guest.console()
        assert port.pending() == b""
    assert guest.qmp.execute("query-status")["running"]


def test_reboot(guest: Guest) -> None:
    with Raw(guest) as port:
        ask(port, "reboot")
        guest.qmp.wait_event("RESET")
        guest.wait_booted()
        assert "SHUTDOWN: /sbin/reboot \n" in guest.console()
        assert port.pending() == b""
    guest.start_agent()


@pytest.mark.parametrize(
    ("mode", "option", "outcome"),
    [
        ("powerdown", "-P", "Power down"),
        ("halt", "-H", "System halted"),
        ("reboot", "-r", "Restarting"),
    ],
)
def test_a_guest_with_shutdown_alone(guest: Guest, mode: str, option: str, outcome: str) -> None:
    guest.sh("rm /sbin/poweroff /sbin/halt /sbin/reboot")
    with Raw(guest) as port:
        ask(port, mode)
        guest.wait_console(f"reboot: {outcome}")
    call = f"SHUTDOWN: /sbin/shutdown -h {option} +0 hypervisor initiated shutdown\n"
    assert call in guest.console()


def test_success_has_no_reply(guest: Guest) -> None:
    replace_program(guest, "/sbin/halt", "exit 0")
    with Raw(guest) as port:
        ask(port, "halt")
        port.send(b'{"execute": "guest-ping", "id": 1}\n')
        assert port.reply() == {"return": {}, "id": 1}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo nobody; echo may >&2; exit 3", "has failed to shutdown: nobody\nmay\n"),
        ("exit 3", "has failed to shutdown: exit status 3"),
        ("kill -9 $$", "has terminated abnormally"),
    ],
)
def test_a_shutdown_that_fails(guest: Guest, script: str, said: str) -> None:
    replace_program(guest, "/sbin/poweroff", script)
    agent = Process(guest, guest.agent_pid())
    before = agent.descriptors
    with connect(guest) as client:
        error = refused(client, "guest-shutdown")
        assert (error.error_class, error.desc) == ("GenericError", f"child process {said}")
        client.ping()
    assert agent.descriptors == before


def test_there_is_no_such_mode(guest: Guest) -> None:
    with connect(guest) as client:
        error = refused(client, "guest-shutdown", mode="nap")
        assert error.desc == "mode is invalid (valid values are: halt|powerdown|reboot"
        guest.sh("rm /sbin/poweroff /sbin/shutdown")
        error = refused(client, "guest-shutdown")
        assert "failed to exec '/sbin/shutdown': No such file or directory" in error.desc
        client.ping()
