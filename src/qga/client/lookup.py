"""A plain name that no targets file has: a domain of this machine's libvirt, or else a socket.

`target` asks for the way. Whether libvirt knows the name shows when the channel is opened: to ask
takes time, and may have to be awaited.
"""

from __future__ import annotations

import _socket as socket
from pathlib import Path
from typing import TYPE_CHECKING

from qga.errors import InvalidTarget, QgaError

from . import discovery, libvirtlocal, targetsfile
from .deadline import Deadline
from .streams import SocketWay
from .worker import Worker

if TYPE_CHECKING:
    from .aiotransports import AsyncRequestTransport, AsyncTransport
    from .transports import RequestTransport, Transport, Way

# Seconds for the question whether there is such a name at all.
_PATIENCE = 10.0


class NamedWay:
    """The way to what has that name, which is looked for when it is opened first.

    Attributes:
        full: the target that the name stands for; the name itself until that is known.
    """

    def __init__(self, name: str) -> None:
        self.name = self.full = name
        self._tried: list[str] = []
        self._connections = _connections(self._tried)
        self._way = None if self._connections else self._socket()
        if not self._connections and self._way is None:
            raise self._unknown()

    def open(self, deadline: Deadline) -> Transport | RequestTransport:
        if self._way is None:
            self._way = self._find(deadline)
        return self._way.open(deadline)

    async def aopen(self, deadline: Deadline) -> AsyncTransport | AsyncRequestTransport:
        if self._way is None:
            worker = Worker()
            try:
                self._way = await worker.arun(lambda: self._find(deadline), deadline, "libvirt")
            finally:
                worker.close()
        return await self._way.aopen(deadline)

    def find(self) -> None:
        """Look for it now.

        Raises:
            InvalidTarget: nothing has that name.
        """
        if self._way is None:
            self._way = self._find(Deadline(_PATIENCE))

    def _find(self, deadline: Deadline) -> Way:
        del self._tried[:]
        for uri in self._connections:
            try:
                there = libvirtlocal.has(uri, self.name, deadline)
            except QgaError as error:
                self._tried.append(libvirtlocal.problem(uri, error))
                continue
            if there:
                from .libvirt import LibvirtWay

                self.full = libvirtlocal.target(uri, self.name)
                return LibvirtWay(uri, self.name)
            self._tried.append(f"{uri} has no such domain")
        way = self._socket()
        if way is None:
            raise self._unknown()
        return way

    def _socket(self) -> Way | None:
        """The way to the socket of that name: in this directory, or one that `discovery` finds."""
        path = self.name
        if not Path(path).is_socket():
            found = [] if "sockets" not in discovery.sources() else discovery.sockets()
            targets = [known.target for known in found if known.name == self.name]
            if len(targets) > 1:
                raise InvalidTarget(f"{self.name!r} is the name of {' and '.join(targets)}")
            if not targets:
                return None
            path = targets[0].removeprefix("unix:")
        self.full = f"unix:{path}"
        return SocketWay(socket.AF_UNIX, path)

    def _unknown(self) -> InvalidTarget:
        error = targetsfile.unknown(self.name)
        tried = [*self._tried, "no socket has this name"]
        return InvalidTarget(f"{error.text}; {'; '.join(tried)}")


def _connections(tried: list[str]) -> list[str]:
    """The libvirts to ask; in *tried*, why there is one that cannot be."""
    if "libvirt" not in discovery.sources():
        return []
    found = libvirtlocal.connections()
    if not found:
        tried.append("no libvirt listens here")
        return []
    obstacle = libvirtlocal.obstacle()
    if obstacle:
        tried.append(f"{' and '.join(found)} cannot be asked: {obstacle}")
        return []
    return found
