"""Sends what `guest_cases` holds to both agents in one virtual machine, each on a port of its own.

Ours is on the agent's port, qemu-ga on the port by which the tests control the guest. Used by the
tests and by `document`.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.interop.case import FOLDER, USER
from tests.interop.compare import Outcome
from tests.interop.conversation import PATIENCE, Conversation
from tests.interop.guest_cases import BLOCKS
from tests.vm.machine import Machine
from tests.vm.qemu import Guest

MACHINE = Machine(cpus=2)

# What each agent has for itself. The names must not occur in replies for another reason.
STOCK = {FOLDER: "/tmp/folder-of-stock", USER: "user-of-stock"}
OURS = {FOLDER: "/tmp/folder-of-ours", USER: "user-of-ours"}

# $1 is the folder, $2 the user, $3 the user's number.
_PREPARE = """
mkdir "$1"
echo "$2:x:$3:$3::/home/$2:/bin/sh" >> /etc/passwd
echo "$2:x:$3:" >> /etc/group
echo "$2:*:19000:0:99999:7:::" >> /etc/shadow
mkdir "/home/$2"
chown "$3:$3" "/home/$2"
"""

# Names, permissions, owners and contents of the files; the password. Without empty lines: qemu-ga
# leaves some behind when it adds keys, or none at the end of the last line.
_LOOK = """
cd "$1" && find . | sort | xargs stat -c '%A %U %G %n'
cd "/home/$2" && find . | sort | xargs stat -c '%A %U %G %n'
find "$1" "/home/$2" -type f | sort | while read -r file; do echo "$file:"; grep . "$file"; done
sed -n "s/^$2:\\([^:]*\\):.*/\\1/p" /etc/shadow
"""


@dataclass(frozen=True)
class Comparison:
    outcomes: dict[str, Outcome]
    """By the key of the case."""
    stock_left: str
    ours_left: str
    """What each left behind: files, keys, password."""


def compare_in_guest() -> Comparison:
    """Run all blocks.

    Raises:
        Unavailable: there can be no virtual machine here.
    """
    outcomes: dict[str, Outcome] = {}
    with Guest.restore(MACHINE) as guest:
        guest.start_agent()
        for number, own in ((2001, STOCK), (2002, OURS)):
            _shell(guest, _PREPARE, own, str(number))
        with guest.control.away() as path:
            stock = Conversation(_connector(path), STOCK)
            ours = Conversation(_connector(guest.agent_socket), OURS)
            for block in BLOCKS:
                replies = [[agent.replies(case) for case in block] for agent in (stock, ours)]
                for case, *pair in zip(block, *replies, strict=True):
                    outcomes[case.key] = Outcome(case, *pair)
            stock.close()
            ours.close()
        left = [_left(guest, own) for own in (STOCK, OURS)]
    return Comparison(outcomes, *left)


def _connector(path: Path) -> Callable[[], socket.socket]:
    def connect() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(str(path))
        return client

    return connect


def _shell(guest: Guest, script: str, own: dict[str, str], *more: str) -> str:
    words = [own[FOLDER], own[USER], *more]
    code, out, err = guest.control.run(["/bin/sh", "-ec", script, "sh", *words])
    assert code == 0, err
    return out


def _left(guest: Guest, own: dict[str, str]) -> str:
    text = _shell(guest, _LOOK, own)
    for name, value in own.items():
        text = text.replace(value, name)
    return text
