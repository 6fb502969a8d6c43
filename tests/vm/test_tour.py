"""The walk through the command line is true: each command of the page prints what stands there."""

import pytest

from tests.support.need import missing, need_program
from tests.vm import tour
from tests.vm.cache import Unavailable


def test_every_command_prints_what_the_page_says() -> None:
    need_program("bash", "apt-get install bash")
    page = tour.PAGE.read_text(encoding="utf-8")
    wrong = []
    try:
        with tour.place() as where:
            for rules, steps in tour.blocks(page):
                for command, expected in steps:
                    printed = tour.shortened(where.run(command), rules)
                    if tour.comparable(printed, rules) != tour.comparable(expected, rules):
                        wrong.append(f"$ {command}\n{printed}and not\n{expected}")
    except Unavailable as error:
        missing(error.what, error.remedy)
    assert not wrong, "\n".join([*wrong, "`python -m tests.vm.tour` writes the page anew"])


@pytest.mark.parametrize(
    ("output", "other", "rules", "same"),
    [
        ("in 1.5 ms\n", "in 20 ms\n", "", True),
        ("at 12:30:01\n", "at 01:02:03\n", "", True),
        ("1.0 KiB/s\n", "3 MiB/s\n", "", True),
        ("pid 1\n", "pid 2\n", "", False),
        ("pid 1\n", "pid 20\n", "numbers", True),
        ("a   1\n", "a  10\n", "numbers", True),
        ("0 B of 12K\n", "1.5 MiB of 7\n", "numbers", True),
        ("x Nov 26 20:31 y\n", "x Dec  1  2027 y\n", "", True),
        ("pid 1\n", "tid 1\n", "numbers", False),
    ],
)
def test_what_is_compared(output: str, other: str, rules: str, *, same: bool) -> None:
    found = tour.comparable(output, rules) == tour.comparable(other, rules)
    assert found is same


def test_blocks() -> None:
    page = "Text.\n\n<!-- tour: first 1 -->\n```console\n$ a \\\n  b\nx\ny\n$ c\n```\n"
    ((rules, steps),) = tour.blocks(page)
    assert (rules, steps) == ("first 1", [("a \\\n  b", "x\ny\n"), ("c", "")])
    assert tour.shortened("x\ny\n", rules) == "x\n...\n"
    assert tour.shortened("x\n", rules) == "x\n"
