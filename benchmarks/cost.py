"""What the library costs over the least that there is: a call, and a copy. For `library`."""

import filecmp
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.agents import one_processor
from benchmarks.calling import RAW
from benchmarks.contenders import OURS, SOURCE, Running
from benchmarks.measures import MIB
from benchmarks.report import Cell, Column, Row, Setting, Table
from benchmarks.sites import in_memory
from benchmarks.targets import CALLS, COPIES, MISSED

CALLING = "guest-ping, of CPU time"
COPYING = "qga cp"
_FULL, _SHORT = 1_000_000_000, 64_000_000


def tables(setting: Setting) -> Iterator[Table]:
    with in_memory() as folder:
        setting.tell(CALLING)
        yield _calling(setting, folder)
        setting.tell(COPYING)
        yield _copying(setting, folder)


def _calling(setting: Setting, folder: Path) -> Table:
    (agent,) = (agent for agent in setting.agents if agent.name == OURS)
    calls, rounds = ("100", "2") if setting.short else ("2000", "7")
    # To wake up another processor can take longer than a call.
    with one_processor(), Running(agent, folder) as running:
        path = f"{folder}/socket"
        # It serves one client at a time.
        running.client.close()
        done = subprocess.run(
            [setting.python, "-m", "benchmarks.calling", path, calls, rounds],
            env=os.environ | {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"},
            stdout=subprocess.PIPE,
            check=True,
        )
    taken: dict[str, list[float]] = json.loads(done.stdout)
    rows = []
    judged = not setting.short
    for way, own in taken.items():
        over = statistics.median(mine - raw for mine, raw in zip(own, taken[RAW], strict=True))
        target = CALLS.get(way.partition(".")[0])
        missed = target is not None and judged and target.at_most(over) == MISSED
        rows.append(
            Row(
                way,
                (statistics.median(own), over, target.must if target else None),
                (f"{way}: {over:.1f} us over {RAW}",) if missed else (),
            )
        )
    columns = (Column("us"), Column("over raw"), Column("must"))
    return Table(CALLING, columns, tuple(rows))


def _copying(setting: Setting, folder: Path) -> Table:
    rows = []
    judged = not setting.short  # in which the program's start counts for much
    for agent in setting.agents[:2]:
        # qemu-ga is busy with as much for minutes.
        size = _SHORT if setting.short or agent.name != OURS else _FULL
        here, back = folder / "here", folder / "back"
        with here.open("wb") as file:
            for start in range(0, size, MIB):
                file.write(os.urandom(min(MIB, size - start)))
        with Running(agent, folder) as running:
            there = f"unix:{folder}/socket:{folder}/there"
            # It serves one client at a time.
            running.client.close()
            for name, words in (("to", (str(here), there)), ("from", (there, str(back)))):
                cells, speed = _copied(running, words, size)
                must = COPIES.must if agent.name == OURS else None
                missed = judged and must is not None and COPIES.at_least(speed) == MISSED
                rows.append(
                    Row(
                        f"{name} {agent.name}, {size / 1e6:.0f} MB",
                        (*cells, must),
                        (f"{COPYING} {name} {agent.name}: {speed:.0f} MB/s",) if missed else (),
                    )
                )
        if not filecmp.cmp(here, back, shallow=False):
            raise RuntimeError(f"{COPYING}, {agent.name}: other bytes came back")
        back.unlink()
    names = ("MB/s", "CPU qga ms/MB", "CPU agent ms/MB", "CPU checksum ms/MB", "must")
    return Table(COPYING, tuple(map(Column, names)), tuple(rows))


def _copied(running: Running, words: tuple[str, str], size: int) -> tuple[tuple[Cell, ...], float]:
    """Speed and CPU times of one copy, and the speed by itself."""
    command = [sys.executable, "-m", "qga.cli", "cp", "-o", "json", *words]
    agent, programs, own = running.cpu(), running.programs_cpu(), _children()
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    speed = size / (time.perf_counter() - began) / 1e6
    times = _children() - own, running.cpu() - agent, running.programs_cpu() - programs
    told = json.loads(done.stdout)
    if not told["verified"] or told["count"] != size:
        raise RuntimeError(f"{COPYING} did not do what was asked for: {told}")
    return (speed, *(used * 1e3 / (size / 1e6) for used in times)), speed


def _children() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
