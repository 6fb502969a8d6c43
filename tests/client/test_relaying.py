"""Files and trees from one guest to another, with two agents of ours or (interop) QEMU's."""

import asyncio
import functools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import qga
from qga import TransferProgress
from qga.client.archive import END, Member, header
from qga.client.flows import process, treerelay
from tests.support.need import need_root
from tests.support.stock import BLOCKED, BLOCKED_BUT_EXEC, RunningAgent, either
from tests.support.trees import listing, names, plant

MIB = 1 << 20
SIZE = 10 * MIB + 1


class Pair:
    """Two guests; the second one's directory is where things come to."""

    def __init__(self, one: RunningAgent, other: RunningAgent) -> None:
        self.agents = one, other
        self.one, self.other = qga.connect(one.target), qga.connect(other.target)
        self.there, self.here = one.directory / "there", other.directory / "here"
        self.there.mkdir()
        self.here.mkdir()

    def inside(self) -> list[str]:
        return sorted(path.name for path in self.here.iterdir())


@pytest.fixture(params=["ours", pytest.param("stock", marks=pytest.mark.interop)])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with (
        either(request.param, BLOCKED_BUT_EXEC) as one,
        either(request.param, BLOCKED_BUT_EXEC) as other,
    ):
        found = Pair(one, other)
        with found.one, found.other:
            yield found


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def plant_sparse(path: Path) -> None:
    """A file with a hole in the middle and one at its end."""
    with path.open("wb") as file:
        file.write(os.urandom(5 * MIB + 17))
        file.seek(8 * MIB)
        file.write(os.urandom(MIB))
        file.truncate(SIZE)


def test_files(pair: Pair) -> None:
    source = pair.there / "sparse"
    plant_sparse(source)
    source.chmod(0o640)
    os.utime(source, (1, 1_000_000_000))
    seen: list[TransferProgress] = []
    files = pair.other.files
    done = files.copy_from(
        pair.one, source, pair.here / "copy", preserve=True, verify=True, progress=seen.append
    )
    assert (done.size, done.verified) == (SIZE, True)
    assert done.moved < 8 * MIB
    assert (seen[-1].done, seen[-1].total, seen[-1].files) == (SIZE, SIZE, 1)
    copy = pair.here / "copy"
    assert copy.read_bytes() == source.read_bytes()
    assert (copy.stat().st_mode & 0o7777, copy.stat().st_mtime) == (0o640, 1_000_000_000)
    done = files.copy_from(pair.one, source, copy, mode=0o600, sparse=False, verify=False)
    assert (done.verified, done.moved) == (False, SIZE)
    assert copy.read_bytes() == source.read_bytes()
    # What has no size before it is read, and what has none at all.
    files.copy_from(pair.one, "/proc/version", copy)
    assert copy.read_bytes() == Path("/proc/version").read_bytes()
    (pair.there / "empty").touch()
    assert files.copy_from(pair.one, pair.there / "empty", copy).size == 0
    assert copy.read_bytes() == b""
    assert pair.inside() == ["copy"]
    # Nothing is left open.
    for client, agent in ((pair.one, pair.agents[0]), (pair.other, pair.agents[1])):
        client.ping()
        descriptors = Path(f"/proc/{agent.process.pid}/fd")
        open_files = [str(path.readlink()) for path in descriptors.iterdir() if path.is_symlink()]
        assert not [name for name in open_files if "there/" in name or "here/" in name]


def test_refusals(pair: Pair) -> None:
    (pair.there / "file").write_bytes(b"data")
    os.mkfifo(pair.there / "pipe")
    files = pair.other.files
    for source, path in (
        (pair.there / "absent", pair.here / "copy"),
        (pair.there, pair.here / "copy"),
        (pair.there / "pipe", pair.here / "copy"),
        (pair.there / "file", pair.here),
        (pair.there / "file", pair.here / "absent/copy"),
    ):
        with pytest.raises(qga.GuestOSError):
            files.copy_from(pair.one, source, path)
    assert pair.inside() == []
    pair.one.ping()
    pair.other.ping()


