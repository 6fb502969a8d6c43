"""Programs that scripts start again and again, from their start to their end."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from benchmarks.contenders import SOURCE, compile_package
from benchmarks.measures import Sample
from benchmarks.rounds import MILLISECONDS, Group, Site, Take

# What installers write into `bin` for an entry point.
_SCRIPT = """\
#!{python}
import sys
from qga.cli import main
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit(main())
"""

_LIBRARY = "import sys, qga; qga.connect(sys.argv[1]).ping()"

# In each turn, the times of one being about as long as those of the machine's own doings.
_TIMES = 5


@contextmanager
def installed(python: str) -> Iterator[Path]:
    """An environment of *python* with the package as it is installed; give its `bin`."""
    with tempfile.TemporaryDirectory(prefix="qga-bench-") as name:
        folder = Path(name)
        subprocess.run([python, "-m", "venv", "--without-pip", name], check=True)
        own = folder / "bin" / "python"
        ask = [str(own), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        packages = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCE / "qga", Path(packages) / "qga", ignore=ignored)
        compile_package(str(own), Path(packages))
        script = folder / "bin" / "qga"
        script.write_text(_SCRIPT.format(python=own))
        script.chmod(0o755)
        yield folder / "bin"


def starts(folder: Path) -> Group:
    """The group; the programs are in *folder*, and virsh is for comparison where it is."""
    python, qga = str(folder / "python"), str(folder / "qga")
    ways = {
        "python3 -c pass": _program(lambda _: [python, "-c", "pass"]),
        "qga ping": _program(lambda site: [qga, "ping", site.target]),
        "qga --version": _program(lambda _: [qga, "--version"]),
        "qga.connect(...).ping()": _program(lambda site: [python, "-c", _LIBRARY, site.target]),
    }
    if virsh := shutil.which("virsh"):
        ways["virsh --version"] = _program(lambda _: [virsh, "--version"])
        # With the hypervisor that libvirt keeps for tests, in the process itself.
        ways["virsh list"] = _program(lambda _: [virsh, "-c", "test:///default", "list"])
    return Group("a program, to its end", MILLISECONDS, lambda _: _TIMES, ways)


def _program(words: Callable[[Site], list[str]]) -> Take:
    def take(site: Site) -> tuple[Sample, Any]:
        command = words(site)
        before, begin = _cpu(), time.perf_counter()
        for _ in range(_TIMES):
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        return Sample(time.perf_counter() - begin, _cpu() - before), None

    return take


def _cpu() -> float:
    """What programs have used that were run to their end."""
    children = getrusage(RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime
