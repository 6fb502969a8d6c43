"""The checksum that is made in the guest while a file is read from there; with both agents."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qga
from qga import TransferProgress
from qga.client.flows import asking, checking
from qga.client.flows.steps import Flow, Leave, Wait
from qga.protocol import Exec, ExecGetStatus, FileRead
from qga.protocol.exec import ExecStarted, ExecStatus

from .driven import Driven

MIB = 1 << 20
SIZE = 6 * MIB


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Files of a mebibyte are large; what is noted are the checksums made after the reading."""
    monkeypatch.setattr(checking, "LARGE", MIB)
    made: list[Any] = []
    run = asking.run

    def noting(text: str, *arguments: Any) -> Flow[Any]:
        if text == checking.SUM_OF:
            made.append(arguments)
        return run(text, *arguments)

    monkeypatch.setattr(checking, "run", noting)
    return made


def once(change: Callable[[], None]) -> Callable[[TransferProgress], None]:
    """Do *change* when a part of the file has arrived."""
    pending = [change]

    def look(moment: TransferProgress) -> None:
        if pending and moment.done >= SIZE // 2:
            pending.pop()()

    return look


def test_nothing_is_left_to_do_after_the_reading(
    client: qga.Client, guest: Path, tmp_path: Path, later: list[Any]
) -> None:
    data = os.urandom(SIZE)
    (guest / "file").write_bytes(data)
    (guest / "link").symlink_to("file")
    for name in ("file", "link"):
        done = client.files.download(guest / name, tmp_path / "back", verify=True)
        assert (done.size, done.verified, later) == (SIZE, True, [])
        assert (tmp_path / "back").read_bytes() == data
    assert not client.files.download(guest / "file", tmp_path / "back", verify=False).verified
    (tmp_path / "back").unlink()
    with pytest.raises(KeyboardInterrupt):
        client.files.download(guest / "file", tmp_path / "back", progress=once(interrupt))
    assert list(tmp_path.iterdir()) == []
    assert client.files.download(guest / "file", tmp_path / "back").verified
    assert later == []


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_file_that_changes_while_it_is_read(
    client: qga.Client, guest: Path, tmp_path: Path, later: list[Any]
) -> None:
    data = os.urandom(SIZE)
    path, back = guest / "file", tmp_path / "back"
    path.write_bytes(data)

    def overwrite() -> None:
        with path.open("r+b") as file:
            file.write(bytes(10))

    with pytest.raises(qga.QgaError, match="what arrived is not what is there now"):
        client.files.download(path, back, progress=once(overwrite))
    assert (len(later), back.exists()) == (1, False)
    path.write_bytes(data)

    def replace() -> None:
        (guest / "new").write_bytes(data)
        (guest / "new").rename(path)

    assert client.files.download(path, back, progress=once(replace)).verified
    assert (len(later), back.read_bytes()) == (2, data)

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    done = client.files.download(path, back, progress=once(grow))
    assert (done.verified, len(later)) == (True, 3)
    assert back.read_bytes() == (data + b"more")[: done.size]

    def remove() -> None:
        path.unlink()

    with pytest.raises(qga.GuestOSError):
        client.files.download(path, back, progress=once(remove))


STAMP = b"7 2026-01-02 03:04:05.000600000 +0000"
DIGEST = b"ab" * 32


def reading() -> Flow[int]:
    yield FileRead(handle=1)
    return checking.LARGE


def begun(stamp: bytes = STAMP, size: int = checking.LARGE) -> Driven:
    before = checking.Look(0o100644, size, size, 0, stamp)
    return Driven(checking.alongside(b"/file", before, reading()))


def test_what_is_started_is_not_forgotten_by_the_client() -> None:
    flow = begun()
    assert isinstance(flow.begin(), Exec)
    assert isinstance(flow.send(ExecStarted(pid=5)), FileRead)
    left = flow.throw(qga.AgentTimeout("late"))
    assert isinstance(left, Leave)
    assert left.command == ExecGetStatus(pid=5)
    with pytest.raises(qga.AgentTimeout):
        flow.send(None)


@pytest.mark.parametrize("error", [qga.CommandDisabled("no"), qga.CommandError("fork failed")])
def test_a_guest_that_runs_nothing(error: qga.CommandError) -> None:
    flow = begun()
    flow.begin()
    assert isinstance(flow.throw(error), FileRead)
    with pytest.raises(StopIteration) as done:
        flow.send(None)
    assert done.value.value == (checking.LARGE, "")


@pytest.mark.parametrize("flow", [begun(b""), begun(size=checking.LARGE - 1)])
def test_when_nothing_is_started(flow: Driven) -> None:
    """A guest whose programs know whole seconds; a short file."""
    assert isinstance(flow.begin(), FileRead)


@pytest.mark.parametrize(
    ("code", "stamp", "known"),
    [(0, STAMP, DIGEST.decode()), (0, STAMP.replace(b"7", b"8"), ""), (69, STAMP, "")],
)
def test_what_is_made_of_it(code: int, stamp: bytes, known: str) -> None:
    flow = begun()
    flow.begin()
    flow.send(ExecStarted(pid=5))
    assert flow.send(None) == ExecGetStatus(pid=5)
    assert isinstance(flow.send(ExecStatus(exited=False)), Wait)
    assert flow.send(None) == ExecGetStatus(pid=5)
    flow.send(ExecStatus(exited=True, exitcode=code, out_data=DIGEST + b"  -\n"))
    flow.send(ExecStarted(pid=6))
    look = ExecStatus(exited=True, exitcode=0, out_data=b"81a4 5 8 512 0 " + stamp + b"\n")
    with pytest.raises(StopIteration) as done:
        flow.send(look)
    assert done.value.value == (checking.LARGE, known)
