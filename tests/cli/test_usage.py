"""`qga` without an agent: wrong usage, unreachable targets, tables, the schema; and the demo."""

import subprocess
import sys
from pathlib import Path

import pytest

import qga
from qga import demo
from qga.cli import output
from qga.cli.arguments import find_command, parse
from qga.protocol import COMMANDS
from qga.protocol.model import Command, Struct
from qga.testing import HARMLESS, agent_process

from .command import Run


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["pong"], "there is no command"),
        (["ping"], "no target: give one"),
        (["ping", "vm1"], "'vm1' is not the name of a target"),
        (["ping", "run/s"], "there is no socket of that path"),
        (["ping", "--timeout", "0", "unix:/s"], "--timeout"),
        (["ping", "--timeout", "x", "unix:/s"], "--timeout"),
        (["ping", "-o", "xml", "unix:/s"], "--output"),
        (["cat", "/etc/hosts"], "TARGET:PATH"),
        (["cat", "unix:/run/s"], "has no guest path: add one, as in unix:/run/s:/etc/hostname"),
        (["cp", "a", "b"], "one of SRC and DST"),
        (["cp", "-", "a"], "one of SRC and DST"),
        (["cp", "-", "unix:/s:/dir/"], "is a directory"),
        (["cp", "unix:/s:/a"], "Missing argument 'DST'"),
        (["cp"], "Missing argument"),
        (["call", "unix:/s"], "which command?"),
        (["call", "unix:/s", "path=/x"], "is not a command"),
        (["call", "unix:/s", "guest-file-close", "handle"], "write name=value"),
        (["call", "unix:/s", "guest-file-close", "handle=x"], "an integer is needed"),
        (["call", "unix:/s", "guest-file-close", "handle:=x"], "is not JSON"),
        (["call", "unix:/s", "guest-file-close", "handle=1", "handle=2"], "given twice"),
        (["freeze", "unix:/s"], "which command?"),
        (["shutdown", "--mode", "maybe", "unix:/s"], "--mode"),
    ],
)
def test_wrong_usage(qga_command: Run, words: list[str], why: str) -> None:
    done = qga_command(*words)
    assert (done.code, done.out) == (2, b"")
    assert why in done.err


@pytest.mark.parametrize("verb", ["ping", "info", "status", "thaw", "shutdown"])
def test_what_cannot_be_reached(qga_command: Run, verb: str) -> None:
    done = qga_command(verb, "unix:/nonexistent/s")
    assert (done.code, done.out) == (3, b"")
    assert done.err == (
        "qga: cannot open unix:/nonexistent/s: No such file or directory; "
        "is the virtual machine running, and is this the path of its agent's channel?\n"
    )


def test_files_of_this_machine_that_fail(qga_command: Run, tmp_path: Path) -> None:
    done = qga_command("cp", str(tmp_path / "missing"), "unix:/s:/x")
    assert (done.code, done.err) == (4, f"qga: {tmp_path}/missing: No such file or directory\n")
    done = qga_command("call", "unix:/s", "guest-file-write", f"buf-b64=@{tmp_path}/missing")
    assert done.code == 4


@pytest.mark.parametrize("words", [["--help"], [], ["-h"]])
def test_help_tells_targets_and_exit_codes(
    qga_command: Run, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["qga"])
    done = qga_command(*words)
    assert done.code == 0
    for part in ("vsock:CID:PORT", "QGA_TARGET", 'the last ":/"', "Exit codes: 0 done"):
        assert part in done.text


def test_version(qga_command: Run) -> None:
    assert qga_command("--version").text.startswith(f"qga {qga.__version__} (")


def test_schema(qga_command: Run) -> None:
    assert "'command': 'guest-file-read'" in qga_command("schema").text
    found = qga_command("schema", "--format", "jsonschema").json
    assert found == qga_command("schema", "-o", "json").json
    assert "$schema" in found


def test_without_the_extra_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['click'] = None; from qga.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "qga: the command line needs: pip install 'qga[cli]'\n"


def test_rich_is_loaded_for_terminals_only() -> None:
    program = "import sys, qga.cli.app; print([m for m in sys.modules if m.startswith('rich')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


# Arguments of `call`.


class Inner(Struct):
    NAME = "Inner"
    SINCE = "1.0"

    a: int


class Everything(Command[None]):
    NAME = "test-everything"
    SINCE = "1.0"

    number: float | None = None
    truth: bool | None = None
    some: list[int] | None = None
    inner: Inner | None = None
    file_name: str | None = None


