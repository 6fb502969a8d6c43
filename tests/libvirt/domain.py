"""A domain as a test sees it: the guest of ``tests/vm``, with libvirt between it and the test.

Used by `pair`. It has two agent ports. libvirt itself is the client on the first one, where the
agent under test runs; on the second one the stock agent always runs and is the harness's way in
(`Domain.sh`), past libvirt. Its disks are private copies.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.libvirt.daemon import PATIENCE, Answer, Daemon
from tests.vm.control import BOOT_TIMEOUT, Control, Result
from tests.vm.debs import Packages
from tests.vm.disk import images
from tests.vm.initrd import initrd
from tests.vm.machine import PLAIN, qemu_program
from tests.vm.qemu import AGENT_OUTPUT, ENVIRONMENT

DISKS = {"root": "vda", "data": "vdb"}
MAC = "52:54:00:12:34:56"
PORT = "//channel/target[@name='org.qemu.guest_agent.0']"
PING = '{"execute": "guest-ping"}'
# An hour and a half east of Greenwich, without a file of time zones.
TIME_ZONE = "TST-1:30"
# What agents look at on a whole system: what udev knows of the disks, who is logged in, and how
# to read the hardware clock.
SET_UP = """\
mkdir -p /run/udev/data
for disk in vda:root vdb:data; do
  echo "E:ID_SERIAL=${disk#*:}" > "/run/udev/data/b$(cat /sys/class/block/${disk%:*}/dev)"
done
[ -e /var/run ] || ln -s /run /var/run
printf '0.0 0 0.0\\n0\\nUTC\\n' > /etc/adjtime
"""

DISK = """\
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='unsafe' discard='unmap'/>
      <source file='{image}'/><target dev='{device}' bus='virtio'/><serial>{name}</serial>
    </disk>
"""
DESCRIPTION = """\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>320</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 quiet reboot=t sysctl.net.ipv6.conf.default.accept_ra=0</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='allow'>qemu64</model></cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <pm><suspend-to-mem enabled='yes'/></pm>
  <devices>
    <emulator>{emulator}</emulator>
{disks}\
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{console}'/></serial>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <channel type='unix'>
      <source mode='bind' path='{control}'/>
      <target type='virtio' name='org.qemu.guest_agent.control'/>
    </channel>
    <interface type='user'>
      <mac address='{mac}'/><model type='virtio'/><rom enabled='no'/>
    </interface>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def make_guest(daemon: Daemon, packages: Packages) -> Path:
    """A directory with what guests start from: kernel, initrd, ``root.ext4`` and ``data.ext4``."""
    directory = daemon.directory / "guest"
    directory.mkdir(mode=0o700)
    (directory / "kernel").write_bytes(packages.kernel.read_bytes())
    (directory / "initrd").write_bytes(initrd(packages))
    with images(packages, PLAIN) as made:
        for name in DISKS:
            _copy(made / f"{name}.ext4", directory)
    for path in (directory, *directory.iterdir()):
        daemon.give(path)
    return directory


