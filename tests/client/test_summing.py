"""The checksum made in the guest while a file is written there, and pieces that are sent ahead."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qga
from qga import TransferProgress
from qga.client.flows import summing
from qga.client.flows.moving import Meter, Tally, send
from qga.client.flows.placing import Place
from qga.client.flows.sources import Data
from qga.client.flows.steps import CHUNK, Flow, Leave, Series
from qga.protocol import Exec, ExecGetStatus, FileSeek, FileWrite
from qga.protocol.exec import ExecStarted, ExecStatus
from qga.protocol.files import FileWritten
from tests.support.sparse import MIB, SIZE, make_sparse

from .driven import Driven


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a mebibyte are large."""
    monkeypatch.setattr(summing, "LARGE", MIB)


class Finishing:
    """What `Place.finish` is called with; it may be held up by *before*."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stamps: list[bytes] = []
        self.before: Callable[[], object] = lambda: None
        finish = Place.finish

        def noting(place: Place, *words: Any, stamp: bytes, **named: Any) -> Flow[bool]:
            self.stamps.append(stamp)
            self.before()
            return finish(place, *words, stamp=stamp, **named)

        monkeypatch.setattr(Place, "finish", noting)


@pytest.fixture
def finishing(monkeypatch: pytest.MonkeyPatch) -> Finishing:
    return Finishing(monkeypatch)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with a hole in the middle and one at its end."""
    return make_sparse(tmp_path / "source", 5 * MIB + 17)


