"""Packages of agents in the Debian guest. Used by the tests."""

import subprocess
import sys
from pathlib import Path

from tests.vm.control import Result
from tests.vm.debian import STOCK_PACKAGE
from tests.vm.qemu import Guest

BUILDER = Path(__file__).parents[2] / "packaging" / "build_deb.py"
PACKAGE = "/var/cache/qga-agent.deb"  # where ours is put
UNIT = "qemu-guest-agent"
INSTALLING = 300.0  # dpkg on an emulated, busy machine


def build(directory: Path) -> Path:
    """Our package, as ``make deb`` builds it."""
    command = [sys.executable, str(BUILDER), str(directory)]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout[:-1])


def install(guest: Guest, package: Path) -> None:
    """Install our *package*, and wait until the agent answers."""
    guest.write(PACKAGE, package.read_bytes())
    succeeded(guest.sh(f"dpkg -i {PACKAGE}", timeout=INSTALLING))
    guest.wait_agent()


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
    guest.wait_agent()


def succeeded(result: Result) -> str:
    """What a command printed; it has to have exit code 0."""
    assert result.code == 0, result
    return result.out


def shown(guest: Guest, name: str, unit: str = UNIT) -> str:
    """A property of a *unit*, by default the agent's."""
    return succeeded(guest.sh(f"systemctl show -P {name} {unit}")).strip()
