"""The libvirt that a plain name is looked up in: whether it is there, and what domains it has.

For `lookup` and `discovery`. No daemon is started by it: where none listens, none is asked. (Where
systemd listens in its place, as is usual, it is systemd that decides.) None is waited for longer
than `PATIENCE`, or the caller's own time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote
from xml.etree import ElementTree as ET

from qga.errors import AgentTimeout, NoChannel, QgaError

from . import unixsockets
from .libvirt import PORT, find_domain
from .libvirterrors import LibvirtLost, NoDomain, explained, missing, with_connection
from .libvirthost import give_back, library, shared
from .listing import Known
from .reach import Reach
from .worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .deadline import Deadline
    from .libvirthost import Connection, Domain

    R = TypeVar("R")

VARIABLE = "LIBVIRT_DEFAULT_URI"
SYSTEM, SESSION = "qemu:///system", "qemu:///session"
RUN = Path("/run")

# Seconds: a libvirtd of this machine answers at once, or hangs.
PATIENCE = 5.0

_SOCKETS = ("libvirt-sock", "virtqemud-sock")
_PAUSED = (3, 7)  # VIR_DOMAIN_PAUSED, VIR_DOMAIN_PMSUSPENDED


def connections() -> list[str]:
    """The URIs to ask: that in LIBVIRT_DEFAULT_URI; else the system's and this user's own, as far
    as somebody listens there.
    """
    told = os.environ.get(VARIABLE)
    return [uri for uri in ([told] if told else [SYSTEM, SESSION]) if _listens(uri)]


def obstacle() -> str:
    """Why libvirt cannot be asked by this program; empty if it can."""
    return "" if find_spec("libvirt") else "libvirt's Python module is missing"


def _listens(uri: str) -> bool:
    """Whether a libvirt is there; for one elsewhere, that is supposed."""
    address, _, query = uri.partition("?")
    given = parse_qs(query).get("socket")
    if given:
        paths = [Path(given[0])]
    elif address == SYSTEM:
        paths = [RUN / "libvirt" / name for name in _SOCKETS]
    elif address == SESSION:
        paths = [runtime() / "libvirt" / name for name in _SOCKETS]
    else:
        return True
    return any(_is_open(path) for path in paths)


def runtime() -> Path:
    """This user's directory of sockets."""
    told = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(told) if told.startswith("/") else RUN / "user" / str(os.geteuid())


def _is_open(path: Path) -> bool:
    if not path.is_socket():
        return False
    seen = unixsockets.look(path.resolve())
    return seen is None or bool(seen.listener)


def has(uri: str, name: str, deadline: Deadline) -> bool:
    """Whether the libvirt at *uri* has a domain of that name, UUID or number.

    Raises:
        NoChannel: it cannot be asked.
        AgentTimeout: it does not answer in time.
    """

    def ask(connection: Connection) -> bool:
        try:
            find_domain(connection, name)
        except NoDomain:
            return False
        return True

    return _asked(uri, ask, deadline)


def domains(uri: str, deadline: Deadline) -> list[Known]:
    """The domains with a channel for an agent, by their names, and how they are.

    Raises: as `has`.
    """

    def ask(connection: Connection) -> list[Known]:
        found = [_known(uri, domain) for domain in connection.listAllDomains()]
        return sorted((known for known in found if known), key=lambda known: known.name)

    return _asked(uri, ask, deadline)


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """What libvirt says of a domain.

    Attributes:
        name: its own.
        uuid: its own.
        state: libvirt's number for it; 0 if it does not run.
        channel: whether an agent has opened its channel, as libvirt says it; None without one.
    """

    name: str
    uuid: str
    state: int
    channel: str | None


def describe(uri: str | None, name: str, deadline: Deadline) -> DomainFacts:
    """The facts about the domain of that name, UUID or number; *uri* None for libvirt's default.

    Raises: as `has`, and
        NoDomain: there is none.
    """
    return _asked(uri, lambda connection: _facts(find_domain(connection, name)), deadline)


def _facts(domain: Domain) -> DomainFacts:
    state = domain.state()[0] if domain.isActive() else 0
    port = ET.fromstring(domain.XMLDesc(0)).find(PORT)  # noqa: S314 - libvirt's own
    channel = None if port is None else port.get("state", "disconnected")
    return DomainFacts(domain.name(), domain.UUIDString(), state, channel)


def _asked(uri: str | None, ask: Callable[[Connection], R], deadline: Deadline) -> R:
    worker, shared_ones = Worker(), shared(uri)
    local = uri is not None and uri.partition("?")[0] in {SYSTEM, SESSION}
    deadline = deadline.sooner(PATIENCE) if local else deadline

    def asking() -> R:
        with shared_ones.use(deadline) as connection:
            try:
                return ask(connection)
            except library().error as error:
                reason = explained(error, "the look at the domains", sent=False)
                raise with_connection(reason, connection.isAlive()) from error

    try:
        return worker.run(asking, deadline, "libvirt")
    except LibvirtLost as error:
        raise NoChannel(error.text) from error
    finally:
        worker.close()
        give_back(shared_ones)


def target(uri: str, name: str) -> str:
    """The target that means the domain *name* at *uri*."""
    return f"libvirt+{uri}{'&' if '?' in uri else '?'}domain={quote(name, safe='')}"


def _known(uri: str, domain: Domain) -> Known | None:
    """What is known of *domain*; None if it has no channel for an agent, or has just gone."""
    try:
        facts = _facts(domain)
    except library().error as error:
        if missing(error):
            return None
        raise
    if facts.channel is None:
        return None
    reach = None
    if not facts.state:
        reach = Reach.OFF
    elif facts.state in _PAUSED:
        reach = Reach.PAUSED
    elif facts.channel != "connected":
        reach = Reach.SILENT
    where = target(uri, facts.name)
    return Known(where, facts.name, facts.uuid, facts.channel, "libvirt", reach)


def problem(uri: str, error: QgaError) -> str:
    """Why the libvirt at *uri* could not be asked, in a clause."""
    if isinstance(error, AgentTimeout):
        return f"{uri} does not answer"
    return error.text
