"""Bytes that come bit by bit: as a whole they are the same, however they came."""

import mmap
import tracemalloc
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qga.wire import buffer
from qga.wire.buffer import Buffer

LIMIT = 1 << 20


def filled(chunks: list[bytes]) -> Buffer:
    grown = Buffer(LIMIT)
    for chunk in chunks:
        grown.append(chunk)
    return grown


@pytest.fixture(params=["mapped", "no address space", "no huge pages"])
def _memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "_MAPPED", 20_000)
    if request.param == "no address space":

        def fail(*_: object) -> NoReturn:
            raise OSError

        monkeypatch.setattr(mmap, "mmap", fail)
    elif request.param == "no huge pages":
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE")


@pytest.mark.usefixtures("_memory")
def test_any_chunks_are_joined() -> None:
    size = st.sampled_from([0, 1, 2, 4095, 4096, 4097, 10_000, 20_000])

    @given(st.lists(st.tuples(size, st.integers(0, 255)), max_size=20))
    def check(chunks: list[tuple[int, int]]) -> None:
        pieces = [bytes((byte,)) * size for size, byte in chunks]
        grown = filled(pieces)
        assert len(grown) == sum(map(len, pieces))
        assert grown.data == grown.data == b"".join(pieces)

    check()


def test_a_single_chunk_is_not_copied() -> None:
    chunk = bytes(100_000)
    assert filled([chunk]).data.obj is chunk


def test_short_chunks_cost_no_more_than_what_is_in_them() -> None:
    chunks = [b"ab"] * 100_000
    tracemalloc.start()
    try:
        grown = filled(chunks)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown.data == b"ab" * 100_000
    assert held < 300_000
