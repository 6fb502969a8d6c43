"""`qga cp`: with both agents, and with two of them."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.need import need_root
from tests.support.stock import BLOCKED_BUT_EXEC, RunningAgent, either

from .command import Run

MIB = 1 << 20
PROGRAM = [sys.executable, "-m", "qga.cli", "cp"]


class Guest:
    """An agent that runs programs, and its directory as a guest path."""

    def __init__(self, agent: RunningAgent) -> None:
        self.agent = agent
        self.directory = agent.directory / "guest"
        self.directory.mkdir()
        self.path = f"{agent.target}:{self.directory}"

    def inside(self) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*"))


@pytest.fixture
def guest(exec_agent: RunningAgent) -> Guest:
    return Guest(exec_agent)


@pytest.fixture(params=["ours", pytest.param("stock", marks=pytest.mark.interop)])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Guest, Guest]]:
    with (
        either(request.param, BLOCKED_BUT_EXEC) as one,
        either(request.param, BLOCKED_BUT_EXEC) as other,
    ):
        yield Guest(one), Guest(other)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that we are in: a file, and a tree with a symlink and modes."""
    directory = tmp_path / "here"
    (directory / "tree/below").mkdir(parents=True)
    (directory / "file").write_bytes(b"content\n")
    (directory / "tree/below/program").write_bytes(b"#!/bin/sh\n")
    (directory / "tree/below/program").chmod(0o751)
    (directory / "tree/below").chmod(0o750)
    (directory / "tree/link").symlink_to("below/program")
    os.utime(directory / "file", (1, 1_000_000_000))
    monkeypatch.chdir(directory)
    return directory


TREE = ["below", "below/program", "link"]


def placed(where: str) -> list[str]:
    return sorted([where, *(f"{where}/{name}" for name in TREE)])


def test_names_of_files(qga_command: Run, guest: Guest, here: Path) -> None:
    assert qga_command("cp", "file", f"{guest.path}/new").out == b""
    for destination in (guest.path, f"{guest.path}/"):
        assert qga_command("cp", "file", destination).code == 0
        assert guest.inside() == ["file", "new"]
        (guest.directory / "file").unlink()
    (guest.directory / "into").mkdir()
    found = qga_command("cp", "-o", "json", "file", "./file", f"{guest.path}/into").json
    assert [record["destination"] for record in found] == [f"{guest.path}/into/file"] * 2
    assert guest.inside() == ["into", "into/file", "new"]
    for source, destination, name in (
        (f"{guest.path}/new", ".", "new"),
        (f"{guest.path}/new", "tree/", "tree/new"),
        (f"{guest.path}/into/file", "other", "other"),
    ):
        assert qga_command("cp", source, destination).code == 0
        assert (here / name).read_bytes() == b"content\n"


def test_names_of_directories(qga_command: Run, guest: Guest, here: Path) -> None:
    for _ in range(2):  # the second one is into what the first one has made
        assert qga_command("cp", "-r", "tree", guest.path).code == 0
        assert guest.inside() == placed("tree")
    for words in (["tree", "new"], ["tree/.", "contents"]):
        assert qga_command("cp", "-r", words[0], f"{guest.path}/{words[1]}").code == 0
    assert guest.inside() == sorted(placed("tree") + placed("new") + placed("contents"))
    assert qga_command("cp", "-r", "tree/", f"{guest.path}/new").code == 0
    assert (guest.directory / "new/tree/below/program").stat().st_mode & 0o7777 == 0o751
    assert (guest.directory / "new/tree/below").stat().st_mode & 0o7777 == 0o750
    assert (guest.directory / "new/tree/link").readlink() == Path("below/program")
    # And back.
    found = qga_command("cp", "-r", "-o", "json", f"{guest.path}/tree", "back").json
    assert (found["files"], found["count"], found["skipped"]) == (2, 10, 0)
    assert (here / "back/below/program").stat().st_mode & 0o7777 == 0o751
    assert (here / "back/link").readlink() == Path("below/program")
    assert qga_command("cp", "-r", f"{guest.path}/tree", "back").code == 0
    assert qga_command("cp", "-r", f"{guest.path}/contents/.", "back").code == 0
    assert sorted(path.name for path in (here / "back").iterdir()) == ["below", "link", "tree"]
    # What is left out, and checksums.
    words = ["-r", "--ignore", "link", "--verify", "-o", "json", "tree", f"{guest.path}/some"]
    found = qga_command("cp", *words).json
    assert (found["files"], found["verified"]) == (1, True)


