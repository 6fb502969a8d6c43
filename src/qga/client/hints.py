"""What to do about an error, in one clause: what the class of the exception cannot know.

The clients give the errors of agents to `advise` before they raise them; `target` asks `opening`
about a channel that cannot be opened.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from qga.errors import (
    AgentFrozen,
    BadArgument,
    CommandDisabled,
    CommandNotFound,
    NoChannel,
)
from qga.protocol import COMMANDS, OWN

if TYPE_CHECKING:
    from qga.errors import CommandError, TransportError

# How agents of all versions begin it.
_NAMED = re.compile(r"[Cc]ommand '?([a-z]+-[a-z0-9-]+)'? has ")


def advise(error: CommandError) -> None:
    """Add the hint to an error that an agent answered with."""
    if isinstance(error, AgentFrozen):
        error.hint = "file systems of the guest are frozen: thaw() ends that"
    elif isinstance(error, CommandDisabled):
        error.hint = (
            "the agent's configuration in the guest (block-rpcs, allow-rpcs) forbids it, "
            "or a freeze does"
        )
    elif isinstance(error, CommandNotFound):
        error.hint = _lacking(error.desc)
    elif isinstance(error, BadArgument) and error.desc.endswith("is unexpected"):
        error.hint = "agents of this version do not have it"


def _lacking(desc: str) -> str:
    named = _NAMED.search(desc)
    for command in COMMANDS:
        if named and named[1] == command.NAME:
            if command.PLATFORM:
                return f"only agents of {command.PLATFORM.capitalize()} guests have it"
            if command.NAME.startswith(OWN):
                return "only qga-agent has it, and the guest runs another agent, or an older one"
            return f"the agent in the guest is too old: qemu-ga has it since {command.SINCE}"
    return "the agent in the guest has no such command"


def opening(target: str, error: BaseException | None) -> str:
    """What to do about a channel that cannot be opened.

    Args:
        target: as the user writes it.
        error: the operating system's reason.

    Returns: the clause; empty where there is nothing to say beyond what the exception's class says.
    """
    scheme, _, address = target.partition(":")
    number = error.errno if isinstance(error, OSError) else None
    if scheme in ("unix", "serial"):
        if number in (errno.EACCES, errno.EPERM):
            return _owner(address)
        if number == errno.ENOENT:
            return "is the virtual machine running, and is this the path of its agent's channel?"
        if number == errno.ECONNREFUSED:
            if Path(address).exists() and not Path(address).is_socket():
                return "it is no socket: which one is the agent's channel?"
            return "nobody listens on it: has the virtual machine, or the agent, ended?"
    elif scheme == "vsock":
        return "does the guest run with this CID, and does its agent listen on this port?"
    elif scheme == "fd" and number == errno.EBADF:
        return "what starts this program has to leave it open"
    return ""


def down(target: str, error: TransportError) -> tuple[bool, bool]:
    """Whether a channel that cannot be opened tells that its machine is off; that it is asleep.

    Args:
        target: in full.
        error: why it cannot be opened.
    """
    if isinstance(error, NoChannel) and (error.off or error.asleep):
        return error.off, error.asleep
    scheme, reason = target.partition(":")[0], error.__cause__
    number = reason.errno if isinstance(reason, OSError) else None
    # QEMU has the unix socket. Behind a vsock address the kernel knows the guests, and who listens.
    if scheme == "unix":
        return number in (errno.ENOENT, errno.ECONNREFUSED), False
    return (scheme, number) == ("vsock", errno.ENODEV), (scheme, number) == (
        "vsock",
        errno.ECONNRESET,
    )


def _owner(path: str) -> str:
    """Whose *path* is, or the first directory on the way that this user may not enter."""
    place = Path(path).absolute()
    for directory in reversed(place.parents):
        if not os.access(directory, os.X_OK):
            return f"this user may not enter {directory}, which is {_described(directory)}"
    return f"it is {_described(place)}: be that user, or in that group"


def _described(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "of nobody that could be told"
    try:
        user = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        user = str(found.st_uid)
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return f"of {user}:{group} with mode {stat.S_IMODE(found.st_mode):04o}"
