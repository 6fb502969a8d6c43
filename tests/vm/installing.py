"""Packages of agents in the Debian guest. Used by the tests."""

from tests.vm.control import Result
from tests.vm.debian import STOCK_PACKAGE
from tests.vm.qemu import Guest

INSTALLING = 300.0  # dpkg on an emulated, busy machine


def install_stock(guest: Guest) -> None:
    """Install QEMU's own agent from Debian's package, and wait until it answers."""
    done = guest.sh(
        # Its unit waits for a device that udev announces only after the rule is there.
        f"dpkg --unpack {STOCK_PACKAGE} && udevadm control --reload &&"
        " udevadm trigger --settle --subsystem-match=virtio-ports &&"
        " dpkg --configure qemu-guest-agent",
        timeout=INSTALLING,
    )
    succeeded(done)
    guest.wait_agent(timeout=INSTALLING)


def succeeded(result: Result) -> str:
    """What a command printed; it has to have exit code 0."""
    assert result.code == 0, result
    return result.out
