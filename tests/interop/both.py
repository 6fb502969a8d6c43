"""Prints what both agents return to the commands that its arguments name.

Run by `test_facts` (``python -m tests.interop.both``) in a surrounding that was made for it.
"""

import json
import sys
import tempfile
from pathlib import Path

from tests.interop.agents import OURS, SideAgent
from tests.interop.case import call
from tests.vm.debs import stock_agent


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="qga-") as folder:
        homes = Path(folder, "stock"), Path(folder, "ours")
        for home in homes:
            home.mkdir()
        with SideAgent([str(stock_agent())], homes[0]) as stock, SideAgent(OURS, homes[1]) as ours:
            for name in sys.argv[1:]:
                both = [agent.replies(call(name, name))[0] for agent in (stock, ours)]
                print(json.dumps([json.loads(reply)["return"] for reply in both]))


if __name__ == "__main__":
    main()