def test_what_cannot_be_copied(qga_command: Run, guest: Guest, here: Path) -> None:
    (guest.directory / "file").write_bytes(b"old")
    (guest.directory / "folder").mkdir()
    for code, words, why in (
        (4, ["tree", guest.path], "'tree' is a directory: -r copies it"),
        (1, [f"{guest.path}/folder", "."], "is a directory: -r copies it"),
        (4, ["absent", guest.path], "absent: No such file or directory"),
        (1, [f"{guest.path}/absent", "."], "No such file or directory"),
        (1, ["file", f"{guest.path}/absent/"], "is no directory"),
        (1, ["file", "file", f"{guest.path}/absent"], "it cannot hold several files"),
        (4, [f"{guest.path}/file", f"{guest.path}/file", "new"], "it cannot hold several files"),
        (1, ["-r", "tree", f"{guest.path}/file"], "is no directory, 'tree' is one"),
        (4, ["-r", f"{guest.path}/folder", "file"], "is no directory"),
        (1, ["-r", f"{guest.path}/folder", "-"], "which `-` cannot take"),
        (1, [f"{guest.path}/file", f"{guest.path}/./file"], "are the same"),
        (2, ["file", "tree"], "one of SRC and DST"),
        (2, ["-", "file", guest.path], "name the file"),
        (2, ["--mode", "600", f"{guest.path}/file", "new"], "for files of a guest"),
        (2, ["--mode", "9", "file", guest.path], "no mode in octal digits"),
        (2, ["--owner", ":", "file", guest.path], "USER:GROUP"),
        (2, ["-r", "--owner", "nobody", "tree", guest.path], "takes numbers"),
        (2, ["-r", "--resume", "tree", guest.path], "for single files"),
        (2, ["-l", "web*", "-", ":/x"], "none is -"),
        (2, ["--all", "file", f"{guest.path}/x"], "DST is :PATH"),
    ):
        done = qga_command("cp", *words)
        assert (done.code, done.out) == (code, b""), words
        assert why in done.err, words
    assert guest.inside() == ["file", "folder"]
    assert sorted(path.name for path in here.iterdir()) == ["file", "tree"]


def test_attributes(qga_command: Run, guest: Guest, here: Path) -> None:
    need_root("to give files away")
    there = guest.directory / "there"
    assert (
        qga_command("cp", "--mode", "600", "--owner", "1:2", "file", f"{guest.path}/there").code
        == 0
    )
    status = there.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o600, 1, 2)
    inode = status.st_ino
    assert qga_command("cp", "--in-place", "file", f"{guest.path}/there").code == 0
    assert there.stat().st_ino == inode
    assert qga_command("cp", "file", f"{guest.path}/there").code == 0
    assert there.stat().st_ino != inode
    assert there.stat().st_uid == 1  # as it was
    (here / "file").chmod(0o640)
    assert qga_command("cp", "-p", "file", f"{guest.path}/kept").code == 0
    status = (guest.directory / "kept").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o640, 1_000_000_000)
    assert qga_command("cp", "-p", f"{guest.path}/kept", "kept").code == 0
    assert (here / "kept").stat().st_mtime == 1_000_000_000
    os.chown(here / "tree/below/program", 7, 8)
    for options, owners in (([], (0, 0)), (["-p"], (7, 8)), (["--owner", "3:4"], (3, 4))):
        assert qga_command("cp", "-r", *options, "tree/.", f"{guest.path}/tree").code == 0
        status = (guest.directory / "tree/below/program").stat()
        assert (status.st_uid, status.st_gid) == owners
    done = subprocess.run(
        [*PROGRAM, "--mode", "600", "--owner", "1", "-", f"{guest.path}/in"],
        input=b"data",
        check=True,
    )
    status = (guest.directory / "in").stat()
    assert (done.returncode, status.st_mode & 0o7777, status.st_uid) == (0, 0o600, 1)


def test_what_would_be_done(qga_command: Run, guest: Guest, here: Path) -> None:
    (guest.directory / "file").write_bytes(b"old")
    os.utime(guest.directory / "file", (1, 1_000_000_000))
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_000_000_000))
    done = qga_command("cp", "--dry-run", "-r", "file", "tree", guest.path)
    assert done.text.splitlines() == [
        f"file -> {guest.path}/file: replaces 3 B of {stamp}",
        f"tree -> {guest.path}/tree: new",
    ]
    (guest.directory / "tree").mkdir()
    os.mkfifo(here / "pipe")
    found = qga_command("cp", "--dry-run", "-r", "-o", "json", "tree", guest.path).json
    assert found == [
        {
            "source": "tree",
            "destination": f"{guest.path}/tree",
            "recursive": True,
            "there": "directory",
        }
    ]
    done = qga_command("cp", "--dry-run", "-r", "tree", guest.path)
    assert "files of the same names" in done.text
    done = qga_command("cp", "--dry-run", f"{guest.path}/file", "pipe")
    assert "writes to what is there" in done.text
    assert guest.inside() == ["file", "tree"]
    assert (guest.directory / "file").read_bytes() == b"old"


