"""Guests: booted or restored, controlled, and certainly gone at the end.

Used by the tests' fixtures (`conftest`), by the tests themselves, and by ``make vm``.

A guest has two agent ports. On the second one the stock agent always runs and is the harness's way
in (`Guest.sh`); on the first one runs what is tested, started by `Guest.start_agent`. Root (``/``)
and ``/mnt/data`` are ext4 disks and may be frozen; ``/run`` and ``/tmp`` are in memory. Everything
written is gone at the end.

Booting takes seconds, so `Guest.restore` continues a guest that was saved after its boot: memory
stays in a file which all restored guests share, copy on write. The saved guest belongs to the
sources, packages, QEMU and machine it was made from; any change boots and saves once more.
"""

import atexit
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import Any, Self

from tests.vm.cache import cached, digest, digest_harness, digest_tree
from tests.vm.control import BOOT_TIMEOUT, Control, Lines, Qmp, Result
from tests.vm.debs import Packages, packages
from tests.vm.disk import images
from tests.vm.initrd import SOURCE, initrd
from tests.vm.machine import (
    AGENT_PORT_DEVICE,
    PLAIN,
    Machine,
    command_line,
    memory_file,
    qemu_program,
)

AGENT_PORT = "/dev/virtio-ports/org.qemu.guest_agent.0"
CONTROL_PORT = "/dev/virtio-ports/org.qemu.guest_agent.control"
SERIAL_PORT = "/dev/ttyS1"
CHANNEL = ("-m", "virtio-serial", "-p", AGENT_PORT)
AGENT_PROGRAM = ("/usr/bin/python3", "-I", "-m", "qga.agent")
AGENT = (*AGENT_PROGRAM, *CHANNEL, "-t", "/run")
STOCK_AGENT = ("/usr/sbin/qemu-ga", *CHANNEL, "-t", "/run", "-l", "/run/qemu-ga.log")
AGENT_OUTPUT = "/run/agent.out"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}

# Memory stays in its file, shared, instead of going through the stream.
_CAPABILITIES = [{"capability": "x-ignore-shared", "state": True}]
# What installing a package loads; and the boot is over then.
_WARM_UP = "systemctl is-system-running --wait; dpkg --audit; python3 -c 'import compileall'"


