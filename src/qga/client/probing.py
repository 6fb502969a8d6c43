"""How targets are, by a quick look that disturbs nobody. For `listing`.

A channel has room for one client, mostly. So before anything is opened the kernel is asked whether
somebody else has it; then it is left alone. Over a free one goes a synchronisation, nothing else
(through libvirt, which does that by itself, a ping).
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from qga.errors import (
    AgentBusy,
    AgentTimeout,
    CommandError,
    InvalidTarget,
    NoChannel,
    QgaError,
)

from . import unixsockets
from .crew import all_done
from .reach import Reach
from .sync import Client
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .listing import Known

# Seconds for one look, and how many at once. An agent that is there answers in milliseconds; one in
# a guest without a processor of its own to run on may take a second.
PATIENCE = 2.0
FORKS = 32

_BY_ERRNO = {
    errno.ENOENT: Reach.OFF,
    errno.ENOTDIR: Reach.OFF,
    errno.ECONNREFUSED: Reach.REFUSED,
    errno.ECONNRESET: Reach.REFUSED,
    errno.EACCES: Reach.DENIED,
    errno.EPERM: Reach.DENIED,
    errno.EHOSTUNREACH: Reach.OFF,
    errno.ENODEV: Reach.OFF,
}


def probed(known: Sequence[Known], *, patience: float = PATIENCE) -> list[Known]:
    """*known*, each with how it is; all of it within a few times *patience*."""
    rounds = ceil(len(known) / FORKS) + 1
    states = all_done(
        lambda one: _state(one, patience), known, forks=FORKS, timeout=rounds * patience
    )
    return [
        replace(one, state=Reach.SILENT if state is None else state)
        for one, state in zip(known, states, strict=True)
    ]


def _state(known: Known, patience: float) -> Reach:
    if known.state is not None:  # libvirt has told
        return known.state
    try:
        target = Target(known.name) if known.source == "file" else Target(known.target)
        return probe(target, patience)
    except InvalidTarget:
        return Reach.UNKNOWN


def probe(target: Target, patience: float = PATIENCE) -> Reach:
    """How *target* is.

        >>> from qga.client import probing
        >>> with agent.serve() as text:
        ...     str(probing.probe(qga.Target(text)))
        'ready'

    Args:
        target: the channel to look at.
        patience: the most seconds that it may take.
    """
    scheme, _, rest = target.full.partition(":")
    if scheme in {"serial", "fd"} or (scheme.startswith("libvirt+") and "+ssh" in target.full):
        # To open a line takes from whoever else reads it; ssh may ask for a password.
        return Reach.UNKNOWN
    if scheme == "unix":
        found = of_socket(rest)
        if found is not None:
            return found
    with Client(target.open, timeout=patience, target=str(target)) as client:
        try:
            client.sync()
        except CommandError:
            return Reach.READY  # it answers
        except QgaError as error:
            return _meaning(error)
    return Reach.READY


def of_socket(path: str) -> Reach | None:
    """What is wrong with the socket *path*; None if it may be connected to."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116 - it is text
            return Reach.REFUSED
    except OSError as error:
        return _BY_ERRNO.get(error.errno or 0, Reach.UNKNOWN)
    if not os.access(path, os.W_OK):
        return Reach.DENIED
    seen = unixsockets.look(path)
    if seen is None:
        return None
    if not seen.listener:
        return Reach.REFUSED
    return Reach.BUSY if seen.clients or seen.waiting else None


def _meaning(error: QgaError) -> Reach:
    if isinstance(error, AgentBusy):
        return Reach.BUSY
    if isinstance(error, AgentTimeout):
        return Reach.SILENT
    if isinstance(error, NoChannel):
        reason = error.__cause__
        while isinstance(reason, NoChannel):
            reason = reason.__cause__
        if isinstance(reason, OSError) and reason.errno in _BY_ERRNO:
            return _BY_ERRNO[reason.errno]
        words = {"not running": Reach.OFF, "refused": Reach.REFUSED}
        return next((found for word, found in words.items() if word in error.text), Reach.UNKNOWN)
    return Reach.SILENT
