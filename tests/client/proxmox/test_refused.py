"""What goes wrong on the way, and what the user is told: the server, TLS, credentials, rights."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.client import proxmox
from qga.client.proxmox import api
from qga.client.proxmox.answers import TooLarge
from qga.protocol import Exec, FileOpen, FileRead
from tests.client.proxmox.conftest import Anyway
from tests.support.proxmox import Certificates, Server
from tests.support.proxmox.server import PASSWORD, TOKEN, USER

Settings = dict[str, Any]


def connected(settings: Settings, node: str = "node1", vmid: int = 100, **more: Any) -> qga.Client:
    found = {**settings, **more}
    return proxmox.connect(node, vmid, **{name: v for name, v in found.items() if v is not None})


def refused(settings: Settings, **more: Any) -> str:
    """What is told where nothing can be opened, with both clients."""
    found = {**settings, **more}
    given = {name: value for name, value in found.items() if value is not None}
    with pytest.raises(qga.NoChannel) as error:
        proxmox.connect("node1", 100, **given)
    with pytest.raises(qga.NoChannel) as again:
        asyncio.run(proxmox.aconnect("node1", 100, **given))
    assert str(error.value) == str(again.value)
    for secret in (TOKEN.partition("=")[2], PASSWORD):
        assert secret not in str(error.value)
    return str(error.value)


def test_a_certificate_that_nobody_signed(lone_server: Server, settings: Settings) -> None:
    text = refused(settings, ca=None)
    assert "not trusted" in text
    assert "pve-root-ca.pem" in text
    assert "fingerprint" in text
    assert not lone_server.asked


def test_a_certificate_for_another_name(lone_server: Server, settings: Settings) -> None:
    port = lone_server.server_address[1]
    assert "not trusted" in refused(settings, host=f"localhost:{port}")


def test_a_fingerprint_pins_the_certificate(
    lone_server: Server, settings: Settings, certificates: Certificates
) -> None:
    port = lone_server.server_address[1]
    pinned: Settings = {
        "ca": None,
        "fingerprint": certificates.fingerprint,
        "host": f"localhost:{port}",
    }
    connected(settings, **pinned).close()

    async def check() -> None:
        given = {**settings, **pinned}
        del given["ca"]
        async with await proxmox.aconnect("node1", 100, **given):
            pass

    asyncio.run(check())
    other = "00" * 32
    text = refused(settings, ca=None, fingerprint=other)
    assert certificates.fingerprint in text
    assert "00:00" in text
    assert "pvenode cert info" in text


def test_no_server(lone_server: Server, settings: Settings) -> None:
    assert "refused" in refused(settings, host="127.0.0.1:1")
    assert "cannot be used" in refused(settings, host="no-such-host.invalid")


def test_a_token_that_is_wrong(lone_server: Server, settings: Settings) -> None:
    text = refused(settings, token="tester@pve!unit=wrong-secret")
    assert "tester@pve!unit" in text
    assert "wrong-secret" not in text


def test_a_user_with_a_password(server: Server, settings: Settings, anyway: Anyway) -> None:
    with connected(settings, token=None, user=USER, password=PASSWORD) as client:
        client.ping()
        client.write_file("/dev/null", b"x")
        assert server.log_ins == 1
        # A server that has forgotten the ticket, or whose key is new.
        server.tickets.clear()
        client.ping()
        assert server.log_ins == 2


def test_a_ticket_is_renewed_before_it_is_too_old(
    server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "RENEW", -1.0)
    server.options.otp = "123456"
    log_in: Settings = {"token": None, "user": USER, "password": PASSWORD}
    with connected(settings, **log_in, otp="123456") as client:
        server.options.otp = "the next one"  # which nobody has told us
        client.ping()
        client.ping()
        assert server.log_ins == 3
        server.tickets.clear()
        with pytest.raises(qga.NoChannel, match="authentication failure"):
            client.ping()


def test_a_user_who_may_not_enter(lone_server: Server, settings: Settings) -> None:
    assert USER in refused(settings, token=None, user=USER, password="wrong")
    lone_server.options.otp = "123456"
    text = refused(settings, token=None, user=USER, password=PASSWORD)
    assert "otp=" in text
    refused(settings, token=None, user=USER, password=PASSWORD, otp="654321")


def test_rights(server: Server, anyway: Anyway) -> None:
    server.options.rights = {"VM.GuestAgent.Audit"}

    async def check(client: Any) -> None:
        await client.ping()
        for command, right in (
            (FileOpen(path="/etc/hostname"), "VM.GuestAgent.FileRead"),
            (FileOpen(path="/tmp/qga-none", mode="a"), "VM.GuestAgent.Unrestricted"),
            (Exec(path="true"), "VM.GuestAgent.Unrestricted"),
        ):
            with pytest.raises(qga.CommandDisabled, match=rf"{right}.*/vms/100") as error:
                await client.execute(command)
            assert TOKEN.partition("=")[2] not in str(error.value)
        with pytest.raises(qga.CommandDisabled, match=r"VM\.PowerMgmt"):
            await client.shutdown()

    anyway(check)


def test_machines(server: Server, anyway: Anyway, settings: Settings) -> None:
    machine = server.machine

    async def check(client: Any) -> None:
        machine.configured = False
        with pytest.raises(qga.NoChannel, match="qm set 100 --agent 1"):
            await client.ping()
        machine.configured, machine.running = True, False
        with pytest.raises(qga.NoChannel, match="start it"):
            await client.ping()
        machine.running, machine.exists = True, False
        with pytest.raises(qga.NoChannel, match="no VM 100 on node1"):
            await client.ping()
        machine.exists = True
        await client.ping()

    anyway(check)
    with (
        connected(settings, vmid=999) as client,
        pytest.raises(qga.NoChannel, match="no VM 999 on node1"),
    ):
        client.ping()
    with pytest.raises(qga.NoChannel, match="no node elsewhere"):
        connected(settings, node="elsewhere")


def test_an_agent_that_does_not_run(lone_server: Server, anyway: Anyway) -> None:
    async def check(client: Any) -> None:
        with pytest.raises(qga.AgentNotResponding, match="qemu-guest-agent"):
            await client.ping()

    anyway(check)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ((500, "VM 100 qga command 'guest-x' failed - got timeout"), qga.AgentTimeout),
        ((500, "unable to connect to VM 100 qga socket - timeout"), qga.AgentNotResponding),
        ((500, "VM 100 qga command 'x' failed - client closed connection"), qga.ConnectionLost),
        ((500, "something else"), qga.CommandError),
        ((595, "Connection refused"), qga.NoChannel),
        ((596, "Connection timed out"), qga.AgentTimeout),
        ((596, "Broken pipe"), qga.ConnectionLost),
        ((596, "tls_process_server_certificate: certificate verify failed"), qga.NoChannel),
        ((599, "Too many redirections"), qga.ConnectionLost),
        ((502, "Bad Gateway"), qga.ConnectionLost),
        ((503, "Service Unavailable"), qga.NoChannel),
        ((504, "Gateway Timeout"), qga.AgentTimeout),
        ((501, "for data too large"), TooLarge),
        ((501, "Method 'POST x' not implemented"), qga.Unsupported),
        ((302, "Found"), qga.ProtocolError),
    ],
)
def test_failures(
    lone_server: Server, settings: Settings, failure: tuple[int, str], kind: type[qga.QgaError]
) -> None:
    with connected(settings) as client:
        lone_server.options.failure = failure
        with pytest.raises(qga.QgaError) as error:
            client.ping()
        assert type(error.value) is kind
        assert failure[1].split(" - ")[0] in str(error.value)


def test_a_connection_that_ends(server: Server, anyway: Anyway, directory: Path) -> None:
    """The next call opens it again, and files are still open: nothing has changed in the guest."""
    path = directory / "file"
    path.write_bytes(b"a" * 100_000)

    async def check(client: Any) -> None:
        handle = await client.execute(FileOpen(path=str(path)))
        server.options.drop = True
        with pytest.raises(qga.ConnectionLost):
            await client.ping()
        server.options.drop = False
        assert (await client.execute(FileRead(handle=handle, count=100))).data == b"a" * 100

    anyway(check)


def test_a_server_that_takes_too_long(server: Server, anyway: Anyway) -> None:
    async def check(client: Any) -> None:
        server.options.pause = 3
        began = time.monotonic()
        with pytest.raises(qga.AgentTimeout):
            await client.ping(timeout=0.2)
        with pytest.raises(qga.AgentTimeout), qga.deadline(0.2):
            await client.ping()
        assert time.monotonic() - began < 3
        server.options.pause = 0
        await client.ping()

    anyway(check)


def test_a_cancelled_call(server: Server, settings: Settings) -> None:
    async def check() -> None:
        async with await proxmox.aconnect("node1", 100, **settings) as client:
            server.options.pause = 3
            task = asyncio.create_task(client.ping())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            server.options.pause = 0
            assert await client.call("guest-sync", {"id": 7}) == 7
            await client.ping()

    asyncio.run(check())


def test_an_interrupted_read_leaves_nothing_behind(
    server: Server, settings: Settings, directory: Path
) -> None:
    """Programs that we had started are asked for their end, so that the agent forgets them."""
    server.options.offsets = False
    (directory / "file").write_bytes(b"text")
    with connected(settings) as client:
        handle = client.execute(FileOpen(path=str(directory / "file")))
        client.execute(FileRead(handle=handle, count=10))
        server.machine.running = False
        before = len(server.asked)
        with pytest.raises(qga.NoChannel):
            client.execute(FileRead(handle=handle, count=10))
        server.machine.running = True
        assert client.execute(FileRead(handle=handle, count=10)).eof
        assert len(server.asked) > before + 1


def test_no_proxmox_at_all(lone_server: Server, settings: Settings) -> None:
    with pytest.raises(qga.Unsupported, match=r"404|501"):
        proxmox.connect(
            "node1", 100, **{**settings, "host": f"https://{lone_server.host}/elsewhere"}
        )