class Guest:
    """One running guest. A context manager; leaving it ends QEMU at once.

    ``agent_socket`` and ``serial_socket`` are the host's ends of the port under test and of the
    guest's ttyS1; each serves one client at a time. Not for threads that end before the guest:
    QEMU goes when the thread that started it does.
    """

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        """Internal: use `boot` or `restore`."""
        self.directory = directory
        self.agent_socket = directory / "agent.sock"
        self.serial_socket = directory / "serial.sock"
        self._agent: int | None = None
        self._plugged = 0
        self._at_end = ExitStack()
        self._at_end.callback(shutil.rmtree, directory, ignore_errors=True)
        # Gone with this process, however that ends.
        bound = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with (directory / "qemu.err").open("wb") as errors:
            self.process = subprocess.Popen(
                [*bound, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "TMPDIR": str(directory)},
                umask=0o077,
                start_new_session=True,  # Ctrl-C is for pytest; it ends the guest in its own time
            )
        atexit.register(self.close)
        self._at_end.callback(atexit.unregister, self.close)
        self._at_end.callback(self.process.wait)
        self._at_end.callback(self.process.kill)
        try:
            self.qmp = self._at_end.enter_context(self._connect_monitor())
            self.control = self._at_end.enter_context(Control(directory / "control.sock"))
        except BaseException:
            self.close()
            raise

    @classmethod
    def boot(cls, machine: Machine = PLAIN) -> Self:
        """A guest from power-on (some 4 s); its control agent answers."""
        found, directory = packages(), _make_directory()
        archive = directory / "initrd"
        archive.write_bytes(initrd(found, with_source=not machine.systemd))
        with images(found, machine) as disks:
            command = command_line(
                machine, kernel=found.kernel, initrd=archive, disks=disks, directory=directory
            )
            guest = cls(command, directory)
            with ExitStack() as failed:
                failed.callback(guest.close)
                guest.wait_booted()
                failed.pop_all()
        return guest

    @classmethod
    def restore(cls, machine: Machine = PLAIN) -> Self:
        """A fresh guest just after its boot (some 0.2 s); no agent under test runs in it yet.

        Its clock goes on from when it was saved, maybe days ago; the hardware clock is right.
        """
        qemu, found = qemu_program(), packages()
        key = digest(
            repr(machine),
            str(qemu),
            repr(qemu.stat().st_mtime_ns),
            found.version,
            digest_harness(),
            digest_tree(SOURCE) if SOURCE.exists() and not machine.systemd else "",
        )
        with cached("saved", key, lambda saved: _save(cls, machine, found, saved)) as saved:
            directory = _make_directory()
            command = command_line(
                machine,
                kernel=found.kernel,
                initrd=saved / "initrd",
                disks=saved,
                directory=directory,
                memory=memory_file(machine, saved / "memory", share=False),
            )
            guest = cls([*command, "-incoming", "defer"], directory)
            with ExitStack() as failed:
                failed.callback(guest.close)
                guest.qmp.execute("migrate-set-capabilities", capabilities=_CAPABILITIES)
                state = shlex.quote(str(saved / "state"))
                guest.qmp.execute("migrate-incoming", uri=f"exec:cat {state}")
                try:
                    guest.qmp.wait_event("RESUME")
                except EOFError as error:
                    raise RuntimeError(f"not restored: {guest.errors()}") from error
                guest.wait_booted()
                failed.pop_all()
        return guest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End QEMU, whatever the guest is at."""
        self._at_end.close()

    def wait_booted(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait for the control agent, as after a reboot."""
        try:
            self.control.synchronize(timeout)
        except (OSError, EOFError) as error:
            raise TimeoutError(f"no answer from the guest: {error}\n{self.console()}") from error

    def console(self) -> str:
        """What the kernel and programs wrote to the console since boot or restore."""
        return (self.directory / "console").read_text(errors="replace")

    def errors(self) -> str:
        """What QEMU itself complained about."""
        return (self.directory / "qemu.err").read_text(errors="replace")

    def wait_console(self, text: str, timeout: float = 60) -> None:
        """Wait until *text* was written to the console."""
        deadline = time.monotonic() + timeout
        while text not in self.console():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {text!r} on the console:\n{self.console()}")
            time.sleep(0.02)

    # ---- in the guest, by the control agent ----

    def sh(self, command: str, data: bytes = b"", timeout: float = 60) -> Result:
        """Run a shell *command* in the guest with *data* as its input: (code, out, err)."""
        return self.control.run(["/bin/sh", "-c", command], data, timeout)

    def read(self, path: str) -> bytes:
        """A guest file's bytes. Works for /proc and frozen file systems too."""
        code, out, err = self.control.run(["/bin/cat", path])
        if code:
            raise OSError(err)
        return out.encode(errors="surrogateescape")

    def write(self, path: str, data: bytes) -> None:
        code, _, err = self.control.run(["/bin/sh", "-c", 'exec cat > "$0"', path], data)
        if code:
            raise OSError(err)

    # ---- the agent under test ----

    def start_agent(
        self,
        argv: Sequence[str] = AGENT,
        env: Mapping[str, str] = {},
        *,
        port: str | None = AGENT_PORT,
    ) -> int:
        """Start the agent under test; its pid. *env* is added to a small, fixed environment.

        Returns when the agent answers on that *port*; at once if None.
        Whatever it prints is in `agent_output`.
        """
        variables = [f"{name}={value}" for name, value in {**ENVIRONMENT, **env}.items()]
        redirect = f'exec setsid "$@" < /dev/null > {AGENT_OUTPUT} 2>&1'
        self._agent = self.control.start(["/bin/sh", "-c", redirect, "sh", *argv], variables)
        if port is not None:
            self.wait_agent(port)
        return self._agent

    def restart_agent(self, *options: str, env: Mapping[str, str] = {}) -> int:
        """Kill the agent under test and start ours with more *options* on the same port."""
        self.kill_agent()
        return self.start_agent([*AGENT, *options], env)

    def wait_agent(self, port: str = AGENT_PORT, timeout: float = 60) -> None:
        """Wait until the agent under test answers a plain ``guest-sync``; leaves the port free."""
        deadline = time.monotonic() + timeout
        if port == SERIAL_PORT:
            # Unlike the other one, this port loses what is sent before it is opened, and the agent
            # drops what it finds in it.
            opened = f"ls -l /proc/{self.agent_pid()}/fd | grep -q {port}"
            while self.sh(opened).code != 0 and time.monotonic() < deadline:
                time.sleep(0.02)
        path = self.serial_socket if port == SERIAL_PORT else self.agent_socket
        try:
            with Lines(path) as lines:
                again = 2 if port == SERIAL_PORT else inf
                lines.synchronize(deadline - time.monotonic(), again)
        except (OSError, EOFError) as error:
            raise TimeoutError(f"the agent does not answer:\n{self.agent_output()}") from error

    def agent_pid(self) -> int:
        if self._agent is None:
            raise ProcessLookupError("no agent under test was started")
        return self._agent

    def agent_output(self) -> str:
        return self.sh(f"cat {AGENT_OUTPUT}; journalctl -qb -u qemu-guest-agent").out

    def signal_agent(self, number: int) -> None:
        self.sh(f"kill -{int(number)} {self.agent_pid()}")

    def wait_agent_exit(self, timeout: float = 60) -> int:
        """The exit code of the agent under test, once; a signal's number is negative."""
        code = self.control.wait(self.agent_pid(), timeout).code
        self._agent = None
        return code

    def kill_agent(self, number: int = signal.SIGKILL) -> int:
        """Signal the agent under test and wait for its end; its exit code."""
        self.signal_agent(number)
        return self.wait_agent_exit()

    # ---- the machine ----

    def unplug_agent_port(self) -> None:
        """Take the port under test away, as QEMU's device_del does; return when it is gone."""
        self.qmp.execute("device_del", id="agent")
        self.qmp.wait_event("DEVICE_DELETED")

    def plug_agent_port(self) -> None:
        """Put the port back; return when the guest has its name in /dev/virtio-ports."""
        driver, *properties = AGENT_PORT_DEVICE.split(",")
        named: dict[str, Any] = {
            name: value for name, _, value in (p.partition("=") for p in properties)
        }
        named["nr"] = int(named["nr"])
        self.qmp.execute("device_add", driver=driver, **named)
        for _ in range(100):
            if self.sh(f"/sbin/virtio-ports; test -c {AGENT_PORT}").code == 0:
                return
            time.sleep(0.02)
        raise TimeoutError(f"{AGENT_PORT} did not appear")

    def plug_disk(self, name: str, image: Path, *, read_only: bool = False) -> str:
        """Give the guest a raw *image* as a SCSI disk; its device file, when that is there."""
        self._plugged += 1
        # A controller's 255 addresses are not looked at one by one.
        self.sh("modprobe scsi_mod scan=manual; modprobe virtio_scsi; modprobe sd_mod")
        self.qmp.execute(
            "blockdev-add",
            driver="raw",
            node_name=name,
            read_only=read_only,
            discard="unmap",
            cache={"no-flush": True},  # the guest ends before this machine does
            file={"driver": "file", "filename": str(image)},
        )
        device: dict[str, Any] = {"id": name, "drive": name, "scsi-id": self._plugged}
        self.qmp.execute("device_add", driver="scsi-hd", bus="plugged.0", **device)
        find = (
            f"cd /sys/bus/virtio/drivers/virtio_scsi/virtio*/host*; set - scsi_host/*/scan;"
            f"echo 0 {self._plugged} 0 > $1; ls target*:{self._plugged}/*:0/block"
        )
        for _ in range(1000):
            if device_name := self.sh(find).out.strip():
                return f"/dev/{device_name}"
            time.sleep(0.02)
        raise TimeoutError(f"the disk {name} did not appear")

    def unplug_disk(self, name: str) -> None:
        """Take a disk away that `plug_disk` gave it; return when it is gone."""
        self.qmp.execute("device_del", id=name)
        self.qmp.wait_event("DEVICE_DELETED")
        self.qmp.execute("blockdev-del", node_name=name)

    def _connect_monitor(self) -> Qmp:
        path = self.directory / "qmp.sock"
        for _ in itertools.repeat(None, 3000):
            try:
                return Qmp(path)
            except (FileNotFoundError, ConnectionRefusedError):
                if self.process.poll() is not None:
                    break
                time.sleep(0.01)
        raise RuntimeError(f"QEMU did not start: {self.errors()}")