def test_from_guest_to_guest(qga_command: Run, pair: tuple[Guest, Guest], here: Path) -> None:
    one, other = pair
    (one.directory / "large").write_bytes(content := os.urandom(3 * MIB))
    (one.directory / "large").chmod(0o640)
    found = qga_command("cp", "-p", "-o", "json", f"{one.path}/large", other.path).json
    assert (found["count"], found["files"], found["verified"]) == (3 * MIB, 1, True)
    assert (other.directory / "large").read_bytes() == content
    assert (other.directory / "large").stat().st_mode & 0o7777 == 0o640
    assert qga_command("cp", "-r", "tree", one.path).code == 0
    found = qga_command("cp", "-r", "-o", "json", f"{one.path}/tree", f"{other.path}/copy").json
    assert (found["files"], found["count"]) == (2, 10)
    assert (other.directory / "copy/link").readlink() == Path("below/program")
    # Within one, by what is there; or with checksums through here.
    found = qga_command("cp", "-r", "-o", "json", f"{one.path}/tree", f"{one.path}/copy").json
    assert (found["files"], found["count"]) == (None, None)
    assert (one.directory / "copy/below/program").stat().st_mode & 0o7777 == 0o751
    words = [f"{one.path}/large", f"{one.path}/copy/large"]
    assert qga_command("cp", "-o", "json", *words).json["verified"] is False
    assert qga_command("cp", "-o", "json", "--verify", *words).json["verified"] is True
    assert (one.directory / "copy/large").read_bytes() == content


def test_agents_that_run_nothing(
    qga_command: Run, agent: RunningAgent, here: Path, tmp_path: Path
) -> None:
    guest = f"{agent.target}:{agent.directory}"
    assert qga_command("cp", "file", f"{guest}/new").code == 0
    assert qga_command("cp", "file", "file", f"{guest}/").code == 0
    assert qga_command("cp", f"{guest}/new", f"{guest}/copy").code == 0
    assert (agent.directory / "copy").read_bytes() == b"content\n"
    assert "what may be there" in qga_command("cp", "--dry-run", "file", f"{guest}/new").text
    for words in (["-r", "tree", f"{guest}/t"], ["--verify", "file", f"{guest}/x"]):
        done = qga_command("cp", *words)
        assert done.code == 1
        assert "must allow guest-exec" in done.err


def test_many_guests(
    qga_command: Run, pair: tuple[Guest, Guest], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    names = here / "names.toml"
    monkeypatch.setenv("QGA_TARGETS", str(names))
    shared = Path("/tmp") / f"qga-test-{os.getpid()}"  # both agents are on this machine
    names.write_text(
        f'[targets]\nweb1 = "{one.agent.target}"\nweb2 = "{other.agent.target}"\n'
        f'db = "unix:{here}/none"\n'
    )
    try:
        done = qga_command("cp", "-l", "web*", "file", f":{shared}")
        assert (done.code, "Copy" in done.err, shared.exists()) == (2, False, False)
        assert "copy to 2 guests (web1, web2)? --yes says that this is meant" in done.err
        done = qga_command("cp", "-l", "web*", "--yes", "file", f":{shared}")
        assert done.code == 0
        assert sorted(line.partition(" in ")[0] for line in done.text.splitlines()) == [
            "web1: 8 B",
            "web2: 8 B",
        ]
        assert done.err == "qga: 2 guests: 2 done\n"
        assert shared.read_bytes() == b"content\n"
        done = qga_command("cp", "--all", "-y", "-o", "jsonl", "file", f":{shared}", lines=2)
        assert done.code == 1
        found = [json.loads(line) for line in done.text.splitlines()]
        assert {record["guest"]: record["ok"] for record in found} == {
            "web1": True, "web2": True, "db": False,
        }  # fmt: skip
        done = qga_command("cp", "--dry-run", "-l", "web1", "file", f":{shared}")
        assert done.text.startswith(f"web1: file -> web1:{shared}: replaces 8 B of ")
    finally:
        shared.unlink(missing_ok=True)


# On a terminal.


class Terminal:
    """`qga cp` with its output on a terminal."""

    def __init__(self, *words: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "120"} | environment,
        )
        os.close(theirs)
        self.shown = b""

    def read_until(self, part: bytes) -> None:
        while part not in self.shown and self._more():
            pass
        assert part in self.shown

    def finish(self) -> int:
        while self._more():
            pass
        os.close(self._ours)
        return self.process.wait(60)

    def _more(self) -> bool:
        try:
            data = os.read(self._ours, 4096)
        except OSError:  # how a terminal tells that its other side is gone
            return False
        self.shown += data
        return bool(data)


