import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.agents import REQUESTS
from benchmarks.host import GROUPS
from benchmarks.measures import LIFE
from benchmarks.multitude import MULTITUDE
from benchmarks.rounds import Group
from tests.conftest import BENCHMARKS
from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.debs import stock_agent

ROOT = Path(__file__).parents[1]


@pytest.mark.bench
def test_the_short_form_completes_with_every_row(request: pytest.FixtureRequest) -> None:
    need_stock()
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    # How fast is not asserted: other tests may be running.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    request.config.stash[BENCHMARKS] = done.stdout
    lines = done.stdout.splitlines()
    for measure in [measure for measures in REQUESTS.values() for measure in measures]:
        figures = line_of(measure.name, lines)[1:]  # after the unit
        assert len(figures) >= 10, measure.name
        assert all(float(figure) > 0 for figure in figures[:10]), measure.name
    for name in LIFE:
        line_of(name, lines)
    for group in GROUPS:
        check_group(group, lines, sites=2)
    check_group(MULTITUDE, lines, sites=1)


def need_stock() -> None:
    try:
        stock_agent()
    except Unavailable as error:
        missing(error.what, error.remedy)


def line_of(name: str, lines: list[str]) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"  {name}  "))
    return line.removeprefix(f"  {name}").split()


def check_group(group: Group, lines: list[str], sites: int) -> None:
    """Every way has a speed, a CPU time and a ratio at each site."""
    (head,) = (n for n, line in enumerate(lines) if line.startswith(f"{group.name}  "))
    for line, name in zip(lines[head + 1 :], group.ways, strict=False):
        figures = line_of(name, [line])
        assert len(figures) == 3 * sites, line
        assert all(float(figure) > 0 for figure in figures), line
