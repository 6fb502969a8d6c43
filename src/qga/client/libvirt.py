"""The agents of libvirt's domains, through libvirt: `libvirt:DOMAIN`, `libvirt+URI?domain=DOMAIN`.

libvirt keeps an agent's channel for itself and passes on single requests. The synchronisation is
its own affair, and so is the order among its clients. What it can carry is less than what it
promises, found by trying libvirt 9.0:

- A request that does not fit into the buffer of the channel's socket (some 208 KiB) arrives
  garbled, and then the agent waits for the rest of it.
- A reply of more than 4 MiB is lost; at 10 MiB libvirt gives the channel up, until the agent opens
  it again. From some 1 MiB on, the time for a reply grows with the square of its length.
"""

from __future__ import annotations

import json
import math
import re
import time
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

from qga.errors import (
    AgentTimeout,
    ConnectionLost,
    InvalidTarget,
    NoChannel,
    ProtocolError,
    QgaError,
    Unsupported,
)
from qga.wire import handshake

from .deadline import TIMEOUT, Deadline
from .flows.steps import Limits
from .libvirterrors import (
    LibvirtLost,
    NoDomain,
    NotActive,
    explained,
    missing,
    with_connection,
)
from .libvirthost import give_back, library, shared
from .listing import Known
from .transports import LONG
from .worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from .aiotransports import AsyncRequestTransport
    from .libvirthost import Connection, Connections, Domain
    from .transports import RequestTransport

    R = TypeVar("R")

# See above. A request of this size has room in the buffer, whatever the rest of it is.
REQUEST_LIMIT = 160 << 10
# The most that one guest-file-read may be asked for: as base64, and with what stands around it, it
# stays below 4 MiB.
READ_LIMIT = (3 << 20) - 1024
LIMITS = Limits(read=512 << 10, write=96 << 10, input=96 << 10)

# libvirt's synchronisation takes so many seconds, whatever the call's own timeout.
_SYNC = 5


def way(text: str, rest: str, _: Mapping[str, Any]) -> LibvirtWay:
    """What the target *text* means."""
    scheme = text.partition(":")[0]
    if scheme == "libvirt":
        return LibvirtWay(None, rest)
    uri, domain = split_domain(text.removeprefix("libvirt+"))
    if not domain:
        raise InvalidTarget(
            f"{text!r} names no domain: add ?domain=NAME, as in libvirt+qemu:///system?domain=NAME"
        )
    return LibvirtWay(uri, domain)


def split_domain(uri: str) -> tuple[str, str]:
    """*uri* without its parameter `domain`, and that one's value. All others stay as they are."""
    address, _, query = uri.partition("?")
    parameters = query.split("&") if query else []
    domain = ""
    kept = []
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "domain":
            domain = unquote(value)
        else:
            kept.append(parameter)
    return (f"{address}?{'&'.join(kept)}" if kept else address), domain


class LibvirtWay:
    """One domain of one libvirt.

    Args:
        uri: libvirt's; None for its default, which LIBVIRT_DEFAULT_URI may tell.
        domain: its name, UUID or number.
    """

    def __init__(self, uri: str | None, domain: str) -> None:
        self.uri = uri
        self.domain = domain

    def open(self, deadline: Deadline) -> RequestTransport:
        transport = LibvirtTransport(_Agent(self.uri, self.domain))
        try:
            transport.check(deadline)
        except BaseException:
            transport.close()
            raise
        return transport

    async def aopen(self, deadline: Deadline) -> AsyncRequestTransport:
        transport = AsyncLibvirtTransport(_Agent(self.uri, self.domain))
        try:
            await transport.check(deadline)
        except BaseException:
            transport.close()
            raise
        return transport


class LibvirtTransport:
    """A `RequestTransport` to the agent of one domain."""

    limits = LIMITS

    def __init__(self, agent: _Agent) -> None:
        self._agent = agent
        self._worker = Worker()

    def check(self, deadline: Deadline) -> None:
        """See that the domain is there and runs."""
        self._worker.run(lambda: self._agent.check(deadline), deadline, "libvirt")

    def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        text = _request(name, arguments)
        call = lambda: self._agent.execute(name, text, deadline, silent=silent)  # noqa: E731
        return self._worker.run(call, deadline, name)

    def close(self) -> None:
        self._worker.close()
        self._agent.close()


