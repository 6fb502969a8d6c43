import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import abuse, compare, many, markdown, text, throughput
from benchmarks.__main__ import duration, measured, summary
from benchmarks.agents import REQUESTS, life_row, request_columns, request_row
from benchmarks.contenders import BARE, OURS, STOCK, Contender
from benchmarks.measures import LIFE, MEASURES, Sample
from benchmarks.plans import PLANS
from benchmarks.plot import Curve, svg
from benchmarks.report import Column, Part, Plan, Row, Setting, Table, shown
from benchmarks.targets import AIM, LIMITS, MISSED, OK, RATIOS, Target
from docs import build
from tests.vm.cache import Unavailable

AGENTS = [Contender(name, ()) for name in (STOCK, OURS, BARE)]
SVG = "{http://www.w3.org/2000/svg}"

SMALL = Table(
    "some | rows",
    (Column("unit"), Column("wall", "qemu-ga"), Column("CPU", "qemu-ga"), Column("x", "qga")),
    (Row("first", ("us", 1234.5, 12.345, 0.5)), Row("*second*", ("ms", "refused", 0.0123, None))),
)

TERMINAL = """\
                                                   qemu-ga   qga
some | rows                           unit     wall    CPU     x
  first                                 us     1234  12.35  0.50
  *second*                              ms  refused  0.012
"""

PLAN = Plan("small", "Small", lambda _: "A legend.", lambda _: iter([SMALL]), (60, 1))


def samples(*cpu: float) -> list[Sample]:
    return [Sample(10 * each, each) for each in cpu]


def throughput_part() -> Part:
    columns = [Column(name, agent) for agent in (STOCK, OURS) for name in ("of CPU", "wall")]
    columns += [Column("x of CPU", OURS), Column("x wall", OURS)]
    rows = [
        Row(size, (20.0, 10.0, 40.0 * number, 30.0, 2.0, 3.0))
        for number, size in enumerate(throughput.SIZES, 1)
    ]
    refused = Row("48 MiB", ("refused", "refused", 500.0, 90.0, None, None))
    read = Table("guest-file-read", tuple(columns), tuple(rows))
    write = Table("guest-file-write", tuple(columns), (*rows[:-1], refused))
    return Part("Throughput", "How fast.", [read, write])


# What is shown.


def test_a_table_for_the_terminal() -> None:
    assert f"{text.table(SMALL)}\n" == TERMINAL


def test_a_table_in_markdown() -> None:
    assert markdown.table(SMALL).splitlines() == [
        r"| **some \| rows** | unit | qemu-ga<br>wall | qemu-ga<br>CPU | qga<br>x |",
        "| --- | ---: | ---: | ---: | ---: |",
        r"| first | us | 1234 | 12.35 | 0.50 |",
        r"| \*second\* | ms | refused | 0.012 |  |",
    ]


def test_rows_have_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="some: first: 1 cells"):
        Table("some", (Column("a"), Column("b")), (Row("first", (1.0,)),))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (0.0, "0"),
        (0.01234, "0.012"),
        (0.5, "0.50"),
        (99.999, "100.00"),
        (123.45, "123.5"),
        (123456.7, "123457"),
        (float("inf"), "any"),
        ("refused", "refused"),
        (None, ""),
    ],
)
def test_figures_have_about_three_digits(cell: float | str | None, expected: str) -> None:
    assert shown(cell) == expected


def test_the_page_has_all_parts_and_is_rendered(tmp_path: Path) -> None:
    parts = [Part("Small", "A legend.", [SMALL]), throughput_part()]
    written = markdown.write(tmp_path, "a machine\nversions", "No target is missed.", parts)
    assert [path.name for path in written] == ["performance.md", "throughput.svg"]
    page = written[0].read_text()
    assert page.startswith("# Performance\n")
    assert "```\na machine\nversions\n```\n\nNo target is missed.\n" in page
    assert "](throughput.svg)" in page
    check_tables(page)
    html = build.rendered("performance.md", page)
    assert html.count("<table>") == 3
    assert '<img src="throughput.svg"' in html
    assert "<em>second" not in html


