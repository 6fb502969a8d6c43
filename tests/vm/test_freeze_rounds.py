"""A guest that is frozen and thawed again and again, while programs write to its disks.

QGA_TEST_ROUNDS=1000 has it do so more often than is worth while each time.
"""

import os
import time
from contextlib import suppress
from statistics import median
from typing import Any, NamedTuple, Self

import pytest

import qga
from tests.support.sequences import LONG, start_writers
from tests.vm.conftest import GuestFactory
from tests.vm.observe import DISKS, MARKER, Process, agents, connect, wait_until
from tests.vm.qemu import Guest

ROUNDS = int(os.environ.get("QGA_TEST_ROUNDS", "100"))
WARM_UP = 20  # rounds, until all is loaded, and memory as large as it stays
LEFT_ALONE = 40  # each such round ends with its lease
LEASE_MS = 2000
LOOKED_AT = 10  # after each such round all have to go on writing
MOST_KIB = 256


class Resources(NamedTuple):
    """What is in use in a guest between two rounds."""

    memory: int
    descriptors: int
    processes: int
    markers: int

    @classmethod
    def of(cls, guest: Guest) -> Self:
        agent = Process(guest, guest.agent_pid())
        wait_until(lambda: agents(guest) == [agent.pid], "the guardian to end")
        stats = guest.sh("cat /proc/[0-9]*/stat").out.splitlines()
        parents = [int(line.rpartition(")")[2].split()[1]) for line in stats]
        return cls(
            agent.memory,
            agent.descriptors,
            len([parent for parent in parents if parent != 2]),  # the kernel's come and go
            guest.sh(f"ls -d {MARKER}*").out.count("\n"),
        )


class Times:
    """How long requests took, for who reads the test's output."""

    def __init__(self) -> None:
        self._of: dict[str, list[float]] = {}

    def call(self, client: qga.Client, name: str, **arguments: Any) -> Any:
        began = time.monotonic()
        members = {key.replace("_", "-"): value for key, value in arguments.items()}
        result = client.call(name, members or None)
        self._of.setdefault(name, []).append(time.monotonic() - began)
        return result

    def show(self) -> None:
        for name, times in self._of.items():
            longest, middle = max(times) * 1000, median(times) * 1000
            print(f"{name}: {len(times)} times, median {middle:.0f} ms, longest {longest:.0f} ms")


def as_upstream(client: qga.Client, times: Times) -> None:
    assert times.call(client, "guest-fsfreeze-freeze") == len(DISKS)
    assert times.call(client, "guest-fsfreeze-thaw") == len(DISKS)


def with_a_lease(client: qga.Client, times: Times, token: str) -> None:
    made = times.call(client, "qga-fsfreeze-freeze", token=token, deadline_ms=600_000)
    assert (made["state"], made["count"]) == ("frozen", len(DISKS))
    times.call(client, "qga-fsfreeze-renew", token=token, deadline_ms=600_000)
    assert times.call(client, "qga-fsfreeze-thaw", token=token)["held"] is True


def left_alone(client: qga.Client, token: str) -> None:
    with suppress(qga.CommandError):  # on a busy machine it may end before all is frozen
        client.call("qga-fsfreeze-freeze", {"token": token, "deadline-ms": LEASE_MS})
    wait_until(lambda: client.fsfreeze_status() == "thawed", "the end of the lease")
    report = client.call("qga-fsfreeze-report")
    assert (report["token"], report["end"], report["held"]) == (token, "lease", False)


@pytest.mark.timeout(max(900, 10 * ROUNDS))
def test_rounds_while_programs_write(guest_factory: GuestFactory) -> None:
    guest, times = guest_factory(), Times()
    memory: list[int] = []
    writers = start_writers(guest, *DISKS)
    with connect(guest, LONG) as client:
        for number in range(1, ROUNDS + 1):
            if number % LEFT_ALONE == 0:
                left_alone(client, f"round {number}")
            elif number % 2:
                as_upstream(client, times)
            else:
                with_a_lease(client, times, f"round {number}")
            if number % LOOKED_AT == 0:
                for writer in writers:
                    writer.wait(writer.notes().begun + 1)
                memory.append(Process(guest, guest.agent_pid()).memory)
            if number == WARM_UP:
                early = Resources.of(guest)
        assert client.fsfreeze_status() == "thawed"
    late = Resources.of(guest)
    times.show()
    print(f"after {WARM_UP} rounds {early}, after {ROUNDS} {late}")
    print(f"KiB of memory after each {LOOKED_AT}: {memory}")
    assert late[1:] == early[1:]
    assert late.markers == 0
    assert late.memory <= early.memory + MOST_KIB
    for writer, folder in zip(writers, DISKS, strict=True):
        last = writer.notes().acknowledged
        lines = guest.read(f"{folder}/log").splitlines()
        assert [int(line.split()[0]) for line in lines[:last]] == list(range(1, last + 1))
