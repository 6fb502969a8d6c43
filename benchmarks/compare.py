"""``python -m benchmarks.compare REV``: this agent beside that of an earlier commit, and qemu-ga.

The agents only: the library is measured within this process, and it has one of it. Both agents are
what the package starts, with pybase64; what is compared is what is in the working tree, committed
or not.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import agents, text
from benchmarks.__main__ import machine, tell
from benchmarks.contenders import SOURCE, compared, compile_package, guest_python, versions
from benchmarks.report import Setting, medians
from tests.vm.cache import Unavailable

_LEGEND = """\
{medians}, the agents in turns, with client and agents on one processor. wall: of
one operation, as the client sees it; CPU: what the agent's process used for it. x: the figure of
{other} divided by the other one's, so above 1 the other one is better.

Memory is in MiB; that of requests, from a start to the end of an agent."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("revision", metavar="REV", help="anything that git knows as a commit")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, each shorter")
    parser.add_argument("--python", help="the one that our agents run on")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows with TEXT in them")
    parser.add_argument("--rounds", type=int, help="how many (default: 7, or 2 if quick)")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    try:
        python = options.python or guest_python()
        with extracted(SOURCE.parent, options.revision) as source:
            for package in (source, SOURCE):
                compile_package(python, package)
            found = compared(python, options.revision[:12], source)
            print(f"{machine()}\n{versions(found)}")
            setting = Setting(found, python, options.quick, options.rounds, options.only, tell)
            legend = _LEGEND.format(medians=medians(agents.rounds(setting)), other=found[0].name)
            print(text.heading("This agent beside an earlier one", legend), flush=True)
            for table in agents.tables(setting):
                tell("")
                print(f"\n{text.table(table)}", flush=True)
    except (Unavailable, NoSuchCommit) as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"{error}\n{error.stderr or ''}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{time.monotonic() - begin:.0f} seconds")
    return 0


class NoSuchCommit(Exception):
    pass


@contextmanager
def extracted(repository: Path, revision: str) -> Iterator[Path]:
    """The package of a commit in a directory of its own, until the end of the block.

    No work tree: git would remember that after a run that was killed.
    """
    git = ["git", "-C", str(repository), "archive", "--format=tar", f"{revision}^{{commit}}", "src"]
    archived = subprocess.run(git, capture_output=True, check=False)
    if archived.returncode:
        said = archived.stderr.decode(errors="replace").strip()
        raise NoSuchCommit(f"git has no agent of {revision!r} in {repository}: {said}")
    with tempfile.TemporaryDirectory(prefix="qga-compare-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder, "src")


if __name__ == "__main__":
    sys.exit(main())
