"""Hooks that the agent runs itself, around freezes of a real guest's disks, whatever goes wrong."""

from typing import Any

import pytest

import qga
from tests.vm.conftest import GuestFactory
from tests.vm.observe import Raw, agents, blocked_writers, connect, refused, wait_until
from tests.vm.qemu import AGENT, Guest
from tests.vm.test_hook import EVENTS, PACKAGING, install, sleeping

FOLDER = "/etc/qemu/fsfreeze-hook.d"
CONFIG = "/run/qga.conf"
FAILED = "child process has failed to execute fsfreeze hook"

# Notes what it is told, on both disks too, which works only as long as nothing is frozen. Then it
# does what the test has put into memory for it.
NOTING = f"""#!/bin/sh
name=${{0##*/}}
echo $name >> /root/hooks.log && echo $name >> /mnt/data/hooks.log
echo $name:$1 >> {EVENTS}
[ ! -e /run/$name.$1 ] || . /run/$name.$1
"""
FREEZE = ["a:freeze", "b:freeze", "c:freeze"]
THAW = ["c:thaw", "b:thaw", "a:thaw"]


def start(guest: Guest, settings: str = "", *, timeout: int = 600) -> None:
    general = f"[general]\nfsfreeze-hook-dir={FOLDER}\nfsfreeze-timeout={timeout}\n"
    guest.write(CONFIG, f"{general}{settings}".encode())
    guest.start_agent([*AGENT, "-c", CONFIG])


def hooked(factory: GuestFactory) -> Guest:
    guest = factory(None)
    for name in "abc":
        install(guest, NOTING, f"{FOLDER}/{name}")
    return guest


def does(guest: Guest, run: str, script: str) -> None:
    """Have a run of a hook, as "a.freeze", do that."""
    guest.write(f"/run/{run}", script.encode())


def told(guest: Guest) -> list[str]:
    """What they were told since this was asked for."""
    return guest.sh(f"cat {EVENTS}; rm -f {EVENTS}").out.split()


def outcomes(report: Any) -> list[str]:
    """Each run, with a ! if it has failed."""
    return [f"{run['name']}:{run['action']}{'' if run['ok'] else '!'}" for run in report["hooks"]]


def all_told(guest: Guest) -> bool:
    return guest.sh("test -e /run/qga.state.hooked").code == 1


def test_their_results(guest_factory: GuestFactory) -> None:
    guest = hooked(guest_factory)
    start(guest, "[hook:b]\nrequired=true\ntimeout=10\n[hook:c]\ntimeout=3\n")
    with connect(guest) as client:
        does(guest, "a.freeze", "echo no; exit 3")  # it is not required
        made = client.call("qga-fsfreeze-freeze", {"token": "t"})
        with blocked_writers(guest):
            assert outcomes(made) == ["a:freeze!", "b:freeze", "c:freeze"]
            assert made["hooks"][0]["exit-code"] == 3
            assert made["hooks"][0]["output"] == "no\n"
            thawed = client.call("qga-fsfreeze-thaw", {"token": "t"})
        assert thawed["held"] is True
        assert outcomes(thawed) == ["a:freeze!", "b:freeze", "c:freeze", *THAW]
        assert client.call("qga-fsfreeze-report") == thawed
        assert told(guest) == FREEZE + THAW
        # One that is required.
        does(guest, "b.freeze", "echo the database is busy; exit 4")
        error = refused(client, "guest-fsfreeze-freeze")
        assert error.desc == f"{FAILED} b: exit status 4: the database is busy\n"
        assert client.fsfreeze_status() == "thawed"
        assert told(guest) == ["a:freeze", "b:freeze", "b:thaw", "a:thaw"]
        assert client.call("qga-fsfreeze-report")["end"] == "hook"
        guest.sh("rm /run/?.freeze")
        # One that hangs before the freeze, and when nothing is frozen any more.
        does(guest, "c.freeze", "sleep 1000")
        does(guest, "c.thaw", "sleep 1000")
        made = client.call("qga-fsfreeze-freeze")
        assert made["hooks"][2]["timed-out"] is True
        with blocked_writers(guest):
            assert client.thaw() == 2
        assert client.fsfreeze_status() == "thawed"
        report = client.call("qga-fsfreeze-report")
        assert outcomes(report)[2:] == ["c:freeze!", "c:thaw!", "b:thaw", "a:thaw"]
        assert report["held"] is True
        assert told(guest) == FREEZE + THAW
        wait_until(lambda: not sleeping(guest), "what they have started to be gone")
        # Before the next one, it can be seen that it would fail, and nothing is done.
        guest.sh(f"chmod -x {FOLDER}/b; rm {FOLDER}/c; chown 7 {FOLDER}/a")
        plan = client.freeze_plan()
        assert [(hook.name, hook.ok, hook.reason) for hook in plan.hooks or ()] == [
            ("a", True, "its owner, user 7, may have the agent run anything by it"),
            ("b", False, "it is not executable"),
            ("c", False, "No such file or directory"),
        ]
        unfit = "the hook b is required, and cannot be run: it is not executable"
        assert str(plan.problem) == unfit
        with pytest.raises(qga.GroupFreezeFailed, match=unfit):
            qga.freeze_group([client]).__enter__()
        assert told(guest) == []
        assert "is required, and is no program" in refused(client, "guest-fsfreeze-freeze").desc


