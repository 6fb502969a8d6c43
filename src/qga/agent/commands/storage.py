"""Handlers of `qga.protocol.storage`."""

import errno
import os

from qga.agent import apart
from qga.agent.later import Text
from qga.protocol.codec import encode
from qga.protocol.storage import (
    DiskInfo,
    FilesystemInfo,
    Fstrim,
    GetDisks,
    GetFsinfo,
    TrimResponse,
    TrimResult,
)
from qga.wire import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent
    from qga.agent.later import Pending
    from qga.agent.system.asked import System
    from qga.agent.system.mounts import Filesystem, Mount

_SIZES = ("used_bytes", "total_bytes", "total_bytes_privileged")

_CANNOT_TRIM = (errno.ENOTTY, errno.EOPNOTSUPP)


@GetDisks.handler
def disks(agent: "Agent", command: GetDisks) -> list[DiskInfo]:
    # Upstream's order, here and below: the last one comes first.
    return agent.system.storage.disks()[::-1]


@GetFsinfo.handler
def filesystems(agent: "Agent", command: GetFsinfo) -> Text[list[FilesystemInfo]]:
    # Programs on the host ask often, and then most is as it was: only the sizes are made text anew.
    found = agent.system.storage.filesystems()[::-1]
    return Text(b"[" + b", ".join([_entry(one, agent.config.compat) for one in found]) + b"]")


def _entry(filesystem: "Filesystem", compat: "tuple[int, ...]") -> bytes:
    if filesystem.text is None:
        filesystem.text = _texts(filesystem.info, compat)
    without, template, sizes = filesystem.text
    return without if filesystem.sizes is None else template % filesystem.sizes[:sizes]


def _texts(info: FilesystemInfo, compat: "tuple[int, ...]") -> "tuple[bytes, bytes, int]":
    """The JSON text of *info* without sizes; with sizes, for the % operator; and how many."""
    zeros = dict.fromkeys(_SIZES, 0)
    with_zeros = FilesystemInfo(
        name=info.name, mountpoint=info.mountpoint, type=info.type, disk=info.disk, **zeros
    )
    without, template = (b"".join(text.encode(encode(one, compat))) for one in (info, with_zeros))
    template = template.replace(b"%", b"%%")
    sizes = 0
    for name in _SIZES:
        # No string has this in it: its quotes are escaped. Older agents have fewer of them.
        member = b'"%b": ' % name.replace("_", "-").encode()
        sizes += member in template
        template = template.replace(member + b"0", member + b"%d")
    return without, template, sizes


@Fstrim.handler
def fstrim(agent: "Agent", command: Fstrim) -> "Pending[TrimResponse]":
    minimum = command.minimum or 0
    mounts = agent.system.freezer.mounts()[::-1]

    def work() -> bytes:
        return b"".join(_trim(agent.system, mount, minimum) for mount in mounts)

    def understand(lines: bytes) -> TrimResponse:
        results = zip(mounts, lines.splitlines(), strict=True)
        return TrimResponse(paths=[_result(mount.shown, line) for mount, line in results])

    return apart.run(agent.loop, work, understand)


def _trim(system: "System", mount: "Mount", minimum: int) -> bytes:
    """Trim one file system; a line with two numbers, or with what went wrong."""
    try:
        fd = system.freezer.open(mount)
    except OSError as error:
        return f"failed to open: {error.strerror}\n".encode()
    try:
        return b"%d %d\n" % system.storage.trim(fd, minimum)
    except OSError as error:
        if error.errno in _CANNOT_TRIM:
            return b"trim not supported\n"
        return f"failed to trim: {error.strerror}\n".encode()
    finally:
        os.close(fd)


def _result(path: str, line: bytes) -> TrimResult:
    # JSON has no room for bytes that are not UTF-8.
    path = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    trimmed, _, minimum = line.partition(b" ")
    if not trimmed.isdigit():
        return TrimResult(path=path, error=line.decode())
    return TrimResult(path=path, trimmed=int(trimmed), minimum=int(minimum))
