"""Processors and memory taken offline and back, by both agents in the same guest."""

from functools import partial
from typing import Any

from tests.vm.conftest import GuestFactory
from tests.vm.machine import Machine
from tests.vm.observe import connect, wait_until
from tests.vm.qemu import Guest
from tests.vm.sides import Refusal, Sides, ask, ask_stock

MACHINE = Machine(cpus=2, slots=1)
CPUS = "/sys/devices/system/cpu"
MEMORY = "/sys/devices/system/memory"


def plug_memory(guest: Guest) -> None:
    """Put 128 MiB more into the guest, which does not use them by itself.

    It will not keep in them what cannot be moved, so that they can be taken offline again.
    """
    policy = "/sys/module/memory_hotplug/parameters/online_policy"
    assert guest.sh(f"echo auto-movable > {policy}").code == 0
    guest.qmp.execute("object-add", qom_type="memory-backend-ram", id="more", size=128 << 20)
    guest.qmp.execute("device_add", driver="pc-dimm", id="dimm", memdev="more")
    wait_until(
        lambda: "offline" in guest.sh(f"cat {MEMORY}/memory*/state").out, "the memory is there"
    )


def test_processors_offline_and_back(guest_factory: GuestFactory) -> None:
    guest = guest_factory(machine=MACHINE)
    with connect(guest) as client:
        sides = Sides(guest, client)

        def online() -> dict[int, bool]:
            found = sides.agreed("guest-get-vcpus")
            assert {cpu["logical-id"]: cpu["can-offline"] for cpu in found} == {0: False, 1: True}
            return {cpu["logical-id"]: cpu["online"] for cpu in found}

        def switch(*wanted: tuple[int, bool]) -> dict[str, Any]:
            return {"vcpus": [{"logical-id": n, "online": online} for n, online in wanted]}

        assert online() == {0: True, 1: True}
        name = "guest-set-vcpus"
        for ask_it in (partial(ask, client, name), partial(ask_stock, guest, name)):
            assert ask_it(**switch((1, False))) == 1
            assert online() == {0: True, 1: False}
            assert guest.read(f"{CPUS}/online") == b"0\n"
            # What it is already: nothing to do. The first one cannot be missed.
            assert ask_it(**switch((1, False), (0, False), (1, True))) == 1
            assert ask_it(**switch((0, False))) == Refusal("logical processor #0 can't be offlined")
            assert ask_it(**switch((1, True), (99, True), (1, False))) == 1
            assert online() == {0: True, 1: True}
            assert guest.read(f"{CPUS}/online") == b"0-1\n"
            assert ask_it(**switch()) == 0
        for number in (99, -1):
            stock, ours = sides("guest-set-vcpus", **switch((number, True)))
            # The text that newer versions have.
            reason = f"{CPUS}/cpu{number}/%s: No such file or directory"
            assert stock == Refusal(f'open("{reason}' % '")')
            assert ours == Refusal(f"Could not open '{reason}" % "'")


def test_memory_offline_and_back(guest_factory: GuestFactory) -> None:
    guest = guest_factory(machine=MACHINE)
    with connect(guest) as client:
        sides = Sides(guest, client)
        assert sides.agreed("guest-get-memory-block-info") == {"size": 128 << 20}
        sides.agreed("guest-get-memory-blocks")
        plug_memory(guest)
        blocks = sides.agreed("guest-get-memory-blocks")
        (plugged,) = [block["phys-index"] for block in blocks if not block["online"]]

        def total() -> int:
            return int(guest.read("/proc/meminfo").split()[1])

        def switch(*wanted: tuple[int, bool]) -> dict[str, Any]:
            return {"mem_blks": [{"phys-index": n, "online": online} for n, online in wanted]}

        before = total()
        success = {"phys-index": plugged, "response": "success"}
        missing = {"phys-index": 99, "response": "not-found", "error-code": 2}
        name = "guest-set-memory-blocks"
        for ask_it in (partial(ask, client, name), partial(ask_stock, guest, name)):
            assert ask_it(**switch((plugged, True))) == [success]
            assert total() == before + (128 << 10)
            sides.agreed("guest-get-memory-blocks")
            # Each is tried, whatever became of the one before.
            answer = ask_it(**switch((99, False), (plugged, False), (plugged, False)))
            assert answer == [missing, success, success]
            assert total() == before
            sides.agreed("guest-get-memory-blocks")
            assert ask_it(**switch()) == []
        # The kernel itself is in the first one.
        (refused,) = sides.agreed("guest-set-memory-blocks", **switch((0, False)))
        assert refused["response"] == "operation-failed"
        assert refused["error-code"] > 0


# What a kernel might have in place of processors, and a shell to put it there. Kernels as new as
# the guest's have the same in each file `removable`.
ODD_CPUS = f"""
mkdir -p /tmp/c/cpu0 /tmp/c/cpu1 /tmp/c/cpu2/online /tmp/c/cpu3 /tmp/c/cpuidle
echo 1 > /tmp/c/cpu1/online
: > /tmp/c/cpu3/online
mount --bind /tmp/c {CPUS}
"""
ODD_MEMORY = f"""
for number in 0 1 2; do mkdir -p /tmp/m/memory$number; done
echo offline > /tmp/m/memory0/state
echo 1 > /tmp/m/memory0/removable
echo going-offline > /tmp/m/memory2/state
echo 1 > /tmp/m/memory2/removable
echo 8000000 > /tmp/m/block_size_bytes
mount --bind /tmp/m {MEMORY}
"""


def test_odd_kernels(guest_factory: GuestFactory) -> None:
    guest = guest_factory(machine=MACHINE)
    with connect(guest) as client:
        sides = Sides(guest, client)
        assert guest.sh(ODD_CPUS).code == 0
        for number in range(4):
            wanted = [{"logical-id": number, "online": False}]
            sides.agreed("guest-set-vcpus", vcpus=wanted)
        guest.sh("rm -r /tmp/c/cpu3")
        assert isinstance(sides.agreed("guest-get-vcpus"), Refusal)
        guest.sh("rm -r /tmp/c/cpu2")
        assert len(sides.agreed("guest-get-vcpus")) == 2
        guest.sh(f"mkdir /tmp/m; mount --bind /tmp/m {MEMORY}")
        assert sides.agreed("guest-get-memory-blocks") == Refusal(
            "guest reported zero memory blocks!"
        )
        guest.sh(f"umount {MEMORY}")
        assert guest.sh(ODD_MEMORY).code == 0
        sides.agreed("guest-get-memory-blocks")
        assert sides.agreed("guest-get-memory-block-info") == {"size": 128 << 20}
        for number in range(4):
            for online in (False, True, False):
                wanted = [{"phys-index": number, "online": online}]
                stock, ours = sides("guest-set-memory-blocks", mem_blks=wanted)
                if ours[0]["response"] == "success":
                    stock[0].pop("error-code", None)  # sometimes one that means nothing
                assert ours == stock
    # What these files hold while a kernel runs, the agent knows, and that they are there.
    guest.sh(f"umount {MEMORY}; mount -t tmpfs none /sys/devices")
    guest.restart_agent()
    with connect(guest) as client:
        sides = Sides(guest, client)
        assert sides.agreed("guest-get-memory-blocks") == []
        sides.agreed("guest-get-memory-block-info")
        sides.agreed("guest-get-vcpus")
        wanted = [{"phys-index": 1, "online": True}]
        sides.agreed("guest-set-memory-blocks", mem_blks=wanted)