def test_the_page_without_curves_has_no_picture(tmp_path: Path) -> None:
    (written,) = markdown.write(tmp_path, "", "", [Part("Small", "A legend.", [SMALL])])
    assert "throughput.svg" not in written.read_text()


def test_a_part_that_cannot_be_measured_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    def tables(_: Setting) -> Iterator[Table]:
        yield SMALL
        raise Unavailable("a machine", "build one")

    plans = [Plan("a", "A", lambda _: "Of it.", tables, (1, 1)), replace(PLAN, title="B")]
    first, second = measured(plans, Setting(AGENTS))
    assert (first.lacks, second.lacks) == ("Not measured: a machine not found: build one.", "")
    assert first.lacks in capsys.readouterr().out
    assert markdown.page("", "", [first, second]).count(first.lacks) == 1
    assert first.tables == second.tables == [SMALL]


def check_tables(page: str) -> None:
    """Every table has as many cells in each row."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", page + "\n", re.MULTILINE)
    assert blocks
    for block in blocks:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1, block


# The picture.


def test_the_picture_has_a_curve_for_each_agent_and_operation() -> None:
    picture = svg(
        "<title>", "it's", ("x", "y"), throughput.SIZES, throughput.curves(throughput_part())
    )
    check_picture(picture)
    root = ET.fromstring(picture)
    assert root.findtext(f"{SVG}title") == "<title>"
    assert root.findtext(f"{SVG}desc") == "it's"
    points = {
        path.attrib["data-name"]: path.attrib["d"].count("L") + 1
        for path in root.iter(f"{SVG}path")
        if "data-name" in path.attrib
    }
    full = len(throughput.SIZES)
    # It ends where an agent refuses.
    assert points == {
        "qemu-ga, read": full,
        "qga, read": full,
        "qemu-ga, write": full - 1,
        "qga, write": full,
    }


def test_curves_are_within_the_axes() -> None:
    ticks = {"1": 1.0, "100": 100.0}
    root = ET.fromstring(
        svg("t", "d", ("x", "y"), ticks, [Curve("c", 0, False, ((1, 30), (100, 30)))])
    )
    grid = [path.attrib["d"] for path in root.iter(f"{SVG}path") if path.get("class") == "grid"]
    labels = [label.text for label in root.iter(f"{SVG}text")]
    assert {"20", "50"} <= set(labels)
    heights = [float(way.split()[1].partition("H")[0]) for way in grid if "H" in way]
    (curve,) = (path.attrib["d"] for path in root.iter(f"{SVG}path") if "data-name" in path.attrib)
    assert min(heights) < float(curve.split()[1].partition("L")[0]) < max(heights)


def check_picture(picture: str) -> None:
    ET.fromstring(picture)
    assert not re.search(r"""["ML ](nan|inf)\b""", picture)
    assert len(re.findall("data-name=", picture)) == 4


# Targets.


def test_every_target_is_of_a_row() -> None:
    rows = {measure.name for measures in REQUESTS.values() for measure in measures}
    for agent, targets in RATIOS.items():
        assert targets.keys() <= rows, agent
    assert LIMITS.keys() <= set(LIFE)


def test_rows_have_names_of_their_own() -> None:
    names = [measure.name for measures in REQUESTS.values() for measure in measures]
    assert len(names) == len(set(names))


def test_what_is_said_of_a_figure() -> None:
    assert [Target(2, 3).at_least(figure) for figure in (1.9, 2, 3)] == [MISSED, OK, AIM]
    assert [Target(3, 2).at_most(figure) for figure in (3.1, 3, 2)] == [MISSED, OK, AIM]
    assert Target(2).at_least(100) == OK
    assert Target(2).at_most(0) == OK


