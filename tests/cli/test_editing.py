"""`qga edit`, with editors that are scripts."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.stock import RunningAgent

from .command import Run

Editor = Callable[[str], None]


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """Makes a script of a text the user's editor; `$1` is what it edits."""
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "copies"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "copies").mkdir()
    program = tmp_path / "my editor"

    def make(text: str) -> None:
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        monkeypatch.setenv("EDITOR", f"'{program}'")

    return make


def copies(tmp_path: Path) -> list[Path]:
    """What is left of copies here."""
    return [path for path in (tmp_path / "copies").rglob("*") if path.is_file()]


def test_a_file_is_changed(
    qga_command: Run, exec_agent: RunningAgent, editor: Editor, tmp_path: Path
) -> None:
    directory = exec_agent.directory
    path = directory / os.fsdecode(b"app.conf\xff")
    path.write_bytes(b"one\n\xff")
    path.chmod(0o640)
    (directory / "link").symlink_to(path.name)
    editor('echo two >>"$1"; touch "$1~"; stat -c %a "$1" >"$0.mode"; echo "$1" >"$0.name"')
    done = qga_command("edit", f"{exec_agent.target}:{directory}/link", "-o", "json")
    assert done.json == {
        "path": f"{directory}/link", "changed": True, "created": False, "count": 9,
    }  # fmt: skip
    assert path.read_bytes() == b"one\n\xfftwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (directory / "link").is_symlink()
    assert (tmp_path / "my editor.mode").read_text() == "600\n"
    assert (tmp_path / "my editor.name").read_text().endswith("/link\n")
    assert list((tmp_path / "copies").iterdir()) == []


def test_nothing_is_written_if_nothing_was_changed(
    qga_command: Run, exec_agent: RunningAgent, editor: Editor, tmp_path: Path
) -> None:
    path = exec_agent.directory / "file"
    path.write_text("one\n")
    before = path.stat()
    for text in (":", 'touch "$1"', 'rm "$1"'):
        editor(text)
        done = qga_command("edit", f"{exec_agent.target}:{path}")
        assert (done.code, done.err) == (0, f"qga: {path} is not changed\n")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    editor('echo new >"$1"; exit 3')
    done = qga_command("edit", f"{exec_agent.target}:{path}")
    assert done.code == 4
    (copy,) = copies(tmp_path)
    assert done.err.endswith(
        f"my editor has ended with 3, so nothing was written; what you have edited is in {copy}\n"
    )
    assert (copy.read_text(), path.read_text()) == ("new\n", "one\n")


def test_what_was_changed_meanwhile_is_left_alone(
    qga_command: Run, exec_agent: RunningAgent, editor: Editor, tmp_path: Path
) -> None:
    path = exec_agent.directory / "file"
    path.write_text("one\n")
    editor(f'echo mine >>"$1"; echo other >>{path}')
    done = qga_command("edit", f"{exec_agent.target}:{path}")
    assert done.code == 1
    (copy,) = copies(tmp_path)
    assert done.err == (
        f"qga: {path} has been changed in the guest meanwhile, so it was left alone; "
        f"what you have edited is in {copy}\n"
    )
    assert (copy.read_text(), path.read_text()) == ("one\nmine\n", "one\nother\n")
    # One of the same content, as a touch or a restored copy leaves it, is no reason.
    editor(f'echo mine >>"$1"; cp {path} {path}.new; mv {path}.new {path}')
    assert qga_command("edit", f"{exec_agent.target}:{path}").code == 0
    assert path.read_text() == "one\nother\nmine\n"
    editor(f'echo mine >>"$1"; rm {path}')
    assert qga_command("edit", f"{exec_agent.target}:{path}").code == 1
    assert not path.exists()


def test_a_new_file(
    qga_command: Run, exec_agent: RunningAgent, editor: Editor, tmp_path: Path
) -> None:
    path = exec_agent.directory / "new"
    editor(":")
    assert qga_command("edit", f"{exec_agent.target}:{path}").code == 0
    assert not path.exists()
    editor('echo data >"$1"')
    done = qga_command("edit", f"{exec_agent.target}:{path}", "-o", "json")
    assert done.json["created"] is True
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("data\n", 0o644)
    editor("exit 9")
    for name, why in (("none/x", "No such directory"), (".", "it is a directory")):
        done = qga_command("edit", f"{exec_agent.target}:{exec_agent.directory}/{name}")
        assert (done.code, why in done.err) == (1, True)
    assert copies(tmp_path) == []


def test_where_no_program_may_be_run(
    qga_command: Run, agent: RunningAgent, editor: Editor, tmp_path: Path
) -> None:
    path = agent.directory / "file"
    path.write_text("one\n")
    path.chmod(0o600)
    inode = path.stat().st_ino
    editor('echo two >>"$1"')
    done = qga_command("edit", f"{agent.target}:{path}")
    assert (done.code, path.read_text()) == (0, "one\ntwo\n")
    assert "was written in place" in done.err
    assert (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) == (inode, 0o600)
    editor(f'echo mine >>"$1"; echo other >>{path}')
    assert qga_command("edit", f"{agent.target}:{path}").code == 1
    assert path.read_text() == "one\ntwo\nother\n"


def test_the_editor_and_the_agent_that_are_not_there(
    qga_command: Run, exec_agent: RunningAgent, editor: Editor, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = exec_agent.directory / "file"
    path.write_text("one\n")
    monkeypatch.setenv("VISUAL", "no-such-editor")
    done = qga_command("edit", f"{exec_agent.target}:{path}")
    assert done.code == 4
    assert done.err == (
        "qga: no-such-editor: No such file or directory; "
        "set VISUAL or EDITOR to the editor that you use\n"
    )
    monkeypatch.delenv("VISUAL")
    editor(f'echo mine >>"$1"; mv {exec_agent.socket} {exec_agent.socket}.away')
    done = qga_command("edit", f"{exec_agent.target}:{path}")
    (exec_agent.socket.parent / f"{exec_agent.socket.name}.away").rename(exec_agent.socket)
    assert done.code == 3
    (copy,) = copies(tmp_path)
    assert re.search(f"what you have edited is in {copy}", done.err)
    assert copy.read_text() == "one\nmine\n"
