"""QEMU's command line: what a guest's machine is made of.

Used by `qemu`.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.cache import Unavailable

QEMU = "qemu-system-x86_64"
AGENT_PORT_DEVICE = (
    "virtserialport,id=agent,bus=ports.0,nr=1,chardev=agent,name=org.qemu.guest_agent.0"
)
# For disks that are plugged in while the guest runs.
PLUGGED = ("-device", "virtio-scsi-pci,id=plugged")
CONTROL_PORT_DEVICE = (
    "virtserialport,bus=ports.0,nr=2,chardev=control,name=org.qemu.guest_agent.control"
)


@dataclass(frozen=True)
class Machine:
    """What a guest is made of; each combination that is restored has its own saved guest."""

    memory: int = 256
    cpus: int = 1
    options: tuple[str, ...] = ()
    """More options of QEMU; images that they name are the test's own."""
    slots: int = 0
    """For memory that is plugged in later."""
    systemd: bool = False
    """A Debian system with systemd, udev and dpkg; otherwise busybox does it all."""


PLAIN = Machine()
SYSTEMD = Machine(memory=512, cpus=2, systemd=True)


def qemu_program() -> Path:
    found = shutil.which(QEMU)
    if found is None:
        raise Unavailable(
            QEMU, "install with apt-get install --no-install-recommends qemu-system-x86"
        )
    return Path(found).resolve()


def memory_file(machine: Machine, path: Path, *, share: bool) -> list[str]:
    on = "on" if share else "off"
    size = f"size={machine.memory}M"
    return ["-object", f"memory-backend-file,id=memory,{size},mem-path={path},share={on}"]


def command_line(
    machine: Machine,
    *,
    kernel: Path,
    initrd: Path,
    disks: Path,
    directory: Path,
    memory: Sequence[str] = (),
    snapshot: bool = True,
) -> list[str]:
    """The whole command; sockets and console are in *directory*, images in *disks*.

    A machine can be restored only by the command line that it was saved with, except for the
    places of files.
    """

    def channel(name: str) -> list[str]:
        path = directory / f"{name}.sock"
        return ["-chardev", f"socket,id={name},path={path},server=on,wait=off"]

    def disk(name: str) -> list[str]:
        # Whatever a guest writes goes to a nameless file, so that all may use the same image.
        private = "on" if snapshot else "off"
        image = f"file={disks / name}.ext4,format=raw,cache=unsafe,snapshot={private}"
        return [
            *("-drive", f"if=none,id={name},{image}"),
            *("-device", f"virtio-blk-pci,drive={name},serial={name}"),
        ]

    memory_size = str(machine.memory)
    if machine.slots:
        memory_size += f",slots={machine.slots},maxmem={2 * machine.memory}M"
    return [
        str(qemu_program()),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        # Never KVM: where it opens but does not work, a guest hangs.
        *("-accel", "tcg", "-cpu", "qemu64", "-smp", str(machine.cpus), "-m", memory_size),
        *("-M", "q35,memory-backend=memory" if memory else "q35"),
        *memory,
        *("-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", "console=ttyS0 quiet reboot=t"),
        *("-chardev", f"file,id=console,path={directory / 'console'}"),
        *("-serial", "chardev:console"),
        *channel("serial"),
        *("-serial", "chardev:serial"),
        *channel("qmp"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-device", "virtio-serial-pci,id=ports"),
        *channel("agent"),
        *("-device", AGENT_PORT_DEVICE),
        *channel("control"),
        *("-device", CONTROL_PORT_DEVICE),
        *disk("root"),
        *disk("data"),
        *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="),
        *machine.options,
        *PLUGGED,
    ]
