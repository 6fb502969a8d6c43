"""Sends the script to both agents. Used by the tests and by `document`."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.interop.agents import OURS, SideAgent
from tests.interop.case import Case
from tests.interop.script import SCRIPT
from tests.vm.debs import stock_agent


@dataclass(frozen=True)
class Outcome:
    case: Case
    stock: list[str]
    ours: list[str]

    @property
    def differs(self) -> bool:
        return self.stock != self.ours


@dataclass(frozen=True)
class Comparison:
    outcomes: dict[str, Outcome]
    """By the key of the case."""
    stock_files: dict[str, tuple[int, bytes | None]]
    our_files: dict[str, tuple[int, bytes | None]]


def compare() -> Comparison:
    """Run the whole script.

    Raises:
        Unavailable: qemu-ga cannot be had here.
    """
    outcomes: dict[str, Outcome] = {}
    program = str(stock_agent())
    with tempfile.TemporaryDirectory(prefix="qga-interop-") as folder:
        homes = Path(folder, "stock"), Path(folder, "ours")
        for home in homes:
            home.mkdir()
        with SideAgent([program], homes[0]) as stock, SideAgent(OURS, homes[1]) as ours:
            for case in SCRIPT:
                outcomes[case.key] = Outcome(case, stock.replies(case), ours.replies(case))
            return Comparison(outcomes, stock.left_behind(), ours.left_behind())
