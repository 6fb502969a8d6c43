"""``python -m benchmarks``: the agents side by side, and the library, on this machine, now."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from benchmarks import sites
from benchmarks.contenders import (
    Contender,
    Running,
    compile_package,
    contenders,
    guest_python,
    versions,
)
from benchmarks.host import GROUPS, LIBVIRT_GROUPS
from benchmarks.measures import (
    CONTENT,
    MEASURES,
    MIB,
    PEAKS,
    RSS,
    RSS_AFTER,
    START,
    Measure,
    Sample,
    life,
)
from benchmarks.multitude import MULTITUDE, multitude
from benchmarks.rounds import Group, Site, Sizes, lines, take_turns
from benchmarks.table import head, row
from tests.vm.cache import Unavailable

_LEGEND = """\
Medians of {rounds} rounds, the agents in turns. wall: of one operation, as the client sees it (its
own part and the kernel's included); CPU: what the agent's process used for it. Client and agents
are on one processor: to wake up another one can take longer than the operation. x: qemu-ga's figure
divided by ours, so above 1 ours is better. `bare qga` has no pybase64."""

_LIBRARY_LEGEND = """\
The library {where}: ways to do the same in turns, medians of {rounds} rounds.
For each agent: how fast; the CPU time that this process used; x: how fast compared with what people
write by hand, in the same round. By hand is
    {hand}, json and base64, 4 KiB of a file at a time,
    a program's status asked for without a pause.
What Client.files copies is verified by checksums, and in its place only when it is complete and on
the disk. Sizes: a file of {file:g} MiB; a program's output of {captured:g} MiB at its end, of
{streamed:g} MiB while it runs; a tree of {files} files of up to 4 KiB."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, each shorter")
    parser.add_argument(
        "--python", help="the one that our agent runs on (default: the system's, if it can)"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="agents: rows with TEXT in them")
    parser.add_argument("--rounds", type=int, help="agents: how many (default: 7, or 3 if quick)")
    tables = parser.add_argument_group("tables", "the first two, if none is named")
    tables.add_argument("--agents", action="store_true", help="the agents side by side")
    tables.add_argument("--host", action="store_true", help="the library")
    tables.add_argument("--vm", action="store_true", help="the library with a virtual machine")
    tables.add_argument("--libvirt", action="store_true", help="the library through libvirt")
    options = parser.parse_args()
    if not (options.agents or options.host or options.vm or options.libvirt):
        options.agents = options.host = True
    begin = time.monotonic()
    try:
        python = options.python or guest_python()
        agents = contenders(python)
        compile_package(python)
        print(f"{_machine()}\n{versions(agents)}", flush=True)
        for line in _tables(options, agents):
            print(line, flush=True)
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{time.monotonic() - begin:.0f} seconds")
    return 0


@contextmanager
def one_processor() -> Iterator[None]:
    """This process, and those that it starts, on one processor only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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


def _tables(options: argparse.Namespace, agents: list[Contender]) -> Iterator[str]:
    short = options.quick
    if options.agents:
        rounds = options.rounds or (3 if short else 7)
        yield from _agents(agents, rounds, options.only, short=short)
    if options.host:
        yield from _library(agents[:2], short=short)
    if options.vm:
        sizes, rounds = (sites.QUICK_GUEST, 1) if short else (sites.GUEST, 3)
        yield _library_legend("over a guest's virtio-serial port", "a socket", sizes, rounds)
        yield from _guests(sites.guest, GROUPS, sizes, rounds)
    if options.libvirt:
        sizes, rounds = (sites.QUICK_GUEST, 1) if short else (sites.LIBVIRT, 3)
        yield _library_legend("through libvirt", "a virsh for each request", sizes, rounds)
        yield from _guests(sites.domain, LIBVIRT_GROUPS, sizes, rounds)


# The agents.


def _agents(agents: list[Contender], rounds: int, only: str, *, short: bool) -> Iterator[str]:
    yield f"\n{_LEGEND.format(rounds=rounds)}\n"
    yield head([agent.name for agent in agents])
    with one_processor(), sites.in_memory() as folder:
        (folder / "content").write_bytes(CONTENT)
        measures = [measure for measure in MEASURES if only in measure.name]
        yield from _speeds(agents, folder, measures, rounds, short=short)
        yield from _lives(agents, folder, only, min(rounds, 2) if short else rounds)


def _speeds(
    agents: list[Contender],
    folder: Path,
    measures: list[Measure],
    rounds: int,
    *,
    short: bool,
) -> Iterator[str]:
    with ExitStack() as stack:
        running = [
            stack.enter_context(Running(agent, folder / agent.name.replace(" ", "-")))
            for agent in agents
        ]
        for measure in measures:
            times = max(1, measure.times // 8) if short else measure.times
            samples: list[list[Sample]] = [[] for _ in agents]
            for _ in range(rounds):
                for own, agent in zip(samples, running, strict=True):
                    own.append(measure.take(agent, folder, times))
            yield row(measure.name, measure.unit, samples)


def _lives(agents: list[Contender], folder: Path, only: str, rounds: int) -> Iterator[str]:
    names = [name for name in (START, RSS, *PEAKS, RSS_AFTER) if only in name]
    if not names:
        return
    lives: list[list[dict[str, Sample]]] = [[] for _ in agents]
    for _ in range(rounds):
        for own, contender in zip(lives, agents, strict=True):
            with Running(contender, folder / contender.name.replace(" ", "-")) as agent:
                own.append(life(agent, folder))
    for name in names:
        samples = [[samples[name] for samples in own] for own in lives]
        yield row(name, "ms" if name == START else "MiB", samples)


# The library.


def _library(agents: list[Contender], *, short: bool) -> Iterator[str]:
    sizes, rounds = (sites.QUICK, 1) if short else (sites.SIZES, 3)
    yield _library_legend("on this machine", "a socket", sizes, rounds)
    with sites.here(agents, sizes) as both:
        for group in GROUPS:
            yield from lines(group, take_turns(group, both, rounds))
    with multitude(sizes) as site:
        yield f"\n{sizes.agents} agents, which do nothing else, in another process:"
        yield from lines(MULTITUDE, take_turns(MULTITUDE, [site], rounds))


def _guests(
    place: Callable[[Sequence[str], Sizes], AbstractContextManager[list[Site]]],
    groups: Sequence[Group],
    sizes: Sizes,
    rounds: int,
) -> Iterator[str]:
    taken = []
    for command in sites.GUESTS:
        with place(command, sizes) as site:
            taken.append([take_turns(group, site, rounds) for group in groups])
    for group, stock, ours in zip(groups, *taken, strict=True):
        yield from lines(group, stock + ours)


def _library_legend(where: str, hand: str, sizes: Sizes, rounds: int) -> str:
    legend = _LIBRARY_LEGEND.format(
        where=where,
        hand=hand,
        rounds=rounds,
        file=sizes.file / MIB,
        captured=sizes.captured / MIB,
        streamed=sizes.streamed / MIB,
        files=sizes.files,
    )
    return f"\n{legend}\n\n{'':<36}{'qemu-ga':>26}{'qga':>26}"


if __name__ == "__main__":
    sys.exit(main())
