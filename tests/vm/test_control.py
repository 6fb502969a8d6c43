"""What `qga` does to a guest, in a real one: freezing, its clock, its users, its going down."""

import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from qga.client.flows import timing
from qga.wire import handshake
from tests.cli.command import Run, qga_command
from tests.cli.typist import at_terminal
from tests.vm.conftest import GuestFactory
from tests.vm.observe import wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT
from tests.vm.test_accounts import logs_in
from tests.vm.test_clock import set_system_clock, shows, system_clock

__all__ = ["qga_command"]

BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
KEYS = "/home/alice/.ssh/authorized_keys"
ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgZ8FebvspPxcKXCIWmXuTI1ZGxHVde53YjzVQfg0wh one@here"
PATIENCE = ("--timeout", "300")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is believed sooner."""
    monkeypatch.setattr(timing, "LOOK", 1.0)
    monkeypatch.setattr(handshake, "SILENCE", 0.5)


@BOTH
def test_a_guest_that_stays(
    guest_factory: GuestFactory,
    argv: Sequence[str],
    qga_command: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guest = guest_factory(argv)
    target = f"unix:{guest.agent_socket}"

    # What would be frozen is what is frozen.
    found = qga_command("freeze", target, "--dry-run", "-o", "json").json
    assert {one["mountpoint"] for one in found["filesystems"] if one["frozen"]} == {
        "/", "/mnt/data",
    }  # fmt: skip
    reasons = {one["mountpoint"]: one["reason"] for one in found["filesystems"]}
    assert "in memory" in reasons["/run"]
    assert qga_command("status", target).text == "thawed\n"
    for words, number in (([], "2 file systems"), (["--mount", "/mnt/data"], "1 file system")):
        done = qga_command("freeze", target, *words, "--", "true")
        first, *unguarded, last = done.err.splitlines()
        assert (done.code, first) == (0, f"qga: {number} frozen")
        assert len(unguarded) == (argv == STOCK_AGENT)
        assert re.fullmatch(rf"qga: {number} thawed after [\d.]+ s: it held", last)
    assert qga_command("thaw", target).text == "nothing was frozen\n"

    results = {one["mountpoint"]: one for one in qga_command("trim", target, "-o", "json").json}
    assert results.keys() == {"/", "/mnt/data"}
    assert results["/"]["error"] is not None or results["/"]["trimmed"] >= 0

    past = int(datetime(2024, 2, 29, tzinfo=UTC).timestamp())
    set_system_clock(guest, past)
    assert qga_command("time", target, "-o", "json").json["offset"] < -86400
    assert " behind" in qga_command("time", target).text
    found = qga_command("time", "--sync", target, "-o", "json").json
    assert found["before"]["offset"] < -86400
    assert abs(found["after"]["offset"]) < 60
    assert shows(system_clock(guest), int(datetime.now(UTC).timestamp()))
    set_system_clock(guest, past)
    found = qga_command("time", "--sync", "--from-rtc", target, "-o", "json").json
    assert abs(found["after"]["offset"]) < 60

    answers = [("New password of alice", "Correct Horse\n"), ("Once more", "Correct Horse\n")]
    code, shown = at_terminal("passwd", target, "alice", answers=answers)
    assert (code, "Horse" in shown) == (0, False)
    assert logs_in(guest, "alice", "Correct Horse")

    assert qga_command("ssh-keys", "list", target, "alice").text == "no keys\n"
    assert qga_command("ssh-keys", "add", target, "alice", ONE).text.startswith("added ")
    assert guest.read(KEYS).decode().strip() == ONE
    (shown_key,) = qga_command("ssh-keys", "list", target, "alice", "-o", "json").json["keys"]
    assert shown_key["key"] == ONE
    assert qga_command("ssh-keys", "remove", target, "alice", shown_key["fingerprint"]).code == 0
    assert guest.read(KEYS).strip() == b""
    done = qga_command("ssh-keys", "list", target, "bob")
    assert (done.code, "failed to lookup user 'bob'" in done.err) == (1, True)

    guest.sh("mkdir /run/cloud-init")
    guest.write("/run/cloud-init/result.json", b'{"v1": {"errors": []}}')
    waits = ("--for", "command=test -e /proc/1", "--for", "file=/etc/hostname", "--for", "ip=4")
    done = qga_command("wait", target, *waits, "--for", "cloud-init", *PATIENCE)
    assert done.text.splitlines() == [
        "command: done", "file: /etc/hostname", "ip: 10.0.2.15", "cloud-init: done",
    ]  # fmt: skip

    found = qga_command("suspend", target, "--wait", "-o", "json", *PATIENCE).json
    assert (found["mode"], found["down"]) == ("ram", "silent")
    guest.qmp.wait_event("SUSPEND")
    assert guest.qmp.execute("query-status")["status"] == "suspended"
    guest.qmp.execute("system_wakeup")
    assert qga_command("wait", target, "--for", "ready", *PATIENCE).code == 0
    monkeypatch.setattr(handshake, "SILENCE", 60.0)  # an error may be slow to come
    done = qga_command("suspend", target, "--mode", "hybrid", "--wait")
    assert (done.code, "not supported by the guest" in done.err) == (1, True)


def test_a_guest_that_comes_and_goes(guest_factory: GuestFactory, qga_command: Run) -> None:
    guest = guest_factory(None)
    target = f"unix:{guest.agent_socket}"
    # Its agent starts while qga waits.
    timer = threading.Timer(1, guest.start_agent, (AGENT,), {"port": None})
    timer.start()
    assert qga_command("wait", target, "--for", "ready", *PATIENCE).text.startswith("ready: ")
    timer.join()

    def boots() -> None:
        guest.qmp.wait_event("RESET")
        guest.wait_booted()
        guest.start_agent(AGENT, port=None)

    before = guest.read("/proc/sys/kernel/random/boot_id").decode().strip()
    boot = threading.Thread(target=boots)
    boot.start()
    found = qga_command("reboot", target, "--wait", "-o", "json", *PATIENCE).json
    boot.join()
    after = guest.read("/proc/sys/kernel/random/boot_id").decode().strip()
    assert found["boot_id"] == after != before

    found = qga_command("shutdown", target, "--wait", "-o", "json", *PATIENCE).json
    assert found["down"] == "off"
    wait_until(lambda: guest.process.poll() is not None, "the end of QEMU")


def test_a_guest_that_halts_and_one_that_is_off(
    guest_factory: GuestFactory, qga_command: Run
) -> None:
    halted, off = guest_factory(STOCK_AGENT), guest_factory(STOCK_AGENT)
    found = qga_command("halt", f"unix:{halted.agent_socket}", "--wait", "-o", "json", *PATIENCE)
    assert found.json["down"] == "silent"
    halted.wait_console("reboot: System halted")
    assert halted.qmp.execute("query-status")["running"]
    # Without a look at files it is off all the same.
    target = f"unix:{off.agent_socket}"
    assert "would power down" in qga_command("shutdown", target, "--dry-run").text
    assert qga_command("shutdown", target, "--wait", *PATIENCE).text.startswith("powerdown: off: ")
    wait_until(lambda: off.process.poll() is not None, "the end of QEMU")
    assert qga_command("wait", target, "--for", "down").text == "down: the machine is off\n"
