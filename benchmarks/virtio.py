"""Files over the virtio-serial port of a guest, by the size of the pieces, and where the time goes.

One guest with both agents in it, each on a port of its own, so that they take turns; what one of
them does is counted through the other. The guest is emulated: one thread of QEMU is its processor.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import qga
from benchmarks.contenders import OURS, STOCK
from benchmarks.measures import KIB, MIB
from benchmarks.report import Cell, Column, Row, Setting, Table
from qga.client.flows.steps import Flow, Together
from qga.protocol import FileRead, FileWrite
from tests.vm.qemu import AGENT, Guest

_PATIENCE = 300
_CONTENT, _WRITTEN = "/tmp/content", "/tmp/written"
_FILE = 16 * MIB

# A sample is of about so many bytes, but of no more than so many requests.
_AMOUNT, _REQUESTS = MIB, 32


@dataclass(frozen=True)
class Transfer:
    """Pieces of *size* bytes, of which *ahead* are asked for at once."""

    name: str
    size: int
    ahead: int = 1

    @property
    def pieces(self) -> int:
        fitting = min(_REQUESTS, _AMOUNT // self.size)
        return max(1, self.ahead, fitting // self.ahead * self.ahead)


_SIZES = {f"{size} KiB": size * KIB for size in (4, 16, 64, 256, 512)} | {
    f"{size} MiB": size * MIB for size in (1, 4)
}
# A write has no other behind it: qemu-ga would lose an answer.
READS = tuple(
    Transfer(f"{name}, {ahead} at once" if ahead > 1 else name, size, ahead)
    for name, size in _SIZES.items()
    for ahead in (1, 2, 4)
    if ahead == 1 or size <= MIB
)
WRITES = tuple(Transfer(name, size) for name, size in _SIZES.items())
_SHORT = ("4 KiB", "256 KiB")


@dataclass(frozen=True)
class Port:
    """An agent in the guest, and the way to it."""

    client: qga.Client
    pid: int


@dataclass(frozen=True)
class Both:
    """The guest with both agents."""

    qemu: int
    """QEMU's pid."""
    ports: dict[str, Port]
    """By the name of the agent."""


@dataclass(frozen=True)
class Sample:
    """What one transfer took. CPU times are shares of the time that went by."""

    speed: float
    """MB for each second."""
    agent: float
    """The agent's process, system calls included, as the guest sees it."""
    processor: float
    """The thread that is the guest's processor."""
    io: float
    """QEMU's other threads, which carry the bytes."""
    client: float
    """This process."""
    calls: float
    """The agent's reads and writes for each MiB, of whatever."""

    @property
    def of_cpu(self) -> float:
        """MB for each second that the guest's processor really computed."""
        return self.speed / self.processor


@dataclass(frozen=True)
class Operation:
    name: str
    transfers: Sequence[Transfer]
    work: Callable[[qga.Client, Transfer], None]


Taken = dict[tuple[str, str], list[Sample]]  # of a transfer, by its name, and an agent


def legend(setting: Setting) -> str:
    return (
        "A file read and written through Client.execute, one piece after the other or some at "
        "once, over the virtio-serial port of an emulated guest (TCG): medians of "
        f"{_rounds(setting)} rounds, the agents in turns. wall: MB for each second that went by. "
        "of CPU: MB for each second that the guest's processor computed, whatever else the host "
        "was at. x: the ratio to qemu-ga.\n\n"
        "The last table tells where the time goes, as shares of it. agent: its process, system "
        "calls included, on the clock of the guest, which also runs while the host does something "
        "else. processor: the thread of QEMU that is the guest's processor. I/O: the other threads "
        "of QEMU. client: this process. calls: the agent's reads and writes for each MiB of the "
        "file, those of the file included. Neither agent has pybase64 in this guest."
    )


def tables(setting: Setting) -> Iterator[Table]:
    operations = (
        Operation("guest-file-read", _chosen(setting, READS), _read),
        Operation("guest-file-write", _chosen(setting, WRITES), _write),
    )
    with _both() as both:
        measured = []
        for operation in operations:
            measured.append((operation, _measured(setting, operation, both)))
            yield _speeds(*measured[-1])
    yield _shares(measured)


def _chosen(setting: Setting, transfers: Sequence[Transfer]) -> list[Transfer]:
    return [transfer for transfer in transfers if not setting.short or transfer.name in _SHORT]


def _rounds(setting: Setting) -> int:
    return setting.rounds or (1 if setting.short else 5)


@contextmanager
def _both() -> Iterator[Both]:
    with Guest.restore() as guest:
        guest.start_agent(AGENT)
        guest.sh(f"head -c {_FILE} /dev/urandom >{_CONTENT}")
        stock = int(guest.sh("pidof qemu-ga").out)
        ours = guest.agent_pid()
        with (
            guest.control.away() as control,
            qga.connect(f"unix:{control}", timeout=_PATIENCE) as other,
            qga.connect(f"unix:{guest.agent_socket}", timeout=_PATIENCE) as client,
        ):
            ports = {STOCK: Port(other, stock), OURS: Port(client, ours)}
            yield Both(guest.process.pid, ports)


# Transfers.