@pytest.mark.parametrize("change", ["damage", "shorten"])
def test_a_source_that_changes_meanwhile(pair: Pair, change: str) -> None:
    source = pair.there / "file"
    source.write_bytes(os.urandom(SIZE))
    (pair.here / "copy").write_bytes(b"old")
    pending = [change]

    def look(moment: TransferProgress) -> None:
        if pending and moment.done >= MIB:
            with source.open("r+b") as file:
                if pending.pop() == "damage":
                    file.write(bytes(10))
                else:
                    file.truncate(MIB)

    with pytest.raises(qga.QgaError, match=r"not what is there now|become shorter"):
        pair.other.files.copy_from(pair.one, source, pair.here / "copy", progress=look)
    assert pair.inside() == ["copy"]
    assert (pair.here / "copy").read_bytes() == b"old"


def test_an_interrupt_and_going_on(pair: Pair) -> None:
    source = pair.there / "file"
    source.write_bytes(os.urandom(SIZE))

    def interrupt(moment: TransferProgress) -> None:
        if moment.done >= 3 * MIB:
            raise KeyboardInterrupt

    files = pair.other.files
    with pytest.raises(KeyboardInterrupt):
        files.copy_from(pair.one, source, pair.here / "copy", progress=interrupt)
    pair.other.ping()
    wait_until(lambda: pair.inside() == [])
    with pytest.raises(KeyboardInterrupt):
        files.copy_from(pair.one, source, pair.here / "copy", progress=interrupt, resume=True)
    done = files.copy_from(pair.one, source, pair.here / "copy", resume=True)
    assert done.verified
    assert done.moved < SIZE
    assert (pair.here / "copy").read_bytes() == source.read_bytes()


def test_without_programs(tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(os.urandom(3 * MIB))
    with either("ours", BLOCKED) as agent, qga.connect(agent.target) as client:
        done = client.files.copy_from(client, source, tmp_path / "copy", atomic=False)
        assert (done.size, done.verified) == (3 * MIB, False)
        assert (tmp_path / "copy").read_bytes() == source.read_bytes()
        copy = functools.partial(client.files.copy_from, client, source, tmp_path / "copy")
        with pytest.raises(qga.CommandDisabled):
            copy(atomic=False, verify=True)
        with pytest.raises(qga.CommandDisabled):
            copy(atomic=False, preserve=True)


def test_trees(pair: Pair) -> None:
    need_root("to keep owners")
    plant(pair.there / "tree")
    plant_sparse(pair.there / "tree/large")
    expected = listing(pair.there / "tree")
    files = pair.other.files
    seen: list[TransferProgress] = []
    done = files.copy_tree_from(
        pair.one, pair.there / "tree", pair.here / "tree", special=True, progress=seen.append
    )
    assert listing(pair.here / "tree") == expected
    assert (done.files, done.skipped) == (49, 0)
    assert (seen[-1].done, seen[-1].files) == (done.size, done.files)
    assert (pair.here / "tree/large").stat().st_blocks * 512 < SIZE
    # Once more, over what is there; and a part of it, without what is special.
    (pair.here / "tree/more").write_bytes(b"")
    assert files.copy_tree_from(pair.one, pair.there / "tree", pair.here / "tree").files > 40
    assert (pair.here / "tree/more").exists()
    done = files.copy_tree_from(
        *(pair.one, pair.there / "tree", pair.here / "some"),
        exclude=["d*", "fifo"],
        owner=7,
        group=8,
        verify=True,
    )
    assert done.verified
    assert b"d1" not in names(listing(pair.here / "some"))
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in pair.here.glob("some/*")}
    assert owners == {(7, 8)}
    assert pair.inside() == ["some", "tree"]
    with pytest.raises(qga.GuestOSError):
        files.copy_tree_from(pair.one, pair.there / "absent", pair.here / "none")
    with pytest.raises(qga.GuestOSError):
        files.copy_tree_from(pair.one, pair.there / "tree", pair.here / "absent/none")
    assert pair.inside() == ["some", "tree"]


