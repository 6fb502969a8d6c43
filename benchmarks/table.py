"""Shows samples as a table. Used by `__main__`."""

import statistics
from collections.abc import Sequence

from benchmarks.measures import Sample

_FACTORS = {"us": 1e6, "ms": 1e3, "MiB": 1.0}


def row(name: str, unit: str, samples: Sequence[Sequence[Sample]]) -> str:
    """One line; *samples* holds those of each agent, by round, qemu-ga's first."""
    factor = _FACTORS[unit]
    cells = [f"{name:<30}{unit:<4}"]
    for own in samples:
        wall = statistics.median(sample.wall for sample in own)
        cells.append(f"{wall * factor:9.2f}")
        cells.append(_cpu(own, factor))
    stock = samples[0]
    for own in samples[1:]:
        # In each round the machine was the same for both.
        walls = [a.wall / b.wall for a, b in zip(stock, own, strict=True)]
        cpus = [a.cpu / b.cpu for a, b in zip(stock, own, strict=True) if a.cpu and b.cpu]
        cells.append(f"{statistics.median(walls):8.2f}")
        cells.append(f"{statistics.median(cpus):8.2f}" if cpus else f"{'':8}")
    return "".join(cells).rstrip()


def _cpu(own: Sequence[Sample], factor: float) -> str:
    used = [sample.cpu for sample in own if sample.cpu is not None]
    return f"{statistics.median(used) * factor:9.2f}" if used else f"{'':9}"


def head(names: Sequence[str]) -> str:
    """The two lines above the rows."""
    first, second = " " * 34, " " * 34
    for name in names:
        first += f"{name:>18}"
        second += f"{'wall':>9}{'CPU':>9}"
    for name in names[1:]:
        first += f"{name:>16}"
        second += f"{'x wall':>8}{'x CPU':>8}"
    return f"{first}\n{second}"
