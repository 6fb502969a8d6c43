"""Directory trees by `client.files`, with ours and (marked interop) QEMU's own agent."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import qga
from qga import TransferProgress
from qga.client.aio import aconnect
from tests.support.need import need_root
from tests.support.stock import RunningAgent
from tests.support.trees import listing, names, plant

from .spools import Spools


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    plant(tmp_path / "tree")
    return tmp_path / "tree"


def inside(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


needs_root = pytest.mark.usefixtures("as_root")


@pytest.fixture
def as_root() -> None:
    need_root("to keep owners")


@needs_root
def test_there_and_back(
    client: qga.Client, guest: Path, tmp_path: Path, tree: Path, spools: Spools
) -> None:
    expected = listing(tree)
    seen: list[TransferProgress] = []
    up = client.files.upload_tree(tree, guest / "tree", progress=seen.append, verify=True)
    assert (up.files, up.skipped, up.verified) == (48, 0, True)
    assert listing(guest / "tree") == expected
    assert (seen[-1].done, seen[-1].total, seen[-1].files) == (up.size, up.size, up.files)
    assert (guest / "tree/big").stat().st_blocks * 512 < 4 << 20
    down = client.files.download_tree(
        guest / "tree", tmp_path / "back", special=True, progress=seen.append, verify=True
    )
    assert listing(tmp_path / "back") == expected
    assert (down.files, down.size, down.verified) == (up.files, up.size, True)
    assert (seen[-1].done, seen[-1].total, seen[-1].files) == (down.size, None, down.files)
    assert (tmp_path / "back/big").stat().st_blocks * 512 < 4 << 20
    assert inside(guest) == ["tree"]
    assert inside(tmp_path) == ["back", "tree"]
    assert spools.names
    spools.wait_gone()
    # Once more, over what is there: what is not of the tree is kept.
    (guest / "tree/more").write_bytes(b"")
    (guest / "tree/big").write_bytes(b"old")
    assert client.files.upload_tree(tree, guest / "tree").files == up.files
    assert listing(guest / "tree") > expected - {line for line in expected if "b'.'" in line}
    client.files.download_tree(guest / "tree", tmp_path / "back", special=True)
    assert listing(tmp_path / "back") == listing(guest / "tree")


def test_what_is_left_out(client: qga.Client, guest: Path, tmp_path: Path, tree: Path) -> None:
    patterns = ["f*", "d?/e1", "big", "x" * 200]
    client.files.upload_tree(tree, guest / "one", exclude=patterns)
    client.files.upload_tree(tree, guest / "all")
    client.files.download_tree(guest / "all", tmp_path / "two", exclude=patterns)
    expected = {name for name in names(listing(tree)) if b"x" * 200 not in name}
    expected -= {b"big", b"fifo"} | {name for name in expected if b"/f" in name}
    expected -= {name for name in expected if name.endswith(b"/e1") and len(name) == 5}
    assert names(listing(guest / "one")) == expected
    assert names(listing(tmp_path / "two")) == expected


@needs_root
def test_owners(client: qga.Client, guest: Path, tmp_path: Path, tree: Path) -> None:
    odd = "d1/e1/f1"
    client.files.upload_tree(tree, guest / "mapped", map_owner=lambda u, g: (u + 1, g + 2))
    assert _owner(guest / "mapped" / odd) == (1235, 5680)
    client.files.upload_tree(tree, guest / "given", owner=7, group=8)
    assert {_owner(path) for path in (guest / "given").rglob("*")} == {(7, 8)}
    files = client.files
    files.download_tree(guest / "mapped", tmp_path / "mapped", map_owner=lambda u, g: (u - 1, 9))
    assert _owner(tmp_path / "mapped" / odd) == (1234, 9)
    assert (tmp_path / "mapped" / odd).stat().st_mode & 0o7777 == 0o755  # no setuid unless asked
    files.download_tree(guest / "mapped", tmp_path / "own", owners=False)
    assert {_owner(path) for path in (tmp_path / "own").rglob("*")} == {(0, os.getegid())}


def _owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


def test_refusals(client: qga.Client, guest: Path, tmp_path: Path, tree: Path) -> None:
    (guest / "file").write_bytes(b"")
    for path in (guest / "absent/tree", guest / "file", guest / "file/tree"):
        with pytest.raises(qga.GuestOSError):
            client.files.upload_tree(tree, path)
        with pytest.raises(qga.GuestOSError):
            client.files.download_tree(path, tmp_path / "back")
    with pytest.raises(FileNotFoundError):
        client.files.upload_tree(tmp_path / "absent", guest / "tree")
    with pytest.raises(FileNotFoundError):
        client.files.download_tree(guest, tmp_path / "absent/back")
    client.ping()
    assert inside(guest) == ["file"]
    assert inside(tmp_path) == ["tree"]


@pytest.mark.parametrize("case", ["up stopped", "up killed", "down stopped", "down killed"])
def test_an_agent_that_is_gone_in_the_middle(  # noqa: PLR0917 - pytest gives them by name
    client: qga.Client,
    guest: Path,
    tmp_path: Path,
    exec_agent: RunningAgent,
    case: str,
    spools: Spools,
) -> None:
    way, end = case.split()
    there = guest / "tree" if way == "down" else tmp_path / "tree"
    there.mkdir()
    for number in range(12):
        (there / str(number)).write_bytes(os.urandom(700_000))

    def interrupt(moment: TransferProgress) -> None:
        if moment.done >= 2_000_000 and not gone:
            gone.append(True)
            exec_agent.process.send_signal(signal.SIGSTOP if end == "stopped" else signal.SIGKILL)

    def transfer(
        progress: Callable[[TransferProgress], None] | None, timeout: float
    ) -> qga.QgaError | int:
        with qga.deadline(timeout):
            if way == "up":
                return client.files.upload_tree(there, guest / "copy", progress=progress).files
            return client.files.download_tree(there, tmp_path / "copy", progress=progress).files

    gone: list[bool] = []
    began = time.monotonic()
    with pytest.raises(qga.AgentTimeout if end == "stopped" else qga.TransportError):
        transfer(interrupt, 5.0)
    assert time.monotonic() - began < 60
    assert gone
    if end == "killed":
        exec_agent.restart()
    else:
        exec_agent.process.send_signal(signal.SIGCONT)
    client.ping()
    wait_until(lambda: inside(guest) == (["tree"] if way == "down" else []))
    spools.wait_gone()
    assert inside(tmp_path) == ([] if way == "down" else ["tree"])
    assert transfer(None, 60.0) == 12
    assert names(listing(there)) == names(
        listing(guest / "copy" if way == "up" else tmp_path / "copy")
    )


@needs_root
def test_asynchronously(exec_agent: RunningAgent, guest: Path, tmp_path: Path, tree: Path) -> None:
    async def work() -> None:
        async with await aconnect(exec_agent.target) as client:
            files = client.files
            await asyncio.gather(
                files.upload_tree(tree, guest / "one"), files.upload_tree(tree, guest / "two")
            )
            done = await files.download_tree(guest / "two", tmp_path / "back", special=True)
            assert done.files == 48

    asyncio.run(work())
    assert listing(guest / "one") == listing(tree)
    assert listing(tmp_path / "back") == listing(tree)


def test_a_guest_without_tar(
    client: qga.Client, exec_agent: RunningAgent, guest: Path, tmp_path: Path
) -> None:
    """Scripts find it in the usual places too, so it is the script that is tried alone."""
    from qga.client.flows import trees

    for script in (trees.BEGIN, trees._PACK):
        path = {"PATH": str(guest)}
        text = f"main() {{\n{script}\n}}\nmain /absent x"
        done = subprocess.run(["/bin/sh", "-c", text], env=path, capture_output=True, check=False)
        assert done.returncode == 127
