"""What the guest's log tells of the host's requests: with our agent the same as with QEMU's."""

import json
from typing import Any

from tests.vm.conftest import GuestFactory
from tests.vm.observe import Raw, replace_program
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest
from tests.vm.syslog import JOURNAL, logged, start_log_daemon

HOOK = "/run/hook"
SECRET = "S3CRET"
ENCODED = "UzNDUkVU"

# Requests in order. `@` is the handle of the file that was opened last, `#` the program.
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("guest-ping", {}),
    ("guest-sync", {"id": 1}),
    ("guest-info", {}),
    ("guest-file-open", {"path": "/tmp/a b", "mode": "w"}),
    ("guest-file-write", {"handle": "@", "buf-b64": "QUJD"}),
    ("guest-file-flush", {"handle": "@"}),
    ("guest-file-seek", {"handle": "@", "offset": 0, "whence": "set"}),
    ("guest-file-close", {"handle": "@"}),
    ("guest-file-close", {"handle": 4711}),
    ("guest-file-open", {"path": "/nothing/here"}),
    ("guest-file-open", {"path": "/tmp/a b"}),
    ("guest-file-write", {"handle": "@", "buf-b64": "QUJD"}),
    ("guest-file-close", {"handle": "@"}),
    ("guest-exec", {"path": "/bin/true", "arg": ["a b", "-c"], "env": ["A=1"]}),
    ("guest-exec", {"path": "nothing"}),
    ("guest-exec-status", {"pid": 99999}),
    ("guest-fstrim", {}),
    ("guest-shutdown", {"mode": "nonsense"}),
    ("guest-shutdown", {"mode": "reboot"}),
    ("guest-fsfreeze-status", {}),
    ("guest-fsfreeze-freeze", {}),
    ("guest-fsfreeze-thaw", {}),
    ("guest-fsfreeze-freeze-list", {"mountpoints": ["/mnt/data"]}),
    ("guest-fsfreeze-thaw", {}),
    ("guest-ping", {}),
]

# What 7.2 did not tell.
NEWER = ["info: guest-fsthaw called"]


# All that a host may want to be kept from others.
SECRETS: list[tuple[str, dict[str, Any]]] = [
    ("guest-file-open", {"path": "/tmp/a", "mode": "w"}),
    ("guest-file-write", {"handle": 1000, "buf-b64": ENCODED}),
    ("guest-file-write", {"handle": 1000, "buf-b64": SECRET + "*"}),
    ("guest-exec", {"path": "/bin/cat", "input-data": ENCODED, "capture-output": True}),
    ("guest-exec", {"path": "/bin/true", "env": [f"PASSWORD={SECRET}"]}),
    ("guest-set-user-password", {"username": "alice", "password": ENCODED, "crypted": False}),
    ("guest-set-user-password", {"username": "no:one", "password": ENCODED, "crypted": False}),
    ("guest-set-user-password", {"username": "nobody there", "password": SECRET, "crypted": True}),
    ("guest-ssh-add-authorized-keys", {"username": "alice", "keys": [f"ssh-rsa {SECRET}"]}),
    ("guest-ssh-remove-authorized-keys", {"username": "alice", "keys": [f"ssh-rsa {SECRET}"]}),
    ("guest-ssh-add-authorized-keys", {"username": "nobody", "keys": [f"# {SECRET}"]}),
]


def started(factory: GuestFactory, argv: tuple[str, ...], log: str) -> Guest:
    guest = factory(None)
    for program in ("shutdown", "poweroff", "halt", "reboot"):
        replace_program(guest, f"/sbin/{program}", "exit 0")
    guest.write(HOOK, b"#!/bin/sh\n")
    guest.sh(f"chmod +x {HOOK}")
    start_log_daemon(guest, log)
    guest.start_agent([*argv, f"-F{HOOK}"])
    return guest


def ask_everything(guest: Guest) -> None:
    handle = 0
    with Raw(guest) as port:
        for name, arguments in REQUESTS:
            named = {k: handle if v == "@" else v for k, v in arguments.items()}
            port.send(json.dumps({"execute": name, "arguments": named}).encode())
            if arguments == {"mode": "reboot"}:
                continue  # is not answered
            reply = port.reply()
            if name == "guest-file-open" and "return" in reply:
                handle = reply["return"]


def texts(guest: Guest, ident: str) -> list[str]:
    """What the agent under test has told; the control agent's own is cut off."""
    found = [line.partition(f" {ident}: ")[2] for line in logged(guest)]
    first = found.index("info: guest-ping called")
    last = len(found) - found[::-1].index("info: guest-ping called")
    return found[first:last]


def test_both_tell_the_same(guest_factory: GuestFactory) -> None:
    told = []
    for argv, ident in ((STOCK_AGENT, "qemu-ga"), (AGENT, "qga-agent")):
        guest = started(guest_factory, argv, "/dev/log")
        ask_everything(guest)
        if argv is AGENT:
            assert all(line.startswith("<14>") for line in logged(guest) if ident in line)
        told.append(texts(guest, ident))
    stock, ours = told
    assert stock == [line for line in ours if line not in NEWER]
    assert ours.count("info: guest-fsthaw called") == 2
    assert len(ours) > 20


def test_journald_is_told_with_fields(guest_factory: GuestFactory) -> None:
    guest = started(guest_factory, AGENT, JOURNAL)
    ask_everything(guest)
    events = [dict(line.split("=", 1) for line in m.splitlines()) for m in logged(guest)]
    assert {event["SYSLOG_IDENTIFIER"] for event in events} == {"qga-agent"}
    assert {event["PRIORITY"] for event in events} == {"6"}
    opened = [event for event in events if event.get("QGA_COMMAND") == "guest-file-open"]
    assert [event.get("QGA_PATH") for event in opened if "QGA_PATH" in event] == [
        "/tmp/a b",
        "/nothing/here",
        "/tmp/a b",
    ]
    assert [event["QGA_HANDLE"] for event in opened if "QGA_HANDLE" in event] == ["1000", "1001"]
    hooks = [event["QGA_HOOK"] for event in events if "QGA_HOOK" in event]
    assert hooks == ["freeze", "thaw"] * 2


def test_secrets_are_in_no_log(guest_factory: GuestFactory) -> None:
    guest = guest_factory(None)
    start_log_daemon(guest)
    log = "/run/agent.log"
    guest.start_agent([*AGENT, "-v", "-l", log])
    with Raw(guest) as port:
        for name, arguments in SECRETS:
            port.send(json.dumps({"execute": name, "arguments": arguments}).encode())
            assert {"return", "error"} & set(port.reply())
    told = "\n".join([guest.read(log).decode(), guest.agent_output(), *logged(guest)])
    assert "debug: guest-set-user-password" in told
    assert SECRET not in told
    assert ENCODED not in told
