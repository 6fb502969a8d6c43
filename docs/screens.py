"""Takes the pictures of docs/screens: `qga` on a real terminal, at work on real guests.

Called by `make screens`, when what is shown has changed. It needs what the tests with virtual
machines need, and tmux. What stands on the screen is taken as it is, with its colours; the numbers
differ from one time to the next.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tests.cli.screen import PATIENCE, Screen, screen
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

FOLDER = Path(__file__).parent / "screens"

# Whoever looks at a picture asks nobody else for a font.
_FORMAT = re.sub(r',\s*url\("[^"]*"\) format\("\w+"\)', "", CONSOLE_SVG_FORMAT)

# What keeps them busy: a processor and the disk of one, the network of the other.
_WORK = {
    "web1": (
        "while :; do i=0; while [ $i -lt 4000 ]; do i=$((i+1)); done; sleep 0.02; done & "
        "while :; do dd if=/dev/zero of=/mnt/data/log bs=256k count=8 conv=fsync; sleep 0.3; done"
    ),
    "web2": "ping -i 0.02 -s 1400 10.0.2.2",
}
_FILLED = {"web1": 8, "web2": 46, "db": 44}  # MiB
_AGENTS = {"web1": AGENT, "web2": STOCK_AGENT, "db": STOCK_AGENT}


@contextmanager
def guests() -> Iterator[dict[str, Guest]]:
    """Three guests, by their names."""
    with ExitStack() as running:
        found = {}
        for name, agent in _AGENTS.items():
            guest = found[name] = running.enter_context(Guest.restore())
            guest.sh(f"hostname {name}; hwclock -s -u")
            guest.sh(f"dd if=/dev/zero of=/mnt/data/content bs=1M count={_FILLED[name]}; sync")
            guest.start_agent(agent)
        yield found


def picture(name: str, terminal: Screen) -> None:
    """Write what stands on the screen."""
    lines = terminal.shown("-e").rstrip().split("\n")
    if lines[-1].strip() == "$":  # the next prompt
        lines.pop()
    width = int(terminal.tmux("display-message", "-p", "#{window_width}"))
    console = Console(
        record=True, width=width, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in lines:
        console.print(Text.from_ansi(line, no_wrap=True), soft_wrap=True)
    svg = console.export_svg(title="", code_format=_FORMAT, unique_id=f"qga-{name}")
    if tempfile.gettempdir() in svg:
        raise SystemExit(f"a path of this machine is in the picture {name}:\n{terminal.shown()}")
    path = FOLDER / f"{name}.svg"
    path.write_text("".join(f"{line.rstrip()}\n" for line in svg.splitlines()), encoding="utf-8")
    print(f"{path.name}: {len(lines)} lines")


def seen(terminal: Screen, condition: Callable[[str], object], what: str) -> None:
    """Wait until *condition* is true of what is on the screen."""
    until = time.monotonic() + PATIENCE
    while not condition(terminal.shown()):
        if time.monotonic() > until:
            raise SystemExit(f"no {what} on the screen:\n{terminal.shown()}")
        time.sleep(0.02)


def clear(terminal: Screen, columns: int, rows: int) -> None:
    """Make the screen of that size, and empty."""
    terminal.resize(rows, columns)
    terminal.type("clear")
    seen(terminal, lambda text: text.strip() == "$", "empty prompt")


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="qga-") as directory, guests() as found:
        folder = Path(directory)
        names = folder / "names.toml"
        targets = [f'{name} = "unix:{guest.agent_socket}"' for name, guest in found.items()]
        names.write_text("\n".join(["[targets]", *targets, ""]))
        (folder / "site.img").write_bytes(bytes(range(256)) * (36 << 12))
        with screen(folder / "home", QGA_TARGETS=str(names)) as terminal:
            terminal.type(f"cd {folder}; PS1='$ '; clear")

            clear(terminal, 100, 12)
            terminal.type("qga fs --all")
            seen(terminal, lambda text: text.rstrip().endswith("3 done\n$"), "end")
            picture("fs", terminal)

            clear(terminal, 100, 3)
            terminal.type("qga cp site.img web1:/mnt/data/")
            seen(terminal, lambda text: re.search(r"\b(1[2-9]|2\d)\.\d/36\.0 MiB", text), "bar")
            picture("cp", terminal)
            seen(terminal, lambda text: "MiB in" in text, "end")

            for name, work in _WORK.items():
                found[name].sh(f"({work}) >/dev/null 2>&1 </dev/null &")
            clear(terminal, 110, 10)
            terminal.type("qga call db guest-fsfreeze-freeze")
            seen(terminal, lambda text: "\n2" in text, "number of frozen ones")
            clear(terminal, 110, 10)
            terminal.type("qga top --all --sort cpu")
            seen(terminal, lambda text: text.count("%") >= 6 and "frozen" in text, "rates")
            time.sleep(6)  # until the work shows
            picture("top", terminal)
            terminal.keys("q")
    return 0


if __name__ == "__main__":
    sys.exit(main())