def test_an_interrupt_leaves_nothing_of_a_tree(pair: Pair) -> None:
    (pair.there / "tree").mkdir()
    for number in range(8):
        (pair.there / f"tree/{number}").write_bytes(os.urandom(700_000))

    def interrupt(moment: TransferProgress) -> None:
        if moment.done >= 2_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pair.other.files.copy_tree_from(
            pair.one, pair.there / "tree", pair.here / "tree", progress=interrupt
        )
    pair.one.ping()
    pair.other.ping()
    wait_until(lambda: pair.inside() == [])
    done = pair.other.files.copy_tree_from(pair.one, pair.there / "tree", pair.here / "tree")
    assert done.files == 8


def member(name: bytes, kind: bytes = b"0", target: bytes = b"") -> bytes:
    return header(Member(name, kind[0], 0o755, 0, 0, 0, 0.0, target=target))


@pytest.mark.parametrize(
    "archive",
    [
        member(b"../out"),
        member(b"/out"),
        member(b"link", b"2", b"/tmp") + member(b"link/out"),
        member(b"link", b"2", b"/tmp") + member(b"hard", b"1", b"link/x"),
        member(b"hard", b"1", b"../x"),
        member(b"odd", b"9"),
        member(b"cut")[:100],
    ],
    ids=["above", "absolute", "through a symlink", "hard to a symlink", "hard above", "odd", "cut"],
)
def test_what_leads_out_of_the_directory(
    pair: Pair, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pair.there / "archive").write_bytes(archive + END)

    def packing(source: bytes, exclude: object) -> object:
        return process.start(["cat", f"{os.fsdecode(source)}/archive"])

    monkeypatch.setattr(treerelay, "packing", packing)
    with pytest.raises(qga.ProtocolError):
        pair.other.files.copy_tree_from(pair.one, pair.there, pair.here / "tree")
    pair.other.ping()
    wait_until(lambda: pair.inside() == [])


def test_asynchronously(pair: Pair) -> None:
    plant_sparse(pair.there / "sparse")
    (pair.there / "tree").mkdir()
    (pair.there / "tree/file").write_bytes(b"data")

    async def work() -> None:
        async with (
            await qga.aconnect(pair.agents[0].target) as one,
            await qga.aconnect(pair.agents[1].target) as other,
        ):
            copying = other.files.copy_from(one, pair.there / "sparse", pair.here / "copy")
            assert (await copying).verified
            trees = other.files.copy_tree_from(one, pair.there / "tree", pair.here / "tree")
            assert (await trees).files == 1
            with pytest.raises(TypeError, match="both"):
                await other.files.copy_from(pair.one, "/etc/passwd", pair.here / "no")
            # A task that is cancelled leaves nothing behind.
            reached = asyncio.Event()

            def progress(moment: TransferProgress) -> None:
                if moment.done >= MIB:
                    reached.set()

            task = asyncio.create_task(
                other.files.copy_from(
                    one, pair.there / "sparse", pair.here / "three", progress=progress
                )
            )
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await one.ping()
            await other.ping()

    async def connected() -> None:
        async with await qga.aconnect(pair.agents[0].target) as one:
            with pytest.raises(TypeError, match="both"):
                pair.other.files.copy_from(one, "/etc/passwd", pair.here / "no")

    # The servers of qemu-ga serve one client at a time.
    pair.one.close()
    pair.other.close()
    asyncio.run(work())
    wait_until(lambda: pair.inside() == ["copy", "tree"])
    assert (pair.here / "copy").read_bytes() == (pair.there / "sparse").read_bytes()
    with qga.connect(pair.agents[1].target) as pair.other:
        asyncio.run(connected())
