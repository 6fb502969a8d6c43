"""What `randomly` does, for a moment; each run tries the same."""

from collections.abc import Iterator

import pytest

from tests.interop.alike import (
    AT_THE_END,
    CHECKED_FIRST,
    FIRST_MISTAKE,
    ONE_MISTAKE,
    ZERO,
    difference,
)
from tests.interop.differences import DIFFERENCES
from tests.interop.randomly import Both, both, requests, streams, walks
from tests.support.need import missing
from tests.vm.cache import Unavailable

pytestmark = pytest.mark.fuzz

SEED = 2011


@pytest.fixture(scope="module")
def agents() -> Iterator[Both]:
    try:
        with both() as found:
            yield found
    except Unavailable as error:
        missing(error.what, error.remedy)


def test_requests_are_answered_alike(agents: Both) -> None:
    seen = requests(agents, SEED, 300)
    assert seen[""] > 200
    assert sum(seen.values()) == 300


def test_streams_are_understood_alike(agents: Both) -> None:
    seen = streams(agents, SEED, 40)
    assert seen[""] > 5
    assert seen["0xFF"] > 5


def test_files_are_read_and_written_alike(agents: Both) -> None:
    assert walks(agents, SEED, 8)[""] > 100


def test_what_explains_a_difference_is_listed() -> None:
    titles = {listed.title for listed in DIFFERENCES}
    assert {ONE_MISTAKE, FIRST_MISTAKE, CHECKED_FIRST, ZERO, AT_THE_END} <= titles


def error(desc: str) -> str:
    return f'{{"error": {{"class": "GenericError", "desc": "{desc}"}}}}'


STRAY = error("JSON parse error, stray '@'")
EXPECTING = error("JSON parse error, expecting value")


@pytest.mark.parametrize(
    ("stock", "ours", "title"),
    [
        (['{"return": {}}'], ['{"return": {}}'], ""),
        (['{"id": 1, "return": {}}'], ['{"id": 1.0, "return": {}}'], ""),
        (['{"id": inf, "return": {}}'], ['{"id": 1e999, "return": {}}'], ""),
        (['{"return": 1}'], ['{"return": true}'], None),
        (['0xFF {"return": 1}'], ['{"return": 1}'], None),
        (['{"return": 1}'], [], None),
        (['{"return": 1}'], [STRAY], None),
        ([error("handle '5' has not been found")], ['{"return": {}}'], None),
        ([STRAY, EXPECTING], [STRAY], ONE_MISTAKE),
        ([STRAY, EXPECTING], [STRAY, '{"return": {}}'], None),
        ([EXPECTING], [EXPECTING, EXPECTING], None),
        ([EXPECTING], [STRAY], None),
        ([STRAY], [], None),
        ([error("JSON parse error, stray '01'")], [], AT_THE_END),
    ],
)
def test_only_what_is_known_is_explained(
    stock: list[str], ours: list[str], title: str | None
) -> None:
    assert difference(b"{}", stock, ours) == title
