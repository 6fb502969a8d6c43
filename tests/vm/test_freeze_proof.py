"""What a freeze is for: snapshots that have all that was acknowledged, and need no repair.

Each with our agent and with the stock one; and without a freeze, or guest by guest, to know what
would be found then.
"""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

import qga
from tests.support.sequences import (
    KINDS,
    LONG,
    Found,
    Snapshot,
    plug_in,
    read,
    start_writers,
    to_replay,
)
from tests.vm.conftest import GuestFactory
from tests.vm.observe import connect, wait_until
from tests.vm.qemu import AGENT, SERIAL_PORT, STOCK_AGENT, Guest

AGENTS = {"ours": AGENT, "stock": STOCK_AGENT}
SOME = 5


@pytest.fixture(scope="module")
def reader() -> Iterator[Guest]:
    """A guest that mounts the snapshots."""
    with ExitStack() as guests:
        yield GuestFactory(guests)(None)


def test_a_snapshot_within_a_freeze(
    guest_factory: GuestFactory, reader: Guest, tmp_path: Path
) -> None:
    guest = guest_factory(AGENT)
    folders = [plug_in(guest, kind, tmp_path) for kind in KINDS]
    writers = start_writers(guest, *folders)
    for writer in writers:
        writer.wait(SOME)
    # Without a freeze each of them would have to be repaired.
    without = Snapshot(guest, KINDS, tmp_path / "without").finish()
    assert all(to_replay(kind, image) for kind, image in without.items())

    taken = {}
    for name, command in AGENTS.items():
        if name != "ours":
            guest.kill_agent()
            guest.start_agent(command)
        for folder in folders:
            guest.sh(f"echo {name}, not synced > {folder}/late")
        with connect(guest, LONG) as client:
            before = [writer.notes() for writer in writers]
            with client.frozen(deadline=LONG) as freeze:
                assert freeze.frozen == 2 + len(KINDS)
                snapshot = Snapshot(guest, KINDS, tmp_path / name)
                during = [writer.notes() for writer in writers]
            assert freeze.held, freeze.report
        for writer, then in zip(writers, during, strict=True):
            writer.wait(then.begun + SOME)
        taken[name] = before, during, snapshot.finish()
    guest.close()
    for name, (before, during, images) in taken.items():
        for (kind, image), earlier, then in zip(images.items(), before, during, strict=True):
            assert to_replay(kind, image) == []
            found, late = read(reader, kind, image, "late")
            assert late.decode() == f"{name}, not synced\n"
            assert earlier.acknowledged <= then.acknowledged <= found.current <= found.last
            assert found.last <= then.begun <= then.acknowledged + 1


class Chain(threading.Thread):
    """A number is given to the writer of the second guest when that of the first one has it.

    And the next number to the first one after that: what is in the second guest has its cause in
    the first one, and the other way round.
    """

    def __init__(self, *guests: Guest) -> None:
        super().__init__()
        self.links = 0
        self._over = False
        self._lines: list[socket.socket] = []
        for guest in guests:
            line = socket.socket(socket.AF_UNIX)
            line.connect(str(guest.serial_socket))
            self._lines.append(line)

    def run(self) -> None:
        for number in itertools.count(1):
            said = b"%d\n" % number
            for line in self._lines:
                line.sendall(said)
                heard = b""
                while heard != said and (more := line.recv(len(said))):
                    heard += more
            if self._over:
                return
            self.links = number

    def wait(self, more: int) -> None:
        """Wait until *more* numbers are in both guests."""
        goal = self.links + more
        wait_until(lambda: self.links >= goal, f"number {goal} in both guests", LONG)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        for line in self._lines:
            line.shutdown(socket.SHUT_RDWR)
        self.join()
        for line in self._lines:
            line.close()


def test_snapshots_of_two_guests_frozen_as_one(
    guest_factory: GuestFactory, reader: Guest, tmp_path: Path
) -> None:
    disks = {"ext4": guest_factory(AGENT), "xfs": guest_factory(AGENT)}
    guests = list(disks.values())
    for kind, guest in disks.items():
        start_writers(guest, plug_in(guest, kind, tmp_path), line=SERIAL_PORT)

    def snapshot(kind: str, name: str) -> Snapshot:
        return Snapshot(disks[kind], [kind], tmp_path / f"{name}-{kind}")

    def found(snapshots: list[Snapshot]) -> list[Found]:
        images = [item for snapshot in snapshots for item in snapshot.images.items()]
        assert [to_replay(*image) for image in images] == [[], []]
        return [read(reader, *image)[0] for image in images]

    taken = {}
    with Chain(*guests) as chain:
        chain.wait(SOME)
        for name, command in AGENTS.items():
            if name != "ours":
                for guest in guests:
                    guest.kill_agent()
                    guest.start_agent(command)
            before = chain.links
            targets = [f"unix:{guest.agent_socket}" for guest in guests]
            with qga.freeze_group(targets, deadline=LONG, window=LONG, timeout=LONG) as group:
                together = [snapshot(kind, name) for kind in disks]
                during = chain.links
            assert group.held, group.report
            chain.wait(SOME)
            for one in together:
                one.finish()
            taken[name] = before, during, together
            if name == "ours":
                # One after the other, each for itself.
                alone = []
                for kind, guest in disks.items():
                    with connect(guest, LONG) as client, client.frozen(deadline=LONG):
                        alone.append(snapshot(kind, "alone"))
                    chain.wait(2)
                    alone[-1].finish()
    for guest in guests:
        guest.close()
    for before, during, together in taken.values():
        first, second = found(together)
        assert before <= during <= second.current <= second.last <= first.current <= first.last
        assert first.last <= second.last + 1 <= during + 2
    # Each is as it should be, and yet the second one has effects without their causes.
    first, second = found(alone)
    assert second.current > first.last
