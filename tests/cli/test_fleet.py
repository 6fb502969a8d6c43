"""One command for many guests."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.cli import fleet, hanging
from qga.cli.output import Table, merged
from qga.client import Deadline, Target, listing
from qga.client.listing import Known
from qga.client.reach import Reach
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


def test_which_guests(qga_command: Run) -> None:
    for words, names in (
        (["--all", "--exclude", "db"], ["web1", "web2"]),
        (["-l", "!d*"], ["web1", "web2"]),
        (["-l", "web*,!web2"], ["web1"]),
        (["--all", "--exclude", "db,web1"], ["web2"]),
        (["-l", "w*", "--exclude", "*2"], ["web1"]),
    ):
        found = qga_command("status", *words, "-o", "json").json
        assert [record["guest"] for record in found] == names
    done = qga_command("status", "--all", "--exclude", "*")
    assert (done.code, "no guest is named like *, !*" in done.err) == (2, True)
    assert "goes with --limit or --all" in qga_command("status", "web1", "--exclude", "x").err


def test_guests_that_do_not_run_are_left_out(
    qga_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = Known("libvirt:off", "off", source="libvirt", state=Reach.OFF)
    known = [*listing.targets(), off]
    monkeypatch.setattr(fleet, "list_targets", lambda: known)
    done = qga_command("status", "-l", "web1,o*")
    assert (done.code, done.text) == (0, "web1: thawed\n")
    assert done.err.splitlines()[0] == "qga: left out, as they do not run: off"
    done = qga_command("status", "-l", "off", lines=2)
    assert (done.code, "none that is named like off runs" in done.err) == (2, True)


def test_the_first_failure_may_be_the_last(
    qga_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    way, tell = Target.open, fleet._tell

    def opened(target: Target, deadline: Deadline) -> Any:
        if target.text == "web1":  # which may have been begun with before the failure shows
            told.wait(30)
        return way(target, deadline)

    def telling(*arguments: Any) -> None:
        tell(*arguments)
        told.set()

    monkeypatch.setattr(Target, "open", opened)
    monkeypatch.setattr(fleet, "_tell", telling)
    done = qga_command("status", "db", "web1", "web2", "--forks", "1", "--fail-fast", lines=2)
    assert (done.code, b"web2" in done.out) == (1, False)
    summary = done.err.splitlines()[1]
    assert " not done (" in summary
    assert summary.endswith("web2)")


class Hanging:
    """A way that heeds no deadline. The first guest's, of two."""

    def __init__(self, transport: Any, going_on: threading.Event) -> None:
        self.transport, self.going_on = transport, going_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def receive(self, deadline: Deadline) -> bytes:
        self.going_on.wait(60)
        data: bytes = self.transport.receive(deadline)
        return data


@pytest.fixture
def web1_hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    going_on = threading.Event()
    way = Target.open

    def opened(target: Target, deadline: Deadline) -> Any:
        transport = way(target, deadline)
        return Hanging(transport, going_on) if target.text == "web1" else transport

    monkeypatch.setattr(Target, "open", opened)
    yield
    going_on.set()


@pytest.mark.usefixtures("web1_hangs")
def test_a_way_that_hangs_is_given_up(qga_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hanging, "GRACE", 0.1)
    words = ["web1", "web2", "--forks", "1", "--timeout", "0.2"]
    done = qga_command("status", *words, lines=2)
    assert (done.code, done.text) == (1, "web2: thawed\n")
    told, summary = done.err.splitlines()
    assert told.startswith("qga: web1: the way to this guest hangs: it has not come back from a ")
    assert summary == "qga: 2 guests: 1 done, 1 failed (web1)"


@pytest.mark.usefixtures("web1_hangs")
@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
def test_an_interrupt_ends_it_at_once(
    qga_command: Run, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = fleet._tell

    def interrupted(settings: Any, outcome: Any, rows: Any) -> None:
        tell(settings, outcome, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(fleet, "_tell", interrupted)
    done = qga_command("status", "web1", "web2", "db", "--forks", "2", "-o", form, lines=None)
    assert done.code == 130
    summary = done.err.splitlines()[-1]
    assert summary.startswith("qga: interrupted; 3 guests: 1 done")
    assert "not done (web1" in summary
    if form == "table":
        assert done.text == "web2: thawed\n"
        return
    found = done.json if form == "json" else [json.loads(line) for line in done.text.splitlines()]
    by_name = {record["guest"]: record for record in found}
    assert by_name["web1"] == {
        "guest": "web1", "ok": False, "code": 130, "error": "interrupted",
    }  # fmt: skip
    assert by_name["web2"]["ok"]


def test_an_interrupt_from_the_terminal(tmp_path: Path) -> None:
    """As a process: it ends although a guest does not answer, and with it what it has begun."""
    with FakeAgent().serve() as answering, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        command = [sys.executable, "-m", "qga.cli", "status", f"unix:{tmp_path}/s", answering]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{answering}: thawed\n"
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == (f"\nqga: interrupted; 2 guests: 1 done, 1 not done (unix:{tmp_path}/s)\n")