def test_values_are_taken_as_declared() -> None:
    words = ["number=1.5", "truth=true", "some:=[1, 2]", 'inner:={"a": 1}', "file_name=a=b", "x=1"]
    assert parse(Everything, words) == {
        "number": 1.5,
        "truth": True,
        "some": [1, 2],
        "inner": {"a": 1},
        "file-name": "a=b",
        "x": "1",
    }
    assert parse(Everything, ["some=[]", 'inner={"a": 2}']) == {"some": [], "inner": {"a": 2}}
    assert parse(None, ["a=1", "b:=1"]) == {"a": "1", "b": 1}
    assert find_command("guest-ping") is not None
    assert find_command("guest-nonsense") is None


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("number=x", "a number is needed"),
        ("truth=yes", "true or false"),
        ("some=1", "a list is needed; write it as JSON: some:=..."),
        ('some={"a": 1}', "a list is needed"),
        ("some=[1", "a list is needed"),
        ("inner=1", "an object is needed"),
        ("inner=[]", "an object is needed"),
        ("=1", "write name=value"),
        (":=1", "write name=value"),
    ],
)
def test_values_that_are_not_as_declared(word: str, why: str) -> None:
    import click

    with pytest.raises(click.UsageError, match=why):
        parse(Everything, [word])


# Output.


def show(*people: str | output.Table, form: str = "table") -> None:
    output.Look(form).show(output.Shown(None, people if people[1:] else people[0]))


def test_what_the_guest_says_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(output.Table(["a"], [["\x1b[31mred\x07\n"]]))
    show(output.table_of("\x1b]0;title"))
    show(output.table_of(["a\tb", 1, None, True]))
    assert capsys.readouterr().out == (
        "a\n\\x1b[31mred\\x07\\n\n\\x1b]0;title\na\\tb\n1\nnull\ntrue\n"
    )


def test_tables_for_anything(capsys: pytest.CaptureFixture[str]) -> None:
    show(output.table_of([{"a": 1, "b": "x"}, {"a": b"\xff", "c": [1]}]))
    show(output.table_of([]))
    show(output.table_of({}))
    assert capsys.readouterr().out == "a        b  c\n1        x\nb'\\xff'     [1]\nok\n"


def test_tables_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show(output.Table(["name", "value"], [["[bold]", "x"]]))
    shown = capsys.readouterr().out
    assert "[bold]" in shown
    assert "─" in shown
    show(output.Table(["use"], [["50%"], ["105%"], ["-"]], bars=frozenset({"use"})))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[2:]] == ["50%", "105%", "-"]
    assert (lines[2].count("━"), lines[2].count("─")) == (5, 5)


def test_wide_tables_have_more_columns_and_numbers_stand_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = output.Table(
        ["a", "size", "b"],
        [["x", "1", "y"], ["x", "100", "y"]],
        frozenset("b"),
        frozenset({"size"}),
    )
    show(table)
    assert capsys.readouterr().out == "a  size\nx     1\nx   100\n"
    show("all:", table, form="wide")
    assert capsys.readouterr().out == "all:\na  size  b\nx     1  y\nx   100  y\n"


@pytest.mark.parametrize(
    ("form", "value", "printed"),
    [
        ("json", {"a": b"\xff"}, '{\n  "a": "/w=="\n}'),
        ("jsonl", [{"a": 1}, {"a": 2}], '{"a": 1}\n{"a": 2}'),
        ("jsonl", {"a": [1, 2]}, '{"a": [1, 2]}'),
        ("yaml", {"b": [1, "ü"], "a": b"\xff"}, "b:\n- 1\n- ü\na: /w=="),
        ("yaml", "text", "text"),
        ("yaml", None, "null"),
    ],
)
def test_for_programs(form: str, value: object, printed: str) -> None:
    assert output.structured(value, form) == printed


def test_amounts() -> None:
    assert [output.amount(n) for n in (0, 1023, 1536, 5 << 20, 1 << 31, 1 << 41)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 MiB",
        "2.0 GiB",
        "2.0 TiB",
    ]
    assert [output.duration(n) for n in (59, 3600 * 25 + 62, 86400 * 3)] == [
        "0:00 h",
        "1 day, 1:01 h",
        "3 days, 0:00 h",
    ]
    assert output.counted(1, "file system") == "1 file system"
    assert output.counted(0, "file system") == "0 file systems"


# The demo.


def test_the_agent_of_the_demo_can_do_no_harm() -> None:
    with agent_process() as agent, agent.connect() as client:
        enabled = {c.name for c in client.info().supported_commands if c.enabled}
    assert enabled == set(HARMLESS) - {c.NAME for c in COMMANDS if c.PLATFORM}
    assert {name for name in enabled if "-get-" not in name} == {
        "guest-sync-delimited", "guest-sync", "guest-ping", "guest-info", "guest-file-open",
        "guest-file-close", "guest-file-read", "guest-file-write", "guest-file-seek",
        "guest-file-flush", "guest-fsfreeze-status", "guest-exec-status", "qga-fsfreeze-report",
    }  # fmt: skip


def test_a_demo_that_cannot_start_its_agent_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    assert demo.main() == 1
    assert capsys.readouterr().err.startswith("demo: the agent does not start")


def test_the_demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_SIZE", 1 << 20)
    assert demo.main() == 0
    shown = capsys.readouterr().out
    for part in (
        "synchronised",
        "blocked",
        "position 8",
        "errno 2",
        "MiB/s",
        "make vm",
        "qga info",
    ):
        assert part in shown
