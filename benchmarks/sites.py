"""Where the library is measured: on this machine, in a virtual machine, through libvirt.

Used by `__main__`. On this machine both agents run at once. Guests are started one after the other.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import qga
from benchmarks.contenders import Contender
from benchmarks.measures import KIB, MIB
from benchmarks.plain import ByHand, Plain, returned
from benchmarks.rounds import Site, Sizes
from tests.libvirt.daemon import Daemon
from tests.libvirt.domain import Domain, make_guest
from tests.support.stock import BLOCKED_BUT_EXEC, running
from tests.vm.debs import packages
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

SIZES = Sizes(
    calls=3000,
    file=32 * MIB,
    captured=8 * MIB,
    streamed=32 * MIB,
    files=1000,
    repeated=20,
    agents=1000,
)
QUICK = Sizes(calls=300, file=MIB, captured=MIB, streamed=2 * MIB, files=50, repeated=2, agents=100)
# An emulated guest is slow; so is a new virsh for each 4 KiB.
GUEST = Sizes(
    calls=300, file=4 * MIB, captured=MIB, streamed=4 * MIB, files=100, repeated=3, agents=0
)
LIBVIRT = Sizes(
    calls=20,
    file=512 * KIB,
    captured=256 * KIB,
    streamed=512 * KIB,
    files=10,
    repeated=2,
    agents=0,
)
QUICK_GUEST = Sizes(
    calls=10, file=128 * KIB, captured=64 * KIB, streamed=128 * KIB, files=3, repeated=1, agents=0
)

# One site, or several at once; each block ends what it has started.
Sites = Iterator[list[Site]]


@contextmanager
def here(agents: Sequence[Contender], sizes: Sizes) -> Sites:
    """All *agents*, as processes of this machine."""
    with _local(sizes) as local, ExitStack() as stack:
        sites = []
        for agent in agents:
            process = stack.enter_context(running(list(agent.command), BLOCKED_BUT_EXEC))
            folder = str(local / agent.name)
            sites.append(_unix(process.socket, folder, local, sizes))
        yield sites


@contextmanager
def guest(command: Sequence[str], sizes: Sizes) -> Sites:
    """An agent in a virtual machine, whose virtio-serial port is a socket here."""
    with _local(sizes) as local, Guest.restore() as machine:
        machine.start_agent(command)
        yield [_unix(machine.agent_socket, "/tmp/bench", local, sizes)]


@contextmanager
def domain(command: Sequence[str], sizes: Sizes) -> Sites:
    """An agent in a domain of a libvirtd for itself."""
    with _local(sizes) as local, Daemon() as daemon, ExitStack() as stack:
        started = Domain(daemon, make_guest(daemon, packages()), "bench", command)
        stack.callback(started.close)
        started.power_on()
        started.prepare()
        uri = f"qemu:///session?socket={daemon.directory}/run/libvirt/libvirt-sock"
        target = f"libvirt+{uri}&domain={started.name}"
        yield [_prepared(Site(target, "/tmp/bench", local, sizes, lambda: Virsh(started)))]


GUESTS = (STOCK_AGENT, AGENT)


class Virsh(ByHand):
    """A `virsh qemu-agent-command` for each request."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def ask(self, command: str, **arguments: Any) -> Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        virsh = self._domain.daemon.start_virsh(
            "qemu-agent-command", self._domain.name, request, stdout=subprocess.PIPE
        )
        return returned(virsh.communicate()[0])


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory in memory, where that is to be had: disks are not what is measured."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="qga-bench-", dir=place) as name:
        yield Path(name)


@contextmanager
def _local(sizes: Sizes) -> Iterator[Path]:
    """A directory with what is copied."""
    with in_memory() as local:
        (local / "content").write_bytes(os.urandom(sizes.file))
        (local / "small").write_bytes(os.urandom(4 * KIB))
        (local / "tree").mkdir()
        for number in range(sizes.files):
            (local / "tree" / f"{number:04}").write_bytes(os.urandom(number * 997 % 4096))
        yield local


def _unix(path: Path, folder: str, local: Path, sizes: Sizes) -> Site:
    by_hand: Callable[[], ByHand] = lambda: Plain(str(path))  # noqa: E731
    return _prepared(Site(f"unix:{path}", folder, local, sizes, by_hand))


def _prepared(site: Site) -> Site:
    with qga.connect(site.target, timeout=300) as client:
        client.files.mkdir(site.folder)
        for name in ("content", "small"):
            client.files.upload(site.local / name, f"{site.folder}/{name}")
        client.files.upload_tree(site.local / "tree", f"{site.folder}/tree")
    return site
