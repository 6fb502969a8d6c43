"""The walk through the command line in docs/tour.md: its commands, run again on a real guest.

`python -m tests.vm.tour` writes the page's output anew; `test_tour` compares it. A block of the
page is a fenced one of the kind `console`: a line that begins with `$ ` is a command for bash, what
follows is all that it prints, on both streams, and `[code N]` if it fails. Before a block a comment
may tell what differs from run to run:

    <!-- tour: numbers -->       its numbers are not compared, nor how wide columns are
    <!-- tour: first 5 -->       of each command's output the first 5 lines are shown

Nowhere compared are durations, rates, and the time of day. Places that are made for a run are
shown under names that stay.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.vm.qemu import AGENT, Guest

PAGE = Path(__file__).parents[2] / "docs" / "tour.md"

_BLOCK = re.compile(
    r"(?:<!-- tour: (?P<rules>[^>]*) -->\n)?```console\n(?P<text>.*?)```\n", re.DOTALL
)
_TIME = re.compile(
    r"\b\d+(\.\d+)? (ms|s|min|h)\b|\b\d+(\.\d+)? ([KMG]i)?B/s|\d\d:\d\d(:\d\d)?"
    r"|\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d+ +(\d\d:\d\d|\d{4})"
)
_NUMBER = re.compile(r"[-+]?\b\d+(\.\d+)?( ?([KMGT]i)?B\b|[KMGT]\b)?")

# What the guest's name stands for, on the page.
SOCKETS = "/run/vm"


class Step(NamedTuple):
    """A command, and what it printed."""

    command: str
    output: str


@dataclass
class Place:
    """Where commands are run: a user's home, where `web` is a name of the guest."""

    home: Path
    guest: Guest
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        scripts = Path(sys.executable).parent  # where qga is
        self.environment = {
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "QGA_FIND": "files",  # not what else runs here
        }
        folder = self.home / ".config/qga"
        folder.mkdir(parents=True)
        (folder / "targets.toml").write_text(
            f'[targets]\nweb = "unix:{self.guest.agent_socket}"\n'
            f'db = "unix:{self.guest.agent_socket.with_name("db.sock")}"\n'
        )

    def run(self, command: str) -> str:
        """What *command* prints, as the page shows it."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        shown = done.stdout
        socket = str(self.guest.agent_socket)
        shown = shown.replace(socket, f"{SOCKETS}/web.sock")
        shown = shown.replace(os.path.dirname(socket), SOCKETS)  # noqa: PTH120
        shown = shown.replace(str(self.home), "/home/me")
        if shown and not shown.endswith("\n"):
            shown += "\n"
        return shown + (f"[code {done.returncode}]\n" if done.returncode else "")


@contextmanager
def place() -> Iterator[Place]:
    """A guest with our agent in it, and a home."""
    with Guest.restore() as guest, tempfile.TemporaryDirectory(prefix="qga-tour-") as home:
        # The saved guest's clock stands where it was saved.
        guest.sh("hwclock -s -u")
        guest.start_agent(AGENT)
        yield Place(Path(home), guest)


def steps(text: str) -> list[Step]:
    """The commands of a block, and what the page says that they print."""
    found = re.split(r"^\$ ((?:.*\\\n)*.*)\n", text, flags=re.MULTILINE)
    assert found[0] == "", "a block begins with a command"
    return [Step(*pair) for pair in zip(found[1::2], found[2::2], strict=True)]


def shortened(output: str, rules: str) -> str:
    """*output* as the page shows it by the *rules* of its block."""
    first = re.search(r"first (\d+)", rules)
    lines = output.splitlines(keepends=True)
    if first is None or len(lines) <= int(first[1]):
        return output
    return "".join(lines[: int(first[1])]) + "...\n"


def comparable(output: str, rules: str) -> str:
    """What of *output* does not differ from run to run."""
    output = _TIME.sub("TIME", output)
    if "numbers" not in rules:
        return output
    return re.sub(r" +", " ", re.sub(r"-{2,}", "--", _NUMBER.sub("N", output)))


def blocks(page: str) -> Iterator[tuple[str, list[Step]]]:
    """The rules and the steps of each block."""
    for block in _BLOCK.finditer(page):
        yield block["rules"] or "", steps(block["text"])


def rewritten(page: str, where: Place) -> str:
    """*page* with what its commands print now, as far as it differs."""

    def block(found: re.Match[str]) -> str:
        rules = found["rules"] or ""
        text = "".join(
            f"$ {step.command}\n{_fresh(step, shortened(where.run(step.command), rules), rules)}"
            for step in steps(found["text"])
        )
        comment = f"<!-- tour: {rules} -->\n" if rules else ""
        return f"{comment}```console\n{text}```\n"

    return _BLOCK.sub(block, page)


def _fresh(step: Step, output: str, rules: str) -> str:
    """What is to stand on the page: as before, where nothing has changed but time."""
    same = comparable(step.output, rules) == comparable(output, rules)
    return step.output if same else output


if __name__ == "__main__":
    with place() as made:
        PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
