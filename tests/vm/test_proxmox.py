"""A real guest behind the tests' Proxmox VE server: freezing, files, a password, and its end."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import qga
from qga.client import proxmox
from qga.protocol import SetUserPassword
from tests.support.proxmox import make, serving
from tests.support.proxmox.server import TOKEN
from tests.vm.conftest import GuestFactory
from tests.vm.observe import blocked_writers
from tests.vm.qemu import AGENT, STOCK_AGENT


@pytest.mark.parametrize("agent", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
def test_a_guest_of_proxmox(
    guest_factory: GuestFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    agent: Sequence[str],
) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    guest = guest_factory(agent)
    certificates = make(tmp_path)
    with serving(certificates, guest.agent_socket) as server:
        settings = {"host": server.host, "token": TOKEN, "ca": str(certificates.authority)}
        data = os.urandom(120_000)
        digest = hashlib.sha256(data).hexdigest()

        async def asynchronous() -> None:
            async with await proxmox.aconnect("node1", 100, timeout=60, **settings) as client:
                assert await client.call("guest-fsfreeze-freeze") == 2
                assert await client.fsfreeze_status() == "frozen"
                assert await client.thaw() == 2
                await client.write_file("/mnt/data/nämé", data)
                assert await client.read_file("/mnt/data/nämé") == data

        asyncio.run(asynchronous())
        assert guest.sh("sha256sum /mnt/data/n*").out.startswith(digest)

        with proxmox.connect("node1", 100, timeout=60, **settings) as client:
            assert client.call("guest-fsfreeze-freeze") == 2
            with blocked_writers(guest) as writers:
                assert all(writer.blocked for writer in writers)
                with pytest.raises(qga.CommandDisabled):
                    client.read_file("/etc/hostname")
                assert client.thaw() == 2
            with client.frozen() as freeze:
                assert freeze.frozen == 2
            assert freeze.thawed == 2
            assert client.write_file("/mnt/data/file", data) == len(data)
            assert client.read_file("/mnt/data/file") == data
            # As on older servers, by the guest's own programs.
            server.options.offsets = False
            client.write_file("/mnt/data/file", b"\xff\0", append=True)
            assert client.read_file("/mnt/data/file") == data + b"\xff\0"
            before = guest.sh("grep ^root: /etc/shadow").out
            client.execute(SetUserPassword(username="root", password=b"pass word", crypted=False))
            assert guest.sh("grep ^root: /etc/shadow").out != before
            client.shutdown()
        assert guest.qmp.wait_event("SHUTDOWN")["data"]["reason"] == "guest-shutdown"
