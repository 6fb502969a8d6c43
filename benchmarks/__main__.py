"""``python -m benchmarks``: both agents side by side, on this machine, now."""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contenders import Contender, Running, compile_package, contenders, versions
from benchmarks.measures import CONTENT, MEASURES, PEAKS, RSS, RSS_AFTER, START, Sample, life
from benchmarks.table import head, row
from tests.vm.cache import Unavailable

_LEGEND = """\
Medians of {rounds} rounds, the agents in turns. wall: of one operation, as the client sees it (its
own part and the kernel's included); CPU: what the agent's process used for it. x: qemu-ga's figure
divided by ours, so above 1 ours is better. `bare qga` has no pybase64."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, each shorter")
    parser.add_argument(
        "--python", default=sys.executable, help="the Python for `bare qga` (default: this one)"
    )
    options = parser.parse_args()
    try:
        agents = contenders(options.python)
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1
    compile_package(agents)
    rounds = 3 if options.quick else 7
    print(f"{_machine()}\n{versions(agents)}\n\n{_LEGEND.format(rounds=rounds)}\n")
    print(head([agent.name for agent in agents]), flush=True)
    # Files in memory, where that is to be had: disks are not what is measured.
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qga-bench-", dir=place) as name:
        folder = Path(name)
        (folder / "content").write_bytes(CONTENT)
        for line in _speeds(agents, folder, rounds, short=options.quick):
            print(line, flush=True)
        for line in _lives(agents, folder, 2 if options.quick else rounds):
            print(line, flush=True)
    print(f"\n{time.monotonic() - begin:.0f} seconds")
    return 0


def _machine() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    processor = models[0] if models else platform.machine()
    # Without a syslog daemon, qemu-ga looks for one again with each message.
    syslog = "syslog" if Path("/dev/log").exists() else "no syslog"
    return f"{os.cpu_count()} x {processor}, {platform.system()} {platform.release()}, {syslog}"


def _speeds(agents: list[Contender], folder: Path, rounds: int, *, short: bool) -> Iterator[str]:
    with ExitStack() as stack:
        running = [
            stack.enter_context(Running(agent, folder / agent.name.replace(" ", "-")))
            for agent in agents
        ]
        for measure in MEASURES:
            times = max(1, measure.times // 8) if short else measure.times
            samples: list[list[Sample]] = [[] for _ in agents]
            for _ in range(rounds):
                for own, agent in zip(samples, running, strict=True):
                    own.append(measure.take(agent, folder, times))
            yield row(measure.name, measure.unit, samples)


def _lives(agents: list[Contender], folder: Path, rounds: int) -> Iterator[str]:
    lives: list[list[dict[str, Sample]]] = [[] for _ in agents]
    for _ in range(rounds):
        for own, contender in zip(lives, agents, strict=True):
            with Running(contender, folder / contender.name.replace(" ", "-")) as agent:
                own.append(life(agent, folder))
    for name in (START, RSS, *PEAKS, RSS_AFTER):
        samples = [[samples[name] for samples in own] for own in lives]
        yield row(name, "ms" if name == START else "MiB", samples)


if __name__ == "__main__":
    sys.exit(main())
