"""What the tests of this package compare: events in a form that `==` and `repr` can tell apart."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from qga.errors import CommandError
from qga.wire.blob import Blob
from qga.wire.splitter import Splitter

LIMIT = "a limit"

PING = b'{"execute":"guest-ping"}'
PINGED = {"execute": "guest-ping"}
BASE64_5000 = b"QUJDREVG" * 625


def plain(event: Any) -> Any:
    """*event* with strings for blobs, and a tuple for an error.

    Which limit is met first may depend on the pieces; that one was met does not.
    """
    if isinstance(event, CommandError):
        text = str(event)
        return ("error", LIMIT if text.endswith("limit exceeded") else text)
    return text_of(event)


def text_of(value: Any) -> Any:
    if isinstance(value, Blob):
        return value.text
    if isinstance(value, list):
        return [text_of(item) for item in value]
    if isinstance(value, dict):
        return {name: text_of(item) for name, item in value.items()}
    return value


def feed(splitter: Splitter, pieces: Iterable[bytes]) -> list[Any]:
    return [plain(event) for piece in pieces for event in splitter.feed(piece)]


def whole(data: bytes, **options: Any) -> list[Any]:
    return feed(Splitter(**options), [data])


def in_pieces(data: bytes, size: int, **options: Any) -> list[Any]:
    splitter = Splitter(**options)
    return feed(splitter, (data[at : at + size] for at in range(0, len(data), size)))


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """*data* in pieces that end at *places*."""
    ends = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(ends) if start < end]


def read_strictly(text: bytes) -> Any:
    """Decode JSON as RFC 8259 has it, refusing what the standard library adds to it."""

    def no_constant(name: str) -> Any:
        raise ValueError(name)

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("duplicate key")
        return members

    decoded = json.loads(
        text.decode("ascii"), parse_constant=no_constant, object_pairs_hook=no_duplicates
    )
    # Fails for lone surrogates.
    json.dumps(decoded, ensure_ascii=False).encode()
    return decoded


def stray(token: str) -> tuple[str, str]:
    return ("error", f"JSON parse error, stray '{token}'")


RESET = stray("\ufffd")


def errors(events: list[Any]) -> list[str]:
    return [event[1] for event in events if isinstance(event, tuple)]
