"""What can be found on this machine without being told: names, domains, sockets of QEMU.

For `listing`, and for `lookup`, which takes a name for what was found by that name. Nothing is
connected to but libvirt.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from qga.errors import InvalidTarget, QgaError

from . import targetsfile
from .deadline import Deadline
from .listing import Known

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "QGA_FIND"
SOURCES = ("files", "libvirt", "sockets")
ROOT = Path("/")

# Where programs put the sockets of agents' channels, by the names of their guests: below the root,
# and below this user's directory of sockets. Only places that root, or this user, can write to.
_PLACES = (
    "run/qga/*.sock",
    "run/qemu-server/*.qga",  # Proxmox VE, by the guest's number
    "run/ganeti/kvm-hypervisor/ctrl/*.qga",
)
_OWN_PLACES = ("qga/*.sock",)
# libvirt's own, by its version. It keeps them for itself; so they count only where it cannot be
# asked.
_OF_LIBVIRT = (
    "run/libvirt/qemu/channel/*/org.qemu.guest_agent.0",
    "var/lib/libvirt/qemu/channel/target/*/org.qemu.guest_agent.0",
)
_OWN_OF_LIBVIRT = ("libvirt/qemu/run/channel/*/org.qemu.guest_agent.0",)


def sources() -> frozenset[str]:
    """What QGA_FIND allows to look at; all if it is not set.

    Raises:
        InvalidTarget: it holds something else.
    """
    told = os.environ.get(VARIABLE)
    if not told:
        return frozenset(SOURCES)
    found = frozenset(word.strip() for word in told.split(",") if word.strip())
    if not found <= set(SOURCES):
        wrong = ", ".join(sorted(found - set(SOURCES)))
        raise InvalidTarget(f"{VARIABLE}: {wrong} is none of {', '.join(SOURCES)}")
    return found


def found(timeout: float, troubles: list[str] | None = None) -> list[Known]:
    """All targets: those of files, of libvirt, and sockets; each by a name of its own. What a file
    has a name for is not found again.

    Args:
        timeout: seconds that it may take.
        troubles: gets a clause for each place that is there and cannot be asked.

    Raises:
        InvalidTarget: a targets file is wrong.
    """
    allowed, known = sources(), list[Known]()
    if "files" in allowed:
        known += [Known(entry.target, name) for name, entry in targetsfile.entries()]
    asked: set[str] = set()
    if "libvirt" in allowed:
        for uri, domains in _domains(Deadline(timeout), [] if troubles is None else troubles):
            asked.add(uri)
            known += domains
    if "sockets" in allowed:
        known += sockets(asked)
    named = {_identity(one) for one in known if one.source == "file"}
    return _by_own_names(
        [one for one in known if one.source == "file" or _identity(one) not in named]
    )


def _identity(known: Known) -> str:
    """The target, the same for all paths of a socket."""
    scheme, _, path = known.target.partition(":")
    return f"unix:{os.path.realpath(path)}" if scheme == "unix" else known.target


def _domains(deadline: Deadline, troubles: list[str]) -> Iterator[tuple[str, list[Known]]]:
    """The libvirts that can be asked, and their domains."""
    from . import libvirtlocal

    for uri in libvirtlocal.connections():
        obstacle = libvirtlocal.obstacle()
        if obstacle:
            troubles.append(f"{uri} cannot be asked: {obstacle}")
            continue
        try:
            domains = libvirtlocal.domains(uri, deadline)
        except QgaError as error:
            troubles.append(libvirtlocal.problem(uri, error))
            continue
        yield uri, domains


def sockets(asked: set[str] | frozenset[str] = frozenset()) -> list[Known]:
    """The sockets in the usual places, and those that running QEMUs have.

    Args:
        asked: the URIs of the libvirts whose domains are known anyway.
    """
    from . import libvirtlocal, qemuprocesses

    pairs: list[tuple[str, Path]] = []
    places = [(ROOT, _PLACES), (libvirtlocal.runtime(), _OWN_PLACES)]
    if libvirtlocal.SYSTEM not in asked:
        places.append((ROOT, _OF_LIBVIRT))
    if libvirtlocal.SESSION not in asked:
        places.append((libvirtlocal.runtime(), _OWN_OF_LIBVIRT))
    for folder, patterns in places:
        for pattern in patterns:
            try:
                pairs += [(_name(path), path) for path in sorted(folder.glob(pattern))]
            except OSError:  # not for this user
                continue
    pairs += sorted(qemuprocesses.sockets())
    found: dict[Path, Known] = {}
    for name, path in pairs:
        if _is_socket(path):
            found.setdefault(path.resolve(), Known(f"unix:{path}", name, source="socket"))
    return list(found.values())


def _is_socket(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:
        return False


def _name(path: Path) -> str:
    """The guest's, from where its socket is."""
    if path.suffix in {".sock", ".qga"}:
        return path.stem
    return re.sub(r"^(domain-)?\d+-", "", path.parent.name)


def _by_own_names(known: list[Known]) -> list[Known]:
    """*known*, with the target for a name where an earlier one has that name."""
    from dataclasses import replace

    names: set[str] = set()
    result = []
    for one in known:
        named = replace(one, name=one.target) if one.name in names else one
        names.add(named.name)
        result.append(named)
    return sorted(result, key=lambda one: one.name)
