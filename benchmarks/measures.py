"""What is measured, of one agent at a time; `__main__` lets them take turns."""

import base64
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.client import Refused
from benchmarks.contenders import Running

KIB, MIB = 1 << 10, 1 << 20

# More than any series reads, and what it must find.
CONTENT = os.urandom(48 * MIB)

# Between two questions whether a program has ended.
_PAUSE = 0.002

_SIZES = {"4 KiB": 4 * KIB, "64 KiB": 64 * KIB, "1 MiB": MIB, "16 MiB": 16 * MIB}
# The largest that qemu-ga can.
_TO_READ = _SIZES | {"48 MiB": 48 * MIB}
_TO_WRITE = _SIZES | {"47 MiB": 47 * MIB}


@dataclass(frozen=True)
class Sample:
    """What one operation took, in seconds."""

    wall: float
    cpu: float


# Measures an agent, in a folder, by so many operations.
Take = Callable[[Running, Path, int], Sample]


@dataclass(frozen=True)
class Measure:
    name: str
    unit: str
    times: int
    """How often the operation is done for one sample; an eighth of that in the short form."""
    take: Take


def request(command: str, **arguments: Any) -> bytes:
    """What asks for that."""
    asked = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
    return json.dumps(asked).encode()


def each(agent: Running, asking: bytes, times: int) -> Sample:
    """The same again and again."""
    before = agent.cpu()
    durations = agent.client.each(asking, times)
    return Sample(statistics.median(durations), (agent.cpu() - before) / times)


def alone(command: str, **arguments: Any) -> Take:
    """A command that needs no other before it."""
    asking = request(command, **arguments) + b"\n"
    return lambda agent, _, times: each(agent, asking, times)


def _together(end: bytes) -> Take:
    def take(agent: Running, _: Path, times: int) -> Sample:
        before = agent.cpu()
        duration = agent.client.together(b'{"execute": "guest-ping"}' + end, times)
        return Sample(duration / times, (agent.cpu() - before) / times)

    return take


@contextmanager
def opened(agent: Running, path: Path, mode: str) -> Iterator[int]:
    """A handle."""
    handle = agent.client.result("guest-file-open", path=str(path), mode=mode)
    yield handle
    agent.client.result("guest-file-close", handle=handle)


def reading(size: int) -> Take:
    def take(agent: Running, folder: Path, times: int) -> Sample:
        with opened(agent, folder / "content", "r") as handle:
            sample = each(agent, request("guest-file-read", handle=handle, count=size), times)
            agent.client.check_read(CONTENT[(times - 1) * size : times * size])
        return sample

    return take


def writing(size: int) -> Take:
    def take(agent: Running, folder: Path, times: int) -> Sample:
        path = folder / "written"
        with opened(agent, path, "w") as handle:
            text = base64.b64encode(CONTENT[:size]).decode()
            asking = request("guest-file-write", **{"handle": handle, "buf-b64": text})
            sample = each(agent, asking, times)
            agent.client.check_done()
        if path.read_bytes() != CONTENT[:size] * times:
            raise RuntimeError("an agent wrote other bytes than it was sent")
        path.unlink()
        return sample

    return take


def open_and_close(agent: Running, folder: Path, times: int) -> Sample:
    opening = request("guest-file-open", path=str(folder / "content"))
    handle = agent.client.result("guest-file-open", path=str(folder / "content"))
    agent.client.result("guest-file-close", handle=handle)
    before = agent.cpu()
    durations = []
    for following in range(handle + 1, handle + 1 + times):
        closing = request("guest-file-close", handle=following)
        durations += agent.client.each(opening, 1)
        durations[-1] += agent.client.each(closing, 1)[0]
    agent.client.result("guest-ping")
    return Sample(statistics.median(durations), (agent.cpu() - before) / times)


