"""Directories of the guest, listed and searched: with odd names, many of them, and what is cut."""

import errno
import glob
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.client.files import Files
from qga.client.flows import answer
from qga.client.flows.steps import Limits
from qga.protocol import Exec
from qga.protocol.exec import ExecStatus
from tests.client.driven import Driven
from tests.client.localshell import LocalShell, files, shell

__all__ = ["files", "shell"]

# fmt: off
ODD = [os.fsdecode(name) for name in (
    b"plain", b" lead", b"-rf", b"new\nline", b"trail\n", b"\n", b"quote'\"`$x", b"back\\slash",
    b"\xff\xfe", "ä€".encode(), b"*", b"[a]", b".hidden", b"..odd", b"a:b|c", b"tab\t", b"%n",
    b"\x01\x1b", b"x" * 255,
)]
# fmt: on


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Directories, files and symlinks of odd names; and loops."""
    top = tmp_path / "tree\n"
    for name in ODD:
        (top / name).mkdir(parents=True)
        (top / name / name).touch()
        (top / name / ".link").symlink_to(name)
        (top / name / "loop\n").symlink_to("..")
    return top


def test_list(files: Files, tree: Path) -> None:
    found = files.list(tree)
    assert [entry.name for entry in found] == sorted(ODD, key=os.fsencode)
    for name in ODD[2:9]:
        path = f"{tree}/{name}"
        entries = {entry.path: entry.stat for entry in files.list(path)}
        assert entries.keys() == {f"{path}/{n}" for n in (name, ".link", "loop\n")}
        assert entries[f"{path}/.link"].target == name
        assert entries[f"{path}/{name}"] == files.stat(f"{path}/{name}")
    assert {entry.stat.type for entry in files.list("/dev") if entry.name == "null"} == {
        "character device"
    }
    (tree.parent / "to").symlink_to(tree)
    assert len(files.list(tree.parent / "to")) == len(ODD)
    (tree / "empty").mkdir()
    assert files.list(tree / "empty") == []
    assert [entry.path for entry in files.list("/") if entry.name == "dev"] == ["/dev"]


def test_what_cannot_be_listed(files: Files, tree: Path) -> None:
    for path, number in ((tree / "none", errno.ENOENT), (tree / "x/x", errno.ENOENT)):
        with pytest.raises(qga.GuestOSError, match="cannot list ") as caught:
            files.list(path)
        assert caught.value.errno == number
    with pytest.raises(qga.GuestOSError) as caught:
        files.walk(tree / "plain" / "plain")
    assert caught.value.errno == errno.ENOTDIR
    (tree / "turn").symlink_to("turn")
    with pytest.raises(qga.GuestOSError) as caught:
        files.list(tree / "turn")
    assert caught.value.errno == errno.ELOOP


def test_walk(files: Files, tree: Path) -> None:
    paths = [entry.path for entry in files.walk(tree)]
    expected = [os.path.join(top, n) for top, ds, fs in os.walk(tree) for n in (*ds, *fs)]  # noqa: PTH118
    assert sorted(paths) == sorted(expected)
    assert len(paths) == 4 * len(ODD)
    for path in expected:
        above = os.path.dirname(path)  # noqa: PTH120
        assert above == str(tree) or paths.index(above) < paths.index(path)
    targets = {entry.stat.target for entry in files.walk(tree) if entry.name == ".link"}
    assert targets == set(ODD)
    top = [entry.path for entry in files.walk(tree, max_depth=1, one_file_system=True)]
    assert top == [entry.path for entry in files.list(tree)]
    with pytest.raises(ValueError, match="at least 1"):
        files.walk(tree, max_depth=0)


UNREADABLE = b"find: '/x/sub': Permission denied\nfind: '/y': No such file or directory\n"


class Unreadable(LocalShell):
    """A guest where a directory cannot be read; root could read every real one."""

    def _take(self, step: Any) -> Any:
        answer = super()._take(step)
        if isinstance(step, Exec) or b"//" not in answer.out_data:
            return answer
        return ExecStatus(exited=True, exitcode=1, out_data=answer.out_data, err_data=UNREADABLE)


def test_a_walk_goes_on(tree: Path) -> None:
    guest = Files(Unreadable(["/bin/sh"]))
    errors: list[qga.GuestOSError] = []
    assert len(guest.walk(tree)) == 4 * len(ODD)
    assert len(guest.walk(tree, on_error=errors.append)) == 4 * len(ODD)
    assert [error.errno for error in errors] == [errno.EACCES]
    with pytest.raises(qga.GuestOSError, match="'/x/sub': Permission denied"):
        guest.list(tree)


@pytest.fixture
def forest(tmp_path: Path) -> Path:
    for path in (
        "a/b/c.py", "a/b/d.txt", "a/.h/x.py", "a/.py", "a/x.py", "b.py/y", "a/b/.z/.w.py",
        "[a]/x.py", "ä/é.py", "n\n/m\n.py", "-x/y.py", "b/a\\b.py", "b/%s.py",
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")  # noqa: PTH102
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")) / "x.py").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "linked").symlink_to("a")
    return tmp_path


PATTERNS = (
    "*", "*/", "*/*", "a/*.py", "*/x.py", "*/b/*", "a/**/c.py", "?", "?/?.py", "[[]a]/*", "[!a]*",
    ".*", "*/.*", "a/.*/*", "none", "none/*", "a/b", "a/b/", "a/x.py/", "a/x.py/*", "dangling",
    "d*", "linked/*", "linked/b/c.py", "*\n/*", "-*/*", "b/a\\b*", "b/*s.py", "[ab]/**",
    "ä/**/*.py", "a/**/", "a/../*/x.py", "a/./b/*", "linke[d]/*.py", "[z-a]", "*.PY",
)  # fmt: skip


WITH_HIDDEN = ("*", "*/*", "a/**", "a/**/*.py", "[.]*/*", "a/**/", "[!.]/*")


def test_glob_is_as_in_python(files: Files, forest: Path) -> None:
    for patterns, hidden in ((PATTERNS, False), (WITH_HIDDEN, True)):
        for pattern in patterns:
            whole = f"{forest}/{pattern}"
            expected = glob.glob(whole, recursive=True, include_hidden=hidden)  # noqa: PTH207
            assert files.glob(whole, include_hidden=hidden) == sorted(set(expected)), pattern


def test_glob_does_not_go_round(files: Files, forest: Path) -> None:
    (forest / "a" / "round").symlink_to("..")
    found = files.glob(f"{forest}/**/c.py")
    assert found == [f"{forest}/a/b/c.py"]
    assert len(files.glob(f"{forest}/a/**")) == 6
    assert files.glob(f"{forest}/a/**/**/c.py") == found
    assert files.glob(f"{forest}/**/*.py/**") == [f"{forest}/b.py/", f"{forest}/b.py/y"]
    assert files.glob("/") == ["/"]
    assert files.glob("/de[v]/nul?") == ["/dev/null"]
    with pytest.raises(ValueError, match="absolute"):
        files.glob("*.py")


Leftovers = Callable[[], list[Path]]


@pytest.fixture
def leftovers(monkeypatch: pytest.MonkeyPatch) -> Leftovers:
    """What short answers have left, where they are short."""
    prefix = f"qga-test-{os.getpid()}."
    monkeypatch.setattr(answer, "PART", 1 << 16)
    monkeypatch.setattr(answer, "_PREFIX", prefix)
    return lambda: [
        path for top in ("/run", "/dev/shm", "/tmp") for path in Path(top).glob(f"{prefix}*")
    ]


def test_long_answers_come_in_parts(
    files: Files, shell: LocalShell, tmp_path: Path, leftovers: Leftovers
) -> None:
    for number in range(300):
        (tmp_path / f"{number:0250}").touch()
    assert [entry.name for entry in files.list(tmp_path)] == [f"{n:0250}" for n in range(300)]
    assert shell.ran >= 3  # the last part removes the file
    size = 3 << 16  # to the byte
    text = f"yes | head -c {size}; echo error >&2; return 3"
    done = shell.perform(answer.answer(text))
    assert (done.code, done.out, done.err) == (3, b"y\n" * (size // 2), b"error\n")
    assert leftovers() == []


def test_nothing_is_left_where_nobody_reads(shell: LocalShell, leftovers: Leftovers) -> None:
    """As when the agent is killed: the script finds its output closed."""
    waiting = Driven(answer.answer("sleep 0.5; echo x")).begin()
    command = [*shell.shell, *waiting.arg]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(waiting.input_data)
        process.stdin.close()
        process.stdout.close()
    assert leftovers() == []


def test_without_a_place_for_them(tmp_path: Path, leftovers: Leftovers) -> None:
    guest = LocalShell(["/bin/sh", "-c", "sed s/mktemp/false/ | sh -s"])
    done = guest.perform(answer.answer("head -c 200000 /dev/zero; return 7"))
    assert (done.code, len(done.out), guest.ran) == (7, 200_000, 1)


def test_a_part_that_is_missing(shell: LocalShell, leftovers: Leftovers) -> None:
    flow = Driven(answer.answer("head -c 200000 /dev/zero"))
    step = flow.send(shell._take(flow.begin()))
    step = flow.send(shell._take(step))
    (kept,) = leftovers()
    os.truncate(kept, 100_000)
    for _ in range(2):
        step = flow.send(shell._take(step))
        step = flow.send(shell._take(step))
    assert os.fsencode(kept) in step.command.input_data  # to be removed when there is time
    shell._run(step.command)
    assert leftovers() == []
    with pytest.raises(qga.GuestOSError, match="has been cut"):
        flow.send(None)


def test_the_guest_tidies_up_itself(
    shell: LocalShell, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "_KEPT", 1)
    flow = Driven(answer.answer("head -c 200000 /dev/zero"))
    flow.send(shell._take(flow.begin()))
    deadline = time.monotonic() + 60
    while leftovers():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_paths_are_asked_for_by_and_by(
    shell: LocalShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.client.driven.Limits", lambda: Limits(input=8192))
    for number in range(100):
        (tmp_path / f"{number:0100}").mkdir()
        (tmp_path / f"{number:0100}" / "x").touch()
    expected = [f"{tmp_path}/{number:0100}/x" for number in range(100)]
    assert Files(shell).glob(f"{tmp_path}/*/x") == expected
    assert max(shell.inputs) <= 8192
    assert shell.ran > 4
