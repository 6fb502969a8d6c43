"""The fsfreeze hook around freezes of a real guest's disks, with our agent and with QEMU's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import GuestFactory
from tests.vm.observe import Raw, Writer, agents, blocked_writers, connect, refused, wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest
from tests.vm.syslog import logged, start_log_daemon

BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
HOOK = "/etc/qemu/fsfreeze-hook"
EVENTS = "/run/events"
PACKAGING = Path(__file__).parents[2] / "packaging"

# Notes how it was called, on disk too, which works only as long as nothing is frozen. Then it does
# what the test has put beside it.
NOTING = f"""#!/bin/sh
echo "$*" >> /root/hook.log
echo "$*" >> /mnt/data/hook.log
echo "$*" >> {EVENTS}
[ ! -e /run/hook.$1 ] || . /run/hook.$1
"""


def install(guest: Guest, text: str = NOTING, path: str = HOOK) -> None:
    guest.sh("mkdir -p /etc/qemu/fsfreeze-hook.d")
    guest.write(path, text.encode())
    guest.sh(f"chmod +x '{path}'")


def events(guest: Guest) -> list[str]:
    return guest.sh(f"cat {EVENTS}").out.split()


def start(factory: GuestFactory, argv: tuple[str, ...], *options: str) -> Guest:
    guest = factory(None)
    install(guest)
    guest.start_agent([*argv, f"-F{HOOK}", *options])
    return guest


@BOTH
def test_the_order_of_events(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = start(guest_factory, argv)
    with connect(guest) as client:
        assert client.call("guest-fsfreeze-freeze") == 2
        with blocked_writers(guest):
            assert events(guest) == ["freeze"]
            assert client.thaw() == 2
        assert events(guest) == ["freeze", "thaw"]
        # Thawing the thawed runs it all the same.
        assert client.thaw() == 0
        assert events(guest) == ["freeze", "thaw", "thaw"]
        # Some file systems, or none: then it waits for the thaw too.
        for paths, count in (["/mnt/data"], 1), ([], 0), (["/nothing", "/mnt/data/"], 0):
            guest.sh(f"rm {EVENTS}")
            assert client.call("guest-fsfreeze-freeze-list", {"mountpoints": paths}) == count
            assert events(guest) == ["freeze"]
            assert client.fsfreeze_status() == ("frozen" if count else "thawed")
            assert client.thaw() == count
            assert events(guest) == ["freeze", "thaw"]
    assert guest.sh("cat /root/hook.log | wc -l").out == "9\n"


@BOTH
def test_refusing_and_failing(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = start(guest_factory, argv)
    guest.write("/run/hook.freeze", b"echo the database is busy; exit 3")
    with connect(guest) as client:
        error = refused(client, "guest-fsfreeze-freeze")
        assert error.error_class == "GenericError"
        if argv is AGENT:
            assert error.desc == (
                "child process has failed to execute fsfreeze hook: the database is busy\n"
            )
        assert client.fsfreeze_status() == "thawed"
        assert events(guest) == ["freeze"]
        Writer(guest, "/root").finish()
        # One that fails after the thaw.
        guest.sh("mv /run/hook.freeze /run/hook.thaw")
        assert client.call("guest-fsfreeze-freeze") == 2
        assert refused(client, "guest-fsfreeze-thaw").error_class == "GenericError"
        assert client.fsfreeze_status() == "thawed"
        assert events(guest) == ["freeze", "freeze", "thaw"]
        Writer(guest, "/mnt/data").finish()
        # None at all.
        guest.sh(f"rm {HOOK}")
        assert refused(client, "guest-fsfreeze-freeze").error_class == "GenericError"
        assert client.fsfreeze_status() == "thawed"


@BOTH
def test_some_file_systems_only(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    guest.sh("mkdir -p /mnt/other; mount --bind /mnt/data /mnt/other")
    with connect(guest) as client:

        def freeze(*paths: str) -> Any:
            return client.call("guest-fsfreeze-freeze-list", {"mountpoints": list(paths)})

        assert freeze("/mnt/data") == 1
        assert client.fsfreeze_status() == "frozen"
        writer = Writer(guest, "/mnt/data")
        wait_until(lambda: writer.blocked, "the disk is frozen")
        Writer(guest, "/root").finish()
        error = refused(client, "guest-fsfreeze-freeze-list", mountpoints=["/"])
        assert error.error_class == "CommandNotFound"
        assert client.thaw() == 1
        writer.finish()
        # The mount point as the mount table has it, or it is none.
        for unknown in "/mnt/data/", "/mnt", "mnt/data", "", "/dev/vdb", "/proc", "/run":
            assert freeze(unknown) == 0
            assert client.fsfreeze_status() == "thawed"
        assert freeze("/nothing", "/", "/mnt/data", "/") == 2
        assert client.thaw() == 2
        assert client.call("guest-fsfreeze-freeze-list", {}) == 2
        assert client.thaw() == 2


@contextmanager
def freezing(guest: Guest) -> Iterator[Raw]:
    """A freeze whose hook hangs."""
    guest.write("/run/hook.freeze", b"sleep 1000 & sleep 1000")
    with Raw(guest) as port:
        port.send(b'{"execute": "guest-fsfreeze-freeze"}\n')
        wait_until(lambda: len(sleeping(guest)) == 2, "the hook to hang")
        yield port


def sleeping(guest: Guest) -> list[str]:
    return guest.sh("pidof sleep").out.split()


def test_a_hook_that_hangs(guest_factory: GuestFactory) -> None:
    guest = start(guest_factory, AGENT, "--fsfreeze-timeout", "3")
    with freezing(guest) as port:
        assert port.reply()["error"]["desc"] == (
            "child process has failed to execute fsfreeze hook: it has not finished after 3 s"
        )
    wait_until(lambda: not sleeping(guest), "the hook's programs to be gone")
    assert events(guest) == ["freeze", "thaw"]
    guest.restart_agent(f"-F{HOOK}")
    with freezing(guest):
        assert guest.kill_agent(15) == 0
    wait_until(lambda: not sleeping(guest), "the hook's programs to be gone")
    assert events(guest) == ["freeze", "thaw"] * 2


def test_nobody_thaws(guest_factory: GuestFactory) -> None:
    """At the deadline the hook is told, by the agent or, if that was killed, by the guardian."""
    guest = start(guest_factory, AGENT, "--fsfreeze-timeout", "4")
    start_log_daemon(guest)
    with connect(guest) as client:
        assert client.call("guest-fsfreeze-freeze") == 2
        with blocked_writers(guest):
            pass
        wait_until(lambda: events(guest) == ["freeze", "thaw"], "the hook to be told")
        assert client.fsfreeze_status() == "thawed"
        assert client.call("guest-fsfreeze-freeze") == 2
    guest.kill_agent()
    with blocked_writers(guest):
        assert len(agents(guest)) == 1
    wait_until(lambda: events(guest) == ["freeze", "thaw"] * 2, "the hook to be told")
    wait_until(lambda: agents(guest) == [], "the guardian to end")
    hooks = [line for line in logged(guest) if "executing fsfreeze hook" in line]
    assert len(hooks) == 4


@pytest.mark.parametrize("number", [9, 15])
def test_an_agent_that_ends_frozen(guest_factory: GuestFactory, number: int) -> None:
    guest = start(guest_factory, AGENT)
    with connect(guest) as client:
        assert client.call("guest-fsfreeze-freeze") == 2
    guest.kill_agent(number)
    if number == 9:
        guest.start_agent([*AGENT, f"-F{HOOK}"])
        with connect(guest) as client:
            assert client.fsfreeze_status() == "frozen"
            assert client.thaw() == 2
    assert events(guest) == ["freeze", "thaw"]


def test_the_hook_that_comes_with_the_agent(guest_factory: GuestFactory) -> None:
    """Runs all programs beside it, whatever they do."""
    guest = guest_factory(None)
    start_log_daemon(guest)
    install(guest, (PACKAGING / "fsfreeze-hook").read_text(encoding="utf-8"))
    folder = f"{HOOK}.d"
    note = f'#!/bin/sh\necho "$0:$1" >> {EVENTS}\n'
    for name in ("10-first", "20 second", "30-third"):
        install(guest, note, f"{folder}/{name}")
    install(guest, f"{note}echo oops >&2; exit 7", f"{folder}/25-failing")
    install(guest, f"{note}sleep 60 & sleep 0", f"{folder}/27-staying")
    for name in ("a~", "a.bak", "a.orig", "a.rpmnew", "a.rpmorig", "a.rpmsave", "a.sample",
                 "a.dpkg-old", "a.dpkg-dist"):  # fmt: skip
        install(guest, note, f"{folder}/{name}")
    guest.write(f"{folder}/README", (PACKAGING / "fsfreeze-hook.d/README").read_bytes())
    guest.sh(f"mkdir {folder}/40-folder")
    guest.start_agent([*AGENT, "-F"])
    with connect(guest) as client:
        assert client.call("guest-fsfreeze-freeze") == 2
        with blocked_writers(guest):
            assert client.thaw() == 2
    names = ["10-first", "20 second", "25-failing", "27-staying", "30-third"]
    assert guest.sh(f"cat {EVENTS}").out.splitlines() == [
        f"{folder}/{name}:{action}" for action in ("freeze", "thaw") for name in names
    ]
    told = "\n".join(logged(guest))
    assert f"qga-fsfreeze-hook: {folder}/10-first freeze: done" in told
    assert f"qga-fsfreeze-hook: {folder}/25-failing thaw: failed with exit code 7" in told
    assert f"qga-fsfreeze-hook: {folder}/25-failing thaw: printed: oops" in told
    assert guest.sh("ls /tmp").out == ""