def test_a_row_of_requests_is_judged_by_the_median_of_the_ratios() -> None:
    (measure,) = (measure for measure in MEASURES if measure.name == "guest-file-read 1 MiB")
    taken = [samples(16e-3, 32e-3, 1.0), samples(1e-3, 2e-3, 1.0), samples(16e-3, 16e-3, 1.0)]
    row = request_row(measure, AGENTS, taken)
    columns = request_columns(AGENTS)
    cells = dict(zip(((each.over, each.name) for each in columns), row.cells, strict=True))
    assert cells["", "unit"] == "ms"
    assert cells[STOCK, "wall"] == pytest.approx(320)
    assert cells[OURS, "CPU"] == pytest.approx(2)
    assert cells[OURS, "x CPU"] == pytest.approx(16)
    assert [cells[OURS, name] for name in ("must", "aim", "holds")] == [15, 25, OK]
    assert [cells[BARE, name] for name in ("must", "aim", "holds")] == [3.5, 5, MISSED]
    assert row.missed == ("guest-file-read 1 MiB: bare qga 1.00, must be 3.5",)


def test_what_qemu_ga_refuses_is_compared_with_nothing() -> None:
    row = life_row("48 MiB written, ms", AGENTS, [[], [90.0, 110.0], []])
    assert row.cells[:3] == ("refused", 100.0, "refused")
    assert row.cells[3:7] == (None, float("inf"), None, OK)
    assert row.missed == ("48 MiB written, ms: bare qga refuses it",)


def test_a_stream_is_judged_by_its_cpu_time() -> None:
    stock = [abuse.Cost(2.0, 10, 4.0)]
    assert abuse.row("a", stock, [abuse.Cost(1.0, 5, 9.0)]).cells[-3:] == (2.0, 1.0, OK)
    row = abuse.row("b", stock, [abuse.Cost(4.0, 10, 9.0)])
    assert row.cells[-3:] == (0.5, 0.5, MISSED)
    assert row.missed == ("b: 0.50, must be 1",)


def test_one_among_many_is_compared_with_itself() -> None:
    row = many.row("a", [[], [(2e-6, 3e-6), (1e-6, 2e-6), (4e-6, 4e-6)]])
    assert row.cells == (None, None, None, 2.0, 3.0, 1.5)


def test_the_summary_names_what_is_missed() -> None:
    row = Row("r", (OK,), ("r: qga 1, must be 2",))
    judged = Table("t", (Column("holds", OURS),), (row,))
    assert summary([Part("p", "", [judged])]) == "Missed targets:\n\n- r: qga 1, must be 2"
    assert summary([Part("p", "", [Table("t", judged.columns, ())])]) == "No target is missed."
    assert summary([Part("p", "", [SMALL])]) == "Nothing in it has a target."


def test_how_long_it_takes_is_said_before() -> None:
    assert duration([PLAN, PLAN], short=False) == "This takes about 2 minutes."
    assert duration([PLAN, PLAN], short=True) == "This takes about 2 seconds."


def test_every_part_has_a_legend() -> None:
    for plan in PLANS:
        for short in (True, False):
            legend = plan.legend(Setting(AGENTS, short=short))
            assert legend.strip() == legend != "", plan.option


# Comparing with an earlier commit, of which nothing stays behind.


def test_a_commit_is_extracted_and_removed(tmp_path: Path) -> None:
    with compare.extracted(repository(tmp_path), "HEAD") as source:
        assert (source / "qga" / "__init__.py").read_text() == "first\n"
    assert not source.exists()


def test_a_commit_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(compare.NoSuchCommit, match="git has no agent of 'never'"),
        compare.extracted(repository(tmp_path), "never"),
    ):
        pass


def repository(folder: Path) -> Path:
    """With something committed, and changed since."""
    package = folder / "src" / "qga" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("first\n")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "First"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    package.write_text("second\n")
    return folder