class Domain:
    """One domain with one agent; `power_on`, then `prepare` it first.

    Args:
        daemon: the libvirt to use.
        guest: what `make_guest` has made.
        name: the domain's.
        agent: the command line of the agent that is to run in it.
    """

    def __init__(self, daemon: Daemon, guest: Path, name: str, agent: Sequence[str]) -> None:
        self.name = name
        self.daemon = daemon
        self._agent_command = agent
        self._directory = daemon.directory / name
        self._control: Control | None = None
        self._agent: int | None = None
        self._guest = guest
        self._at_end = ExitStack()
        self._directory.mkdir(mode=0o700)
        daemon.give(self._directory)

    def image(self, disk: str) -> Path:
        """The file of the disk ``root`` or ``data``."""
        return self._directory / f"{disk}.ext4"

    def virsh(self, command: str, *arguments: str, timeout: float = PATIENCE) -> Answer:
        """A virsh command that is about this domain."""
        return self.daemon.virsh(command, self.name, *arguments, timeout=timeout)

    @property
    def state(self) -> str:
        """What libvirt says of it; empty where it does not exist any more."""
        return self.virsh("domstate").out

    @property
    def connected(self) -> bool:
        """Whether libvirt takes the agent's port to be open in the guest."""
        return 'state="connected"' in self.virsh("dumpxml", "--xpath", PORT).out

    # ---- its life ----

    def power_on(self) -> None:
        """Create the domain afresh, with new disks."""
        self.close()
        for name in DISKS:
            _copy(self._guest / f"{name}.ext4", self._directory)
            self.daemon.give(self.image(name))
        description = self._directory / "domain.xml"
        description.write_text(self._describe())
        errors = self._directory / "virsh.err"
        owner = self.daemon.create(self.daemon.give(description), errors)
        self._at_end.callback(owner.communicate)  # closes its input
        self._at_end.callback(self.virsh, "destroy")
        deadline = time.monotonic() + PATIENCE
        while self.state != "running":
            if errors.stat().st_size or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"{self.name} does not start: {errors.read_text()}")
            time.sleep(0.05)

    def prepare(self) -> None:
        """Wait until the guest has booted, and start the agent in it."""
        if self._control is None:
            self._control = Control(self._directory / "control.sock")
            self._at_end.callback(self._forget_control)
        try:
            self._control.synchronize(BOOT_TIMEOUT)
        except (OSError, EOFError) as error:
            console = (self._directory / "console").read_text(errors="replace")
            raise TimeoutError(f"no answer from the guest: {error}\n{console}") from error
        self.sh(SET_UP)
        self.start_agent()

    def close(self) -> None:
        """End the domain, if it runs."""
        self._at_end.close()

    @contextmanager
    def events(self, kind: str) -> Iterator[Callable[[], list[str]]]:
        """During the block, what ``virsh event`` has printed so far: one line for each event.

        It does not tell when it begins to listen.
        """
        path = self._directory / "events"
        command = ("event", "--domain", self.name, "--event", kind, "--loop")
        with path.open("w") as output:
            process = self.daemon.start_virsh(*command, stdin=subprocess.DEVNULL, stdout=output)
        try:
            yield lambda: [s for s in path.read_text().splitlines() if s.startswith("event '")]
        finally:
            process.terminate()
            process.wait()

    # ---- in the guest, past libvirt ----

    @property
    def control(self) -> Control:
        assert self._control is not None, "the domain was not started"
        return self._control

    def sh(self, command: str, data: bytes = b"") -> Result:
        """Run a shell *command* in the guest: (code, out, err)."""
        return self.control.run(["/bin/sh", "-c", command], data)

    def start_agent(self, *options: str) -> None:
        """Start the agent under test, with more *options*; return when it answers to libvirt."""
        variables = {**ENVIRONMENT, "TZ": TIME_ZONE}
        redirect = f'exec setsid "$@" < /dev/null > {AGENT_OUTPUT} 2>&1'
        self._agent = self.control.start(
            ["/bin/sh", "-c", redirect, "sh", *self._agent_command, *options],
            [f"{name}={value}" for name, value in variables.items()],
        )
        self.wait_agent()

    def wait_agent(self) -> None:
        """Wait until the agent under test answers to libvirt."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        while (answer := self.virsh("qemu-agent-command", PING)).code:
            if time.monotonic() > deadline:
                said = self.sh(f"cat {AGENT_OUTPUT}").out
                raise TimeoutError(f"{self.name}: {answer.err}\nThe agent says: {said}")
            time.sleep(0.1)

    def signal_agent(self, number: int) -> None:
        assert self._agent is not None, "no agent was started"
        self.sh(f"kill -{int(number)} {self._agent}")

    def kill_agent(self) -> None:
        self.signal_agent(9)
        assert self._agent is not None
        self.control.wait(self._agent)

    def _forget_control(self) -> None:
        if self._control is not None:
            self._control.__exit__()
            self._control = None

    def _describe(self) -> str:
        disks = (
            DISK.format(image=self.image(name), device=device, name=name)
            for name, device in DISKS.items()
        )
        return DESCRIPTION.format(
            name=self.name,
            kernel=self._guest / "kernel",
            initrd=self._guest / "initrd",
            emulator=qemu_program(),
            disks="".join(disks),
            console=self._directory / "console",
            control=self._directory / "control.sock",
            mac=MAC,
        )


def _copy(source: Path, directory: Path) -> None:
    """A copy that keeps holes: disks are mostly empty."""
    subprocess.run(["cp", "--sparse=always", source, directory], check=True)
