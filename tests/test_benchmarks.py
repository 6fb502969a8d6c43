import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.agents import REQUESTS
from benchmarks.calling import WAYS
from benchmarks.host import GROUPS
from benchmarks.measures import LIFE
from benchmarks.multitude import MULTITUDE
from benchmarks.rounds import Group
from benchmarks.starts import starts
from tests.conftest import BENCHMARKS
from tests.support.need import missing
from tests.test_benchmarks_shown import check_picture, check_tables
from tests.vm.cache import Unavailable
from tests.vm.debs import stock_agent

ROOT = Path(__file__).parents[1]


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_the_short_form_completes_with_every_row(
    record_property: Callable[[str, object], None], tmp_path: Path
) -> None:
    need_stock()
    command = [sys.executable, "-m", "benchmarks", "--quick", "--page", str(tmp_path)]
    # How fast is not asserted: other tests may be running.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record_property(BENCHMARKS, done.stdout)
    lines = done.stdout.splitlines()
    for measure in [measure for measures in REQUESTS.values() for measure in measures]:
        figures = line_of(measure.name, lines)[1:]  # after the unit
        assert len(figures) >= 10, measure.name
        assert all(float(figure) > 0 for figure in figures[:10]), measure.name
    for name in LIFE:
        line_of(name, lines)
    for group in GROUPS:
        check_group(group, lines, sites=2)
    check_group(starts(Path()), lines, sites=1)
    check_group(MULTITUDE, lines, sites=1)
    for way in WAYS:
        assert float(line_of(way, lines)[0]) > 0
    for way in ("to qga, 64 MB", "from qga, 64 MB"):
        assert all(float(figure) > 0 for figure in line_of(way, lines)[:3])
    check_tables((tmp_path / "performance.md").read_text())
    check_picture((tmp_path / "throughput.svg").read_text())


@pytest.mark.bench
def test_a_commit_beside_the_working_tree() -> None:
    need_stock()
    if not (ROOT / ".git").exists():
        missing("the repository of this project", "clone it with git")
    command = [
        sys.executable,
        "-m",
        "benchmarks.compare",
        "HEAD",
        "--quick",
        "--only",
        "guest-ping",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (names,) = (line.split() for line in lines if line.startswith("    ") and "HEAD" in line)
    assert names == ["HEAD", "this", "qemu-ga", "this", "qemu-ga"]
    figures = line_of("guest-ping", lines)[1:]
    assert len(figures) == 10
    assert all(float(figure) > 0 for figure in figures)


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
