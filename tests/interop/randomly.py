"""Both agents beside each other on random input.

``python -m tests.interop.randomly SECONDS [SEED]`` tries each of three kinds for so long, and
prints the differences that `alike` cannot explain. `test_random` runs a little of it.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.interop.agents import OURS, SideAgent
from tests.interop.alike import ZERO, difference, returned
from tests.interop.case import FOLDER, call, raw
from tests.interop.grammar import Grammar
from tests.interop.walks import Walk, contents, write_files
from tests.vm.debs import stock_agent

# After so many requests it is begun anew: each may have opened a file.
_ROW = 100


class Unexplained(AssertionError):
    """The agents differ, and no known difference is the reason."""


class Both:
    """The two agents, which have the same files, and are sent the same."""

    def __init__(self, stock: SideAgent, ours: SideAgent) -> None:
        self.agents = stock, ours
        self._first = [1000, 1000]  # of the handles that may be open

    def ask(self, *pieces: bytes) -> tuple[list[str], list[str]]:
        """What both answer to *pieces*, sent one by one; then they are out of any message."""
        stock, ours = (
            agent.replies(raw("random", *pieces, b"\n", unfinished=True)) for agent in self.agents
        )
        return stock[:-1], ours[:-1]  # without the error for the 0xFF at the end

    def end(self) -> list[int]:
        """Close all that is open; return what the next handle of each is."""
        numbers = []
        for agent, first in zip(self.agents, self._first, strict=True):
            number = self._open(agent, "/dev/null")
            for handle in range(first, number + 1):
                self._return(agent, "guest-file-close", handle=handle)
            numbers.append(number + 1)
        self._first = numbers
        return numbers

    def begin(self) -> list[int]:
        """Let both start anew; the handles that both have then, of empty files."""
        numbers = self.end()
        for agent, number in zip(self.agents, numbers, strict=True):
            write_files(agent.folder)
            for _ in range(number, max(numbers)):
                handle = self._open(agent, "/dev/null")
                self._return(agent, "guest-file-close", handle=handle)
        self._first = [max(numbers)] * 2
        stock, ours = (
            [self._open(agent, f"{FOLDER}/empty-{place}", "w+") for place in range(3)]
            for agent in self.agents
        )
        assert stock == ours
        return stock

    def _open(self, agent: SideAgent, path: str, mode: str = "r") -> int:
        return int(self._return(agent, "guest-file-open", path=path, mode=mode))

    def _return(self, agent: SideAgent, command: str, **arguments: Any) -> Any:
        (reply,) = agent.replies(call(command, command, **arguments))
        return json.loads(reply).get("return")


@contextmanager
def both() -> Iterator[Both]:
    """Start them.

    Raises:
        Unavailable: qemu-ga cannot be had here.
    """
    program = str(stock_agent())
    with tempfile.TemporaryDirectory(prefix="qga-random-") as folder:
        homes = Path(folder, "stock"), Path(folder, "ours")
        for home in homes:
            home.mkdir()
        with SideAgent([program], homes[0]) as stock, SideAgent(OURS, homes[1]) as ours:
            yield Both(stock, ours)


def requests(agents: Both, seed: int, count: int) -> Counter[str]:
    """Send *count* requests, more or less broken; return how often there was which difference."""
    seen: Counter[str] = Counter()
    handles: list[int] = []
    for number in range(seed, seed + count):
        if not handles or number % _ROW == 0:
            handles = agents.begin()
        chance = random.Random(number)
        message = Grammar(chance, chance.choice((0, 0.02, 0.06)), handles).message()
        stock, ours = agents.ask(message)
        title = difference(message, stock, ours)
        if title is None:
            raise Unexplained(number, message, stock, ours)
        seen[title] += 1
        if title == ZERO:  # ours may have done what qemu-ga has not
            handles = []
    return seen


def streams(agents: Both, seed: int, count: int) -> Counter[str]:
    """Send *count* rows of requests in pieces, with 0xFF anywhere in some."""
    seen: Counter[str] = Counter()
    handles: list[int] = []
    for number in range(seed, seed + count):
        if not handles or number % _ROW == 0:
            handles = agents.begin()
        chance = random.Random(number)
        data, whole = _row(chance, handles)
        stock, ours = agents.ask(*_pieces(chance, data))
        # What 0xFF has left of a request may be worth some errors more.
        if returned(stock) != returned(ours) or (whole and difference(data, stock, ours) != ""):
            raise Unexplained(number, data, stock, ours)
        seen["" if whole else "0xFF"] += 1
    return seen


def _row(chance: random.Random, handles: list[int]) -> tuple[bytes, bool]:
    """Some good requests behind each other, and whether no 0xFF is in between."""
    row = b""
    for number in range(chance.randint(1, 6)):
        name, arguments = chance.choice((
            ("guest-sync", {"id": chance.choice((number, -number, 2**62 + number))}),
            ("guest-sync-delimited", {"id": number}),
            ("guest-ping", {}),
            ("guest-file-read", {"handle": chance.choice(handles), "count": 5}),
            ("guest-file-seek", {"handle": handles[0], "offset": number, "whence": "set"}),
            ("guest-file-write", {
                "handle": chance.choice(handles), "buf-b64": "QUJD" * chance.choice((1, 3000)),
            }),
        ))  # fmt: skip
        message: dict[str, Any] = {"execute": name}
        if arguments:
            message["arguments"] = arguments
        if chance.random() < 0.2:
            message["id"] = number
        separators = chance.choice(((", ", ": "), (",", ":")))
        row += json.dumps(message, separators=separators).encode()
        row += chance.choice((b"", b"\n", b"\n", b"\r\n", b" "))
    resets = chance.choice((0, 0, 1, 1, 3))
    for _ in range(resets):
        at = chance.randint(0, len(row))
        row = row[:at] + b"\xff" * chance.choice((1, 1, 2)) + row[at:]
    return row, not resets


def _pieces(chance: random.Random, data: bytes) -> list[bytes]:
    if len(data) < 150 and chance.random() < 0.1:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(chance.sample(range(1, len(data)), chance.randint(0, 4)))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def walks(agents: Both, seed: int, count: int) -> Counter[str]:
    """Open, read, write, seek and close files, *count* times some 40 requests."""
    seen: Counter[str] = Counter()
    for number in range(seed, seed + count):
        agents.begin()
        walk = Walk(random.Random(number))
        for request in walk:
            stock, ours = agents.ask(request)
            if stock != ours:
                raise Unexplained(number, walk.history, request, stock, ours)
            walk.take(stock[0])
            seen[""] += 1
        agents.end()
        found, expected = (contents(agent.folder) for agent in agents.agents)
        if found != expected:
            raise Unexplained(number, walk.history, found, expected)
    return seen


_BATCH = 20

KINDS: tuple[Callable[[Both, int, int], Counter[str]], ...] = (requests, streams, walks)


def main() -> None:
    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    with both() as agents:
        for kind in KINDS:
            seen: Counter[str] = Counter()
            end = time.monotonic() + seconds
            number = seed
            while time.monotonic() < end:
                try:
                    seen += kind(agents, number, _BATCH)
                    number += _BATCH
                except Unexplained as found:
                    print(kind.__name__, *found.args, sep="\n    ")
                    seen["not explained"] += 1
                    number = found.args[0] + 1
            print(f"{kind.__name__} {seed} to {number - 1}: {dict(seen)}")


if __name__ == "__main__":
    main()
