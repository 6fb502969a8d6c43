"""What is tried with the envelope of requests, the session's commands, and those that are blocked.

What is blocked says `tests.support.stock`; no agent here would carry it out.
"""

from typing import Any

from tests.interop.case import Case, call, raw, request

SYNC_IDS: tuple[Any, ...] = (
    0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 1.0, 1.5, "7", True,
    None, [], {},
)  # fmt: skip

ENVELOPE = (
    request("no execute", {"arguments": {}}),
    request("only an id", {"id": 1}),
    request("execute: a number", {"execute": 5}),
    request("execute: null", {"execute": None}),
    request("execute: an object", {"execute": {}}),
    request("execute: empty", {"execute": ""}),
    request("arguments: null", {"execute": "guest-ping", "arguments": None}),
    request("arguments: an array", {"execute": "guest-ping", "arguments": []}),
    request("arguments: a string", {"execute": "guest-ping", "arguments": "id"}),
    request("an unknown member", {"execute": "guest-ping", "x": 1}),
    request("two unknown members", {"execute": "guest-ping", "first": 1, "second": 2}),
    request("an unknown member and a bad one", {"execute": 5, "one": 1}),
    request("an unknown member and an id", {"execute": "guest-ping", "x": 1, "id": 7}),
    request("exec-oob", {"exec-oob": "guest-ping"}),
    request("control", {"execute": "guest-ping", "control": {}}),
    request("a member with another case", {"Execute": "guest-ping"}),
    request("a member with an accent", {"exécute": "guest-ping"}),
    request("an unknown command", {"execute": "guest-nope"}),
    request("an unknown command with arguments", {"execute": "guest-nope", "arguments": {"a": 1}}),
    request("a command in capitals", {"execute": "GUEST-PING"}),
    request("a command with a blank", {"execute": "guest-ping "}),
    request("a command with an underscore", {"execute": "guest_ping"}),
    request("a command with an accent", {"execute": "guest-píng €😀"}),
    raw("a command with a NUL", b'{"execute": "guest-ping\\u0000"}\n'),
    request("a command of the monitor", {"execute": "qmp_capabilities"}),
)

SESSION = (
    call("ping", "guest-ping"),
    call("ping with an argument", "guest-ping", x=1),
    *(
        call(f"{command}, id: {value!r}", command, id=value)
        for command in ("guest-sync", "guest-sync-delimited")
        for value in SYNC_IDS
    ),
    raw("sync, id: -0", b'{"execute": "guest-sync", "arguments": {"id": -0}}\n'),
    raw("sync, id: 1e3", b'{"execute": "guest-sync", "arguments": {"id": 1e3}}\n'),
    raw("sync, id twice", b'{"execute": "guest-sync", "arguments": {"id": 1, "id": 2}}\n'),
    call("sync without an id", "guest-sync"),
    call("sync with more than an id", "guest-sync", id=1, foo=2),
    call("sync with much more than an id", "guest-sync", id=1, foo=2, bar=3),
    call("sync with another name", "guest-sync", ident=1),
    call("sync with a bad id and more", "guest-sync", id="x", foo=2),
    call("delimited sync without an id", "guest-sync-delimited"),
    call("delimited sync with more than an id", "guest-sync-delimited", id=1, foo=2),
    raw(
        "how clients begin",
        b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 4711}}\n',
    ),
    request(
        "delimited sync with an id of its own",
        {"execute": "guest-sync-delimited", "arguments": {"id": 9}, "id": "x"},
    ),
    call("info", "guest-info"),
    call("info with an argument", "guest-info", x=1),
)

FROZEN_OR_BLOCKED = (
    call("freeze status", "guest-fsfreeze-status"),
    call("freeze status with an argument", "guest-fsfreeze-status", x=1),
    call("blocked: freeze", "guest-fsfreeze-freeze"),
    call("blocked: freeze with an argument", "guest-fsfreeze-freeze", x=1),
    call("blocked: thaw", "guest-fsfreeze-thaw"),
    call("blocked: thaw with an argument", "guest-fsfreeze-thaw", x=1),
    call("blocked: shutdown", "guest-shutdown"),
    call("blocked: shutdown, halt", "guest-shutdown", mode="halt"),
    call("blocked: shutdown, unknown mode", "guest-shutdown", mode="nope"),
    request("blocked: with an id", {"execute": "guest-shutdown", "id": [1]}),
    call("blocked, and not in ours yet", "guest-fstrim"),
    call("not on Linux", "guest-get-devices"),
)

CASES: tuple[Case, ...] = (*ENVELOPE, *SESSION, *FROZEN_OR_BLOCKED)
