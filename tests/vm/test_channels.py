"""The agent on other ways than virtio-serial, and in the background, in a real guest."""

import signal

import qga
from tests.vm.observe import PATIENCE, Process, agents, connect, wait_until
from tests.vm.qemu import AGENT, AGENT_PROGRAM, CHANNEL, SERIAL_PORT, Guest

EVERY_BYTE = bytes(range(256)) * 16
PIDFILE = "/run/qga.pid"

# Two clients at once, each with a file of its own, in turns; in the guest, where our library is.
TWO_CLIENTS = """
import qga
with qga.connect("vsock:1:1234") as one, qga.connect("vsock:1:1234") as other:
    clients = [one, other]
    files = [c.open(f"/tmp/{n}", "w+") for n, c in enumerate(clients)]
    for turn in range(20):
        for number, file in enumerate(files):
            file.write(b"%d" % number * 1000)
    for number, file in enumerate(files):
        file.seek(0)
        assert file.readall() == b"%d" % number * 20000
        file.close()
    with one.frozen() as freeze:
        assert freeze.frozen == 2
        assert other.fsfreeze_status() == "frozen"
    print("done")
"""


def test_serial_line(guest: Guest) -> None:
    guest.kill_agent()
    argv = [*AGENT_PROGRAM, "-m", "isa-serial", "-p", SERIAL_PORT, "-t", "/run"]
    guest.start_agent(argv, port=SERIAL_PORT)
    agent = Process(guest, guest.agent_pid())
    for _ in range(3):
        with qga.connect(f"unix:{guest.serial_socket}", timeout=PATIENCE) as client:
            assert len(client.info().supported_commands) >= 14
            client.write_file("/tmp/file", EVERY_BYTE)
            assert client.read_file("/tmp/file") == EVERY_BYTE
            with client.frozen() as freeze:
                assert freeze.frozen == 2
    # The reply to the thaw is no end: what has frozen has to be seen to its end, too.
    wait_until(lambda: agent.state == "S", "it is at rest")
    assert guest.kill_agent(signal.SIGTERM) == 0


def test_vsock(guest: Guest) -> None:
    guest.kill_agent()
    argv = [*AGENT_PROGRAM, "-m", "vsock-listen", "-p", "4294967295:1234", "-t", "/run"]
    guest.start_agent(argv, port=None)
    # Two processes with the library, emulated: that takes time.
    program = TWO_CLIENTS.encode()
    wait_until(lambda: guest.sh("python3 -", program, 180).out == "done\n", "an answer", 240)
    assert guest.kill_agent(signal.SIGTERM) == 0


def test_in_the_background(guest: Guest) -> None:
    guest.kill_agent()
    guest.start_agent([*AGENT, "-d", "-f", PIDFILE], port=None)
    assert guest.wait_agent_exit() == 0
    # When the first process has ended, the agent serves.
    with connect(guest) as client:
        client.ping()
    (pid,) = agents(guest)
    assert guest.read(PIDFILE) == b"%d\n" % pid
    agent = Process(guest, pid)
    links = f"ls -l /proc/{pid}/fd/0 /proc/{pid}/fd/1 /proc/{pid}/fd/2 /proc/{pid}/cwd"
    targets = [line.rpartition(" -> ")[2] for line in guest.sh(links).out.splitlines()]
    assert sorted(targets) == ["/", *["/dev/null"] * 3]
    assert agent.file("status").partition("Umask:\t")[2].startswith("0077\n")
    # A second one is refused, and leaves the first alone.
    second = [*AGENT_PROGRAM, "-m", "unix-listen", "-p", "/tmp/socket", "-t", "/tmp"]
    guest.start_agent([*second, "-d", "-f", PIDFILE], port=None)
    assert guest.wait_agent_exit() == 1
    assert PIDFILE in guest.agent_output()
    assert agents(guest) == [pid]
    with connect(guest) as client:
        with client.frozen() as freeze:
            assert freeze.frozen == 2
        guest.sh(f"kill {pid}")
        wait_until(lambda: agents(guest) == [], "its end")
    assert guest.sh(f"test -e {PIDFILE}").code == 1


def test_a_port_that_is_taken(guest: Guest) -> None:
    second = [*AGENT_PROGRAM, *CHANNEL, "-t", "/tmp"]
    result = guest.control.run(second)
    assert result.code == 1
    assert "busy" in result.err
    with connect(guest) as client:
        client.ping()