def _read(client: qga.Client, transfer: Transfer) -> None:
    def some(command: FileRead, count: int) -> Flow[int]:
        chunks = yield Together([command] * count)
        return sum(chunk.count for chunk in chunks)

    handle = client.call("guest-file-open", {"path": _CONTENT})
    command = FileRead(handle=handle, count=transfer.size)
    done = 0
    for _ in range(0, transfer.pieces, transfer.ahead):
        if transfer.ahead == 1:
            done += client.execute(command).count
        else:
            done += client.perform(some(command, transfer.ahead))
    client.call("guest-file-close", {"handle": handle})
    if done != transfer.pieces * transfer.size:
        raise RuntimeError("an agent read less than there is")


def _write(client: qga.Client, transfer: Transfer) -> None:
    data = os.urandom(transfer.size)
    handle = client.call("guest-file-open", {"path": _WRITTEN, "mode": "w"})
    for _ in range(transfer.pieces):
        if client.execute(FileWrite(handle=handle, data=data)).count != len(data):
            raise RuntimeError("an agent wrote less than it was given")
    client.call("guest-file-close", {"handle": handle})


# Measuring.


def _measured(setting: Setting, operation: Operation, both: Both) -> Taken:
    taken: Taken = {(one.name, agent): [] for one in operation.transfers for agent in both.ports}
    for _ in range(_rounds(setting)):
        for transfer in operation.transfers:
            setting.tell(f"{operation.name}, pieces of {transfer.name}")
            for agent in both.ports:
                sample = _sample(both, agent, transfer, operation.work)
                taken[transfer.name, agent].append(sample)
    return taken


def _sample(
    both: Both, agent: str, transfer: Transfer, work: Callable[[qga.Client, Transfer], None]
) -> Sample:
    port = both.ports[agent]
    (other,) = (both.ports[name].client for name in both.ports if name != agent)
    agent_before, calls_before = _in_guest(other, port.pid)
    io_before, processor_before = _threads(both.qemu)
    client_before, begin = time.process_time(), time.perf_counter()
    work(port.client, transfer)
    wall = time.perf_counter() - begin
    client = time.process_time() - client_before
    io, processor = _threads(both.qemu)
    used, calls = _in_guest(other, port.pid)
    amount = transfer.pieces * transfer.size
    return Sample(
        speed=amount / 1e6 / wall,
        agent=(used - agent_before) / wall,
        processor=(processor - processor_before) / wall,
        io=(io - io_before) / wall,
        client=client / wall,
        calls=(calls - calls_before) * MIB / amount,
    )


def _in_guest(other: qga.Client, pid: int) -> tuple[float, int]:
    """The CPU seconds of a process in the guest, and its system calls that read or write."""
    cpu = int(other.read_file(f"/proc/{pid}/schedstat").split()[0])
    lines = other.read_file(f"/proc/{pid}/io").decode().splitlines()
    counts = dict(line.split(": ") for line in lines)
    return cpu / 1e9, int(counts["syscr"]) + int(counts["syscw"])


def _threads(qemu: int) -> tuple[float, float]:
    """The CPU seconds of QEMU: of the guest's processor, after those of all else.

    It is the thread that has used most: it has booted the guest.
    """
    used = sorted(
        int((task / "schedstat").read_text().split()[0]) / 1e9
        for task in Path(f"/proc/{qemu}/task").iterdir()
    )
    return sum(used[:-1]), used[-1]


# Showing.


def _median(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    return statistics.median(figure(sample) for sample in samples)


def _speeds(operation: Operation, taken: Taken) -> Table:
    figures: tuple[Callable[[Sample], float], ...] = (lambda s: s.speed, lambda s: s.of_cpu)
    columns = [Column(title, agent) for agent in (STOCK, OURS) for title in ("wall", "of CPU")]
    columns += [Column(title, OURS) for title in ("x wall", "x of CPU")]
    rows = []
    for transfer in operation.transfers:
        stock, ours = taken[transfer.name, STOCK], taken[transfer.name, OURS]
        cells: list[Cell] = [_median(own, one) for own in (stock, ours) for one in figures]
        for one in figures:
            # In each round the machine was the same for both.
            pairs = zip(stock, ours, strict=True)
            cells.append(statistics.median(one(b) / one(a) for a, b in pairs))
        rows.append(Row(transfer.name, tuple(cells)))
    return Table(operation.name, tuple(columns), tuple(rows))


def _shares(measured: Sequence[tuple[Operation, Taken]]) -> Table:
    figures: dict[str, Callable[[Sample], float]] = {
        "agent": lambda s: s.agent,
        "processor": lambda s: s.processor,
        "I/O": lambda s: s.io,
        "client": lambda s: s.client,
        "calls": lambda s: s.calls,
    }
    columns = tuple(Column(name, agent) for agent in (STOCK, OURS) for name in figures)
    rows = [
        Row(
            f"{operation.name.removeprefix('guest-file-')}, {transfer.name}",
            tuple(
                _median(taken[transfer.name, agent], figure)
                for agent in (STOCK, OURS)
                for figure in figures.values()
            ),
        )
        for operation, taken in measured
        for transfer in operation.transfers
    ]
    return Table("where the time goes", columns, tuple(rows))