def followers(guest: Path) -> list[bytes]:
    """The programs that follow a file of this test."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(guest) in command and b"hashlib" in command:
            found.append(command)
    return found


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("options", [{}, {"sparse": False}, {"resume": True}])
def test_nothing_is_left_to_do_after_the_writing(
    client: qga.Client, guest: Path, source: Path, finishing: Finishing, options: dict[str, Any]
) -> None:
    done = client.files.upload(source, guest / "file", **options)
    assert done.verified
    assert (guest / "file").read_bytes() == source.read_bytes()
    assert len(finishing.stamps) == 1
    assert finishing.stamps[0].split()[0].isdigit()
    assert not followers(guest)


def test_what_is_changed_afterwards_is_looked_at_again(
    client: qga.Client, guest: Path, source: Path, finishing: Finishing
) -> None:
    def partial() -> Path:
        (found,) = guest.glob(".qga-*.partial")
        return found

    def damage() -> None:
        with partial().open("r+b") as file:
            file.write(b"other")

    finishing.before = damage
    with pytest.raises(qga.QgaError, match="what arrived is not what was sent"):
        client.files.upload(source, guest / "file")
    assert finishing.stamps[-1]
    assert not list(guest.iterdir())
    finishing.before = lambda: partial().chmod(0o640)
    assert client.files.upload(source, guest / "file").verified
    assert finishing.stamps[-1]


def test_a_file_that_is_written_in_its_place(
    client: qga.Client, guest: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    unchanged, prefix = Place.unchanged, Place.prefix

    def noting(place: Place, stamp: bytes) -> Flow[bool]:
        found.append((yield from unchanged(place, stamp)))
        return found[-1]

    monkeypatch.setattr(Place, "unchanged", noting)
    monkeypatch.setattr(Place, "prefix", None)  # no checksum afterwards
    (guest / "file").write_bytes(bytes(2 * SIZE))
    assert client.files.upload(source, guest / "file", atomic=False).verified
    assert (guest / "file").read_bytes() == source.read_bytes()
    assert found == [True]
    monkeypatch.setattr(Place, "prefix", prefix)
    monkeypatch.setattr(
        Place,
        "unchanged",
        lambda _, stamp: noting(Place(b"/x/y", beside=False, resume=False), stamp),
    )
    assert client.files.upload(source, guest / "file", atomic=False).verified
    assert found == [True, False]


def test_it_ends_with_the_writing(
    client: qga.Client, guest: Path, source: Path, finishing: Finishing
) -> None:
    begun: list[bytes] = []

    def interrupt(moment: TransferProgress) -> None:
        if moment.done >= 2 * MIB:
            wait_until(lambda: bool(followers(guest)))
            begun.append(b"")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.files.upload(source, guest / "file", progress=interrupt)
    client.ping()
    wait_until(lambda: not list(guest.iterdir()))
    wait_until(lambda: not followers(guest))
    assert (len(begun), finishing.stamps) == (1, [])
    # What one has left for another is read from its beginning.
    with pytest.raises(KeyboardInterrupt):
        client.files.upload(source, guest / "file", progress=interrupt, resume=True)
    done = client.files.upload(source, guest / "file", resume=True)
    assert (done.verified, done.moved < 5 * MIB) == (True, True)
    assert finishing.stamps[-1]
    assert (guest / "file").read_bytes() == source.read_bytes()


def test_programs_that_nobody_asks_for_any_more_are_not_remembered() -> None:
    follower = summing.Follower()
    flow = Driven(follower.begin(b"/file", 2 * MIB))
    assert isinstance(flow.begin(), Exec)
    with pytest.raises(StopIteration):
        flow.send(ExecStarted(pid=5))
    left = Driven(follower.leave()).begin()
    assert isinstance(left, Leave)
    assert left.command == ExecGetStatus(pid=5)
    with pytest.raises(StopIteration):
        Driven(follower.leave()).begin()


STAMP = b"7 2026-01-02 03:04:05.000600000 +0000"


@pytest.mark.parametrize(
    ("code", "out", "stamp"),
    [
        (0, b"abcd %b\n" % STAMP, STAMP),
        (0, b"abce %b\n" % STAMP, b""),
        (0, b"", b""),
        (127, b"", b""),
        (1, b"abcd 7 x\n", b""),
    ],
)
def test_what_it_says(code: int, out: bytes, stamp: bytes) -> None:
    follower = summing.Follower()
    flow = Driven(follower.begin(b"/file", 2 * MIB))
    flow.begin()
    with pytest.raises(StopIteration):
        flow.send(ExecStarted(pid=5))
    flow = Driven(follower.end("abcd"))
    assert flow.begin() == ExecGetStatus(pid=5)
    with pytest.raises(StopIteration) as done:
        flow.send(ExecStatus(exited=True, exitcode=code, out_data=out))
    assert done.value.value == stamp


def test_an_agent_that_runs_nothing_and_short_files() -> None:
    follower = summing.Follower()
    flow = Driven(follower.begin(b"/file", 2 * MIB))
    flow.begin()
    with pytest.raises(StopIteration):
        flow.throw(qga.CommandDisabled("no"))
    with pytest.raises(StopIteration):
        Driven(follower.begin(b"/file", MIB - 1)).begin()
    with pytest.raises(StopIteration) as done:
        Driven(follower.end("abcd")).begin()
    assert done.value.value == b""


# Pieces that are sent ahead.


def data_of(command: object) -> bytes:
    assert isinstance(command, FileWrite)
    return bytes(command.data)


def test_what_has_come_to_a_wrong_place_is_written_once_more() -> None:
    content = os.urandom(3 * CHUNK)
    tally = Tally(Meter(None))
    flow = Driven(send(5, Data(content), tally, ahead=2))
    series = flow.begin()
    assert isinstance(series, Series)
    assert series.ahead == 2
    commands = iter(series.commands)
    assert [data_of(next(commands)), data_of(next(commands))] == [
        content[:CHUNK],
        content[CHUNK : 2 * CHUNK],
    ]
    assert series.take(FileWritten(count=100, eof=False))
    assert series.take(FileWritten(count=CHUNK, eof=False))
    assert flow.send(None) == FileSeek(handle=5, offset=100, whence=0)
    rest = flow.send(None)
    assert isinstance(rest, FileWrite)
    assert rest.data == content[100:CHUNK]
    series = flow.send(FileWritten(count=CHUNK - 100, eof=False))
    assert isinstance(series, Series)
    assert b"".join(map(data_of, series.commands)) == content[CHUNK:]
    assert tally.meter.done == CHUNK


def test_where_one_cannot_go_back_there_is_no_need_to() -> None:
    """Of a pipe, the rest is written on; the next piece was made, and not sent."""
    content = os.urandom(2 * CHUNK)
    flow = Driven(send(5, Data(content), Tally(Meter(None))))
    series = flow.begin()
    assert isinstance(series, Series)
    assert series.ahead == 1
    commands = iter(series.commands)
    next(commands)
    next(commands)
    assert series.take(FileWritten(count=100, eof=False))
    rest = flow.send(None)
    assert isinstance(rest, FileWrite)
    assert rest.data == content[100:CHUNK]
