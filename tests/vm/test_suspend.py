"""Guests that sleep: put to sleep by either agent, woken up by the host; and those that cannot."""

import pytest

from tests.vm.conftest import GuestFactory
from tests.vm.observe import Process, Raw, connect, replace_program
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
PING = b'{"execute": "guest-ping", "id": "ping"}\n'
PONG = {"return": {}, "id": "ping"}
STATE = "/sys/power/state"
UNSUPPORTED = "the requested suspend mode is not supported by the guest"


def suspend(mode: str) -> bytes:
    return b'{"execute": "guest-suspend-%s", "id": "suspend"}\n' % mode.encode()


@BOTH
def test_asleep_and_awake(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    with Raw(guest) as port:
        port.send(suspend("ram"))
        guest.qmp.wait_event("SUSPEND")
        assert guest.qmp.execute("query-status")["status"] == "suspended"
        port.send(PING)
        assert port.pending() == b""
        guest.qmp.execute("system_wakeup")
        guest.qmp.wait_event("WAKEUP")
        # There is no reply to the first.
        assert port.reply() == PONG
        assert port.pending() == b""
    agent = Process(guest, guest.agent_pid())
    assert agent.state == "S"
    if argv == AGENT:
        # Whoever has waited for the kernel is gone.
        assert guest.sh(f"cat /proc/{agent.pid}/task/{agent.pid}/children").out == ""
        with connect(guest) as client:
            client.write_file("/mnt/data/file", b"data")


@BOTH
def test_a_guest_that_cannot(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    with Raw(guest) as port:
        port.send(suspend("hybrid"))
        assert port.reply() == {
            "error": {"class": "GenericError", "desc": UNSUPPORTED}, "id": "suspend",
        }  # fmt: skip
        # The kernel could, and finds out that there is nowhere to write the memory to.
        port.send(suspend("disk"))
        text, colon, reason = port.reply()["error"]["desc"].partition(": ")
        assert text == "child process has failed to suspend"
        if argv == AGENT:
            assert reason in {"No such device", "Cannot allocate memory"}
        else:
            assert colon == ""
        guest.sh(f"echo freeze > /tmp/state; mount --bind /tmp/state {STATE}")
        port.send(suspend("ram"))
        assert port.reply()["error"]["desc"] == UNSUPPORTED
        port.send(PING)
        assert port.reply() == PONG


# Each program notes how it was called; what it ends with is in a file of its name and argument.
NOTING = """
echo "${0##*/} $*" >> /tmp/calls
read -r code < "/tmp/${0##*/}-$1" 2> /dev/null || code=4
echo "$1: ${0##*/} says $code"
exit $code
"""

# What the programs end with, what the kernel takes, and by which errors the two answer.
SYSTEMD, PM = "systemctl status systemd-suspend", "pm-is-supported --suspend"
SCENARIOS: list[tuple[dict[str, int], str, str | None]] = [
    ({}, "", UNSUPPORTED),
    ({"systemctl-status": 3, "systemctl-suspend": 0}, "", None),
    ({"systemctl-status": 1, "systemctl-suspend": 0}, "", None),
    ({"systemctl-status": 0, "systemctl-suspend": 0}, "", UNSUPPORTED),
    ({"pm-is-supported---suspend": 0, "pm-suspend-": 0}, "", None),
    ({"pm-is-supported---suspend": 1, "pm-suspend-": 0}, "", UNSUPPORTED),
    ({"systemctl-status": 3, "systemctl-suspend": 1, "pm-is-supported---suspend": 0,
      "pm-suspend-": 0}, "", None),
    ({"systemctl-status": 3, "systemctl-suspend": 1, "pm-is-supported---suspend": 0,
      "pm-suspend-": 1}, "", ": pm-suspend says 1\n"),
    ({"systemctl-status": 3, "systemctl-suspend": 1}, "", "suspend: systemctl says 1\n"),
    ({"systemctl-status": 4}, "mem", None),
    ({"systemctl-status": 3, "systemctl-suspend": 1}, "mem", None),
]  # fmt: skip


def tried(guest: Guest, port: Raw) -> tuple[str, str | None]:
    """The programs that guest-suspend-ram runs, and its error."""
    guest.sh("rm -f /tmp/calls; : > /tmp/calls")
    port.send(suspend("ram") + PING)
    reply = port.reply()
    error = None
    if "error" in reply:
        error = reply["error"]["desc"]
        reply = port.reply()
    assert reply == PONG
    return guest.sh("cat /tmp/calls").out, error


def test_the_ways_to_suspend(guest_factory: GuestFactory) -> None:
    """Which programs are tried in which order, and that the last error is told."""
    guest = guest_factory(None)
    for program in ("systemctl", "pm-is-supported", "pm-suspend"):
        replace_program(guest, f"/usr/bin/{program}", NOTING)
    # In place of the kernel, a file that takes everything.
    guest.sh(f": > /tmp/state; mount --bind /tmp/state {STATE}")
    found: dict[str, list[tuple[str, str | None, str]]] = {}
    for argv in (STOCK_AGENT, AGENT):
        guest.start_agent(argv)
        outcomes = found.setdefault(argv[0], [])
        with Raw(guest) as port:
            for programs, state, _ in SCENARIOS:
                guest.sh("rm -f /tmp/systemctl-* /tmp/pm-*")
                for name, code in programs.items():
                    guest.write(f"/tmp/{name}", b"%d\n" % code)
                guest.write("/tmp/state", state.encode())
                outcomes.append((*tried(guest, port), guest.read("/tmp/state").decode()))
        guest.kill_agent()
    stock, ours = found[STOCK_AGENT[0]], found[AGENT[0]]
    for (programs, state, error), theirs, own in zip(SCENARIOS, stock, ours, strict=True):
        assert (own[0], own[2]) == (theirs[0], theirs[2]), (programs, state)
        if error is None or error == UNSUPPORTED:
            assert own[1] == theirs[1] == error, (programs, state)
        else:
            assert own[1] == f"child process has failed to suspend: {error}"
    assert SYSTEMD in ours[0][0]
    assert PM in ours[0][0]
    # The stock agent loses the error of a program when nothing else is there to be tried.
    assert stock[8][1] is None
