"""Both agents in one guest, ours and qemu-ga, where every command is tried: see tests.interop."""

import json

import pytest

from qga import protocol
from qga.protocol import COMMANDS
from tests.interop.differences import EXPECTED
from tests.interop.document import PAGE, guest_part, guest_part_of
from tests.interop.guest_cases import BLOCKS
from tests.interop.guest_differences import DIFFERENCES
from tests.interop.in_guest import Comparison, compare_in_guest
from tests.support.need import missing
from tests.vm.cache import Unavailable

OWN = {key for difference in DIFFERENCES for key in difference.cases}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    try:
        return compare_in_guest()
    except Unavailable as error:
        missing(error.what, error.remedy)


def test_no_two_cases_share_a_key() -> None:
    keys = [case.key for block in BLOCKS for case in block]
    assert sorted(keys) == sorted(set(keys))


def test_each_difference_is_listed_once() -> None:
    listed = [key for difference in DIFFERENCES for key in difference.cases]
    assert len(listed) == len(OWN)
    assert {case.key for block in BLOCKS for case in block} >= OWN
    assert not OWN & EXPECTED


def test_every_command_is_tried() -> None:
    sent = b"".join(piece or b"" for block in BLOCKS for case in block for piece in case.pieces)
    shared = [c.NAME for c in COMMANDS if not c.NAME.startswith(protocol.OWN)]
    untried = [name for name in shared if json.dumps(name).encode() not in sent]
    assert untried == []


def test_answers_differ_only_where_listed(comparison: Comparison) -> None:
    unlisted = {
        key: (outcome.case.pieces, outcome.stock[:5], outcome.ours[:5])
        for key, outcome in comparison.outcomes.items()
        if outcome.differs and key not in EXPECTED | OWN
    }
    assert unlisted == {}


def test_listed_answers_do_differ(comparison: Comparison) -> None:
    assert {key for key in OWN if not comparison.outcomes[key].differs} == set()


def test_both_leave_the_same_behind(comparison: Comparison) -> None:
    assert comparison.stock_left == comparison.ours_left
    for part in ("-rw-rw-rw- root root ./new", "authorized_keys", "ssh-ed25519", "$6$salt$"):
        assert part in comparison.ours_left


def test_page_is_up_to_date(comparison: Comparison) -> None:
    expected = guest_part(comparison.outcomes)
    assert guest_part_of(PAGE.read_text()) == expected, "run: python -m tests.interop.document"
