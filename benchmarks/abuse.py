"""Streams that no client should send, for both agents: what they cost, and that the agent goes on.

Each stream is sent to an agent that was just started, and its replies are taken
meanwhile; then the agent has to answer a guest-sync-delimited.
"""

import random
import select
import socket
import statistics
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agents import one_processor
from benchmarks.contenders import OURS, STOCK, Contender, Running
from benchmarks.measures import MIB
from benchmarks.report import Cell, Column, Row, Setting, Table, medians
from benchmarks.sites import in_memory
from benchmarks.targets import ABUSE, MISSED

_PATIENCE = 300
_CHUNK = 1 << 20
_SYNC_ID = 271828
_SYNC = b'\xff{"execute":"guest-sync-delimited","arguments":{"id":%d}}\n' % _SYNC_ID
_ERROR = b'{"error"'
_SYNCED = b'\xff{"return": %d}\n' % _SYNC_ID


@dataclass(frozen=True)
class Kind:
    """One stream; `make` builds it."""

    name: str
    make: Callable[[], bytes]
    slow: bool = False
    """To qemu-ga: more than some seconds."""


@dataclass(frozen=True)
class Cost:
    """What one stream cost an agent."""

    cpu: float
    """Seconds."""
    errors: int
    peak: float
    """MiB."""


