"""`qga mkdir`, `touch`, `ln`, `mv`, `rm`, `chmod` and `chown`."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.testing import FakeAgent
from tests.support.stock import RunningAgent

from .command import Run

ODD = os.fsdecode(b"-\xff\n'")


@pytest.fixture
def top(exec_agent: RunningAgent, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QGA_TARGET", exec_agent.target)
    top = exec_agent.directory / "top"
    top.mkdir()
    return top


@pytest.fixture
def target(fake_agent: FakeAgent) -> Iterator[str]:
    with fake_agent.serve() as target:
        yield target


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_mkdir_touch_chmod_chown(qga_command: Run, top: Path) -> None:
    assert qga_command("mkdir", f":{top}/a", f":{top}/{ODD}").out == b""
    done = qga_command("mkdir", f":{top}/a", f":{top}/b")
    assert (done.code, (top / "b").is_dir()) == (1, True)
    assert done.err == f"qga: cannot make the directory {top}/a: File exists\n"
    assert qga_command("mkdir", "-p", "-m", "2750", f":{top}/a", f":{top}/c/d").code == 0
    assert mode(top / "c" / "d") == 0o2750
    assert qga_command("mkdir", "-m", "u=rwx,go=", f":{top}/e", "-o", "json").json == [
        {"path": f"{top}/e"}
    ]
    assert mode(top / "e") == 0o700

    file = top / "a" / ODD
    assert qga_command("touch", "-c", f":{file}").code == 0
    assert not file.exists()
    assert qga_command("touch", f":{file}").code == 0
    os.utime(file, (0, 0))
    assert qga_command("touch", f":{file}", f":{top}/none/x").code == 1
    assert file.stat().st_mtime > 0

    for words, expected in (
        (["640"], 0o640),
        (["+x"], 0o751),
        (["-x"], 0o640),
        (["-R", "u+x,g=u"], 0o770),
        (["4755"], 0o4755),
        (["--dry-run", "0"], 0o4755),
    ):
        done = qga_command("chmod", *words, f":{file}")
        assert (words, done.code, mode(file)) == (words, 0, expected)
    assert qga_command("chmod", "644", f":{top}/none").code == 1
    assert qga_command("chmod", "-R", "go=", f":{top}").code == 0
    assert {mode(path) & 0o777 for path in top.rglob("*")} == {0o700}

    owner = f"{os.getuid()}:{os.getgid()}"
    assert qga_command("chown", "-R", owner, f":{top}").code == 0
    assert qga_command("chown", f":{os.getgid()}", f":{file}").code == 0
    (top / "dangling").symlink_to("none")
    assert qga_command("chown", "-h", owner, f":{top}/dangling").code == 0
    assert qga_command("chown", owner, f":{top}/dangling").code == 1
    done = qga_command("chown", "--dry-run", "-R", "nobody", f":{top}/a")
    assert done.text == f"would set the owner of {top}/a and all below to nobody\n"
    done = qga_command("chown", "no-such-user", f":{top}/a")
    assert (done.code, "no-such-user" in done.err) == (1, True)


def test_ln(qga_command: Run, top: Path) -> None:
    assert qga_command("ln", "-s", "goal", f":{top}/link").code == 0
    assert os.readlink(top / "link") == "goal"  # noqa: PTH115
    assert qga_command("ln", "-s", "other", f":{top}/link").code == 1
    assert qga_command("ln", "-sf", "other", f":{top}/link").code == 0
    assert os.readlink(top / "link") == "other"  # noqa: PTH115
    (top / "dir").mkdir()
    assert qga_command("ln", "-s", f":{top}/goal", f":{top}/dir").code == 0
    assert os.readlink(top / "dir" / "goal") == f"{top}/goal"  # noqa: PTH115
    (top / "current").symlink_to("dir")
    found = qga_command("ln", "-sfn", "dir2", f":{top}/current", "-o", "json").json
    assert found == [{"path": f"{top}/current", "target": "dir2"}]
    assert os.readlink(top / "current") == "dir2"  # noqa: PTH115


def test_ln_that_is_only_told(qga_command: Run, top: Path) -> None:
    (top / "link").symlink_to("old")
    words = ["ln", "--dry-run", "new", f":{top}/link", f":{top}/other"]
    done = qga_command(*words, "-s")
    assert done.text == f"would link {top}/other to new\n"
    assert (done.code, done.err) == (1, f"qga: cannot make {top}/link: File exists\n")
    done = qga_command(*words, "-sf")
    assert done.text.splitlines() == [
        f"would link {top}/link to new, in place of what is there",
        f"would link {top}/other to new",
    ]
    assert [path.name for path in top.iterdir()] == ["link"]
    assert os.readlink(top / "link") == "old"  # noqa: PTH115


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["chmod", "600"], "set permissions in 2 guests (web1, web2)? --yes says"),
        (["chown", "-R", "root"], "set owners in 2 guests (web1, web2)? --yes says"),
        (["mv", ":/etc/hostname"], "move files of 2 guests (web1, web2)? --yes says"),
    ],
)
def test_several_guests_are_asked_about(
    qga_command: Run, two: FakeAgent, command: list[str], told: str
) -> None:
    words = [*command, ":/etc/hostname", "-l", "web*"]
    done = qga_command(*words)
    assert (done.code, told in done.err) == (2, True)
    assert not two.requests
    # These do not ask.
    for option in ("--yes", "--dry-run"):
        two.requests.clear()
        assert "? --yes says" not in qga_command(*words, option, lines=None).err
        assert two.requests


def test_mv(qga_command: Run, top: Path) -> None:
    (top / "dir").mkdir()
    for name in ("a", "b", ODD):
        (top / name).write_text(name, errors="surrogateescape")
    assert qga_command("mv", f":{top}/a", f":{top}/new").code == 0
    assert (top / "new").read_text() == "a"
    done = qga_command("mv", "-v", f":{top}/new", f":{top}/{ODD}", f":{top}/dir/")
    assert done.out == b"".join(
        b"moved %b to %b\n" % (os.fsencode(top / name), os.fsencode(top / "dir" / name))
        for name in ("new", ODD)
    ).replace(b"\xff", "\ufffd".encode())
    assert {path.name for path in (top / "dir").iterdir()} == {"new", ODD}
    (top / "new").write_text("newer")
    assert qga_command("mv", "-n", f":{top}/new", f":{top}/dir").code == 0
    assert (top / "dir" / "new").read_text() == "a"
    done = qga_command("mv", "--dry-run", f":{top}/new", f":{top}/dir", "-o", "json")
    assert done.json == [{"source": f"{top}/new", "destination": f"{top}/dir/new"}]
    assert (top / "new").exists()
    assert qga_command("mv", f":{top}/new", f":{top}/dir").code == 0
    assert (top / "dir" / "new").read_text() == "newer"
    done = qga_command("mv", f":{top}/dir/new", f":{top}/b", f":{top}/none")
    assert (done.code, "several files to" in done.err) == (1, True)
    done = qga_command("mv", "-T", f":{top}/b", f":{top}/dir")
    assert (done.code, "Is a directory" in done.err) == (1, True)
    done = qga_command("mv", f":{top}/none", f":{top}/b", f":{top}/dir")
    assert (done.code, (top / "dir" / "b").exists()) == (1, True)


def tree(top: Path) -> Path:
    (top / "tree" / "sub").mkdir(parents=True)
    (top / "tree" / "sub" / ODD).touch()
    (top / "tree" / "file").touch()
    (top / "kept").write_text("kept")
    (top / "tree" / "link").symlink_to("../kept")
    return top / "tree"


def test_rm(qga_command: Run, top: Path) -> None:
    there = tree(top)
    done = qga_command("rm", f":{there}", f":{there}/file")
    assert (done.code, done.err) == (1, f"qga: cannot remove {there}: Is a directory\n")
    assert not (there / "file").exists()
    assert qga_command("rm", f":{there}/file").code == 1
    done = qga_command("rm", "-f", f":{there}/file", f":{there}/link/x")
    assert (done.code, done.out, done.err) == (0, b"", "")
    assert qga_command("rm", "-d", f":{there}").code == 1
    done = qga_command("rm", "-r", "--dry-run", f":{there}")
    assert done.out == b"".join(
        b"would remove %b\n" % os.fsencode(path)
        for path in (there / "sub" / ODD, there / "sub", there / "link", there)
    )
    assert len(qga_command("rm", "-r", "--dry-run", "-o", "json", f":{there}").json) == 4
    (there / "to").symlink_to("sub")
    assert qga_command("rm", "-rv", f":{there}/to/").text == f"removed {there}/to\n"
    assert (there / "sub" / ODD).exists()
    assert qga_command("rm", "-rf", f":{there}").code == 0
    assert [path.name for path in top.iterdir()] == ["kept"]
    (top / "empty").mkdir()
    assert qga_command("rm", "-d", f":{top}/empty").code == 0


def test_rm_with_wildcards(qga_command: Run, top: Path) -> None:
    for name in ("a1", "a2", "b1", "*"):
        (top / name).touch()
    assert qga_command("rm", f":{top}/*").code == 0
    assert not (top / "*").exists()
    done = qga_command("rm", f":{top}/a*")
    assert (done.code, "--glob is for wildcards" in done.err) == (1, True)
    assert qga_command("rm", "--glob", f":{top}/a*").code == 0
    assert [path.name for path in top.iterdir()] == ["b1"]


def test_rm_asks(top: Path) -> None:
    there = tree(top)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "qga.cli", "rm", "-ri", f":{there}"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        answers = iter("yynynnn")
        try:
            while data := os.read(ours, 4096):
                shown += data
                if shown.endswith(b"[y/N]: "):
                    os.write(ours, f"{next(answers, 'n')}\n".encode())
        except OSError:  # how a terminal tells that its other side is gone
            pass
    os.close(ours)
    asked = [line.split(" [y/N]")[0] for line in shown.decode().splitlines() if "[y/N]" in line]
    assert asked == [
        f"descend into directory {there}?",
        f"remove file {there}/file?",
        f"remove symlink {there}/link?",
        f"descend into directory {there}/sub?",
        f"remove file {there}/sub/-\\xff\\n'?",
        f"remove directory {there}/sub?",
        f"remove directory {there}?",
    ]
    assert {path.name for path in there.rglob("*")} == {"link", "sub", ODD}
    assert process.returncode == 0
