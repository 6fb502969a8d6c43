"""Opening and closing files: modes, permissions, handles."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from tests.agent.conftest import AgentFactory
from tests.agent.filecalls import opened, read, seek, write
from tests.agent.harness import RunningAgent, answer, call, refusal, request

READING = ("r", "rb", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b")
WRITING = ("w", "wb", "a", "ab", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b")
MODES = sorted({*READING, *WRITING})
BAD_FD = "Bad file descriptor"


# Opening.


def test_there_are_fifteen_modes() -> None:
    assert len(MODES) == 15


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_does_what_fopen_does(agent: Agent, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old text")
    handle = opened(agent, path, mode)
    kept = b"" if mode.startswith("w") else b"old text"
    assert path.read_bytes() == kept
    if mode in READING:
        assert seek(agent, handle, 0) == 0
        assert read(agent, handle) == (kept, True)
    else:
        assert refusal(agent, "guest-file-read", handle=handle) == f"failed to read file: {BAD_FD}"
    if mode in WRITING:
        seek(agent, handle, 0)
        assert write(agent, handle, b"NEW") == 3
        expected = kept + b"NEW" if mode.startswith("a") else b"NEW" + kept[3:]
        assert path.read_bytes() == expected
    else:
        desc = refusal(agent, "guest-file-write", handle=handle, buf_b64="QUJD")
        assert desc == f"failed to write to file: {BAD_FD}"
    assert call(agent, "guest-file-close", handle=handle) == {}


@pytest.mark.parametrize("mode", [mode for mode in MODES if not mode.startswith("r")])
def test_a_new_file_may_be_read_and_written_by_all_whatever_the_umask(
    agent: Agent, tmp_path: Path, mode: str
) -> None:
    before = os.umask(0o077)
    try:
        opened(agent, tmp_path / "new", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666


def test_the_permissions_of_an_old_file_stay(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "old").touch(0o600)
    (tmp_path / "old").chmod(0o640)
    opened(agent, tmp_path / "old", "w")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", ["", "x", "rt", "rw", "+r", "r++", "rbb", "bw", "R", "w\u0000"])
def test_other_modes_are_refused(agent: Agent, tmp_path: Path, mode: str) -> None:
    desc = refusal(agent, "guest-file-open", path=str(tmp_path / "file"), mode=mode)
    assert desc == f"invalid file open mode '{mode}'"
    assert not (tmp_path / "file").exists()


def test_the_default_mode_reads(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    handle = call(agent, "guest-file-open", path=str(tmp_path / "file"))
    assert read(agent, handle) == (b"text", True)
    assert BAD_FD in refusal(agent, "guest-file-write", handle=handle, buf_b64="YQ==")


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("absent", "r", "No such file or directory"),
        ("absent", "r+", "No such file or directory"),
        ("absent/deeper", "w", "No such file or directory"),
        ("dangling", "r", "No such file or directory"),
        ("dangling", "w", "No such file or directory"),
        ("folder", "w", "Is a directory"),
        ("folder", "a+", "Is a directory"),
        ("fifo", "w", "No such device or address"),
        ("nul\u0000", "w", "Invalid argument"),
        ("nul\u0000", "r", "Invalid argument"),
    ],
)
def test_what_cannot_be_opened(
    agent: Agent, tmp_path: Path, name: str, mode: str, reason: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    path = f"{tmp_path}/{name}"
    desc = refusal(agent, "guest-file-open", path=path, mode=mode)
    assert desc == f"failed to open file '{path}' (mode: '{mode}'): {reason}"
    assert not (tmp_path / "nowhere").exists()
    assert agent.files == {}


def test_a_folder_opens_and_cannot_be_read(agent: Agent, tmp_path: Path) -> None:
    handle = opened(agent, tmp_path)
    assert refusal(agent, "guest-file-read", handle=handle) == "failed to read file: Is a directory"


def test_a_name_that_is_not_ascii(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "gr\u00fc\u00df \u4f60 \U0001f600"
    assert write(agent, opened(agent, path, "w"), b"x") == 1
    assert path.read_bytes() == b"x"


# Handles.


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("guest-file-close", {}),
        ("guest-file-read", {}),
        ("guest-file-write", {"buf_b64": ""}),
        ("guest-file-seek", {"offset": 0, "whence": 0}),
        ("guest-file-flush", {}),
    ],
)
def test_an_unknown_handle(agent: Agent, tmp_path: Path, name: str, more: dict[str, Any]) -> None:
    handle = opened(agent, tmp_path)
    call(agent, "guest-file-close", handle=handle)
    for number in (0, -1, 1, 1001, handle, 2**63 - 1):
        desc = refusal(agent, name, handle=number, **more)
        assert desc == f"handle '{number}' has not been found"


def test_closing_releases_the_descriptor(agent: Agent, tmp_path: Path) -> None:
    handle = opened(agent, tmp_path)
    fd = agent.files[handle].fd
    call(agent, "guest-file-close", handle=handle)
    with pytest.raises(OSError, match=BAD_FD):
        os.fstat(fd)


def test_files_stay_open_when_their_client_leaves(running: RunningAgent) -> None:
    (running.folder / "file").write_bytes(b"abcdef")
    handle = running.call("guest-file-open", path=str(running.folder / "file"))
    assert running.call("guest-file-read", handle=handle, count=2)["buf-b64"] == "YWI="
    assert running.call("guest-file-read", handle=handle, count=2)["buf-b64"] == "Y2Q="


def test_an_agent_that_ends_closes_its_files(make: AgentFactory, tmp_path: Path) -> None:
    agent = make()
    fds = [agent.files[opened(agent, tmp_path)].fd for _ in range(3)]
    make.made.remove(agent)
    agent.close()
    for fd in fds:
        with pytest.raises(OSError, match=BAD_FD):
            os.fstat(fd)


def test_answers_echo_the_id(agent: Agent, tmp_path: Path) -> None:
    reply = answer(agent, request("guest-file-open", {"path": str(tmp_path)}, id=[1]))
    assert reply == {"return": 1000, "id": [1]}