def test_whoever_ends_the_freeze(guest_factory: GuestFactory) -> None:
    guest = hooked(guest_factory)
    start(guest, timeout=5)
    with connect(guest) as client:
        client.call("guest-fsfreeze-freeze")
        with blocked_writers(guest):
            pass  # the lease ends
        wait_until(lambda: all_told(guest), "them to be told")
        assert told(guest) == FREEZE + THAW
        client.call("guest-fsfreeze-freeze")
    # Killed while frozen, and none comes.
    guest.kill_agent()
    with blocked_writers(guest):
        assert len(agents(guest)) == 1
    wait_until(lambda: agents(guest) == [], "the guardian to end")
    assert told(guest) == FREEZE + THAW
    assert all_told(guest)
    # Killed while frozen, and the next one thaws.
    start(guest)
    with connect(guest) as client:
        report = client.call("qga-fsfreeze-report")
        assert (report["end"], outcomes(report)) == ("lease", FREEZE + THAW)
        assert client.call("guest-fsfreeze-freeze") == 2
    guest.kill_agent()
    start(guest)
    with connect(guest) as client:
        assert client.fsfreeze_status() == "frozen"
        with blocked_writers(guest):
            assert client.thaw() == 2
        assert outcomes(client.call("qga-fsfreeze-report")) == FREEZE + THAW
    assert told(guest) == FREEZE + THAW


def test_an_agent_that_is_killed_before_the_freeze(guest_factory: GuestFactory) -> None:
    """By the last hook; and while one hangs, which then is ended."""
    guest = hooked(guest_factory)
    start(guest)
    does(guest, "c.freeze", "kill -9 $PPID")
    with Raw(guest) as port:
        port.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
        guest.wait_agent_exit()
    guest.sh("rm /run/c.freeze")
    start(guest)
    cured(guest, FREEZE + THAW)
    does(guest, "b.freeze", "exec sleep 1000")
    with Raw(guest) as port:
        port.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
        noted = "grep -q ^process.*$(pidof sleep || echo none) /run/qga.state.hooked"
        wait_until(lambda: guest.sh(noted).code == 0, "it to hang")
        guest.kill_agent()
    guest.sh("rm /run/b.freeze")
    start(guest)
    cured(guest, [*FREEZE[:2], *THAW[1:]])
    assert not sleeping(guest)
    logs = guest.sh("cmp /root/hooks.log /mnt/data/hooks.log && wc -l < /root/hooks.log")
    assert int(logs.out) == 6 + 6 + 4 + 6


def cured(guest: Guest, expected: list[str]) -> None:
    """The hooks were told that by two agents, and the second freezes as it should."""
    wait_until(lambda: all_told(guest), "them to be told")
    assert told(guest) == expected
    with connect(guest) as client:
        assert client.fsfreeze_status() == "thawed"
        assert client.call("qga-fsfreeze-report")["end"] == "agent"
        assert client.call("guest-fsfreeze-freeze") == 2
        with blocked_writers(guest):
            assert client.thaw() == 2
    assert told(guest) == FREEZE + THAW


def test_those_that_come_with_the_agent(guest_factory: GuestFactory) -> None:
    """Without the servers that they are for they have nothing to do."""
    guest = guest_factory(None)
    guest.sh("mkdir -p /usr/share/qga-agent")
    for path in sorted((PACKAGING / "hooks").iterdir()):
        install(guest, path.read_text(encoding="utf-8"), f"/usr/share/qga-agent/{path.name}")
        guest.sh(f"ln -s /usr/share/qga-agent/{path.name} {FOLDER}/")
    start(guest)
    with connect(guest) as client:
        client.call("guest-fsfreeze-freeze")
        client.thaw()
        report = client.call("qga-fsfreeze-report")
    assert outcomes(report) == [
        "mysql:freeze", "postgresql:freeze", "redis:freeze",
        "redis:thaw", "postgresql:thaw", "mysql:thaw",
    ]  # fmt: skip
