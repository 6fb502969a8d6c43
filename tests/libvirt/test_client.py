"""The client through libvirt: both agents, blocking and in an event loop."""

import asyncio
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import qga
from qga.client import Deadline, libvirt, libvirthost, libvirtlocal
from qga.protocol import SuspendRam
from tests.libvirt.daemon import Daemon
from tests.libvirt.domain import Domain
from tests.libvirt.pair import Pair
from tests.support.need import need_module
from tests.vm.observe import wait_until

pytestmark = pytest.mark.usefixtures("module")

BARE = """\
<domain type='qemu'>
  <name>bare</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><memballoon model='none'/></devices>
</domain>
"""


@pytest.fixture(scope="module")
def module() -> None:
    need_module("libvirt", "apt-get install gcc libvirt-dev pkg-config python3-dev; make clean")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert libvirthost._shared == {}


def uri(daemon: Daemon) -> str:
    return f"qemu:///session?socket={daemon.directory}/run/libvirt/libvirt-sock"


def target(domain: Domain, name: str = "") -> str:
    return f"libvirt+{uri(domain.daemon)}&domain={name or domain.name}"


def test_files(pair: Pair) -> None:
    data = os.urandom(700_000)
    digest = hashlib.sha256(data).hexdigest()
    for domain in pair:
        with qga.connect(target(domain)) as client:
            assert client.info().version
            client.write_file("/run/one", data)
            assert client.read_file("/run/one") == data
            assert len(client.read_file("/run/one", limit=600_000)) == 600_000
            with client.open("/run/one", "a") as file:
                file.write(b"more")

        async def main(domain: Domain = domain) -> None:
            async with await qga.aconnect(target(domain)) as client:
                await client.write_file("/run/two", data)
                received = hashlib.sha256()
                await client.download("/run/two", received.update)
                assert received.hexdigest() == digest

        asyncio.run(main())
    assert pair.sh("sha256sum < /run/two") == f"{digest}  -\n"
    assert pair.sh("tail -c 4 /run/one") == "more"


def test_a_domain_has_three_names(pair: Pair) -> None:
    for known in libvirt.domains(uri(pair.stock.daemon)):
        domain = next(domain for domain in pair if domain.name == known.name)
        assert known.uuid == domain.virsh("domuuid").out
        assert (known.target, known.agent) == (target(domain), "connected")
        for name in (known.name, known.uuid, domain.virsh("domid").out):
            with qga.connect(target(domain, name)) as client:
                client.ping()
    assert [known.name for known in qga.targets(f"libvirt+{uri(pair.stock.daemon)}")] == [
        "ours",
        "stock",
    ]


def test_errors_of_the_agent(pair: Pair) -> None:
    for domain in pair:
        with qga.connect(target(domain)) as client:
            with pytest.raises(qga.GuestOSError, match=r"^failed to open file '/: x'") as raised:
                client.read_file("/: x")
            assert raised.value.errno == 2
            with pytest.raises(qga.CommandNotFound, match=r"^The command guest-x has not been"):
                client.call("guest-x")
            with pytest.raises(qga.BadArgument, match=r"^Parameter 'path' is missing"):
                client.call("guest-file-open")
            with pytest.raises(qga.Unsupported, match="does not understand guest-sync-delim"):
                client.call("guest-sync-delimited", {"id": 1})
            with pytest.raises(qga.Unsupported, match="requests of 160 KiB safely"):
                client.call("guest-file-write", {"handle": 1, "buf-b64": bytes(200_000)})
            with pytest.raises(qga.Unsupported, match="bytes of a file at once, not 8388608"):
                client.call("guest-file-read", {"handle": 1, "count": 8 << 20})
            with pytest.raises(qga.CommandError, match=r"suspend|mode|invalid|shutdown"):
                client.shutdown("nonsense")
            client.sync()


def test_a_reply_that_is_too_long_for_libvirt(pair: Pair) -> None:
    domain = pair.ours
    domain.sh("head -c 5000000 /dev/zero > /run/big")
    with qga.connect(target(domain)) as client:
        handle = client.call("guest-file-open", {"path": "/run/big"})
        arguments = {"handle": handle, "count": libvirt.READ_LIMIT}
        assert client.call("guest-file-read", arguments)["count"] == libvirt.READ_LIMIT
        client.call("guest-file-seek", {"handle": handle, "offset": 0, "whence": 0})
        # Past what the transport lets through.
        text = libvirt._request("guest-file-read", {"handle": handle, "count": 1})
        agent = libvirt._Agent(uri(domain.daemon), domain.name)
        with pytest.raises(qga.ProtocolError, match="more than the 4 MiB"):
            agent._call("guest-file-read", text.replace(": 1}", ": 3200000}"), Deadline(60))
        agent.close()
        client.call("guest-file-close", {"handle": handle})
    domain.sh("rm /run/big")


def test_an_agent_that_hangs(pair: Pair) -> None:
    for domain in pair:
        with qga.connect(target(domain)) as client:
            client.ping()
            domain.signal_agent(signal.SIGSTOP)
            with pytest.raises(qga.AgentTimeout, match=r"guest-info: no answer within 0\.5 s"):
                client.info(timeout=0.5)
            with pytest.raises(qga.AgentNotResponding, match="an earlier call, which was given up"):
                client.ping(timeout=0.1)
            if domain is pair.stock:  # not taken for a success
                with pytest.raises(qga.AgentNotResponding, match="does not answer libvirt"):
                    client.shutdown(timeout=20)
            domain.signal_agent(signal.SIGCONT)
            assert client.info().version


def test_an_agent_that_goes_and_comes(pair: Pair) -> None:
    for domain in pair:
        with qga.connect(target(domain)) as client:
            client.ping()
            domain.signal_agent(signal.SIGSTOP)
            going = threading.Timer(0.5, domain.signal_agent, [9])
            going.start()
            with pytest.raises(qga.ConnectionLost, match="the agent, or its guest, went away"):
                client.info(timeout=60)
            going.join()
            domain.control.wait(domain._agent or 0)
            with pytest.raises(qga.AgentNotResponding, match="no agent has opened the domain's"):
                client.ping()
            assert domain.name in [
                known.name
                for known in libvirt.domains(uri(domain.daemon))
                if known.agent == "disconnected"
            ]
            domain.start_agent()
            client.ping()


def test_several_domains_in_one_loop(pair: Pair) -> None:
    async def main() -> None:
        clients = [await qga.aconnect(target(domain)) for domain in pair for _ in range(4)]
        infos = await asyncio.gather(*(client.info() for client in clients))
        assert len({info.version for info in infos}) == 2
        stock, ours = clients[0], clients[-1]
        pair.stock.signal_agent(signal.SIGSTOP)
        hanging = [asyncio.create_task(client.ping(timeout=60)) for client in clients[:4]]
        for _ in range(10):
            await ours.ping()
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        assert all(
            isinstance(error, asyncio.CancelledError)
            for error in await asyncio.gather(*hanging, return_exceptions=True)
        )
        with pytest.raises(qga.AgentNotResponding, match="an earlier call"):
            await stock.ping(timeout=0.2)
        pair.stock.signal_agent(signal.SIGCONT)
        # Behind the calls that were given up.
        assert await asyncio.gather(*(client.ping() for client in clients)) == [None] * 8
        for client in clients:
            await client.close()

    asyncio.run(main())


def test_what_is_no_running_domain_with_an_agent(pair: Pair) -> None:
    daemon = pair.stock.daemon
    description = daemon.directory / "bare.xml"
    description.write_text(BARE)
    daemon.give(description)

    def refused(why: str, name: str) -> None:
        for connect in (qga.connect, lambda text: asyncio.run(qga.aconnect(text))):
            with pytest.raises(qga.NoChannel, match=why) as raised:
                connect(target(pair.stock, name))
            assert raised.value.off

    refused("no domain 'stok'; do you mean stock", "stok")
    refused("no domain '99'; `virsh list --all` shows", "99")
    assert daemon.virsh("define", str(description)).code == 0
    refused("the domain is not running: `virsh start bare`", "bare")
    assert daemon.virsh("start", "bare").code == 0
    with qga.connect(target(pair.stock, "bare")) as client:
        with pytest.raises(qga.NoChannel, match="not configured: the domain's devices have to"):
            client.ping()
        assert {k.name: k.agent for k in libvirt.domains(uri(daemon))}["bare"] == "none"
        assert daemon.virsh("suspend", "bare").code == 0
        with pytest.raises(qga.NoChannel, match="paused, asleep or shut off"):
            client.ping()
        assert daemon.virsh("destroy", "bare").code == 0
        assert daemon.virsh("undefine", "bare").code == 0
        with pytest.raises(qga.NoChannel, match="no domain 'bare'"):
            client.ping()
        assert client.wait_down(60, off=True) == "off"
        # Another one of that name is found.
        assert daemon.virsh("create", str(description)).code == 0
        with pytest.raises(qga.NoChannel, match="not configured"):
            client.ping()
    assert daemon.virsh("destroy", "bare").code == 0


def test_a_command_that_is_silent(pair: Pair) -> None:
    for domain in pair:
        with qga.connect(target(domain)) as client:
            assert client.execute(SuspendRam()) is None
            wait_until(lambda d=domain: d.state == "pmsuspended", "it sleeps")  # type: ignore[misc]
            with pytest.raises(qga.NoChannel, match="paused, asleep or shut off"):
                client.ping()
            assert client.wait_down(60) == "silent"
    pair.succeeds("dompmwakeup")
    pair.wait_state("running")
    pair.wait_agents()


def test_a_libvirt_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with Daemon() as daemon:
        where = uri(daemon)
        monkeypatch.setenv("LIBVIRT_DEFAULT_URI", where)
        monkeypatch.setenv("QGA_FIND", "libvirt")
        agent = libvirt._Agent(where, "x")
        assert libvirt.domains(where) == []
        assert libvirtlocal.connections() == [where]
        assert qga.targets() == []
    # Nobody is asked, so that nobody starts another one.
    assert libvirtlocal.connections() == []
    with pytest.raises(qga.InvalidTarget, match="no libvirt listens here"):
        qga.connect("web")
    with pytest.raises(qga.NoChannel, match="no connection to libvirt at qemu:///session") as seen:
        libvirt.domains(where)
    assert "does libvirt run there" in str(seen.value)
    agent.close()


def test_errors_are_not_printed(pair: Pair) -> None:
    program = f"""if True:
        import qga
        client = qga.connect({target(pair.ours)!r})
        try:
            client.call("guest-x")
        except qga.CommandNotFound as error:
            print(error.text)
        client.close()
        import libvirt
        try:
            libvirt.open("qemu:///session?socket=/nonexistent")
        except libvirt.libvirtError:
            pass
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "The command guest-x has not been found\n"
    # The program's own are.
    assert re.fullmatch("libvirt: error : .*\n", done.stderr)


def test_programs_by_command(pair: Pair) -> None:
    data = os.urandom(100_000)
    for domain in pair:
        done = subprocess.run(
            [sys.executable, "-m", "qga.cli", "exec", target(domain), "--", "sh", "-c",
             "cat; echo err >&2; exit 3"],
            input=data, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (3, b"err\n")
        assert done.stdout == data