def test_the_bar_is_over_all_that_is_copied(guest: Guest, here: Path) -> None:
    for name, size in (("a", 3), ("b", 1)):
        (here / f"tree/{name}").write_bytes(bytes(size * MIB))
    (here / "c").write_bytes(bytes(MIB))
    for words, last in (
        (["-r", "--no-verify", "tree", "c", guest.path], b"c"),
        ([f"{guest.path}/c", "back"], b"c"),
        (["-r", f"{guest.path}/tree", f"{guest.path}/c", "."], b"c"),
    ):
        terminal = Terminal(*words)
        assert terminal.finish() == 0, terminal.shown
        total = b"1.0/1.0 MiB" if len(words) == 2 else b"5.0/5.0 MiB"
        assert total in terminal.shown
        assert b"100%" in terminal.shown
        assert b" MiB in " in terminal.shown
        assert last in terminal.shown
    silent = subprocess.run([*PROGRAM, "c", guest.path], capture_output=True, check=True)
    assert (silent.stdout, silent.stderr) == (b"", b"")


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("way", ["up", "down", "resume", "tree", "term"])
def test_an_interrupt_leaves_what_was_there(guest: Guest, here: Path, way: str) -> None:
    size = 200 * MIB
    source = guest.directory / "large" if way == "down" else here / "large"
    if way == "tree":
        source = here / "tree/large"
    with source.open("wb") as file:
        block = os.urandom(MIB)
        for _ in range(size // MIB):
            file.write(block)
    old = (here if way == "down" else guest.directory) / "copy"
    if way != "tree":
        old.write_bytes(b"old")
    words = {
        "up": ["large", f"{guest.path}/copy"],
        "term": ["large", f"{guest.path}/copy"],
        "resume": ["--resume", "large", f"{guest.path}/copy"],
        "down": [f"{guest.path}/large", "copy"],
        "tree": ["-r", "tree", f"{guest.path}/copy"],
    }[way]

    def partial() -> list[Path]:
        return [path for path in old.parent.glob(".qga-*") if way == "tree" or path.stat().st_size]

    terminal = Terminal(*words)
    wait_until(lambda: bool(partial()))
    guest.agent.process.send_signal(signal.SIGSTOP)  # so that it is not done before
    try:
        number = signal.SIGTERM if way == "term" else signal.SIGINT
        terminal.process.send_signal(number)
    finally:
        guest.agent.process.send_signal(signal.SIGCONT)
    assert terminal.finish() == 128 + number
    assert (b"qga: interrupted\r\n" in terminal.shown) == (way != "term")
    assert b"Traceback" not in terminal.shown
    if way == "tree":
        wait_until(lambda: guest.inside() == [])
        return
    assert old.read_bytes() == b"old"
    if way != "resume":
        wait_until(lambda: not partial())
        return
    assert partial()
    done = subprocess.run([*PROGRAM, "-o", "json", *words], capture_output=True, check=True)
    assert json.loads(done.stdout)["count"] == size
    assert old.read_bytes() == source.read_bytes()
    assert not partial()


def test_an_interrupt_of_copies_to_many_guests(pair: tuple[Guest, Guest], here: Path) -> None:
    one, other = pair
    names = here / "names.toml"
    names.write_text(f'[targets]\nweb1 = "{one.agent.target}"\nweb2 = "{other.agent.target}"\n')
    with (here / "large").open("wb") as file:
        block = os.urandom(MIB)
        for _ in range(200):
            file.write(block)
    shared = here / "shared"  # both agents are on this machine
    shared.mkdir()
    (shared / "large").write_bytes(b"old")

    def partial() -> list[Path]:
        return [path for path in shared.glob(".qga-*") if path.stat().st_size]

    terminal = Terminal("-l", "web*", "--yes", "large", f":{shared}", QGA_TARGETS=str(names))
    wait_until(lambda: bool(partial()))
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert b"Traceback" not in terminal.shown
    assert b"qga: interrupted; 2 guests: 0 done" in terminal.shown
    wait_until(lambda: not list(shared.glob(".qga-*")))
    assert (shared / "large").read_bytes() == b"old"