class AsyncLibvirtTransport:
    """An `AsyncRequestTransport` to the agent of one domain."""

    limits = LIMITS

    def __init__(self, agent: _Agent) -> None:
        self._agent = agent
        self._worker = Worker()

    async def check(self, deadline: Deadline) -> None:
        """See that the domain is there and runs."""
        await self._worker.arun(lambda: self._agent.check(deadline), deadline, "libvirt")

    async def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        text = _request(name, arguments)
        call = lambda: self._agent.execute(name, text, deadline, silent=silent)  # noqa: E731
        return await self._worker.arun(call, deadline, name)

    def close(self) -> None:
        self._worker.close()
        self._agent.close()


def _request(name: str, arguments: Mapping[str, Any]) -> str:
    """The text of a request, if libvirt can carry it.

    Raises:
        Unsupported: it cannot.
    """
    if name == "guest-sync-delimited":
        raise Unsupported(f"libvirt synchronises by itself, and does not understand {name}")
    count = arguments.get("count") if name == "guest-file-read" else None
    if isinstance(count, int) and count > READ_LIMIT:
        raise Unsupported(f"libvirt carries {READ_LIMIT} bytes of a file at once, not {count}")
    text = b"".join(handshake.request(name, arguments))
    if len(text) > REQUEST_LIMIT:
        raise Unsupported(
            f"{name}: libvirt carries requests of {REQUEST_LIMIT >> 10} KiB safely, and this one "
            f"has {len(text) >> 10}: send less data at once"
        )
    return text.decode()


class _Agent:
    """The agent of one domain, in the thread of a worker."""

    def __init__(self, uri: str | None, domain: str) -> None:
        self._text = domain
        self._connections: Connections | None = shared(uri)
        self._last: tuple[Connection, Domain] | None = None

    def close(self) -> None:
        connections, self._connections, self._last = self._connections, None, None
        if connections is not None:
            give_back(connections)

    def check(self, deadline: Deadline) -> None:
        """Raise NoChannel unless the domain is there and runs."""
        _twice(lambda: self._use(deadline, _check_active))

    def execute(self, name: str, text: str, deadline: Deadline, *, silent: bool) -> Any:
        """Have the agent execute the request *text*; return what it returned."""
        if not silent:
            return self._call(name, text, deadline)
        # What is silent when it succeeds cannot be told from what was never sent, unless libvirt
        # and the agent are in step before.
        self._call("guest-ping", _request("guest-ping", {}), deadline)
        try:
            return self._call(name, text, deadline.sooner(handshake.SILENCE))
        except (AgentTimeout, ConnectionLost, NoChannel) as error:
            if isinstance(error, LibvirtLost):
                raise
            return None

    def _call(self, name: str, text: str, deadline: Deadline) -> Any:
        def call(domain: Domain) -> str:
            seconds = max(1, math.ceil(min(deadline.remaining(), LONG)))
            # So that the end of the synchronisation's time is told from that of the call's.
            seconds += seconds == _SYNC
            began = time.monotonic()
            try:
                return library().command(domain, text, seconds)
            except library().error as error:
                elapsed = time.monotonic() - began
                raise explained(error, name, sent=elapsed > seconds - 0.2) from error
            except UnicodeDecodeError as error:
                raise ProtocolError(f"{name}: the reply is not UTF-8: {error}") from error

        reply = self._use(deadline, call)
        try:
            found = json.loads(reply)
        except ValueError as error:
            raise ProtocolError(f"{name}: the reply is not JSON: {error}") from error
        if not isinstance(found, dict) or "return" not in found:
            raise ProtocolError(f"{name}: no result came as reply")
        return found["return"]

    def _use(self, deadline: Deadline, do: Any) -> Any:
        """What *do* returns for the domain. A domain that was made anew is looked up again."""
        connections, last = self._connections, self._last
        if connections is None:
            raise ConnectionLost("the channel is closed")
        with connections.use(deadline, last[0] if last else None) as connection:
            try:
                if last and last[0] is connection:
                    try:
                        return do(last[1])
                    except NoDomain:
                        pass
                domain = find_domain(connection, self._text)
                if self._connections is not None:
                    self._last = connection, domain
                return do(domain)
            except QgaError as error:
                raise with_connection(error, connection.isAlive()) from error.__cause__


