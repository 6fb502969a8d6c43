"""One command for many guests."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.cli.output import Table, merged
from qga.testing import FakeAgent

from .command import Run


@pytest.fixture(autouse=True)
def guests(qga_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The names web1 and web2, and db, whose agent is not there."""
    names = tmp_path / "names.toml"
    monkeypatch.setenv("QGA_TARGETS", str(names))
    with FakeAgent().serve() as first, FakeAgent().serve() as second:
        names.write_text(
            f'[targets]\nweb1 = "{first}"\nweb2 = "{second}"\ndb = "unix:{tmp_path}/none"\n'
        )
        yield


def test_each_guest_is_asked_and_named(qga_command: Run) -> None:
    done = qga_command("status", "-l", "web*")
    assert done.code == 0
    assert sorted(done.text.splitlines()) == ["web1: thawed", "web2: thawed"]
    assert done.err == "qga: 2 guests: 2 done\n"
    assert qga_command("status", "--limit", "web2,web1").out.count(b"thawed") == 2
    assert qga_command("status", "web2").text == "thawed\n"


def test_for_programs_in_the_order_that_was_told(qga_command: Run) -> None:
    found = qga_command("status", "web2", "web1", "-o", "json").json
    assert found == [
        {"guest": "web2", "ok": True, "code": 0, "result": {"status": "thawed"}},
        {"guest": "web1", "ok": True, "code": 0, "result": {"status": "thawed"}},
    ]


def test_one_that_fails_keeps_no_other_from_it(qga_command: Run, tmp_path: Path) -> None:
    done = qga_command("status", "--all", "--forks", "1", lines=2)
    assert done.code == 1
    assert sorted(done.text.splitlines()) == ["web1: thawed", "web2: thawed"]
    failed, summary = done.err.splitlines()
    assert failed.startswith("qga: db: cannot open db")
    assert summary == "qga: 3 guests: 2 done, 1 failed (db)"
    found = [
        json.loads(line)
        for line in qga_command("status", "--all", "-o", "jsonl", lines=2).text.splitlines()
    ]
    by_name = {record["guest"]: record for record in found}
    assert by_name["db"]["code"] == 3
    assert "cannot open db" in by_name["db"]["error"]
    assert by_name["web1"]["ok"]


def test_tables_of_all_guests_are_one(qga_command: Run) -> None:
    done = qga_command("load", "web2", "web1")
    assert done.text == (
        "guest  1 min  5 min  15 min\nweb2    0.10   0.05    0.01\nweb1    0.10   0.05    0.01\n"
    )
    assert done.err == "qga: 2 guests: 2 done\n"
    # Whose rows there are none of.
    assert qga_command("users", "-l", "web*").out == b""
    done = qga_command("fs", "--all", lines=2)
    assert [line.split()[:2] for line in done.text.splitlines()[1:]] == [
        ["web1", "/"], ["web1", "/srv"], ["web2", "/"], ["web2", "/srv"],
    ]  # fmt: skip
    assert done.err.startswith("qga: db: cannot open db")


def test_tables_that_differ() -> None:
    found = merged(
        [
            ("a", Table(["x", "y"], [["1", "2"]], right=frozenset({"x"}))),
            ("b", Table(["x", "z"], [["3", "4"]], wide=frozenset({"z"}), bars=frozenset({"x"}))),
        ]
    )
    assert (found.columns, found.rows) == (
        ["guest", "x", "y", "z"],
        [["a", "1", "2", ""], ["b", "3", "", "4"]],
    )
    assert [*found.right, *found.wide, *found.bars] == ["x", "z", "x"]


def test_on_a_terminal_the_table_grows(qga_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = qga_command("fs", "--all", "--forks", "1", lines=2)
    shown = done.text
    assert done.code == 1
    # Once with the first guest alone, and in the end with all.
    assert shown.count("mounted on") >= 3
    end = shown[shown.rindex("mounted on") :]
    assert re.findall(r"web\d", end) == ["web1", "web1", "web2", "web2"]
    assert "━" in end


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["web1", "--all"], "either 'web1', or --limit and --all"),
        (["-l", "mail*"], "no guest is named like mail*"),
        (["--all", "--forks", "0"], "--forks"),
    ],
)
def test_wrong_usage(qga_command: Run, words: list[str], why: str) -> None:
    done = qga_command("status", *words)
    assert (done.code, done.out) == (2, b"")
    assert why in done.err
