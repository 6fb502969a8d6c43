"""Bad requests for commands that are refused on the host, to both agents in the same guest."""

from typing import Any

from tests.vm.observe import connect
from tests.vm.qemu import Guest
from tests.vm.sides import Refusal, Sides

CPU = {"logical-id": 0, "online": True}
BLOCK = {"phys-index": 0, "online": True}
KEYS = {"username": "alice", "keys": ["key"]}
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("guest-set-vcpus", {}),
    ("guest-set-vcpus", {"vcpus": None}),
    ("guest-set-vcpus", {"vcpus": CPU}),
    ("guest-set-vcpus", {"vcpus": [1]}),
    ("guest-set-vcpus", {"vcpus": [CPU, {"logical-id": 0}]}),
    ("guest-set-vcpus", {"vcpus": [{"online": True}]}),
    ("guest-set-vcpus", {"vcpus": [CPU | {"logical-id": "0"}]}),
    ("guest-set-vcpus", {"vcpus": [CPU | {"logical-id": 2**63}]}),
    ("guest-set-vcpus", {"vcpus": [CPU | {"online": 1}]}),
    ("guest-set-vcpus", {"vcpus": [CPU | {"can-offline": None}]}),
    ("guest-set-vcpus", {"vcpus": [CPU | {"x": 1}]}),
    ("guest-set-vcpus", {"vcpus": [], "x": 1}),
    ("guest-set-memory-blocks", {}),
    ("guest-set-memory-blocks", {"mem-blks": [BLOCK, None]}),
    ("guest-set-memory-blocks", {"mem-blks": [{"online": True}]}),
    ("guest-set-memory-blocks", {"mem-blks": [BLOCK | {"phys-index": 2**64}]}),
    ("guest-set-memory-blocks", {"mem-blks": [BLOCK | {"phys-index": -(2**63) - 1}]}),
    ("guest-set-memory-blocks", {"mem-blks": [BLOCK | {"phys-index": 1.0}]}),
    ("guest-set-memory-blocks", {"mem-blks": [BLOCK | {"response": "success"}]}),
    ("guest-suspend-ram", {"x": 1}),
    ("guest-suspend-disk", {"mode": "disk"}),
    ("guest-suspend-hybrid", {"x": None}),
    ("guest-set-time", {"x": 1}),
    ("guest-set-time", {"time": 2**63}),
    ("guest-set-time", {"time": {}}),
    ("guest-set-user-password", {}),
    ("guest-set-user-password", {"username": "alice", "password": "", "crypted": "no"}),
    ("guest-set-user-password", {"username": "alice", "password": 1, "crypted": False}),
    ("guest-set-user-password", {"username": None, "password": "", "crypted": False}),
    ("guest-set-user-password", {"username": "alice", "password": "a b", "crypted": False}),
    ("guest-ssh-add-authorized-keys", {}),
    ("guest-ssh-add-authorized-keys", {"username": "alice"}),
    ("guest-ssh-add-authorized-keys", {"keys": []}),
    ("guest-ssh-add-authorized-keys", KEYS | {"keys": "key"}),
    ("guest-ssh-add-authorized-keys", KEYS | {"keys": ["key", 1]}),
    ("guest-ssh-add-authorized-keys", KEYS | {"reset": 1}),
    ("guest-ssh-add-authorized-keys", KEYS | {"reset": None}),
    ("guest-ssh-remove-authorized-keys", KEYS | {"reset": False}),
    ("guest-ssh-remove-authorized-keys", KEYS | {"keys": None}),
    ("guest-ssh-remove-authorized-keys", KEYS | {"username": 7}),
)


def test_arguments(guest: Guest) -> None:
    with connect(guest) as client:
        sides = Sides(guest, client)
        for name, arguments in REQUESTS:
            assert isinstance(sides.agreed(name, **arguments), Refusal), (name, arguments)
