"""Programs that scripts start again and again, from their start to their end."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from benchmarks.contenders import SOURCE, compile_package
from benchmarks.measures import Sample
from benchmarks.plain import ByHand
from benchmarks.rounds import MILLISECONDS, Group, Site, Take, by_hand
from qga.cli.app import TOPICS
from tests.vm.cache import Unavailable

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


# What the command line needs of others to start.
_NEEDED = ("click", "rich")


def _folder(name: str) -> Path:
    """The folder of an installed package."""
    found = find_spec(name)
    if found is None or found.origin is None:
        raise Unavailable(name, "install with pip install 'qga[cli]'")
    return Path(found.origin).parent


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
        for source in (SOURCE / "qga", *map(_folder, _NEEDED)):
            shutil.copytree(source, Path(packages) / source.name, ignore=ignored)
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
        "qga --help": _program(lambda _: [qga, "--help"]),
        "qga status": _program(lambda site: [qga, "status", site.target]),
        "qga.connect(...).ping()": _program(lambda site: [python, "-c", _LIBRARY, site.target]),
    }
    if any("exec" in names for names in TOPICS.values()):
        ways["qga exec -- true"] = _program(lambda site: [qga, "exec", site.target, "--", "true"])
    if virsh := shutil.which("virsh"):
        ways["virsh --version"] = _program(lambda _: [virsh, "--version"])
        # With the hypervisor that libvirt keeps for tests, in the process itself.
        ways["virsh list"] = _program(lambda _: [virsh, "-c", "test:///default", "list"])
    return Group("a program, to its end", MILLISECONDS, lambda _: _TIMES, ways)


def _ping_by_hand(hand: ByHand, site: Site) -> None:
    for _ in range(site.sizes.repeated):
        hand.ask("guest-ping")


def _ping(site: Site) -> tuple[Sample, Any]:
    """With this environment's `qga`, which has libvirt's module."""
    qga = Path(sys.executable).with_name("qga")
    return _taken([str(qga), "ping", site.target], site.sizes.repeated)


# Where `Site.by_hand` is a virsh for each request.
LIBVIRT = Group(
    "a ping by a program, to its end",
    MILLISECONDS,
    lambda sizes: sizes.repeated,
    {"virsh qemu-agent-command": by_hand(_ping_by_hand), "qga ping": _ping},
)


def _program(words: Callable[[Site], list[str]]) -> Take:
    return lambda site: _taken(words(site), _TIMES)


def _taken(command: list[str], times: int) -> tuple[Sample, Any]:
    before, begin = _cpu(), time.perf_counter()
    for _ in range(times):
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return Sample(time.perf_counter() - begin, _cpu() - before), None


def _cpu() -> float:
    """What programs have used that were run to their end."""
    children = getrusage(RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime
