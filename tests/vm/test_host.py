"""What the host does to the port: it comes and goes, in the middle of everything."""

import json
import signal
import time
from base64 import b64decode, b64encode

import pytest

from tests.vm.observe import Process, Raw, connect, processes, replace_program, wait_until
from tests.vm.qemu import AGENT, Guest

MIB = 1 << 20
PING = b'{"execute": "guest-ping"}'
DELIMITED = b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 5}}\n'


def synchronize(port: Raw) -> None:
    """As libraries do: skip everything up to the byte that comes before the reply."""
    port.send(DELIMITED)
    while b"\xff" not in (line := port.line()):
        pass
    assert json.loads(line.rpartition(b"\xff")[2]) == {"return": 5}


@pytest.mark.parametrize("half", [b'{"execute": "guest-pi', b'{"execute": "', b'[[[{"', b'"\\'])
def test_half_a_request_and_another_client(guest: Guest, half: bytes) -> None:
    with Raw(guest) as port:
        port.send(half)
    with Raw(guest) as port:
        synchronize(port)
        port.send(PING)
        assert port.reply() == {"return": {}}
    with Raw(guest) as port:
        port.send(half)
    with connect(guest) as client:
        client.ping()


def test_half_a_request_belongs_to_the_port(guest: Guest) -> None:
    # The guest cannot tell one host connection from the next.
    with Raw(guest) as port:
        port.send(PING[:12])
    with Raw(guest) as port:
        port.send(PING[12:])
        assert port.reply() == {"return": {}}


def test_a_reply_that_nobody_fetched(guest: Guest) -> None:
    with Raw(guest) as port:
        port.send(PING * 50)
    with connect(guest) as client:
        assert client.call("guest-sync", {"id": 1}) == 1


@pytest.mark.parametrize("amount", [0, 1, 100_000, 5_000_000])
def test_gone_in_the_middle_of_a_large_reply(guest: Guest, amount: int) -> None:
    agent = Process(guest, guest.agent_pid())
    guest.sh("truncate -s 16M /tmp/file; echo end >> /tmp/file")
    with connect(guest) as client:
        handle = client.call("guest-file-open", {"path": "/tmp/file"})
        read = {"execute": "guest-file-read", "arguments": {"handle": handle, "count": 16 * MIB}}
    before = agent.descriptors
    with Raw(guest) as port:
        port.send(json.dumps(read).encode())
        received = 0
        while received < amount:
            received += len(port.socket.recv(65536))
    with connect(guest) as client:
        client.ping()
        seek = {"handle": handle, "offset": 16 * MIB, "whence": "set"}
        assert client.call("guest-file-seek", seek)["position"] == 16 * MIB
        assert client.call("guest-file-read", {"handle": handle})["count"] == 4
        assert client.call("guest-file-read", {"handle": handle})["eof"]
    assert agent.descriptors == before


def test_a_client_that_does_not_read(guest: Guest) -> None:
    agent = Process(guest, guest.agent_pid())
    guest.sh("truncate -s 16M /tmp/file")
    with connect(guest) as client:
        handle = client.call("guest-file-open", {"path": "/tmp/file"})
    read = {"execute": "guest-file-read", "arguments": {"handle": handle, "count": 16 * MIB}}
    with Raw(guest) as port:
        port.send(json.dumps(read).encode())
        wait_asleep(agent)
        assert guest.kill_agent(15) == 0


def wait_asleep(agent: Process) -> None:
    """Wait for a second in which the process does not run at all, not even for a moment."""

    def asleep() -> bool:
        before = agent.switches, agent.ticks
        time.sleep(1.2)
        return (agent.switches, agent.ticks) == before

    wait_until(asleep, "an agent that sleeps")


def test_nobody_there(guest: Guest) -> None:
    agent = Process(guest, guest.agent_pid())
    wait_asleep(agent)  # after the one who asked whether it had started
    with Raw(guest) as port:
        port.send(PING)
        port.reply()
        wait_asleep(agent)
    wait_asleep(agent)
    with Raw(guest) as port:
        port.send(PING * 20 + PING[:7])
    wait_asleep(agent)


def test_nobody_there_while_a_program_runs(guest: Guest) -> None:
    agent = Process(guest, guest.agent_pid())
    replace_program(guest, "/sbin/poweroff", "exec sleep 1000")
    with Raw(guest) as port:
        port.send(b'{"execute": "guest-shutdown"}')
        wait_until(lambda: processes(guest, "sleep 1000") != [], "the program")
    wait_asleep(agent)
    guest.sh(f"kill {processes(guest, 'sleep 1000')[0]}")
    with connect(guest) as client:
        client.ping()


def test_a_hundred_clients(guest: Guest) -> None:
    agent = Process(guest, guest.agent_pid())
    before = agent.descriptors
    for number in range(100):
        with Raw(guest) as port:
            if number % 10 == 0:  # others talk before the guest knows that they are there
                wait_until(lambda: agent.state == "S", "an agent that sleeps")
            port.send(b'{"execute": "guest-sync", "arguments": {"id": %d}}' % number)
            assert port.reply() == {"return": number}
    assert agent.descriptors == before


def test_no_reply_is_lost_to_a_client_that_comes_quickly(guest: Guest) -> None:
    # The guest's kernel hears of a connection and of its bytes on two ways. While the machine
    # stands still both gather, and the bytes may be first.
    for number in range(30):
        wait_until(lambda: Process(guest, guest.agent_pid()).state == "S", "an agent that sleeps")
        guest.qmp.execute("stop")
        with Raw(guest) as port:
            port.send(b'{"execute": "guest-sync", "arguments": {"id": %d}}' % number)
            guest.qmp.execute("cont")
            assert port.reply() == {"return": number}


def test_large_messages_take_few_system_calls(guest: Guest) -> None:
    # The driver hands over 4 KiB at a time, and takes 32 KiB.
    agent = Process(guest, guest.agent_pid())
    with connect(guest) as client:
        handle = client.call("guest-file-open", {"path": "/tmp/file", "mode": "w+"})
    write = {"handle": handle, "buf-b64": b64encode(bytes(range(256)) * 900).decode()}
    before = agent.numbers("io")
    with Raw(guest) as port:
        guest.signal_agent(signal.SIGSTOP)  # until everything is there
        port.send(json.dumps({"execute": "guest-file-write", "arguments": write}).encode())
        wait_until(lambda: port.unsent() == 0, "QEMU has taken the request")
        guest.signal_agent(signal.SIGCONT)
        assert port.reply()["return"]["count"] == 900 * 256
    between = agent.numbers("io")
    assert between["syscr"] - before["syscr"] < 20  # of 75 pieces
    guest.sh("truncate -s 1536K /tmp/file")
    with Raw(guest) as port:
        port.send(
            b'{"execute": "guest-file-seek", "arguments": {"handle": %d, "offset": 0, "whence": 0}}'
            % handle
        )
        port.reply()
        port.send(
            b'{"execute": "guest-file-read", "arguments": {"handle": %d, "count": 1572864}}'
            % handle
        )
        data = b64decode(port.reply()["return"]["buf-b64"])
    assert data == bytes(range(256)) * 900 + bytes(1536 * 1024 - 900 * 256)
    assert agent.numbers("io")["syscw"] - between["syscw"] < 30  # of 64 pieces


def test_an_agent_that_is_started_late(guest: Guest) -> None:
    guest.kill_agent()
    with Raw(guest) as port:
        port.send(PING)
        guest.start_agent(AGENT, port=None)
        assert port.reply() == {"return": {}}


def test_unplugged_and_plugged_with_retry(guest: Guest) -> None:
    guest.restart_agent("--retry-path")
    with Raw(guest) as port:
        port.send(PING)
        port.reply()
        guest.unplug_agent_port()
        wait_until(lambda: "lost" in guest.agent_output(), "the agent notices")
    guest.plug_agent_port()
    guest.wait_agent()
    with connect(guest) as client:
        client.info()


@pytest.mark.parametrize("connected", [False, True])
def test_unplugged_without_retry(guest: Guest, connected: bool) -> None:
    with Raw(guest) as port:
        if not connected:
            port.socket.close()
        guest.unplug_agent_port()
        assert guest.wait_agent_exit() == 0
    assert "No such device" in guest.agent_output()


def test_no_port_yet(guest: Guest) -> None:
    guest.kill_agent()
    guest.unplug_agent_port()
    guest.sh("rm -rf /dev/virtio-ports")
    guest.start_agent(AGENT, port=None)
    assert guest.wait_agent_exit() == 1
    assert "No such file or directory" in guest.agent_output()
    guest.start_agent([*AGENT, "-r", "-v"], port=None)
    wait_until(lambda: "trying again" in guest.agent_output(), "the agent waits")
    guest.plug_agent_port()
    guest.wait_agent()
