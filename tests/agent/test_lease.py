"""Freezes with a lease: qga-fsfreeze-freeze, -renew, -thaw and -report."""

import errno
import os
import signal
import socket
import time
from typing import Any

import pytest

from qga.agent import record, standing
from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.mounts import Mount
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.frozenfiles import FileFreezer, guardian_of, on_files
from tests.agent.harness import (
    RunningAgent,
    call,
    later,
    raw_answer,
    refusal,
    request,
    until,
    wait_for,
)


@pytest.fixture
def system() -> FakeSystem:
    made = FakeSystem("/", "/home", "/data")
    made.freezer.others = [(Mount("/tmp", (0, 9), "tmpfs", "tmpfs"), "in memory")]
    return made


@pytest.fixture
def agent(make: AgentFactory, system: FakeSystem) -> Agent:
    return make(system)


def frozen(system: FakeSystem) -> set[str]:
    return {path for path, depth in system.freezer.frozen.items() if depth}


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {mount["path"]: mount["outcome"] for mount in report["mounts"]}


def test_a_freeze_tells_of_each_mount(agent: Agent, system: FakeSystem) -> None:
    system.freezer.unsupported = {"/home"}
    made = call(agent, "qga-fsfreeze-freeze", deadline_ms=60_000)
    assert frozen(system) == {"/", "/data"}
    assert (made["state"], made["count"]) == ("frozen", 2)
    assert 0 < made["deadline-ms"] <= 60_000
    assert made["began-monotonic"] <= made["frozen-monotonic"] <= record.now()
    milliseconds = [mount.pop("milliseconds", None) for mount in made["mounts"]]
    assert made["mounts"] == [
        {"path": "/data", "device": "/dev/sda2", "type": "ext4", "outcome": "frozen"},
        {
            "path": "/home", "device": "/dev/sda1", "type": "ext4", "outcome": "skipped",
            "reason": "its type does not support freezing",
        },
        {"path": "/", "device": "/dev/sda0", "type": "ext4", "outcome": "frozen"},
        {
            "path": "/tmp", "device": "tmpfs", "type": "tmpfs", "outcome": "skipped",
            "reason": "in memory",
        },
    ]  # fmt: skip
    assert [number is not None for number in milliseconds] == [True, False, True, False]
    assert not {"held", "end", "ended"} & set(made)
    again = call(agent, "qga-fsfreeze-report")
    assert (again["token"], outcomes(again)) == (made["token"], outcomes(made))
    thawed = call(agent, "qga-fsfreeze-thaw", token=made["token"])
    assert frozen(system) == set()
    assert (thawed["state"], thawed["held"], thawed["end"]) == ("thawed", True, "thawed")
    assert thawed["frozen-monotonic"] <= thawed["ended-monotonic"] <= record.now()
    assert outcomes(thawed) == {
        "/data": "thawed", "/home": "skipped", "/": "thawed", "/tmp": "skipped"
    }  # fmt: skip
    assert "deadline-ms" not in thawed
    assert call(agent, "qga-fsfreeze-report") == thawed


def test_a_dry_run_freezes_nothing(agent: Agent, system: FakeSystem) -> None:
    system.freezer.below = {"/": {"/data"}}
    made = call(agent, "qga-fsfreeze-freeze", dry_run=True, exclude=["/home"])
    assert (made["state"], made["count"]) == ("thawed", 0)
    assert [(m["path"], m["outcome"], m.get("reason")) for m in made["mounts"]] == [
        ("/", "planned", None),
        ("/data", "planned", None),
        ("/tmp", "skipped", "in memory"),
        ("/home", "skipped", "excluded: /home"),
    ]
    assert system.freezer.order == []
    assert call(agent, "qga-fsfreeze-report") == {"state": "thawed", "mounts": []}


