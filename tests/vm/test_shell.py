"""Terminals in a real guest, through the virtio port, by our agent and by QEMU's."""

import time

import pytest

import qga
from qga.client.shell import Shell
from tests.vm.conftest import GuestFactory
from tests.vm.observe import PATIENCE, connect, wait_until
from tests.vm.qemu import AGENT, STOCK_AGENT


def shown_until(shell: Shell, end: bytes) -> bytes:
    shown = b""
    until = time.monotonic() + PATIENCE
    while end not in shown:
        data = shell.read(timeout=max(0, until - time.monotonic()))
        assert data, f"{end!r} is not shown, but {shown!r}"
        shown += data
    return shown


@pytest.mark.parametrize("agent", [AGENT, STOCK_AGENT], ids=["ours", "stock"])
def test_a_screen(guest_factory: GuestFactory, agent: tuple[str, ...]) -> None:
    guest = guest_factory(agent)
    with connect(guest) as client:
        with client.shell(["vi", "/tmp/text"], size=(7, 40)) as shell:
            shown = shown_until(shell, b"/tmp/text")
            # An empty screen's lines begin with a tilde, but for the first and the last.
            assert shown.count(b"~") == 5
            shell.resize(12, 40)
            shown_until(shell, b"\x1b[12;1H")
            shell.write(b"ihello")
            shown_until(shell, b"hello")
            shell.write(b"\x1b")
            time.sleep(1)  # what follows at once would be taken for a special key's
            shell.write(b":wq\r")
            assert shell.wait() == 0
        assert guest.read("/tmp/text") == b"hello\n"
        with client.shell() as shell:
            shell.write(b"echo $USER $HOME; pwd; stty size; sleep 1000\r")
            shown_until(shell, b"root /root\r\n/root\r\n24 80\r\n")
        wait_until(lambda: guest.sh("pidof sleep").code != 0, "the end of what was hung up")
        wait_until(lambda: guest.sh("ls -d /dev/shm/qga-* /run/qga-*").code != 0, "no spool")
        # Nothing there can hold a terminal without Python.
        guest.sh("rm /usr/bin/python3*")
        with pytest.raises(qga.Unsupported, match="python3"):
            client.shell()
