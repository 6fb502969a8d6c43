"""Terminals in the guest, through both agents, held by Python and by `script`."""

import asyncio
import hashlib
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import qga
from qga.client.flows import shell as flows
from qga.client.flows.shelltexts import FIND
from qga.client.flows.wrapper import PLACES
from qga.client.shell import AsyncShell, Shell
from tests.support.need import missing
from tests.support.stock import BLOCKED_BUT_EXEC, RunningAgent, either

PATIENCE = 60.0
_COUNT = itertools.count(1)
HOLDERS = {"python": "python3", "script": "script -e", "plain": "script"}


@pytest.fixture(
    params=[
        "ours-python",
        "ours-plain",
        pytest.param("stock-python", marks=pytest.mark.interop),
        pytest.param("stock-script", marks=pytest.mark.interop),
    ]
)
def holder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An agent, and what holds the terminal, though this machine has all of it."""
    monkeypatch.setattr(flows, "FIND", f"echo {HOLDERS[request.param.partition('-')[2]]}")
    return str(request.param)


@pytest.fixture
def running_agent(holder: str) -> Iterator[RunningAgent]:
    with either(holder.partition("-")[0], BLOCKED_BUT_EXEC) as agent:
        yield agent


@pytest.fixture
def client(running_agent: RunningAgent) -> Iterator[qga.Client]:
    with qga.connect(running_agent.target) as client:
        yield client


def spools(shell: Shell) -> list[Path]:
    """The shell's own directories on this machine."""
    name = Path(shell._state.running.directory).name
    return [path for place in PLACES if (path := Path(place) / name).exists()]


class Screen:
    """What a terminal shows, bit by bit."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._shown = b""

    def until(self, end: bytes) -> bytes:
        """What is shown up to and with *end*."""
        until = time.monotonic() + PATIENCE
        while end not in self._shown:
            data = self._shell.read(timeout=until - time.monotonic())
            assert data, f"{end!r} does not come, but {self._shown!r}"
            self._shown += data
        found, _, self._shown = self._shown.partition(end)
        return found + end


def read_until(shell: Shell, end: bytes) -> bytes:
    return Screen(shell).until(end)


def read_all(shell: Shell) -> bytes:
    """What the terminal shows up to its end."""
    shown = b""
    while data := shell.read(timeout=PATIENCE):
        shown += data
    assert data == b"", "no end"
    return shown


def wait_until(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def long_time() -> str:
    """A number of seconds to sleep by which the program is known again."""
    return f"{10_000 + os.getpid()}.{next(_COUNT)}"


def processes(word: str) -> list[int]:
    """Those whose command line has *word* among its arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            pass  # gone
    return found


def test_an_interactive_shell(client: qga.Client, holder: str) -> None:
    with client.shell(["sh", "-i"], env={"NAME": "ä b"}, cwd="/") as shell:
        screen = Screen(shell)
        shell.write(b"PS1='<$'' >'\n")
        screen.until(b"<$ >")
        shell.write(b'echo "$PWD $TERM" "$NAME"; stty size\n')
        assert b"\r\n/ xterm-256color \xc3\xa4 b\r\n24 80\r\n" in screen.until(b"<$ >")
        shell.resize(50, 132)
        shell.write(b"stty size; tty\n")
        assert f"\r\n50 132\r\n{shell.terminal}\r\n".encode() in screen.until(b"<$ >")
        shell.write(b"ps -o sid= -p $$\n")
        assert b"%d" % shell.pid in screen.until(b"<$ >").split()
        shell.write(b"echo go; sleep 1000; echo after $?\n")
        screen.until(b"\r\ngo\r\n")
        time.sleep(0.2)  # what comes before it has begun interrupts the shell's own line
        shell.write(b"\x03")
        screen.until(b"<$ >")
        shell.write("echo Grüße | tr a-z A-Z; exit 5\n".encode())
        screen.until("\r\nGRüßE\r\n".encode())
        assert read_all(shell) == b""
        assert shell.returncode == shell.wait() == 5
        shell.write(b"nobody reads this")
        assert shell.read() == b""
    wait_until(lambda: not spools(shell), "the spool stays")


def test_the_size_reaches_a_program_that_runs(client: qga.Client, holder: str) -> None:
    text = 'trap "stty size; exit 3" WINCH; echo ready; while :; do sleep 0.05; done'
    with client.shell(text, size=(5, 10)) as shell:
        read_until(shell, b"ready\r\n")
        shell.resize(7, 20)
        assert b"7 20\r\n" in read_all(shell)
        assert shell.returncode == 3
    for size in ((0, 80), (24, 65536)):
        with pytest.raises(ValueError, match="no terminal has"):
            client.shell(size=size)


def test_a_terminal_that_the_guest_does_not_know(client: qga.Client) -> None:
    for term, found in (("vt220", b"vt220"), ("no-such-one", b"xterm-256color")):
        with client.shell("echo $TERM", term=term) as shell:
            assert read_all(shell) == found + b"\r\n"