def test_some_mounts_only(make: AgentFactory, system: FakeSystem) -> None:
    agent = make(system, fsfreeze_exclude=["/home"])
    made = call(agent, "qga-fsfreeze-freeze", mountpoints=["/*"], exclude=["device:*0"])
    assert system.freezer.order == ["/data"]
    assert outcomes(made) == {
        "/data": "frozen", "/": "skipped", "/home": "skipped", "/tmp": "skipped"
    }  # fmt: skip
    assert call(agent, "guest-fsfreeze-thaw") == 1
    assert call(agent, "guest-fsfreeze-freeze") == 2
    assert call(agent, "guest-fsfreeze-thaw") == 2
    desc = refusal(agent, "qga-fsfreeze-freeze", mountpoints=["/tmp"])
    assert desc == "cannot freeze /tmp: in memory"


@pytest.mark.parametrize(
    ("arguments", "desc"),
    [
        ({"deadline_ms": 0}, "deadline-ms is from 1 to 86400000 (a day), not 0"),
        ({"deadline_ms": 86_400_001}, "deadline-ms is from 1 to 86400000 (a day), not 86400001"),
        ({"token": ""}, "token is 1 to 128 printable characters"),
        ({"token": "a\n"}, "token is 1 to 128 printable characters"),
        ({"token": "x" * 129}, "token is 1 to 128 printable characters"),
        ({"exclude": ["x"]}, "'x' is no mount point, type:TYPE or device:DEVICE"),
    ],
)
def test_what_cannot_be_asked_for(
    agent: Agent, system: FakeSystem, arguments: dict[str, Any], desc: str
) -> None:
    assert refusal(agent, "qga-fsfreeze-freeze", **arguments) == desc
    assert system.freezer.order == []


def test_a_freeze_of_a_caller_who_names_it(agent: Agent, system: FakeSystem) -> None:
    assert call(agent, "qga-fsfreeze-freeze", token="snapshot of vm 7")["token"] == (
        "snapshot of vm 7"
    )
    renewed = call(agent, "qga-fsfreeze-renew", token="snapshot of vm 7", deadline_ms=30_000)
    assert renewed["token"] == "snapshot of vm 7"
    assert 0 < renewed["deadline-ms"] <= 30_000
    assert call(agent, "qga-fsfreeze-report")["deadline-ms"] <= 30_000
    for name, more in (("thaw", {}), ("renew", {"deadline_ms": 1})):
        desc = refusal(agent, f"qga-fsfreeze-{name}", token="other", **more)
        assert desc.startswith("the freeze that lasts now has another token than 'other'")
    assert frozen(system) == {"/", "/home", "/data"}
    assert call(agent, "guest-fsfreeze-thaw") == 3  # who names none, ends it


def test_after_its_lease_a_freeze_is_no_more(agent: Agent, system: FakeSystem) -> None:
    call(agent, "qga-fsfreeze-freeze", deadline_ms=300, token="mine")
    later(agent, lambda: not agent.freeze.frozen, "the end of the lease")
    assert frozen(system) == set()
    assert call(agent, "guest-fsfreeze-status") == "thawed"
    desc = refusal(agent, "qga-fsfreeze-renew", token="mine", deadline_ms=1000)
    assert desc.startswith("the freeze of token 'mine' has ended: the lease ended after 0.")
    told = call(agent, "qga-fsfreeze-thaw", token="mine")
    assert (told["held"], told["end"], told["state"]) == (False, "lease", "thawed")
    assert call(agent, "qga-fsfreeze-report") == told
    assert call(agent, "guest-fsfreeze-thaw") == 0
    for name, more in (("thaw", {}), ("renew", {"deadline_ms": 1})):
        desc = refusal(agent, f"qga-fsfreeze-{name}", token="other", **more)
        assert desc == "no freeze of token 'other' is known: nothing is frozen"


