"""The bar that shows how far a copy has come: on a terminal, with rate and time left."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import ending
from .output import amount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

# A terminal is drawn to so often in a second. What comes in between is only noted.
_FRAMES = 10

# In characters: the bar and a name are no shorter, the bar is no longer; all that stands beside
# these two.
_SHORTEST, _LONGEST = 8, 40
_OTHERS = 46


class Bar:
    """One bar for all that is copied, file after file.

    Args:
        progress: what draws it.
        total: how many bytes there will be; None if that is not known.
    """

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task("", total=total)
        self._before = 0  # bytes of what has been copied
        self._now = 0
        self._shown = 0.0

    def name(self, path: str) -> None:
        """Go on with the file or directory *path*."""
        from rich.markup import escape

        self._before, self._now = self._before + self._now, 0
        # The folders are left out: the rest of the line is more telling.
        text = os.path.basename(path.rstrip("/")) or path  # noqa: PTH119 - of either machine
        self._progress.update(self._task, description=escape(ending.printable(text)))

    def count(self, done: int) -> None:
        """Show that *done* bytes of this file have been copied."""
        self._now = done
        now = time.monotonic()
        if now - self._shown >= 1 / _FRAMES:
            self._shown = now
            self._progress.update(self._task, completed=self._before + done)

    def finish(self) -> None:
        """All is there, whatever was expected."""
        done = self._before + self._now
        self._progress.update(self._task, completed=done, total=done)


def drawn(console: Console) -> Progress:
    """What draws a bar on *console*; it is gone at the end."""
    from rich import progress
    from rich.table import Column
    from rich.text import Text

    class Rate(progress.ProgressColumn):
        """Bytes per second, in the units that the bytes have."""

        def render(self, task: progress.Task) -> Text:
            rate = task.finished_speed or task.speed
            text = "" if rate is None else f"{amount(rate)}/s"
            return Text(text, style="progress.data.speed")

    narrow = Column(no_wrap=True)
    name = progress.TextColumn("{task.description}", table_column=narrow)
    line = progress.BarColumn()
    size = progress.DownloadColumn(binary_units=True)
    others = (progress.TaskProgressColumn(), size, Rate(), progress.TimeRemainingColumn())

    class Fitting(progress.Progress):
        """Leaves out what there is no room for, however wide the terminal is now."""

        def make_tasks_table(self, tasks: Iterable[progress.Task]) -> Table:
            tasks = list(tasks)
            names = [Text.from_markup(task.description).cell_len for task in tasks]
            narrow.max_width = max(_SHORTEST, console.width // 3)
            room = console.width - min(max(names, default=0), narrow.max_width) - _OTHERS
            line.bar_width = min(_LONGEST, room)
            shown = others if room >= 0 else [each for each in others if each is not size]
            self.columns = (name, *([line] if room >= _SHORTEST else []), *shown)
            return super().make_tasks_table(tasks)

    return Fitting(console=console, transient=True, refresh_per_second=_FRAMES)


@contextmanager
def bar(console: Callable[[], Console], total: Callable[[], int | None]) -> Iterator[Bar | None]:
    """A bar, if standard error is a terminal.

    Args:
        console: makes what is drawn on.
        total: says how many bytes there will be, which may take time to find out.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with drawn(console()) as progress:
        shown = Bar(progress, total())
        yield shown
        shown.finish()