def _twice(ask: Callable[[], R]) -> R:
    """What *ask* returns. That a connection is dead shows only when it is used."""
    try:
        return ask()
    except LibvirtLost:
        return ask()


def find_domain(connection: Connection, text: str) -> Domain:
    """The domain of that name, UUID or number, in this order: a name stays, a number does not.

    Raises:
        NoDomain: there is none.
    """
    loaded = library()
    try:
        lookups: list[Callable[[], Domain]] = [lambda: connection.lookupByName(text)]
        if re.fullmatch(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", text):
            lookups.append(lambda: connection.lookupByUUIDString(text))
        if text.isascii() and text.isdecimal() and len(text) < 10:
            lookups.append(lambda: connection.lookupByID(int(text)))
        for lookup in lookups:
            try:
                return lookup()
            except loaded.error as error:
                if not missing(error):
                    raise
        names = [domain.name() for domain in connection.listAllDomains()]
    except loaded.error as error:
        raise explained(error, "the search for the domain", sent=False) from error
    close = get_close_matches(text, names)
    hint = f"do you mean {' or '.join(close)}?" if close else "`virsh list --all` shows what is"
    raise NoDomain(f"there is no domain {text!r}; {hint}")


def _check_active(domain: Domain) -> None:
    loaded = library()
    try:
        if not domain.isActive():
            raise NotActive(f"the domain is not running: `virsh start {domain.name()}` starts it")
    except loaded.error as error:
        raise explained(error, "the look at the domain", sent=False) from error


# Which domains there are.

PORT = "./devices/channel/target[@type='virtio'][@name='org.qemu.guest_agent.0']"
_ACTIVE = 1  # VIR_CONNECT_LIST_DOMAINS_ACTIVE


def domains(uri: str | None = None, *, timeout: float = TIMEOUT) -> list[Known]:
    """The running domains of a host, by their names.

    Args:
        uri: the host's libvirt, as `qemu:///system`; libvirt's default if None.
        timeout: seconds for all of it.

    Returns: for each its name, UUID, target and whether an agent has opened its channel.

    Raises:
        NoChannel: there is no connection to that libvirt.
        AgentTimeout: it does not answer in time.
    """
    deadline, worker, connections = Deadline(timeout), Worker(), shared(uri)

    def ask() -> list[Known]:
        with connections.use(deadline) as connection:
            try:
                found = [_known(uri, domain) for domain in connection.listAllDomains(_ACTIVE)]
            except library().error as error:
                reason = explained(error, "the list of domains", sent=False)
                raise with_connection(reason, connection.isAlive()) from error
        return sorted((known for known in found if known), key=lambda known: known.name)

    try:
        return worker.run(lambda: _twice(ask), deadline, "libvirt")
    finally:
        worker.close()
        give_back(connections)


def listing(place: str, timeout: float) -> list[Known]:
    """What there is at a target without a domain: `libvirt:`, `libvirt+qemu:///system`."""
    scheme, _, rest = place.partition(":")
    uri, domain = split_domain(place.removeprefix("libvirt+"))
    if domain or (scheme == "libvirt" and rest):
        raise InvalidTarget(f"{place!r} is one domain, not all of them")
    return domains(None if scheme == "libvirt" else uri, timeout=timeout)


def _known(uri: str | None, domain: Domain) -> Known | None:
    """What is known of *domain*; None if it has just ended."""
    try:
        name, uuid = domain.name(), domain.UUIDString()
        description = ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's own
    except library().error as error:
        if missing(error):
            return None
        raise
    port = description.find(PORT)
    agent = "none" if port is None else port.get("state", "disconnected")
    if uri is None:
        target = f"libvirt:{name}"
    else:
        target = f"libvirt+{uri}{'&' if '?' in uri else '?'}domain={quote(name, safe='')}"
    return Known(target, name, uuid, agent, "libvirt")
