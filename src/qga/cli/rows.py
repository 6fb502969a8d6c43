"""One table for many guests: each has its rows in it, with its name in the first column.

On a terminal the table is there from the first answer on and grows as the others come. Into a pipe
it goes when all have answered: only then it is known how wide the columns are.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output import merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.live import Live

    from .output import Look, Table


class Rows:
    """The rows of all guests.

    Args:
        look: how to print.
        order: the names of the guests, in the order in which they are to stand there.
    """

    def __init__(self, look: Look, order: Sequence[str]) -> None:
        self._look = look
        self._order = order
        self._found: dict[str, Table] = {}
        self._live: Live | None = None

    def add(self, name: str, table: Table) -> None:
        """Add what the guest *name* has."""
        self._found[name] = table
        self._show()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the growing table off the terminal while something else is printed."""
        self._hide()
        try:
            yield
        finally:
            self._show()

    def close(self) -> None:
        """Print the table as it is in the end."""
        self._hide()
        table = self._table()
        if table.rows:
            self._look.show_part(table)

    def _show(self) -> None:
        if not self._found or not sys.stdout.isatty():
            return
        from rich.live import Live

        from .drawing import drawn

        console = self._look.console()
        table = drawn(self._table().narrowed(self._look.form), console.width)
        if table is None:
            self._hide()
            return
        if self._live is None:
            # Nothing else is printed meanwhile but `away`.
            self._live = Live(
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(table, refresh=True)

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        return merged((name, self._found[name]) for name in self._order if name in self._found)
