"""The agents that are measured, as processes. Used by `measures` and `__main__`."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.client import Client
from tests.support.stock import BLOCKED_BUT_EXEC
from tests.vm.cache import Unavailable
from tests.vm.debs import packages

SOURCE = Path(__file__).parents[1] / "src"
SYSTEM_PYTHON = "/usr/bin/python3"  # what guests have
_PATIENCE = 10

STOCK, OURS = "qemu-ga", "qga"
BARE = "bare qga"  # what a guest has in which nothing was installed beside the agent


@dataclass(frozen=True)
class Contender:
    name: str
    command: tuple[str, ...]


def contenders(python: str, source: Path = SOURCE) -> list[Contender]:
    """qemu-ga first, to which the others are compared.

    Args:
        python: runs our agent.
        source: where its package is.

    Raises:
        Unavailable: qemu-ga cannot be had here.
    """
    return [
        Contender(STOCK, tuple(packages().command("usr/sbin/qemu-ga"))),
        Contender(OURS, ours(python, source, _accelerator())),
        Contender(BARE, ours(python, source)),
    ]


def compared(python: str, name: str, source: Path) -> list[Contender]:
    """Another state of our agent, the one that is here, and qemu-ga.

    Args:
        python: runs both of ours.
        name: of the other one.
        source: where its package is.

    Raises:
        Unavailable: qemu-ga cannot be had here.
    """
    accelerator = _accelerator()
    return [
        Contender(name, ours(python, source, accelerator)),
        Contender("this", ours(python, SOURCE, accelerator)),
        Contender(STOCK, tuple(packages().command("usr/sbin/qemu-ga"))),
    ]


def ours(python: str, source: Path, *others: Path) -> tuple[str, ...]:
    """Our agent as its package starts it: without site-packages, but for the folders *others*."""
    path = [str(folder) for folder in (source, *others)]
    launch = (
        f"import sys; sys.path[:0] = {path!r}; "
        "from qga.agent.__main__ import main; sys.exit(main())"
    )
    return python, "-ISB", "-c", launch


def guest_python() -> str:
    """The system's Python, if what is installed here runs on it; else this one."""
    code = "import sys; print(sys.implementation.cache_tag)"
    try:
        asked = subprocess.run(
            [SYSTEM_PYTHON, "-c", code], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return sys.executable
    same = asked.stdout.strip() == sys.implementation.cache_tag
    return SYSTEM_PYTHON if same else sys.executable


@cache
def _accelerator() -> Path:
    """A folder with pybase64 in it and nothing else, as beside an installed agent."""
    found = find_spec("pybase64")
    if found is None or found.origin is None:
        raise Unavailable("pybase64", "install with pip install 'qga[fast]'")
    folder = Path(tempfile.mkdtemp(prefix="qga-benchmark-"))
    atexit.register(shutil.rmtree, folder)
    (folder / "pybase64").symlink_to(Path(found.origin).parent)
    return folder


class Running:
    """One agent's process, answering; `started` is how long it took to, in seconds."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.path = path = folder / "socket"
        path.unlink(missing_ok=True)
        options = ["-m", "unix-listen", "-p", str(path), "-t", str(folder)]
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            [*contender.command, *options, "-b", ",".join(BLOCKED_BUT_EXEC)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # The CPU-time clock of another process, as clock_getcpuclockid(3) makes it.
        self._clock = ~self.process.pid << 3 | 2
        try:
            self.client = self._connect(path, begin + _PATIENCE)
            self.client.ask(b'{"execute": "guest-ping"}')
        except BaseException:
            self._end()
            raise
        self.started = time.perf_counter() - begin
        self.started_cpu = self.cpu()

    def _connect(self, path: Path, deadline: float) -> Client:
        while True:
            try:
                return Client(path)
            except (FileNotFoundError, ConnectionRefusedError):
                if self.process.poll() is not None or time.perf_counter() > deadline:
                    raise
                time.sleep(0.0002)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self._end()

    def _end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu(self) -> float:
        """The CPU time that it has used, in seconds."""
        return time.clock_gettime(self._clock)

    def programs_cpu(self) -> float:
        """The CPU time of the programs that it ran to their end."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field: str) -> float:
        """A figure of /proc/PID/status, in MiB: VmRSS or VmHWM (the peak of it)."""
        return self._figure("status", field) / 1024

    def private_dirty(self) -> float:
        """The memory that is this process's alone, in MiB."""
        return self._figure("smaps_rollup", "Private_Dirty") / 1024

    def wakeups(self) -> int:
        """How often it has gone to sleep so far, all of its threads together."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        field = "voluntary_ctxt_switches"
        return sum(self._figure(f"task/{thread.name}/status", field) for thread in threads)

    def _figure(self, name: str, field: str) -> int:
        text = Path(f"/proc/{self.process.pid}/{name}").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith(field + ":"))
        return int(line.split()[1])

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


def compile_package(python: str, source: Path = SOURCE) -> None:
    """Compile the agent's modules, as an installation does; a running agent writes nothing."""
    subprocess.run([python, "-m", "compileall", "-q", str(source)], check=True)


def versions(agents: list[Contender]) -> str:
    """What each says that it is, and on what it runs."""
    lines = []
    for agent in agents:
        command = [*agent.command, "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        python = ""
        if "python" in Path(agent.command[0]).name:
            code = "import sys; print(sys.version.split()[0])"
            asked = [agent.command[0], "-c", code]
            python = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            python = f", Python {python.strip()} ({os.path.realpath(agent.command[0])})"
        lines.append(f"{agent.name:<9} {said}{python}")
    return "\n".join(lines)
