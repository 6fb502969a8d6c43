import json
from typing import Any

import pytest

from qga.protocol import COMMANDS
from qga.protocol.model import version as parse_version
from tests.interop.compare import Comparison, compare
from tests.interop.differences import DIFFERENCES, EXPECTED
from tests.interop.document import PAGE, guest_part_of, page
from tests.interop.files import WRITTEN_BY_OURS_ONLY
from tests.interop.script import SCRIPT
from tests.support.need import missing
from tests.vm.cache import Unavailable


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    try:
        return compare()
    except Unavailable as error:
        missing(error.what, error.remedy)


def test_script_is_long_and_its_keys_differ() -> None:
    assert len(SCRIPT) >= 200
    assert len({case.key for case in SCRIPT}) == len(SCRIPT)


def test_each_difference_is_listed_once() -> None:
    listed = [key for difference in DIFFERENCES for key in difference.cases]
    assert len(listed) == len(set(listed))
    assert set(listed) <= {case.key for case in SCRIPT}


def test_answers_differ_only_where_listed(comparison: Comparison) -> None:
    unlisted = {
        key: (outcome.case.pieces, outcome.stock[:5], outcome.ours[:5])
        for key, outcome in comparison.outcomes.items()
        if outcome.differs and key not in EXPECTED
    }
    assert unlisted == {}


def test_listed_answers_do_differ(comparison: Comparison) -> None:
    alike = {key for key in EXPECTED if not comparison.outcomes[key].differs}
    assert alike == set()


def test_both_leave_the_same_files(comparison: Comparison) -> None:
    stock, ours = comparison.stock_files, comparison.our_files
    assert stock.keys() == ours.keys()
    differing = {name for name in stock if stock[name] != ours[name]}
    assert differing == {WRITTEN_BY_OURS_ONLY}


def test_info_lists_the_common_commands_alike(comparison: Comparison) -> None:
    def entries(reply: str) -> dict[str, Any]:
        info = json.loads(reply)["return"]
        return {entry["name"]: entry for entry in info["supported_commands"]}

    info = comparison.outcomes["info"]
    stock, ours = entries(info.stock[0]), entries(info.ours[0])
    version = json.loads(info.stock[0])["return"]["version"]
    newer = {c.NAME for c in COMMANDS if parse_version(c.SINCE) > parse_version(version)}
    assert ours.keys() - stock.keys() == newer
    assert stock.keys() - ours.keys() == {c.NAME for c in COMMANDS if c.PLATFORM}
    # In the same order, too.
    common = [name for name in stock if name in ours]
    assert common == [name for name in ours if name in stock]
    assert {name: stock[name] for name in common} == {name: ours[name] for name in common}


def test_page_is_up_to_date(comparison: Comparison) -> None:
    written = PAGE.read_text()
    # What the comparison in a guest shows is held by a test of its own.
    expected = page(comparison.outcomes, guest_part_of(written))
    assert written == expected, "run: python -m tests.interop.document"
