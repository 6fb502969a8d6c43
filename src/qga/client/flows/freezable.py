"""What a freeze takes, and what not, before anything is frozen. For `operations`."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from qga.client.facts import Freezable, FreezePlan
from qga.errors import (
    AgentFrozen,
    CommandDisabled,
    CommandError,
    CommandNotFound,
    QgaError,
    Unsupported,
)
from qga.protocol import (
    FsfreezeFreeze,
    FsfreezeFreezeList,
    FsfreezeStatus,
    FsfreezeThaw,
    GetFsinfo,
    Info,
    QgaFsfreezeFreeze,
    QgaFsfreezeThaw,
)
from qga.protocol.fsfreeze import FreezeOutcome, FsfreezeState

from .facts import text_of
from .steps import Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qga.protocol.fsfreeze import FreezeMount, FreezeReport
    from qga.protocol.session import AgentInfo
    from qga.protocol.storage import FilesystemInfo

    from .steps import Flow

NOTHING = "there is no file system that could be frozen"

# Kinds on disks for which the kernel has no way to freeze them: agents pass them by.
_CANNOT = frozenset(
    ("erofs", "exfat", "fuseblk", "hfs", "hfsplus", "iso9660", "msdos", "squashfs", "udf", "vfat")
)

# Patterns that begin so are compared with something else than the mount point.
_KINDS = ("type:", "device:")

# Why agents do not look at those that are on no disk. What is not here holds no data.
_ELSEWHERE = {
    "tmpfs": "it is in memory",
    "ramfs": "it is in memory",
    "overlay": "it lies over others, which are frozen themselves",
    "zfs": "the kernel has no way to freeze it",
    "nfs": "it is another machine's",
    "nfs4": "it is another machine's",
    "cifs": "it is another machine's",
    "smb3": "it is another machine's",
    "ceph": "it is another machine's",
    "9p": "it is the host's",
    "virtiofs": "it is the host's",
    "fuse": "it is a program's",
}


def freezable(
    mountpoints: str | Sequence[str] | None = None,
    *,
    exclude: str | Sequence[str] = (),
    timeout: float | None = None,
) -> Flow[list[Freezable]]:
    """What `frozen` would freeze, in that order, and what not and why.

    Agents with leases tell what they would do. Others freeze what they list as file systems on
    disks; what is not among those is told of where the guest's mount table may be read.

        >>> [each.mountpoint for each in client.freezable("/srv") if each.taken]
        ['/srv']
        >>> [each.reason for each in client.freezable(exclude=["type:ext*"])]
        ['excluded: type:ext*', 'excluded: type:ext*']
        >>> print(client.freezable("/nowhere")[-1].reason)
        no file system that could be frozen is mounted there

    Args:
        mountpoints: as for `frozen`.
        exclude: as for `frozen`.
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    found, _ = yield from _looked_at(_several(mountpoints), exclude)
    return found


def plan(
    mountpoints: str | Sequence[str] | None = None,
    *,
    exclude: str | Sequence[str] = (),
    timeout: float | None = None,
) -> Flow[FreezePlan]:
    """What `frozen` would do, the hooks of the guest included, and what is in its way.

        >>> hook = agent.freezing.add_hook("postgresql", required=True)
        >>> plan = client.freeze_plan()
        >>> [each.mountpoint for each in plan.filesystems if each.taken]
        ['/srv', '/']
        >>> [(each.name, each.required, each.ok) for each in plan.hooks]
        [('postgresql', True, True)]
        >>> print(plan.problem)
        None
        >>> hook.problem = "it is not executable"
        >>> print(client.freeze_plan().problem)
        the hook postgresql is required, and cannot be run: it is not executable

    Args:
        mountpoints: as for `frozen`.
        exclude: as for `frozen`.
        timeout: seconds for each call; the client's own if None.
    """
    yield Timeout(timeout)
    info: AgentInfo = yield Info()
    wanted = _several(mountpoints)
    try:
        found, report = yield from _looked_at(wanted, exclude)
    except CommandDisabled:
        yield from check_thawed()  # which is what forbids it, maybe
        raise
    problem: QgaError | None = refusal(info, everything=wanted is None and not exclude)
    if report is not None:
        problem = problem or _not_by_name(wanted, found) or _unfit(report)
    if problem is None and not any(each.taken for each in found):
        problem = QgaError(NOTHING)
    return FreezePlan(found, None if report is None else report.planned_hooks, problem)


def check_thawed() -> Flow[None]:
    """See that nothing is frozen.

    Raises:
        AgentFrozen: something is.
    """
    state: FsfreezeState = yield FsfreezeStatus()
    if state != FsfreezeState.THAWED:
        raise AgentFrozen("its file systems are frozen already")


def refusal(info: AgentInfo, *, everything: bool) -> CommandDisabled | None:
    """Which command the agent would refuse that freezing takes, or thawing.

    Args:
        info: what it tells of its commands.
        everything: whether all that can be frozen is to be.
    """
    enabled = {each.name: each.enabled for each in info.supported_commands}
    freeze = (FsfreezeFreeze if everything else FsfreezeFreezeList).NAME
    for name, lease in ((freeze, QgaFsfreezeFreeze), (FsfreezeThaw.NAME, QgaFsfreezeThaw)):
        # The first agents do not list theirs.
        if not enabled.get(name, True) and not enabled.get(lease.NAME):
            return CommandDisabled.named(name)
    return None


