"""Programs that the client runs in a real guest, through our agent and through QEMU's."""

import hashlib
import signal
import subprocess
import time

import pytest

import qga
from tests.vm.conftest import GuestFactory
from tests.vm.observe import connect, wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

PIPE = subprocess.PIPE
BOTH = pytest.mark.parametrize("argv", [AGENT, STOCK_AGENT], ids=["ours", "stock"])


def left(guest: Guest) -> str:
    """What is left in the guest of programs: spools, keepers and what these have started."""
    spools = guest.sh("ls -d /dev/shm/qga-* /run/qga-* /tmp/qga-* 2>/dev/null").out
    lines = guest.sh("ps -o pid,ppid,stat,args").out.splitlines()
    words = ("qga-keeper", "dd bs=", "sleep ")
    return spools + "".join(line for line in lines if any(word in line for word in words))


def wait_nothing_left(guest: Guest) -> None:
    wait_until(lambda: left(guest) == "", "a guest with nothing left")


@BOTH
def test_programs(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    with connect(guest) as client:
        done = client.run("cat; echo $NEW >&2; pwd; exit 3", shell=True, input="in\n", cwd="/usr",
                          env={"NEW": "1 2"})  # fmt: skip
        assert (done.text, done.error_text, done.returncode) == ("in\n/usr\n", "1 2\n", 3)
        assert client.run("kill -15 $$", shell=True).returncode == -15
        with pytest.raises(qga.GuestOSError, match="No such file"):
            client.run(["no-such-program"])
        # Over a device, QEMU's agent loses replies if too much is asked at once.
        done = client.run("sleep 1; wc -c", shell=True, input=b"x" * (3 << 20))
        assert done.text == f"{3 << 20}\n"
        guest.sh("echo 'more:x:1002:alice' >>/etc/group")
        done = client.run("id -u; id -G; echo $HOME; exit 300", shell=True, user="alice")
        assert (done.text, done.returncode) == ("1000\n1000 1002\n/home/alice\n", 44)
        with pytest.raises(qga.ProgramTimeout) as late:
            client.run("echo some; sleep 600 & sleep 600", shell=True, timeout=3)
        assert late.value.stdout == b"some\n"
        with client.popen(["cat"], stdin=PIPE) as program:
            assert program.stdin
            assert program.stdout
            for number in range(3):
                program.stdin.write(b"%d\n" % number)
                assert program.stdout.readline() == b"%d\n" % number
            program.send_signal(signal.SIGINT)
            assert program.wait() == -signal.SIGINT
        wait_nothing_left(guest)


@BOTH
def test_a_long_stream_takes_little_room(
    guest_factory: GuestFactory, argv: tuple[str, ...]
) -> None:
    guest = guest_factory(argv)
    size = 8 << 20
    digest = hashlib.sha256()
    with connect(guest) as client:
        text = f"head -c {size} /dev/zero | tee /proc/self/fd/2 | sha256sum"
        with client.popen(text, shell=True) as program:
            assert program.stdout
            assert program.stderr
            assert program.stderr.read(1) == b"\0"
            used = "cd /dev/shm/qga-* || cd /run/qga-* || cd /tmp/qga-*; du -k s"
            before, kilobytes = -1, 0
            while kilobytes != before or not kilobytes:
                time.sleep(0.5)
                before, kilobytes = kilobytes, int(guest.sh(used).out.split()[0])
            assert 256 <= kilobytes <= 13 << 10
            digest.update(b"\0")
            while piece := program.stderr.read(1 << 20):
                digest.update(piece)
            assert program.stdout.read().split()[0] == digest.hexdigest().encode()
        assert program.returncode == 0
        wait_nothing_left(guest)


@BOTH
def test_the_agent_is_killed(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    text = (
        "for n in $(seq 200); do echo $n; sleep 0.01; done;"
        "until test -e /tmp/go; do sleep 0.1; done; exit 5"
    )
    with connect(guest) as client:
        program = client.popen(text, shell=True, stderr=subprocess.STDOUT)
        assert program.stdout
        lines = [program.stdout.readline() for _ in range(50)]
        guest.kill_agent()
        client.timeout = 0.5
        with pytest.raises(qga.AgentTimeout):
            program.stdout.read()
        client.timeout = 60
        guest.start_agent(argv, port=None)
        lines += [program.stdout.readline() for _ in range(150)]
        assert lines == [b"%d\n" % number for number in range(1, 201)]
        assert program.poll() is None
        guest.sh("touch /tmp/go")
        assert program.stdout.read() == b""
        with pytest.raises(qga.QgaError, match="has been restarted"):
            program.wait()
        wait_nothing_left(guest)
        assert client.run(["echo", "next"]).text == "next\n"


@BOTH
def test_the_client_is_gone(guest_factory: GuestFactory, argv: tuple[str, ...]) -> None:
    guest = guest_factory(argv)
    with connect(guest) as client:
        program = client.popen("sleep 600 & yes", shell=True, lease=1)
        assert program.stdout
        assert program.stdout.readline() == b"y\n"
        assert "qga-keeper" in left(guest)
        # The guest hears of a client as long as its program is there.
        time.sleep(8)
        assert program.stdout.readline() == b"y\n"
    wait_nothing_left(guest)
    with connect(guest) as client:
        assert client.run(["echo", "next"]).text == "next\n"
