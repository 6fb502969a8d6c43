import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.host import GROUPS
from benchmarks.measures import MEASURES, PEAKS, RSS, RSS_AFTER, START
from benchmarks.multitude import MULTITUDE
from benchmarks.rounds import Group
from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.debs import stock_agent


@pytest.mark.bench
def test_the_short_form_completes_with_every_row() -> None:
    try:
        stock_agent()
    except Unavailable as error:
        missing(error.what, error.remedy)
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    # How fast is not asserted: other tests may be running.
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name in [measure.name for measure in MEASURES] + [START, RSS, *PEAKS, RSS_AFTER]:
        (line,) = (line for line in lines if line.startswith(f"{name}  "))
        figures = line.removeprefix(name).split()[1:]
        assert len(figures) in (5, 10), line
        assert all(float(figure) > 0 for figure in figures), line
    for group in GROUPS:
        check_group(group, lines, sites=2)
    check_group(MULTITUDE, lines, sites=1)


def check_group(group: Group, lines: list[str], sites: int) -> None:
    """Every way has a speed, a CPU time and a ratio at each site."""
    (head,) = (n for n, line in enumerate(lines) if line.startswith(f"{group.name}  "))
    for line, name in zip(lines[head + 1 :], group.ways, strict=False):
        assert line.startswith(f"  {name} "), line
        figures = line.removeprefix(f"  {name}").split()
        assert len(figures) == 3 * sites, line
        assert all(float(figure) > 0 for figure in figures), line