def test_a_lease_that_ends_before_its_guardian_is_ready(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a guest that is very busy."""
    monkeypatch.setattr(standing, "lock_memory", lambda: time.sleep(0.5))
    for _ in range(3):
        desc = refusal(agent, "qga-fsfreeze-freeze", token="mine", deadline_ms=100)
        assert desc.startswith("failed to freeze all within ")
        assert call(agent, "guest-fsfreeze-status") == "thawed"
        report = call(agent, "qga-fsfreeze-report")
        assert (report["end"], report["held"], report["count"]) == ("lease", False, 0)
        assert report["reason"].endswith(" s, before anything was frozen")


def test_renewed_in_time_it_goes_on(agent: Agent, system: FakeSystem) -> None:
    call(agent, "qga-fsfreeze-freeze", deadline_ms=3_000, token="mine")
    hold = agent.freeze.hold
    assert hold is not None
    first = hold.state.deadline
    for lease in (1_000_000, 2_000_000, 60_000):
        call(agent, "qga-fsfreeze-renew", token="mine", deadline_ms=lease)
    later(agent, lambda: record.now() > first + 200_000_000, "the end that it had at first")
    assert frozen(system) == {"/", "/home", "/data"}
    assert call(agent, "qga-fsfreeze-thaw", token="mine")["held"] is True


def test_the_agent_answers_while_a_freeze_hangs(agent: Agent, system: FakeSystem) -> None:
    system.freezer.hang("/home")
    reply: Any = raw_answer(agent, request("guest-fsfreeze-freeze"))
    later(agent, lambda: frozen(system) == {"/data"}, "the first to be frozen")
    assert call(agent, "guest-ping") == {}
    assert call(agent, "guest-fsfreeze-status") == "frozen"
    assert outcomes(call(agent, "qga-fsfreeze-report"))["/home"] == "planned"
    assert "disabled" in refusal(agent, "guest-fsfreeze-freeze")
    system.freezer.hang("/home", hangs=False)
    assert b'{"return": 3}' in wait_for(agent, reply)
    assert call(agent, "guest-fsfreeze-thaw") == 3


def test_what_hangs_gives_up_the_whole_freeze(make: AgentFactory, system: FakeSystem) -> None:
    agent = make(system, fsfreeze_mount_timeout=0.3)
    system.freezer.hang("/home")
    desc = refusal(agent, "guest-fsfreeze-freeze")
    assert desc == "failed to freeze /home within 0.3 s"
    assert frozen(system) == set()
    # It cannot be told that all is thawed, before it comes out of its freeze.
    assert call(agent, "guest-fsfreeze-status") == "error"
    told = call(agent, "qga-fsfreeze-report")
    assert (told["state"], told["held"], told["end"]) == ("error", False, "timeout")
    assert outcomes(told) == {
        "/data": "thawed", "/home": "hanging", "/": "planned", "/tmp": "skipped"
    }  # fmt: skip
    system.freezer.hang("/home", hangs=False)
    later(agent, lambda: not agent.freeze.frozen, "the rest to be thawed")
    assert frozen(system) == set()
    assert outcomes(call(agent, "qga-fsfreeze-report"))["/home"] == "thawed"
    assert call(agent, "guest-fsfreeze-freeze") == 3
    assert call(agent, "guest-fsfreeze-thaw") == 3


def test_a_thaw_ends_a_freeze_that_hangs(agent: Agent, system: FakeSystem) -> None:
    system.freezer.hang("/home")
    freezing: Any = raw_answer(agent, request("guest-fsfreeze-freeze"))
    later(agent, lambda: frozen(system) == {"/data"}, "the first to be frozen")
    thawing: Any = raw_answer(agent, request("guest-fsfreeze-thaw"))
    later(agent, lambda: not frozen(system), "the first to be thawed")
    system.freezer.hang("/home", hangs=False)
    assert b"thawed before all was frozen" in wait_for(agent, freezing)
    # The other one may not have begun when the thaw came.
    assert wait_for(agent, thawing) in {b'{"return": 1}\n', b'{"return": 2}\n'}
    assert frozen(system) == set()
    assert call(agent, "qga-fsfreeze-report")["held"] is False


def test_a_mount_that_goes_and_one_that_comes_meanwhile(
    agent: Agent, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = system.freezer.open

    def open_(mount: Mount) -> int:
        if mount.path == "/data":
            system.freezer.table = [m for m in system.freezer.table if m.path != "/data"]
            system.freezer.table.append(Mount("/new", (8, 9), "xfs", "/dev/sdz"))
            raise OSError(errno.ENOENT, "No such file or directory")
        return real(mount)

    monkeypatch.setattr(system.freezer, "open", open_)
    made = call(agent, "qga-fsfreeze-freeze")
    told = {mount["path"]: mount.get("reason") for mount in made["mounts"]}
    assert told["/data"] == "unmounted meanwhile"
    assert told["/new"] == "mounted while the others were being frozen"
    assert frozen(system) == {"/", "/home"}
    monkeypatch.undo()


def test_upstreams_of_before_do_not_have_them(make: AgentFactory, system: FakeSystem) -> None:
    agent = make(system, compat="10.1")
    assert refusal(agent, "qga-fsfreeze-report") == (
        "The command qga-fsfreeze-report has not been found"
    )


def test_upstreams_commands_have_a_lease_and_a_report_too(
    make: AgentFactory, system: FakeSystem
) -> None:
    agent = make(system, fsfreeze_timeout=0.5)
    assert call(agent, "guest-fsfreeze-freeze") == 3
    told = call(agent, "qga-fsfreeze-report")
    assert told["deadline-ms"] <= 500
    call(agent, "qga-fsfreeze-renew", token=told["token"], deadline_ms=60_000)
    assert call(agent, "guest-fsfreeze-thaw") == 3
    assert call(agent, "qga-fsfreeze-report")["held"] is True


# From one agent to the next.


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_agent_finds_the_lease(
    start: Starter,
    freezer: FileFreezer,
    number: int,
) -> None:
    changes = on_files(freezer)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(start.folder / "manager"))
        env = {"NOTIFY_SOCKET": str(start.folder / "manager")}
        first = start(changes=changes, blocked="", env=env)
        made = first.call("qga-fsfreeze-freeze", deadline_ms=60_000, token="mine")
        first.end(number)
        assert freezer.frozen() == ["a", "b"]
        second = start(changes=changes, blocked="", env=env)
        assert second.call("guest-fsfreeze-status") == "frozen"
        told = second.call("qga-fsfreeze-report")
        assert 0 < told["deadline-ms"] <= made["deadline-ms"]
        for key in ("token", "began", "began-monotonic", "frozen-monotonic", "mounts", "count"):
            assert told[key] == made[key]
        second.call("qga-fsfreeze-renew", token="mine", deadline_ms=50_000)
        thawed = second.call("qga-fsfreeze-thaw", token="mine")
        assert (thawed["held"], thawed["end"]) == (True, "thawed")
        assert freezer.frozen() == []
        second.end()
        third = start(changes=changes, blocked="")
        assert third.call("qga-fsfreeze-report") == thawed


def test_with_no_manager_and_no_next_agent_it_is_thawed_at_once(
    start: Starter,
    freezer: FileFreezer,
) -> None:
    running = start(changes=on_files(freezer), blocked="")
    running.call("guest-fsfreeze-freeze")
    assert running.end() == 0
    assert freezer.frozen() == []


def test_a_killed_guardian_changes_nothing(
    start: Starter,
    freezer: FileFreezer,
) -> None:
    running = start(changes=on_files(freezer), blocked="")
    with running.connect() as peer:
        made = peer.call("qga-fsfreeze-freeze", token="mine")
        kill_guardian(running)
        assert peer.call("qga-fsfreeze-report")["mounts"] == made["mounts"]
        peer.call("qga-fsfreeze-renew", token="mine", deadline_ms=50_000)
        thawed = peer.call("qga-fsfreeze-thaw", token="mine")
    assert (thawed["held"], thawed["count"]) == (True, 2)
    assert freezer.frozen() == []


def kill_guardian(running: RunningAgent) -> None:
    """Kill the guardian, and wait for another one."""
    first = guardian_of(running)
    os.kill(first, signal.SIGKILL)
    until(lambda: guardian_of(running) not in {0, first}, "another one")


def test_the_lease_of_an_agent_that_hangs_ends(
    start: Starter,
    freezer: FileFreezer,
) -> None:
    running = start(changes=on_files(freezer), blocked="")
    running.call("qga-fsfreeze-freeze", deadline_ms=700)
    running.process.send_signal(signal.SIGSTOP)
    until(lambda: freezer.frozen() == [], "the guardian to thaw")
    running.process.send_signal(signal.SIGCONT)
    told = running.call("qga-fsfreeze-report")
    assert (told["state"], told["held"], told["end"]) == ("thawed", False, "lease")