def _make_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="qga-vm-"))  # short, for the sockets' sake; 0700


def _save(guest_class: type[Guest], machine: Machine, found: Packages, saved: Path) -> None:
    """Boot a guest with its memory and disks in *saved*, and stop it there for `restore`."""
    (saved / "initrd").write_bytes(initrd(found, with_source=not machine.systemd))
    with images(found, machine) as disks:
        for image in disks.iterdir():
            _copy(image, saved / image.name)
    directory = _make_directory()
    # The guest's memory is written to all the time. So it is a file in memory, and a nameless one:
    # nothing stays behind if this run is killed.
    memory = os.memfd_create("guest")
    file = Path(f"/proc/{os.getpid()}/fd/{memory}")
    command = command_line(
        machine,
        kernel=found.kernel,
        initrd=saved / "initrd",
        disks=saved,
        directory=directory,
        memory=memory_file(machine, file, share=True),
        snapshot=False,
    )
    try:
        with guest_class(command, directory) as guest:
            guest.wait_booted()
            # So that the files which the agent will load are in the guest's memory already.
            guest.sh(_WARM_UP if machine.systemd else shlex.join([*AGENT_PROGRAM, "--version"]))
            guest.sh("sync")
            guest.control.__exit__()
            guest.qmp.execute("migrate-set-capabilities", capabilities=_CAPABILITIES)
            guest.qmp.execute("migrate-set-parameters", max_bandwidth=10 << 30)
            state = shlex.quote(str(saved / "state"))
            guest.qmp.execute("migrate", uri=f"exec:cat > {state}")
            while (status := guest.qmp.execute("query-migrate")["status"]) != "completed":
                if status in {"failed", "cancelled"}:
                    raise RuntimeError(f"the guest could not be saved: {status}")
                time.sleep(0.01)
        _copy(file, saved / "memory")
    finally:
        os.close(memory)


def _copy(source: Path, target: Path) -> None:
    """A copy that keeps holes: images and memory are mostly empty."""
    subprocess.run(["cp", "--sparse=always", source, target], check=True)
