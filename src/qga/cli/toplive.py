"""The live view of `qga top`: a screen of its own, drawn again when something changes.

`topview` knows what stands there, `topwatch` asks the guests.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import time
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from . import topview
from .drawing import bar
from .ending import printable
from .output import counted
from .topwatch import WAITING, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from qga.client.target import Target

    from .topview import View
    from .topwatch import Seen

# From which width on there is room for bars.
_BARS = 100
_COLOURS = {"ready": "green", "frozen": "cyan", WAITING: "bright_black"}
# How long changes are gathered before they are drawn, in seconds; or so many times what drawing
# takes, since with many guests there is always something new.
_GATHERING, _SHARE = 0.05, 5


async def run(
    console: Console,
    targets: Sequence[Target],
    view: View,
    *,
    interval: float,
    patience: float,
    count: int | None,
    wide: bool,
) -> int:
    """Show the guests until the user has enough, or *count* times; return the exit code."""
    changed = asyncio.Event()
    watch = Watch(targets, patience, changed.set)
    screen = _Screen(console, view, changed, interval, wide=wide)
    asking = asyncio.create_task(_ask(watch, view, interval, count))
    asking.add_done_callback(lambda _: changed.set())
    with screen.shown():
        try:
            while not (view.ended or asking.done()):
                began = time.monotonic()
                screen.draw(watch.seen)
                took = time.monotonic() - began
                await changed.wait()
                await asyncio.sleep(max(_GATHERING, _SHARE * took))
                changed.clear()
            screen.draw(watch.seen)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await watch.close()
    return screen.code


async def _ask(watch: Watch, view: View, interval: float, count: int | None) -> None:
    """Look at the guests again and again."""
    watch.begin()
    # Rates take two looks: the second one comes soon.
    await asyncio.sleep(min(interval, 1.0))
    rounds = 0
    while count is None or rounds < count:
        if not view.paused:
            watch.begin()
            rounds += 1
        await asyncio.sleep(interval)
    await watch.settle(None)


class _Screen:
    """The terminal while the live view is on it.

    Attributes:
        code: the exit code: not 0 if a signal ended it.
    """

    def __init__(
        self, console: Console, view: View, changed: asyncio.Event, interval: float, *, wide: bool
    ) -> None:
        self.code = 0
        self._console = console
        self._view = view
        self._changed = changed
        self._interval = interval
        self._wide = wide
        self._live: Live | None = None
        self._keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._mode: list[object] | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Take the terminal, and give it back whatever happens."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._changed.set)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, number)
        if self._keyboard is not None:
            loop.add_reader(self._keyboard, self._read, self._keyboard)
        self._begin()
        try:
            yield
        finally:
            self._stop()
            if self._keyboard is not None:
                loop.remove_reader(self._keyboard)

    def draw(self, seen: Sequence[Seen]) -> None:
        """Draw it as it is now."""
        if self._live is not None:
            width, height = self._console.size
            shown = drawn(self._view, seen, self._interval, width, height, wide=self._wide)
            self._live.update(shown, refresh=True)

    def _begin(self) -> None:
        if self._keyboard is not None:
            self._mode = termios.tcgetattr(self._keyboard)
            tty.setcbreak(self._keyboard, termios.TCSANOW)
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._keyboard is not None and self._mode is not None:
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._mode)  # type: ignore[arg-type]

    def _read(self, keyboard: int) -> None:
        keys = os.read(keyboard, 1024).decode(errors="replace")
        self._view.press(keys or "q")  # a terminal that is gone has no more
        self._changed.set()

    def _suspend(self) -> None:
        self._stop()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._begin()  # when the shell has it go on
        self._changed.set()

    def _end(self, number: int) -> None:
        self.code = 128 + number
        self._view.ended = True
        self._changed.set()


def drawn(
    view: View, seen: Sequence[Seen], interval: float, width: int, height: int, *, wide: bool
) -> RenderableType:
    """All that stands on a screen of this size."""
    troubles = [one for one in seen if one.sentence and one.state != WAITING]
    # Heading, a blank line, the table's heading, the keys, and what is wrong.
    room = max(1, height - 4)
    about = min(len(troubles), max(0, room - len(seen) - 1), room // 3)
    lines = view.shown(seen, room - (about + 1 if about else 0))
    table = topview.fitting(topview.table(lines).narrowed("wide" if wide else "table"), width)
    grid = Grid(box=None, pad_edge=False, header_style="bold", expand=False)
    for column in table.columns:
        grid.add_column(
            column,
            justify="right" if column in table.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=max(10, width // 4) if column in {"guest", "fullest"} else None,
        )
    for row in table.rows:
        grid.add_row(
            *(
                _cell(column, cell, bars=width >= _BARS)
                for column, cell in zip(table.columns, row, strict=True)
            )
        )
    parts: list[RenderableType] = [_heading(view, seen, interval), Text(""), grid]
    used = 3 + len(lines)
    if about:
        parts += [Text("")]
        parts += [
            Text(
                printable(f"{one.name}: {one.sentence}"),
                style="yellow",
                no_wrap=True,
                overflow="ellipsis",
            )
            for one in troubles[:about]
        ]
        used += about + 1
    parts += [Text("")] * max(0, height - used - 1)
    parts += [Text(topview.HELP, style="bright_black", no_wrap=True, overflow="ellipsis")]
    return Group(*parts)


def _cell(column: str, cell: str, *, bars: bool) -> Text:
    if column == "state":
        return Text(cell, style=_COLOURS.get(cell, "red"))
    if column in topview.BARS and bars and cell != "-":
        return Text.assemble(bar(float(cell.removesuffix("%"))), f" {cell:>4}")
    return Text(printable(cell))


def _heading(view: View, seen: Sequence[Seen], interval: float) -> Text:
    states: dict[str, int] = {}
    for one in seen:
        states[str(one.state)] = states.get(str(one.state), 0) + 1
    told = ", ".join(f"{number} {state}" for state, number in states.items())
    every = "paused" if view.paused else f"every {interval:g} s"
    turned = ", reversed" if view.order.reverse else ""
    return Text.assemble(
        ("qga top", "bold"),
        f" {time.strftime('%H:%M:%S')}  {counted(len(seen), 'guest')}: {told}  ",
        (every, "bold yellow" if view.paused else ""),
        f"  by {view.order.by}{turned}",
        no_wrap=True,
        overflow="ellipsis",
    )
