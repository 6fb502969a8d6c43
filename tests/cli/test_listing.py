"""`qga ls` and `stat` beside the real ones, on the same tree."""

import os
import pty
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from qga.cli import layout
from tests.support.stock import RunningAgent

from .command import Run

ODD = os.fsdecode(b"odd\xff\nname")
ENVIRONMENT = {**os.environ, "LC_ALL": "C", "TZ": "UTC0"}


@pytest.fixture
def tree(exec_agent: RunningAgent, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of all kinds, sizes and ages."""
    monkeypatch.setenv("TZ", "UTC0")
    monkeypatch.setenv("QGA_TARGET", exec_agent.target)
    top = exec_agent.directory / "tree"
    (top / "sub" / "deep").mkdir(parents=True)
    (top / ".hidden").mkdir()
    for number, name in enumerate(("b.txt", "a.log", ".dot", ODD, "sub/file", "sub/deep/x", "Z")):
        (top / name).write_bytes(bytes(number * 1500))
        os.utime(top / name, (0, 1_700_000_000 + 86400 * number))
    (top / "run").touch(0o755)
    (top / "run").chmod(0o4755)
    (top / "link").symlink_to("b.txt")
    (top / "to-sub").symlink_to("sub")
    (top / "nowhere").symlink_to("none")
    (top / "sticky").mkdir()
    (top / "sticky").chmod(0o1777)
    os.mkfifo(top / "pipe")
    return top


def ls(*words: str, cwd: Path | None = None) -> bytes:
    return subprocess.run(
        ["ls", *words], capture_output=True, check=True, env=ENVIRONMENT, cwd=cwd
    ).stdout


OPTIONS = "-A -a -l -la -lh -ln -d -ld -R -Ra -lRA -t -ltr -S -lSr -1 -i -li -F"


def test_as_ls_has_it(qga_command: Run, tree: Path) -> None:
    for words in ([], *([option] for option in OPTIONS.split())):
        assert (words, qga_command("ls", *words, f":{tree}").out) == (
            words,
            ls(*words, str(tree)),
        )


def test_several(qga_command: Run, tree: Path) -> None:
    paths = [str(tree / name) for name in ("sub", "b.txt", "link", "to-sub", "run")]
    for options in ([], ["-l"], ["-d"], ["-lt"]):
        done = qga_command("ls", *options, *(f":{path}" for path in paths))
        # How wide a column is depends on directories there, too.
        assert done.out.split() == ls(*options, *paths).split()
    assert qga_command("ls", f":{tree}/to-sub/").out == b"deep\nfile\n"
    assert qga_command("ls", "-l", f":{tree}/link").out == ls("-l", f"{tree}/link")
    done = qga_command("ls", f":{tree}/none", f":{tree}/b.txt")
    assert (done.code, done.out) == (1, os.fsencode(tree / "b.txt\n"))
    assert done.err == f"qga: cannot stat {tree}/none: No such file or directory\n"
    done = qga_command("ls", f":{tree}/none")
    assert (done.code, done.out) == (1, b"")


def test_wildcards_are_the_guests(qga_command: Run, tree: Path) -> None:
    assert qga_command("ls", f":{tree}/*.*").out == ls(f"{tree}/a.log", f"{tree}/b.txt")
    (tree / "[ab].txt").touch()
    (tree / "a.txt").touch()
    assert qga_command("ls", f":{tree}/[ab].txt").text == f"{tree}/[ab].txt\n"
    assert qga_command("ls", f":{tree}/[a-b].t*").text == f"{tree}/a.txt\n{tree}/b.txt\n"
    done = qga_command("ls", f":{tree}/*.none")
    assert (done.code, "No such file" in done.err) == (1, True)


def test_devices_and_dates(qga_command: Run, tree: Path) -> None:
    assert qga_command("ls", "-l", ":/dev/null").out == ls("-l", "/dev/null")
    now = 1_700_000_000
    for age, shown in ((0, "Nov 14 22:13"), (86400 * 180, "May 18 22:13"), (86400 * 183, "2023")):
        assert layout.when(now - age, now).endswith(shown)
    assert layout.when(now + 1, now) == "Nov 14  2023"


def test_for_programs(qga_command: Run, tree: Path) -> None:
    found = qga_command("ls", "-o", "json", f":{tree}").json
    by_path = {entry["path"]: entry for entry in found}
    entry = by_path[f"{tree}/b.txt"]
    here = (tree / "b.txt").stat()
    assert entry == {
        "path": f"{tree}/b.txt",
        "type": "file",
        "mode": "0644",
        "size": 0,
        "allocated": 0,
        "user": "root",
        "group": "root",
        "uid": here.st_uid,
        "gid": here.st_gid,
        "nlink": 1,
        "inode": here.st_ino,
        "mtime": 1_700_000_000.0,
        "target": None,
    } | {"user": entry["user"], "group": entry["group"]}
    assert by_path[f"{tree}/link"]["target"] == "b.txt"
    odd = by_path[f"{tree}/odd\ufffd\nname"]
    assert odd["path-b64"] == b64encode(os.fsencode(tree / ODD)).decode()
    for form in ("jsonl", "yaml"):
        assert b"path-b64" in qga_command("ls", "-o", form, f":{tree}").out
    assert qga_command("stat", "-o", "json", f":{tree}/b.txt").json == [entry]


def on_terminal(*words: str, columns: int = 60, **variables: str) -> str:
    """What `qga` shows on a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **variables}
    for name in ("NO_COLOR", "LS_COLORS"):
        environment.setdefault(name, "")
    with subprocess.Popen(
        [sys.executable, "-m", "qga.cli", *words], stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 4096):
                shown += data
        except OSError:  # how a terminal tells that its other side is gone
            pass
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("exec_agent", ["ours"], indirect=True)
def test_on_a_terminal(tree: Path) -> None:
    shown = on_terminal("ls", f":{tree}")
    for name in (
        "\x1b[01;34msub\x1b[0m", "\x1b[01;36mlink\x1b[0m", "\x1b[37;41mrun\x1b[0m",
        "\x1b[40;33mpipe\x1b[0m", "\x1b[30;42msticky\x1b[0m", "odd\\xff\\nname", "b.txt",
    ):  # fmt: skip
        assert name in shown
    assert "\x1b[35mb.txt" in on_terminal("ls", f":{tree}", LS_COLORS="*.txt=35:di=evil\x1b[2J")
    shown = on_terminal("ls", "-1", f":{tree}", NO_COLOR="1")
    assert shown.splitlines()[:3] == ["Z", "a.log", "b.txt"]
    shown = on_terminal("ls", "-l", "--no-color", f":{tree}", f":{tree}/{ODD}")
    assert "\x1b" not in shown
    assert "odd\\xff\\nname\n" in on_terminal("du", "-a", f":{tree}")