def test_its_end(client: qga.Client, holder: str) -> None:
    with client.shell("sleep 300 & exit 130") as shell:
        assert shell.wait() == 130
    with client.shell("echo end; kill -9 $$") as shell:
        assert b"end\r\n" in read_all(shell)
        assert shell.returncode == (-9 if "python" in holder else 137)
    with client.shell(["/no/such/program"]) as shell:
        assert b"/no/such/program" in read_all(shell)
        assert shell.returncode == 127
    with pytest.raises(qga.GuestOSError, match="/no/such/directory"):
        client.shell(cwd="/no/such/directory")


def test_much_passes(client: qga.Client) -> None:
    count = 700_000
    expected = b"".join(b"%d\n" % number for number in range(1, count + 1))
    with client.shell(f"stty -onlcr; seq {count}") as shell:
        shown = read_all(shell)
    assert len(shown) == len(expected) > 4 << 20
    assert hashlib.sha256(shown).digest() == hashlib.sha256(expected).digest()
    data = bytes(range(256)) * 3000
    text = f"stty raw -echo; echo ready; head -c {len(data)} | sha256sum; stty sane"
    with client.shell(text) as shell:
        read_until(shell, b"ready")
        pieces = (data[:1], data[1:100], data[100:228], data[228:357], data[357:])
        for piece in pieces:
            shell.write(piece)
        assert hashlib.sha256(data).hexdigest().encode() in read_all(shell)


def test_a_close_hangs_up(client: qga.Client, running_agent: RunningAgent) -> None:
    seconds = [long_time() for _ in range(4)]
    with client.shell(["bash", "--norc", "-i"]) as shell:
        shell.write(
            f"sleep {seconds[0]} &\n(trap '' HUP; exec sleep {seconds[1]}) &\n"
            f"sleep {seconds[2]}\n".encode()
        )
        wait_until(lambda: all(map(processes, seconds[:3])), "the programs do not start")
    assert shell.returncode in (-1, 129)
    wait_until(lambda: not processes(seconds[0]) + processes(seconds[2]), "they go on")
    # What was told to ignore it stays, as at every terminal.
    (stays,) = processes(seconds[1])
    os.kill(stays, 9)
    shell.close()
    wait_until(lambda: not spools(shell), "the spool stays")
    with client.shell(["sh", "-c", f"trap '' HUP TERM; echo ready; sleep {seconds[3]}"]) as shell:
        read_until(shell, b"ready")
    wait_until(lambda: not processes(seconds[3]), "it goes on")


def test_a_client_that_is_gone(running_agent: RunningAgent, holder: str) -> None:
    ahead, behind = long_time(), long_time()
    with qga.connect(running_agent.target) as client:
        shell = client.shell(["bash", "--norc", "-i"], lease=4)
        # Only Python reaches jobs in the background then.
        if "python" in holder:
            shell.write(f"sleep {behind} &\n".encode())
            wait_until(lambda: processes(behind), "the job does not start")
        shell.write(f"sleep {ahead}\n".encode())
        wait_until(lambda: processes(ahead), "the program does not start")
        assert spools(shell)
    wait_until(lambda: not processes(ahead) + processes(behind), "they go on")
    wait_until(lambda: not spools(shell), "the spool stays")


def test_in_an_event_loop(running_agent: RunningAgent) -> None:
    async def talk() -> None:
        async with (
            await qga.aconnect(running_agent.target) as client,
            await client.shell(["cat"]) as shell,
        ):

            async def reader(shell: AsyncShell) -> bytes:
                shown = b""
                while data := await shell.read():
                    shown += data
                return shown

            reading = asyncio.create_task(reader(shell))
            for word in (b"one\n", b"two\n"):
                await shell.write(word)
                await asyncio.sleep(0.05)
            await shell.resize(10, 20)
            await shell.write(b"\x04")
            assert await reading == b"one\r\none\r\ntwo\r\ntwo\r\n"
            assert await shell.wait() == 0

    asyncio.run(talk())


def test_another_user(client: qga.Client) -> None:
    if os.geteuid():
        missing("root", "run the tests as root")
    with client.shell("id -un; tty; pwd; echo x >$(tty)", user="nobody", cwd="/tmp") as shell:
        shown = f"nobody\r\n{shell.terminal}\r\n/tmp\r\nx\r\n"
        assert read_all(shell).decode() == shown
    with pytest.raises(qga.GuestOSError, match="no user"):
        client.shell(user="no-such-user")


def test_a_guest_without(client: qga.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "FIND", ":")
    with pytest.raises(qga.Unsupported, match=r"python3.*util-linux"):
        client.shell()


@pytest.mark.parametrize(
    ("programs", "holder"),
    [
        ({"python3": "exit 0", "script": "exit 0"}, "python3"),
        ({"python3": "echo no module >&2; exit 1", "script": "echo ' -e, --return'"}, "script -e"),
        ({"script": "echo 'usage: script [-a] [-e] [-f] [file]' >&2; exit 1"}, "script -e"),
        ({"script": "echo 'Usage: script [-afq] [-t[FILE]] [-c PROG] [OUTFILE]' >&2"}, "script"),
        ({}, ""),
    ],
)
def test_what_is_there(tmp_path: Path, programs: dict[str, str], holder: str) -> None:
    (tmp_path / "grep").symlink_to("/bin/grep")
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", FIND], env={"PATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert done.stdout.decode().strip() == holder
