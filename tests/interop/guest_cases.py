"""What both agents are sent inside a virtual machine, where nothing is blocked.

In blocks: one agent gets all of a block, then the other one does, so that each finds what it does
itself undone. `@folder@` and `@user@` are its own. Used by `in_guest`.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

from tests.interop import files, framing, requests
from tests.interop.case import FOLDER, USER, Case, call, handle, raw, request
from tests.interop.script import TOPICS

DATA = "/mnt/data"

SECOND = 1_000_000_000
CRYPTED = "$6$salt$" + "x" * 86
KEY, OTHER_KEY = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{name} {name}" for name in ("one", "two"))

_NOT_STRINGS: tuple[Any, ...] = (1, None, True, [], {})
_NOT_INTEGERS: tuple[Any, ...] = ("1", 1.0, None, True, [], 2**63)
_NOT_LISTS: tuple[Any, ...] = (1, "x", None, {})

# Those with which a guest goes to sleep or down, if it can.
_ENDING = ("guest-shutdown", "guest-suspend-disk", "guest-suspend-ram")
_MODES = (None, "powerdown", "halt", "reboot")


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _each(what: str, command: str, name: str, values: tuple[Any, ...], **more: Any) -> list[Case]:
    return [call(f"{what}: {value!r}", command, **{name: value}, **more) for value in values]


def _keyed(cases: tuple[Case, ...], *keys: str) -> tuple[Case, ...]:
    found = {case.key: case for case in cases}
    return tuple(found[key] for key in keys)


CHANNEL = _keyed(
    framing.CASES,
    "0xFF alone",
    "0xFF twice",
    "0xFF before a request",
    "0xFF inside a string",
    "half a request, then another client",
    "a closing brace",
    "a message left unfinished",
    "arrays 1024 deep",
    "id: 18446744073709551616",
    "id: a string of 100 kB",
    "a line of HTTP",
)

SESSION = _keyed(
    requests.CASES,
    "an unknown command",
    "an unknown member",
    "ping",
    "how clients begin",
    "sync without an id",
    "info",
    "info with an argument",
    "not on Linux",
)

FILES = (
    call("create a file", files.OPEN, path=f"{FOLDER}/new", mode="w+", opens="new"),
    call("write to it", files.WRITE, handle=handle("new"), buf_b64=_b64("text\n")),
    call("flush it", files.FLUSH, handle=handle("new")),
    call("go to its start", files.SEEK, handle=handle("new"), offset=0, whence="set"),
    call("read it", files.READ, handle=handle("new")),
    call("close it", files.CLOSE, handle=handle("new")),
    call("close it again", files.CLOSE, handle=handle("new")),
    call("open a device", files.OPEN, path="/dev/vdb", mode="r", opens="disk"),
    # Where the file system on it writes nothing between the one agent's turn and the other's.
    call("go near its end", files.SEEK, handle=handle("disk"), offset=-(1 << 20), whence="end"),
    call("read a device", files.READ, handle=handle("disk"), count=1 << 20),
    call("close a device", files.CLOSE, handle=handle("disk")),
    call("open with a bad mode", files.OPEN, path="/etc/passwd", mode="x"),
)

CLOCK = (
    call("get the time", "guest-get-time", varying=("return",)),
    *_each("set the time to no integer", "guest-set-time", "time", _NOT_INTEGERS),
    call("set the time, and more", "guest-set-time", time=SECOND, x=1),
    call("set the time to before 1970", "guest-set-time", time=-SECOND),
    call("set the time to after 2069", "guest-set-time", time=3_155_760_000 * SECOND),
    call("set the time to the end of all", "guest-set-time", time=2**63 - 1),
    call("set the time to 1970", "guest-set-time", time=0),
    call("set the time to 2030", "guest-set-time", time=1_893_456_000 * SECOND + 999),
    call("set the time to that of the hardware", "guest-set-time"),
    call("get the time zone", "guest-get-timezone"),
)

READING = (
    call("get the host name", "guest-get-host-name"),
    call("get the system", "guest-get-osinfo"),
    call("get users", "guest-get-users"),
    call("get interfaces", "guest-network-get-interfaces", varying=("statistics",)),
    call("get routes", "guest-network-get-route"),
    call("get disks", "guest-get-disks"),
    call("get file systems", "guest-get-fsinfo", varying=("used-bytes",)),
    call("get what disks did", "guest-get-diskstats", varying=("stats",)),
    call(
        "get what processors did",
        "guest-get-cpustats",
        varying=("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"),
    ),
    call("get the load", "guest-get-load", varying=("load1m", "load5m", "load15m")),
    call("get memory blocks", "guest-get-memory-blocks"),
    call("get the size of memory blocks", "guest-get-memory-block-info"),
)


def _vcpu(key: str, *vcpus: Any) -> Case:
    return call(key, "guest-set-vcpus", vcpus=list(vcpus))


def _cpu(number: Any, *, online: Any) -> dict[str, Any]:
    return {"logical-id": number, "online": online}


PROCESSORS = (
    call("get processors", "guest-get-vcpus"),
    _vcpu("set no processors"),
    _vcpu("take a processor offline", _cpu(1, online=False)),
    call("get processors, one offline", "guest-get-vcpus"),
    _vcpu("take it offline again", _cpu(1, online=False)),
    _vcpu("take it online", _cpu(1, online=True)),
    call("get processors, all online", "guest-get-vcpus"),
    _vcpu("take the first processor offline", _cpu(0, online=False)),
    _vcpu("keep the first processor online", _cpu(0, online=True)),
    _vcpu("take a processor online that is not there", _cpu(999, online=True)),
    _vcpu("take processor -1 online", _cpu(-1, online=True)),
    _vcpu("the second of two fails", _cpu(1, online=True), _cpu(999, online=True)),
    _vcpu("the first of two fails", _cpu(999, online=True), _cpu(1, online=True)),
    _vcpu("a processor that says whether it can", {**_cpu(1, online=True), "can-offline": False}),
    _vcpu("a processor and more", {**_cpu(1, online=True), "x": 1}),
    _vcpu("a processor without a state", {"logical-id": 1}),
    _vcpu("a processor without a number", {"online": True}),
    _vcpu("a processor with a text for a number", _cpu("1", online=True)),
    _vcpu("a processor with a number for a state", _cpu(1, online=1)),
    *_each("set processors, not a list", "guest-set-vcpus", "vcpus", _NOT_LISTS),
    call("set processors without any", "guest-set-vcpus"),
)


def _memory(key: str, *blocks: Any) -> Case:
    return call(key, "guest-set-memory-blocks", mem_blks=list(blocks))


def _block(number: Any, *, online: Any) -> dict[str, Any]:
    return {"phys-index": number, "online": online}


MEMORY = (
    _memory("set no memory blocks"),
    _memory("keep a memory block online", _block(0, online=True)),
    _memory("a memory block that is not there", _block(99_999, online=True)),
    _memory("memory blocks there and not there", _block(0, online=True), _block(7777, online=True)),
    _memory("memory block -1", _block(-1, online=True)),
    _memory("a memory block with a text for a number", _block("0", online=True)),
    _memory("a memory block with a number for a state", _block(0, online=1)),
    _memory("a memory block without a state", {"phys-index": 0}),
    _memory("a memory block and more", {**_block(0, online=True), "x": 1}),
    *_each("set memory blocks, not a list", "guest-set-memory-blocks", "mem_blks", _NOT_LISTS),
    call("set memory blocks without any", "guest-set-memory-blocks"),
)

TRIM = (
    call("trim", "guest-fstrim", varying=("trimmed",)),
    call("trim with a minimum", "guest-fstrim", minimum=1 << 20, varying=("trimmed",)),
    call("trim with a minimum of 0", "guest-fstrim", minimum=0, varying=("trimmed",)),
    call("trim with a minimum beyond all", "guest-fstrim", minimum=2**62, varying=("trimmed",)),
    call("trim with a minimum of -1", "guest-fstrim", minimum=-1, varying=("trimmed",)),
    *_each("trim, no integer", "guest-fstrim", "minimum", _NOT_INTEGERS),
    call("trim, and more", "guest-fstrim", x=1),
)


def _frozen(name: str, freeze: Case) -> tuple[Case, ...]:
    return (
        freeze,
        call(f"{name}: status", "guest-fsfreeze-status"),
        call(f"{name}: ping", "guest-ping"),
        call(f"{name}: synchronise", "guest-sync", id=5),
        call(f"{name}: synchronise, delimited", "guest-sync-delimited", id=6),
        call(f"{name}: synchronise by a word", "guest-sync", id="six"),
        call(f"{name}: status, and more", "guest-fsfreeze-status", x=1),
        call(f"{name}: thaw, and more", "guest-fsfreeze-thaw", x=1),
        call(f"{name}: a command that is not there", "guest-nope"),
        raw(f"{name}: a broken request", b'{"execute": }\n'),
        call(f"{name}: shut down in an unknown way", "guest-shutdown", mode="nope"),
        call(f"{name}: open a file", files.OPEN, path="/etc/passwd"),
        call(f"{name}: trim", "guest-fstrim"),
        call(f"{name}: again", "guest-fsfreeze-freeze"),
        call(f"{name}: again, a list", "guest-fsfreeze-freeze-list", mountpoints=[DATA]),
        call(f"{name}: thaw", "guest-fsfreeze-thaw"),
        call(f"{name}: status then", "guest-fsfreeze-status"),
        call(f"{name}: thaw again", "guest-fsfreeze-thaw"),
    )


_LIST = "guest-fsfreeze-freeze-list"
FREEZING = (
    *_frozen("freeze", call("freeze everything", "guest-fsfreeze-freeze")),
    *_frozen("freeze a list", call("freeze one file system", _LIST, mountpoints=[DATA])),
    *_frozen("freeze all by list", call("freeze without a list", _LIST)),
    *_each("freeze, not a list", _LIST, "mountpoints", _NOT_LISTS),
    call("freeze a list of numbers", _LIST, mountpoints=[1]),
    call("freeze a list and more", _LIST, mountpoints=[DATA], x=1),
    call("freeze an empty list", _LIST, mountpoints=[]),
    call("freeze what is not mounted", _LIST, mountpoints=["/nowhere", f"{DATA}/", "/proc"]),
    call("status when nothing was frozen", "guest-fsfreeze-status"),
    call("freeze, and more", "guest-fsfreeze-freeze", x=1),
    call("thaw, and more", "guest-fsfreeze-thaw", x=1),
)

_ADD, _REMOVE, _GET = (f"guest-ssh-{verb}-authorized-keys" for verb in ("add", "remove", "get"))


def _keys(key: str, command: str, keys: list[Any], **more: Any) -> Case:
    return call(key, command, username=USER, keys=keys, **more)


SSH = (
    call("get keys where there are none", _GET, username=USER),
    _keys("remove a key where there are none", _REMOVE, [KEY]),
    _keys("add a key", _ADD, [KEY]),
    call("get the key", _GET, username=USER),
    _keys("add it again, and another", _ADD, [KEY, OTHER_KEY]),
    call("get both keys", _GET, username=USER),
    _keys("add no key", _ADD, []),
    _keys("add a comment", _ADD, [f"# {KEY}"]),
    _keys("add two lines", _ADD, [f"{KEY}\n{OTHER_KEY}"]),
    _keys("remove a key", _REMOVE, [KEY]),
    call("get the other key", _GET, username=USER),
    _keys("remove a key that is not there", _REMOVE, [KEY]),
    _keys("set the keys", _ADD, [KEY], reset=True),
    call("get what was set", _GET, username=USER),
    _keys("set no keys", _ADD, [], reset=True),
    call("get no keys", _GET, username=USER),
    _keys("add to what was emptied", _ADD, [KEY, OTHER_KEY], reset=False),
    call("get keys of nobody", _GET, username="no-such-user"),
    call("add keys of nobody", _ADD, username="no-such-user", keys=[KEY]),
    call("remove keys of nobody", _REMOVE, username="no-such-user", keys=[KEY]),
    *_each("get keys, no name", _GET, "username", _NOT_STRINGS),
    *_each("add keys, not a list", _ADD, "keys", _NOT_LISTS, username=USER),
    _keys("add a key that is no text", _ADD, [KEY, 1]),
    _keys("add a key, reset is no boolean", _ADD, [KEY], reset=1),
    call("add keys without keys", _ADD, username=USER),
    call("get keys without a name", _GET),
)

_PASSWORD = "guest-set-user-password"


def _password(key: str, password: Any, *, crypted: Any = False, username: Any = USER) -> Case:
    return call(key, _PASSWORD, username=username, password=password, crypted=crypted)


PASSWORDS = (
    _password("set a password", _b64("secret")),
    _password("set a password with a colon", _b64("se:cr et")),
    _password("set an empty password", ""),
    _password("set a password of two lines", _b64("a\nb")),
    _password("set a password in bad base64", "***"),
    _password("set a password that is no text", 1),
    _password("set a password of nobody", _b64("secret"), username="no-such-user"),
    _password("set a password, a colon in the name", _b64("secret"), username="a:b"),
    _password("set a password, two lines in the name", _b64("secret"), username="a\nb"),
    _password("set a password, no name", _b64("secret"), username=1),
    _password("set a password, crypted is no boolean", _b64("secret"), crypted=0),
    call("set a password without crypted", _PASSWORD, username=USER, password=""),
    call("set a password without a password", _PASSWORD, username=USER, crypted=False),
    _password("set an encrypted password", _b64(CRYPTED), crypted=True),
)

_EXEC, _STATUS = "guest-exec", "guest-exec-status"
_WRITES = "echo out; echo err >&2; exit 3"


def _run(name: str, *words: str, **more: Any) -> tuple[Case, ...]:
    return (
        call(
            f"run {name}",
            _EXEC,
            path=words[0],
            arg=list(words[1:]),
            opens=name,
            varying=("pid",),
            **more,
        ),
        call(f"how {name} fared", _STATUS, pid=handle(name), until=b'"exited": true'),
        request(
            f"ask about {name} again", {"execute": _STATUS, "arguments": {"pid": handle(name)}}
        ),
    )


PROGRAMS = (
    *_run("what succeeds", "/bin/true"),
    *_run("what fails", "/bin/false", capture_output=False),
    *_run("what writes", "/bin/sh", "-c", _WRITES, capture_output=True),
    *_run("what writes unseen", "/bin/sh", "-c", _WRITES),
    *_run("what ends by a signal", "/bin/sh", "-c", "kill -9 $$", capture_output=True),
    *_run("what reads", "/bin/cat", input_data=_b64("text\0\n"), capture_output=True),
    *_run("what reads nothing", "/bin/cat", input_data="", capture_output=True),
    *_run("what has no input", "/bin/cat", capture_output=True),
    *_run("what is on PATH", "true"),
    *_run("with arguments", "/bin/echo", "", "a b", "é", "-n", capture_output=True),
    *_run("with an environment", "/bin/sh", "-c", "echo $A,$B", env=["A=1"], capture_output=True),
    *_run("what writes much", "/bin/sh", "-c", "seq 30000", capture_output=True),
    call("run what is not there", _EXEC, path="/nowhere"),
    call("run what is not on PATH", _EXEC, path="no-such-program"),
    call("run a folder", _EXEC, path="/etc"),
    call("run what is not executable", _EXEC, path="/etc/passwd"),
    call("run an empty path", _EXEC, path=""),
    call("run nothing", _EXEC),
    *_each("run, no path", _EXEC, "path", _NOT_STRINGS),
    *_each("run, arguments are no list", _EXEC, "arg", _NOT_LISTS, path="/bin/true"),
    *_each("run, environment is no list", _EXEC, "env", _NOT_LISTS, path="/bin/true"),
    *_each("run, no capture", _EXEC, "capture_output", (1, "x", [], None), path="/bin/true"),
    call("run, a number among arguments", _EXEC, path="/bin/true", arg=["a", 1]),
    call("run, bad base64", _EXEC, path="/bin/true", input_data="***"),
    call("run, and more", _EXEC, path="/bin/true", x=1),
    call("ask about process 0", _STATUS, pid=0),
    call("ask about process 1", _STATUS, pid=1),
    call("ask about process -1", _STATUS, pid=-1),
    *_each("ask about no process", _STATUS, "pid", _NOT_INTEGERS),
    call("ask without a process", _STATUS),
)

POWER = (
    call("shut down in an unknown way", "guest-shutdown", mode="nope"),
    call("shut down in an empty way", "guest-shutdown", mode=""),
    *_each("shut down, no mode", "guest-shutdown", "mode", _NOT_STRINGS),
    call("shut down, and more", "guest-shutdown", x=1),
    call("suspend to both", "guest-suspend-hybrid"),
    *(
        call(f"{command}, and more", command, x=1)
        for command in ("guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid")
    ),
)


def _ends(case: Case) -> bool:
    """Whether *case* might have the guest go away."""
    for piece in case.pieces:
        if piece is not None and any(command.encode() in piece for command in _ENDING):
            arguments = json.loads(piece).get("arguments", {})
            if arguments == {} or arguments.get("mode") in _MODES:
                return True
    return False


def _of_topics() -> Iterator[tuple[Case, ...]]:
    """What is tried outside, too; in there nothing is blocked."""
    for topic in TOPICS:
        yield tuple(case for case in topic.CASES if not _ends(case))


BLOCKS: tuple[tuple[Case, ...], ...] = (
    CHANNEL,
    SESSION,
    FILES,
    READING,
    PROCESSORS,
    MEMORY,
    TRIM,
    SSH,
    PASSWORDS,
    PROGRAMS,
    POWER,
    *_of_topics(),
    FREEZING,
    CLOCK,
)

RUN: tuple[str, ...] = tuple(case.opens for case in PROGRAMS if case.opens)
"""The programs that are run, by the names that `_run` gives them."""