def test_columns_are_those_of_ls(tmp_path: Path) -> None:
    names = [f"{'n' * (number * 7 % 23)}{number}" for number in range(60)]
    for name in names:
        (tmp_path / name).touch()
    names.sort()
    widths = [len(name) for name in names]
    for width in (10, 40, 80, 133, 1000):
        lines = layout._columns(names, widths, width)
        expected = ls("-C", "-w", str(width), "-T", "0", cwd=tmp_path).decode().splitlines()
        assert [line.rstrip() for line in lines] == expected
    assert layout._columns([], [], 80) == []
    assert layout._width("aä€漢\u0301") == 5


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0"), (1023, "1023"), (1024, "1.0K"), (1025, "1.1K"), (10 << 10, "10K"), (10_241, "11K"),
     (1023 << 10, "1023K"), ((1 << 20) - 1, "1.0M"), (5 << 30, "5.0G"), (1 << 63, "8.0E")],
)  # fmt: skip
def test_sizes_for_people(size: int, shown: str) -> None:
    assert layout.human(size) == shown


def test_stat(qga_command: Run, tree: Path) -> None:
    paths = [str(tree / name) for name in ("b.txt", "link", "run", "sub", "pipe", ODD)]
    form = "%n|%s|%b|%B|%a|%A|%f|%F|%u|%U|%g|%G|%i|%h|%d|%y|%Y|%%"
    for options in (["-c", form], ["-L", "-c", form]):
        expected = subprocess.run(
            ["stat", *options, *paths], capture_output=True, check=True, env=ENVIRONMENT
        ).stdout
        assert qga_command("stat", *options, *(f":{path}" for path in paths)).out == expected
    assert qga_command("stat", "-c", "%N", f":{tree}/link").text == f"{tree}/link -> b.txt\n"
    shown = qga_command("stat", f":{tree}/link").text
    assert shown.startswith(f"  File: {tree}/link -> b.txt\n  Size: 5 ")
    assert "symbolic link" in shown
    done = qga_command("stat", "-c", "%q", f":{tree}/link")
    assert (done.code, "has no %q" in done.err) == (2, True)