def program(path: str, *words: str, printed: int = 0) -> Take:
    """From the start of a program until its end is told, with what it has printed."""
    starting: dict[str, Any] = {"path": path, "arg": words}
    if printed:
        starting["capture-output"] = True

    def take(agent: Running, _: Path, times: int) -> Sample:
        durations: list[float] = []
        before = agent.cpu()
        while len(durations) < times:
            begin = time.perf_counter()
            pid = agent.client.result("guest-exec", **starting)["pid"]
            asking = request("guest-exec-status", pid=pid)
            while b'"exited": false' in (reply := agent.client.ask(asking)):
                time.sleep(_PAUSE)
            durations.append(time.perf_counter() - begin)
            if len(reply) < printed:
                raise RuntimeError("an agent has lost what a program printed")
        return Sample(statistics.median(durations), (agent.cpu() - before) / times)

    return take


MEASURES = (
    Measure("guest-ping", "us", 2000, alone("guest-ping")),
    Measure("guest-sync-delimited", "us", 2000, alone("guest-sync-delimited", id=123456789)),
    Measure("guest-info", "us", 400, alone("guest-info")),
    Measure("guest-ping, pipelined", "us", 10_000, _together(b"")),
    Measure("guest-ping, pipelined lines", "us", 10_000, _together(b"\n")),
    *(
        Measure(f"guest-file-read {name}", "us" if size < MIB else "ms", times, reading(size))
        for (name, size), times in zip(_TO_READ.items(), (2000, 400, 32, 2, 1), strict=True)
    ),
    *(
        Measure(f"guest-file-write {name}", "us" if size < MIB else "ms", times, writing(size))
        for (name, size), times in zip(_TO_WRITE.items(), (1000, 100, 12, 2, 1), strict=True)
    ),
    Measure("guest-file-open and -close", "us", 400, open_and_close),
    Measure("guest-exec /bin/true", "us", 100, program("/bin/true")),
    Measure(
        "guest-exec, 8 MiB printed",
        "ms",
        8,
        program("/usr/bin/head", "-c", str(8 * MIB), "/dev/zero", printed=8 * MIB),
    ),
)

# From an agent's start to its end: milliseconds, MiB, and how often it wakes up.
START, START_CPU = "start to first reply, ms", "the same, CPU"
RSS, DIRTY, WAKEUPS = "idle: RSS", "idle: private dirty", "idle: wake-ups in a second"
PEAK_READ, PEAK_WRITTEN = "peak RSS, 48 MiB read", "peak RSS, 47 MiB written"
AFTERWARDS = "RSS afterwards"
LARGEST, PEAK_LARGEST = "48 MiB written, ms", "peak RSS then"
LIFE = (
    *(START, START_CPU, RSS, DIRTY, WAKEUPS),
    *(PEAK_READ, PEAK_WRITTEN, AFTERWARDS, LARGEST, PEAK_LARGEST),
)
_SETTLED, _IDLE = 0.2, 0.5


def life(agent: Running, folder: Path) -> dict[str, float]:
    """From its start: how long that took, and how its memory grows and shrinks.

    Without what it cannot do.
    """
    figures = {START: 1e3 * agent.started, START_CPU: 1e3 * agent.started_cpu}
    time.sleep(_SETTLED)
    before = agent.wakeups()
    time.sleep(_IDLE)
    figures[WAKEUPS] = (agent.wakeups() - before) / _IDLE
    figures[RSS], figures[DIRTY] = agent.memory("VmRSS"), agent.private_dirty()
    for name, step in ((PEAK_READ, reading(48 * MIB)), (PEAK_WRITTEN, writing(47 * MIB))):
        agent.forget_peak()
        step(agent, folder, 1)
        figures[name] = agent.memory("VmHWM")
    figures[AFTERWARDS] = agent.memory("VmRSS")
    agent.forget_peak()
    try:
        figures[LARGEST] = 1e3 * writing(48 * MIB)(agent, folder, 1).wall
    except Refused:
        return figures
    figures[PEAK_LARGEST] = agent.memory("VmHWM")
    return figures
