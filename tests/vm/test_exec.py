"""Programs in a real guest, started by our agent and by QEMU's, side by side."""

import base64
from collections.abc import Callable
from typing import Any

import qga
from tests.vm.observe import PATIENCE, Process, connect, refused, wait_until
from tests.vm.qemu import Guest

Call = Callable[[str, dict[str, Any]], Any]

LIMIT = 16 << 20
HELLO = base64.b64encode(b"hello\n").decode()
MUCH = base64.b64encode(bytes(range(256)) * 2048).decode()
KEPT: dict[str, Any] = {"capture-output": True}


def script(text: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "arg": ["-c", text], **more}


PROGRAMS: tuple[dict[str, Any], ...] = (
    {"path": "/bin/true"},
    {"path": "false"},
    script("exit 300"),
    script("kill -9 $$"),
    {"path": "true"} | KEPT,
    {"path": "echo", "arg": ["hello", "\u20ac", "$HOME"]} | KEPT,
    script("echo out; echo err >&2; exit 3") | KEPT,
    script("echo out; echo err >&2") | {"capture-output": False},
    script("printf x; kill -15 $$") | KEPT,
    script("head -c 500000 /dev/zero; head -c 100000 /dev/zero >&2") | KEPT,
    script("yes | head -1") | KEPT,
    script("(sleep 0.5; echo late) & echo early") | KEPT,
    {"path": "cat"} | KEPT,
    {"path": "cat", "input-data": ""} | KEPT,
    {"path": "cat", "input-data": HELLO} | KEPT,
    {"path": "md5sum", "input-data": MUCH} | KEPT,
    {"path": "true", "input-data": MUCH} | KEPT,
    {"path": "env", "env": ["A=1", "B=2"]} | KEPT,
    {"path": "env", "env": []} | KEPT,
    {"path": "prog", "arg": ["a"], "env": ["PATH=/absent:/tmp"]} | KEPT,
    {"path": "/tmp/prog", "arg": ["a"]} | KEPT,
    {"path": "ls", "arg": ["/proc/self/fd"]} | KEPT,
    {"path": "pwd"} | KEPT,
    {"path": "nope"},
    {"path": "/etc/passwd"},
    {"path": "/"},
)


def outcome(call: Call, arguments: dict[str, Any]) -> dict[str, Any] | str:
    """What is said of a program at its end, with its data decoded; or why there is no program."""
    try:
        pid = call("guest-exec", arguments)["pid"]
    except Exception as error:  # noqa: BLE001 - each client has its own
        text = str(error)
        # 7.2 has more around it.
        return text[text.index("Failed to execute") :].removesuffix("'")
    return ended(call, pid)


def ended(call: Call, pid: int) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def ask() -> bool:
        found.append(call("guest-exec-status", {"pid": pid}))
        return bool(found[-1]["exited"])

    wait_until(ask, f"the end of {pid}")
    assert all(status == {"exited": False} for status in found[:-1])
    status = found[-1]
    for name in ("out-data", "err-data"):
        if name in status:
            status[name] = base64.b64decode(status[name], validate=True)
    return status


def ours_and_stock(guest: Guest, client: qga.Client) -> tuple[Call, Call]:
    def stock(name: str, arguments: dict[str, Any]) -> Any:
        named = {key.replace("-", "_"): value for key, value in arguments.items()}
        return guest.control.execute(name, **named)

    return client.call, stock


def test_both_say_the_same(guest: Guest) -> None:
    guest.write("/tmp/prog", b"echo $0 $1\n")
    guest.sh("chmod +x /tmp/prog; cd /")
    with connect(guest) as client:
        ours, stock = ours_and_stock(guest, client)
        differing = {
            str(arguments)[:100]: (said, expected)
            for arguments in PROGRAMS
            if (said := outcome(ours, arguments)) != (expected := outcome(stock, arguments))
        }
        assert differing == {}


def test_modes_limits_and_what_is_left_behind(guest: Guest) -> None:
    agent = Process(guest, guest.agent_pid())
    with connect(guest) as client:
        ours, stock = ours_and_stock(guest, client)
        outcome(ours, {"path": "true"})
        before = agent.descriptors
        # What holds its output for long: qemu-ga waits for it, ours not so.
        daemon = script("sleep 600 & echo early; exit 2") | KEPT
        pids = [call("guest-exec", daemon)["pid"] for call in (ours, stock)]
        both = script("echo out; echo err >&2")
        for mode, out, err in (
            ("none", None, None),
            ("stdout", b"out\n", None),
            ("stderr", None, b"err\n"),
            ("separated", b"out\n", b"err\n"),
            ("merged", b"out\nerr\n", None),
        ):
            status = outcome(ours, both | {"capture-output": mode})
            assert isinstance(status, dict)
            assert (status.get("out-data"), status.get("err-data")) == (out, err)
        status = ended(ours, pids[0])
        assert status == {
            "exited": True, "exitcode": 2, "out-data": b"early\n", "out-truncated": False,
        }  # fmt: skip
        assert stock("guest-exec-status", {"pid": pids[1]}) == {"exited": False}
        # It is still there, with its end of the pipes, and they go with it.
        assert agent.descriptors == before + 2
        guest.sh("killall sleep")
        wait_until(lambda: agent.descriptors == before, "the pipes to be closed")
        status = outcome(ours, script(f"head -c {LIMIT + 1} /dev/zero") | KEPT)
        assert isinstance(status, dict)
        assert (len(status["out-data"]), status["out-truncated"]) == (LIMIT, True)
        for number in range(40):
            status = outcome(ours, script(f"echo; exit {number}") | KEPT)
            assert isinstance(status, dict)
            assert status["exitcode"] == number
        assert agent.descriptors == before
        assert agent.file(f"task/{agent.pid}/children") == ""


def test_a_freeze_stops_no_program(guest: Guest) -> None:
    with connect(guest) as client:
        size = 3 << 20  # more than a pipe holds
        waiting = "until test -e /tmp/go; do sleep 0.05; done"
        text = f"{waiting}; head -c {size} /dev/zero; touch /tmp/done"
        pid = client.call("guest-exec", script(text) | KEPT)["pid"]
        with client.frozen():
            for name, arguments in (
                ("guest-exec", {"path": "true"}),
                ("guest-exec-status", {"pid": pid}),
            ):
                error = refused(client, name, **arguments)
                assert error.error_class == "CommandNotFound"
            guest.sh("touch /tmp/go")
            wait_until(lambda: guest.sh("test -e /tmp/done").code == 0, "all of its output")
        assert len(ended(client.call, pid)["out-data"]) == size


def test_programs_survive_the_agent(guest: Guest) -> None:
    text = "until test -e /tmp/go; do sleep 0.05; done; touch /tmp/done"
    with connect(guest) as client:
        client.call("guest-exec", script(text) | KEPT | {"input-data": HELLO})
        guest.signal_agent(15)
        assert guest.wait_agent_exit(PATIENCE) == 0
    guest.sh("touch /tmp/go")
    wait_until(lambda: guest.sh("test -e /tmp/done").code == 0, "the program to go on")