def _not_by_name(wanted: list[str] | None, found: list[Freezable]) -> QgaError | None:
    """Why an agent with leases would refuse: what is named has to be frozen."""
    for pattern in wanted or ():
        there = [each for each in found if _is_path(pattern) and _matches(pattern, each)]
        if there and not any(each.taken for each in there):
            return QgaError(f"cannot freeze {pattern}: {there[-1].reason}")
    return None


def _unfit(report: FreezeReport) -> QgaError | None:
    """Why the hooks of the guest would make a freeze fail."""
    for hook in report.planned_hooks or ():
        if hook.required and not hook.ok:
            return QgaError(f"the hook {hook.name} is required, and cannot be run: {hook.reason}")
    return None


def _looked_at(
    wanted: list[str] | None, exclude: str | Sequence[str]
) -> Flow[tuple[list[Freezable], FreezeReport | None]]:
    """File systems, and what the agent has told of its plan; None if it does not tell."""
    excluded = _several(exclude) or []
    report: FreezeReport | None = None
    try:
        # Without what is wanted: an agent refuses to plan for what it cannot freeze.
        report = yield QgaFsfreezeFreeze(exclude=excluded or None, dry_run=True)
    except (CommandDisabled, CommandNotFound, Unsupported):
        found = _narrowed((yield from _by_lists()), None, excluded)
    else:
        found = [_told(mount) for mount in report.mounts]
    found = _narrowed(found, wanted, [])
    nothing = "no file system that could be frozen is mounted there"
    found += [
        Freezable(pattern, "", "", False, nothing)
        for pattern in wanted or ()
        if _is_path(pattern) and not any(_matches(pattern, each) for each in found)
    ]
    return found, report


def chosen(
    mountpoints: Sequence[str] | None, exclude: Sequence[str], *, timeout: float | None = None
) -> Flow[Sequence[str] | None]:
    """The mount points that an agent without leases is to freeze; None for all.

    It takes no patterns, so these are compared here.
    """
    if not exclude and all(_is_path(each) for each in mountpoints or ()):
        return mountpoints
    yield Timeout(timeout)
    found = _narrowed((yield from _by_lists()), None, exclude)
    return [each.mountpoint for each in _narrowed(found, mountpoints, []) if each.taken]


def _several(patterns: str | Sequence[str] | None) -> list[str] | None:
    return None if patterns is None else [patterns] if isinstance(patterns, str) else [*patterns]


def _told(mount: FreezeMount) -> Freezable:
    taken = mount.outcome == FreezeOutcome.PLANNED
    reason = "" if taken else mount.reason or ""
    return Freezable(mount.path, mount.type, mount.device, taken, reason)


def _by_lists() -> Flow[list[Freezable]]:
    """All that there is, by the agent's list and the guest's mount table."""
    listed: list[FilesystemInfo] = yield GetFsinfo()
    try:
        table = list(_mounts((yield from text_of("/proc/self/mountinfo"))))
    except (CommandError, Unsupported):
        table = []
    devices = {mountpoint: device for mountpoint, _, _, device in table}
    seen: dict[str, str] = {}
    found = []
    for one in listed[::-1]:  # agents tell the last one first
        device = devices.get(one.mountpoint, one.mountpoint)
        reason = ""
        if one.type in _CANNOT:
            reason = f"the kernel has no way to freeze {one.type}"
        elif device in seen:
            reason = f"it is the same as {seen[device]}"
        else:
            seen[device] = one.mountpoint
        found.append(Freezable(one.mountpoint, one.type, one.name, not reason, reason))
    known = {each.mountpoint for each in found}
    for mountpoint, kind, source, _ in table:
        why = _ELSEWHERE.get(kind.partition(".")[0])
        if why and mountpoint not in known:
            found.append(Freezable(mountpoint, kind, source, False, why))
            known.add(mountpoint)
    return found


def _narrowed(
    found: list[Freezable], wanted: Sequence[str] | None, exclude: Sequence[str]
) -> list[Freezable]:
    """*found*, of which only what is wanted and not excluded is taken."""

    def narrowed(each: Freezable) -> Freezable:
        if not each.taken:
            return each
        if wanted is not None and not any(_matches(pattern, each) for pattern in wanted):
            return replace(each, taken=False, reason="it is not asked for")
        for pattern in exclude:
            if _matches(pattern, each):
                return replace(each, taken=False, reason=f"excluded: {pattern}")
        return each

    return [narrowed(each) for each in found]


def _is_path(pattern: str) -> bool:
    return not any(each in pattern for each in "*?") and not pattern.startswith(_KINDS)


def _matches(pattern: str, each: Freezable) -> bool:
    """Whether agents with leases would say so: `*` is any text, `?` any character."""
    kind, _, rest = pattern.partition(":")
    texts = [each.mountpoint]
    if pattern.startswith(_KINDS):
        pattern = rest
        # Lists have the names of devices, mount tables their paths.
        texts = [each.type] if kind == "type" else [each.device, f"/dev/{each.device}"]
    pattern = pattern.replace("[", "[[]")
    return any(fnmatchcase(text, pattern) for text in texts)


def _mounts(table: str) -> Iterator[tuple[str, str, str, str]]:
    """Mount point, kind, source and device number of each mount in *table*."""
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if len(fields) > 4 and len(rest) > 1:
            # Those of btrfs differ for each mount of the same one.
            device = rest[1] if rest[0] == "btrfs" else fields[2]
            yield _plain(fields[4]), rest[0], _plain(rest[1]), device


def _plain(field: str) -> str:
    """*field* as it was before the kernel wrote blanks and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
