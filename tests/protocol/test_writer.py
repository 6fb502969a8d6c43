"""What writes results at once gives what `encode` and `wire.text` give in two steps."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qga.protocol import COMMANDS
from qga.protocol.codec import encode, split_optional
from qga.protocol.exec import ExecStatus
from qga.protocol.files import FileChunk
from qga.protocol.model import REQUIRED, Enum, UInt16, UInt64, annotation, members, version
from qga.protocol.session import AgentCommandInfo
from qga.protocol.writer import writer
from qga.wire import text
from qga.wire.envelope import NO_ID, success, written

# Lone surrogates, too: names of files may have some.
TEXT = st.text(st.characters(), max_size=20)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(1 << 63), (1 << 63) - 1),
    UInt64: st.integers(0, (1 << 64) - 1),
    UInt16: st.integers(0, (1 << 16) - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    str: TEXT,
}
VERSIONS = [(1, 0), (1, 5), (2, 10), (7, 2), (9, 0), (1 << 16, 0)]
RESULTS = {repr(command.result()): command.result() for command in COMMANDS}
WRITTEN = {name: kind for name, kind in RESULTS.items() if writer(kind) is not None}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of type *kind*."""
    if kind in SCALARS:
        return SCALARS[kind]
    if not isinstance(kind, type):
        return st.lists(values(kind.__args__[0]), max_size=3)
    if issubclass(kind, Enum):
        return st.sampled_from([*map(kind, kind.VALUES)]) | TEXT.map(kind)
    return st.one_of([structs(branch) for branch in (kind, *kind.__subclasses__())])


def structs(cls: Any) -> st.SearchStrategy[Any]:
    given_members = {}
    for name, description in members(cls).items():
        value = values(split_optional(annotation(cls, name))[0])
        given_members[name] = value if description.default is REQUIRED else st.none() | value
    return st.builds(cls, **given_members)


@pytest.mark.parametrize("kind", WRITTEN.values(), ids=WRITTEN.keys())
def test_each_result_is_written_as_it_is_encoded(kind: Any) -> None:
    @settings(max_examples=20)
    @given(values(kind), st.sampled_from(VERSIONS), st.just(NO_ID) | TEXT)
    def compare(result: Any, since: tuple[int, ...], identity: object) -> None:
        write = writer(kind, since)
        assert write is not None
        in_two_steps = encode(result, since)
        assert write(result).encode() == b"".join(text.encode(in_two_steps))
        reply = b"".join(success(in_two_steps, identity))
        assert b"".join(written(write(result), identity)) == reply

    compare()


def test_what_has_bytes_in_it_is_left_to_the_two_steps() -> None:
    left = [kind for name, kind in RESULTS.items() if name not in WRITTEN]
    assert set(left) == {None, FileChunk, ExecStatus}


def test_a_member_is_looked_for_in_no_version_before_its_own() -> None:
    """So that an older dialect pays nothing for it, and cannot fail by it."""
    write = writer(AgentCommandInfo, version("1.6"))
    assert write is not None
    odd: Any = object()
    entry = AgentCommandInfo(name="a", enabled=True, success_response=odd)
    assert write(entry) == '{"name": "a", "enabled": true}'