def _random(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _prose(size: int) -> bytes:
    """Letters, digits and punctuation, but nothing that structures JSON."""
    alphabet = [*string.ascii_letters, *string.digits, *" .;!?()<>/@#%&*+-=_\n"]
    some = "".join(random.Random(size).choices(alphabet, k=64 << 10)).encode()
    return some * (size // len(some))


def _members(count: int) -> bytes:
    return b'{"execute":"x","arguments":{%s}}' % b",".join(
        b'"%d":%d' % (n, n) for n in range(count)
    )


def _request(filling: bytes) -> bytes:
    return b'{"execute":"guest-ping","id":"%s"}' % filling


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


# Sizes at which qemu-ga is done in some seconds: for 20 MB of random bytes it needs a minute, and
# for half a million members of one object, too.
KINDS = (
    Kind("random bytes, 1 MB", lambda: _random(1_000_000)),
    Kind("0xFF, 200 KB", lambda: b"\xff" * 200_000),
    Kind("0xFF and newlines, 200 KB", lambda: b"\xff\n" * 100_000),
    Kind("text without structure, 2 MB", lambda: _prose(2_000_000)),
    Kind("spaces, 20 MB", lambda: b" " * 20_000_000),
    Kind("newlines, 20 MB", lambda: b"\n" * 20_000_000),
    Kind("[, 2 MB", lambda: b"[" * 2_000_000),
    Kind("{, 2 MB", lambda: b"{" * 2_000_000),
    Kind("], 200 KB", lambda: b"]" * 200_000),
    Kind("[{ again and again, 2 MB", lambda: b"[{" * 1_000_000),
    Kind("[] again and again, 200 KB", lambda: b"[]" * 100_000),
    Kind("[{}, again and again, 2 MB", lambda: b"[{}," * 500_000),
    Kind("{{{{{{}}}}}} in a list, 2 MB", lambda: b"[" + b"{{{{{{}}}}}}," * 150_000),
    Kind("nested 1000 deep x 100", lambda: _nested(1_000) * 100),
    Kind("nested 100,000 deep", lambda: _nested(100_000)),
    Kind("{} x 100,000", lambda: b"{}" * 100_000),
    Kind('{"a":1} x 100,000', lambda: b'{"a":1}' * 100_000),
    Kind('{"a":1} x 100,000, lines', lambda: b'{"a":1}\n' * 100_000),
    Kind("unknown command x 100,000", lambda: b'{"execute":"guest-nothing"}' * 100_000),
    Kind("numbers x 100,000", lambda: b"1 " * 100_000),
    Kind("keywords x 100,000", lambda: b"nothing\n" * 100_000),
    Kind("1 million numbers in a list", lambda: b"[%s1]" % (b"1," * 999_999)),
    Kind('1 million "" in a list', lambda: b'[%s""]' % (b'"",' * 999_999)),
    Kind("1 million '' in a list", lambda: b"[%s'']" % (b"''," * 999_999)),
    Kind("100,000 members", lambda: _members(100_000)),
    Kind("1 million members", lambda: _members(1_000_000), slow=True),
    Kind("string of 20 MB, not closed", lambda: b'{"execute":"' + b"a" * 20_000_000),
    Kind("string of 20 MB", lambda: _request(b"a" * 20_000_000)),
    Kind("string of 20 MB, not base64", lambda: _request(b"a-" * 10_000_000)),
    Kind("string of 80 MB", lambda: _request(b"a" * 80_000_000)),
    Kind('", 200 KB', lambda: b'"' * 200_000),
    Kind('" in a list, 2 MB', lambda: b"[" + b'"' * 2_000_000),
    Kind("\\\\ in a string, 2 MB", lambda: _request(b"\\\\" * 1_000_000)),
    Kind("\\\\ in a string, 20 MB", lambda: _request(b"\\\\" * 10_000_000)),
    Kind('\\" in a string, 2 MB', lambda: _request(b'\\"' * 1_000_000)),
    Kind("\\u00e9 in a string, 2 MB", lambda: _request(b"\\u00e9" * 333_333)),
    Kind("a request of 62 MiB", lambda: _request(b"QUJD" * (62 * MIB // 4))),
)


class Silent(RuntimeError):
    """An agent does not answer any more."""


def legend(setting: Setting) -> str:
    return (
        f"{medians(_rounds(setting))}, one stream each, the agents in turns on one "
        "processor, each started anew. errors: how many error replies it was worth (qemu-ga "
        "sends one for each byte or token that is wrong, ours one for a line or a run of "
        "them). CPU: what the agent used for it, in ms. peak: of its memory, in MiB. x: qemu- "
        "ga's figure divided by ours, so above 1 ours is better, and less is a target missed; "
        "x each: the same for one error reply. After each stream the agents have answered a "
        "guest-sync-delimited; the 0xFF before it is one of the errors."
    )


def tables(setting: Setting) -> Iterator[Table]:
    agents = [agent for agent in setting.agents if agent.name in (STOCK, OURS)]
    rows = []
    with one_processor(), in_memory() as folder:
        for kind in KINDS:
            # Short: without those that keep qemu-ga busy for long.
            if setting.only in kind.name and not (setting.short and kind.slow):
                setting.tell(kind.name)
                stream = kind.make()
                costs: list[list[Cost]] = [[] for _ in agents]
                for _ in range(_rounds(setting)):
                    for own, agent in zip(costs, agents, strict=True):
                        own.append(cost(agent, folder, stream))
                rows.append(row(kind.name, *costs))
    columns = [Column(name, agent) for agent in (STOCK, OURS) for name in ("errors", "CPU", "peak")]
    columns += [Column(name, OURS) for name in ("x CPU", "x each", "holds")]
    yield Table("abuse", tuple(columns), tuple(rows))


def _rounds(setting: Setting) -> int:
    return setting.rounds or (1 if setting.short else 3)


def cost(contender: Contender, folder: Path, stream: bytes) -> Cost:
    """What *stream* costs a new agent.

    Raises:
        Silent: it cannot be talked to afterwards.
    """
    with Running(contender, folder / contender.name.replace(" ", "-")) as agent:
        agent.client.close()
        before = agent.cpu()
        errors = _send(agent.path, stream)
        return Cost(agent.cpu() - before, errors, agent.memory("VmHWM"))


def _send(path: Path, stream: bytes) -> int:
    """Send *stream* and a request to synchronise; return how many errors came before its reply."""
    errors = 0
    received = b""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        line.setblocking(False)
        unsent = memoryview(stream + _SYNC)
        poll = select.poll()
        poll.register(line, select.POLLIN | select.POLLOUT)
        while not received.endswith(_SYNCED):
            for _, events in _ready(poll):
                if events & select.POLLIN:
                    piece = line.recv(_CHUNK)
                    if not piece:
                        raise Silent
                    # The end of what came before may be the beginning of what is looked for.
                    received = received[-len(_SYNCED) :]
                    known = received.count(_ERROR)
                    received += piece
                    errors += received.count(_ERROR) - known
                if events & select.POLLOUT and unsent:
                    unsent = unsent[line.send(unsent[:_CHUNK]) :]
                    if not unsent:
                        poll.modify(line, select.POLLIN)
    return errors


def _ready(poll: select.poll) -> list[tuple[int, int]]:
    ready = poll.poll(_PATIENCE * 1000)
    if not ready:
        raise Silent
    return ready


def row(name: str, stock: Sequence[Cost], ours: Sequence[Cost]) -> Row:
    """Of the costs in each round."""
    cells: list[Cell] = []
    for own in (stock, ours):
        cells.append(str(own[0].errors))
        cells.append(1e3 * statistics.median(one.cpu for one in own))
        cells.append(statistics.median(one.peak for one in own))
    pairs = list(zip(stock, ours, strict=True))
    ratio = statistics.median(a.cpu / b.cpu for a, b in pairs)
    each = [a.cpu / a.errors / (b.cpu / b.errors) for a, b in pairs if a.errors and b.errors]
    verdict = ABUSE.at_least(ratio)
    cells += [ratio, statistics.median(each) if each else None, verdict]
    missed = (f"{name}: {ratio:.2f}, must be {ABUSE.must:g}",) if verdict == MISSED else ()
    return Row(name, tuple(cells), missed)
