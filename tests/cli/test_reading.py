"""`qga cat`, `head`, `tail`, `find`, `du` and `df` beside the real ones, on the same tree."""

import os
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from qga.cli.tailing import Part, Skip
from tests.support.stock import RunningAgent

from .command import Run

ENVIRONMENT = {**os.environ, "LC_ALL": "C", "TZ": "UTC0"}


@pytest.fixture
def tree(exec_agent: RunningAgent, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QGA_TARGET", exec_agent.target)
    top = exec_agent.directory / "tree"
    (top / "sub" / "deep").mkdir(parents=True)
    (top / "lines").write_bytes(b"".join(b"line %d\r\n" % number for number in range(9000)))
    (top / "open").write_bytes(b"one\ntwo")
    (top / "empty").touch()
    (top / os.fsdecode(b"odd\xff\n")).write_bytes(b"odd\x00\xff")
    for number in range(6):
        (top / "sub" / f"{number}.bin").write_bytes(os.urandom(number * 512 + number % 2))
        os.utime(top / "sub" / f"{number}.bin", (0, os.stat(top).st_mtime - number * 86400 - 60))  # noqa: PTH116
    (top / "sub" / "link").symlink_to("0.bin")
    return top


def real(*words: str) -> bytes:
    return subprocess.run(words, capture_output=True, check=True, env=ENVIRONMENT).stdout


def test_cat(qga_command: Run, tree: Path) -> None:
    paths = [f":{path}" for path in sorted(tree.glob("[a-z]*")) if path.is_file()]
    assert qga_command("cat", *paths).out == real("cat", *(path[1:] for path in paths))
    assert qga_command("cat", f":{tree}/sub/?.bin").out == real(
        "cat", *(f"{tree}/sub/{number}.bin" for number in range(6))
    )
    found = qga_command("cat", f":{tree}/open", "-o", "json").json
    assert found == {
        "path": f"{tree}/open",
        "count": 7,
        "buf-b64": b64encode(b"one\ntwo").decode(),
    }
    found = qga_command("cat", f":{tree}/open", f":{tree}/empty", "-o", "json").json
    assert [one["count"] for one in found] == [7, 0]
    done = qga_command("cat", f":{tree}/none", f":{tree}/open")
    assert (done.code, done.out) == (1, b"one\ntwo")


def test_head_and_tail(qga_command: Run, tree: Path) -> None:
    for options in ([], ["-n", "3"], ["-4"], ["-n0"], ["-c", "5"], ["-n", "20000"], ["-c0"]):
        for name in ("lines", "open", "empty"):
            for command in ("head", "tail"):
                done = qga_command(command, *options, f":{tree}/{name}")
                assert done.out == real(command, *options, f"{tree}/{name}")
    for options in (["-n", "+2"], ["-n", "+0"], ["-c", "+3"], ["-n", "+8990"], ["-n", "+9999"]):
        for name in ("lines", "open"):
            done = qga_command("tail", *options, f":{tree}/{name}")
            assert done.out == real("tail", *options, f"{tree}/{name}")
    names = [f"{tree}/{name}" for name in ("lines", "empty", "open")]
    for command in ("head", "tail"):
        words = [f":{name}" for name in names]
        assert qga_command(command, "-2", *words).out == real(command, "-n2", *names)
        assert qga_command(command, "-q", *words).out == real(command, "-q", *names)


def test_what_comes_behind_the_beginning() -> None:
    for part in (Part(3, skips=True), Part(7, size=True, skips=True), Part(3)):
        data = b"a\nbb\nccc\ndddd\n"
        for size in range(1, len(data)):
            skip = Skip(part)
            left = b"".join(skip(data[at : at + size]) for at in range(0, len(data), size))
            assert left == (data[9:] if part == Part(3, skips=True) else data[7:] if part.size
                            else data)  # fmt: skip


FINDS = [
    "", "-type f", "-type d", "-type l", "-name *.bin", "-iname ?.BIN", "-path */sub/*",
    "-size +1", "-size -3", "-size 2", "-size 1k", "-size +1k", "-size -2k", "-size 1025c",
    "-size +1025c", "-size 0", "-size -0", "-size -1", "-size +1M", "-mtime +2", "-mtime -2",
    "-mtime 3", "-mmin +60", "-empty", "-perm 644", "-maxdepth 0", "-maxdepth 1",
    "-type f -size +1 -mtime -4", "-name none", "-xdev -user root", "-newer TOP/sub/2.bin",
]  # fmt: skip


@pytest.mark.parametrize("exec_agent", ["ours"], indirect=True)
def test_find(qga_command: Run, tree: Path) -> None:
    for tests in FINDS:
        words = tests.replace("TOP", str(tree)).split()
        expected = real("find", str(tree), *words, "-print0")
        done = qga_command("find", f":{tree}", *words, "-print0")
        assert (tests, sorted(done.out.split(b"\0"))) == (tests, sorted(expected.split(b"\0")))
    done = qga_command("find", f":{tree}", "-type", "f,l", "-mindepth", "2")
    assert len(done.out.splitlines()) == 7
    assert qga_command("find", f":{tree}", "-mindepth", "1", "-maxdepth", "0").out == b""
    assert (
        qga_command("find", f":{tree}", "-name", "odd*").out == os.fsencode(tree) + b"/odd\xff\n\n"
    )
    (found,) = qga_command("find", f":{tree}", "-name", "link", "-o", "json").json
    assert (found["path"], found["target"]) == (f"{tree}/sub/link", "0.bin")
    done = qga_command("find", f":{tree}/none", f":{tree}/open")
    assert (done.code, done.text) == (1, f"{tree}/open\n")


def test_du(qga_command: Run, tree: Path) -> None:
    for options in ("", "-s", "-a", "-h", "-d 1", "-ac", "-sx", "-sch", "-d 0"):
        words = [*options.split(), f":{tree}/sub", f":{tree}/open"]
        done = qga_command("du", *words)
        assert done.out == real("du", *options.split(), f"{tree}/sub", f"{tree}/open")
    found = qga_command("du", "-s", f":{tree}/sub/*.bin", "-o", "json").json
    assert [one["path"] for one in found] == [f"{tree}/sub/{n}.bin" for n in range(6)]
    assert found[5]["size"] == 4096
    assert qga_command("du", f":{tree}/none").code == 1


def test_df(qga_command: Run, tree: Path) -> None:
    rows = qga_command("df", f":{tree}", "-o", "wide").text.splitlines()
    expected = real("df", "-PT", str(tree)).decode().splitlines()[1].split()
    got = rows[1].split()
    assert rows[0].split()[:3] == ["filesystem", "type", "1K-blocks"]
    # What others write meanwhile changes the rest.
    assert [got[at] for at in (0, 1, 2, 6)] == [expected[at] for at in (0, 1, 2, 6)]
    assert qga_command("df", "-h", f":{tree}").text.split()[8].endswith("G")
    (found,) = qga_command("df", "-o", "json", f":{tree}").json
    assert found.keys() == {
        "mountpoint", "device", "type", "size", "used", "available",
        "inodes", "inodes_used", "inodes_available",
    }  # fmt: skip
    assert found["size"] == int(expected[2]) * 1024
    rows = qga_command("df", "-i", f":{tree}").text.splitlines()
    assert rows[0].split() == ["filesystem", "inodes", "iused", "ifree", "iuse%", "mounted", "on"]
    assert rows[1].split()[1] == str(found["inodes"])
    every = {one["mountpoint"] for one in qga_command("df", "-a", "-o", "json").json}
    shown = {one["mountpoint"] for one in qga_command("df", "-o", "json").json}
    assert "/proc" in every - shown
    assert shown < every


def test_df_where_no_program_may_be_run(qga_command: Run, agent: RunningAgent) -> None:
    done = qga_command("df", "-h", agent.target)
    assert (done.code, done.text.splitlines()[0].split()[1]) == (0, "size")
    for one in qga_command("df", "-o", "json", agent.target).json:
        assert one["inodes"] is None
        assert one["size"] is None or one["size"] >= one["used"]
    done = qga_command("df", f"{agent.target}:/")
    assert (done.code, "must allow guest-exec" in done.err) == (1, True)
    assert qga_command("tail", "-1", f"{agent.target}:/etc/passwd").out == real(
        "tail", "-1", "/etc/passwd"
    )
