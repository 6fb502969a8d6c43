"""A snapshot of a libvirt domain's disks, taken while the guest is frozen: `snapshot`.

libvirt could freeze by itself, but then nobody could tell whether the freeze held.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from xml.etree import ElementTree as ET

from qga.errors import InvalidTarget, QgaError

from . import libvirt
from .deadline import Deadline
from .libvirterrors import LibvirtLost, explained, with_connection
from .libvirthost import give_back, library, shared
from .sync import connect
from .target import Target, settled
from .worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .freezestate import FreezeState
    from .libvirterrors import Failure
    from .libvirthost import Domain
    from .trace import Trace

# virDomainSnapshotCreateFlags. Not QUIESCE, which would have libvirt freeze.
_NO_METADATA, _DISK_ONLY, _ATOMIC = 4, 16, 128

# How long after the deadline of the freeze libvirt is waited for, in seconds.
PATIENCE = 60.0


class SnapshotFailed(QgaError):
    """There is no snapshot: libvirt refused it, or nothing was frozen.

    >>> qga.snapshot("libvirt:web1", disks=["vdz"])
    Traceback (most recent call last):
    qga.client.domainsnapshot.SnapshotFailed: the domain has no disk 'vdz': it has vda, vdb, hda
    """


@dataclass(frozen=True, slots=True)
class SnapshotDisk:
    """A disk in a snapshot.

        >>> qga.snapshot("libvirt:web1").disks
        [SnapshotDisk(name='vda', image='/img/root.qcow2', overlay='/img/root.new')]

    Attributes:
        name: the disk's name in the domain, such as vda.
        image: the file or device with what the guest had written until the freeze.
        overlay: the file to which it writes from now on.
    """

    name: str
    image: str
    overlay: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot, and the proof of when it was taken.

        >>> found = qga.snapshot("libvirt:web1")
        >>> found.confirmed <= found.begun <= found.made <= found.ended
        True
        >>> found.consistent
        True

    Attributes:
        name: the snapshot's.
        domain: the domain's name.
        disks: those in the snapshot.
        frozen: the number of file systems that were frozen.
        thawed: the number that the thaw has thawed.
        confirmed: when the agent had confirmed the freeze.
        begun: when libvirt was asked for the snapshot.
        made: when it had made it.
        ended: when the thaw began.
        consistent: whether the snapshot lies within a freeze that held.
        report: that in a sentence, with the reason.
    """

    name: str
    domain: str
    disks: list[SnapshotDisk]
    frozen: int
    thawed: int
    confirmed: datetime
    begun: datetime
    made: datetime
    ended: datetime
    consistent: bool
    report: str


def snapshot(
    target: str | Target | None = None,
    name: str | None = None,
    *,
    disks: Mapping[str, str] | Sequence[str] | None = None,
    mountpoints: str | Sequence[str] | None = None,
    deadline: float = 60.0,
    metadata: bool = True,
    domain: str | Target | None = None,
    timeout: float | None = None,
    trace: Trace | None = None,
) -> Snapshot:
    """Freeze a libvirt domain's file systems, take a snapshot of its disks, and thaw.

        >>> found = qga.snapshot("libvirt:web1", "before-upgrade")
        >>> [(disk.name, disk.overlay) for disk in found.disks]
        [('vda', '/img/root.new')]
        >>> print(found.report)
        the snapshot lies within the freeze: 2 file systems stayed frozen for ... s

    The snapshot is an external one of the disks alone: what they hold stays as it is in their
    files, and the guest goes on with new ones. All disks are in it, or none. However it ends, the
    guest is thawed, as `Client.frozen` says. An exception in the course of it has a note on whether
    there is a snapshot.

    Args:
        target: the domain; by default what QGA_TARGET says.
        name: the snapshot's; made of the time if None.
        disks: the names of the disks to take, such as vda, with a file for each where the guest
            goes on, or "" for libvirt to choose; all disks if None.
        mountpoints: of the file systems to freeze; all that can be if None.
        deadline: the most seconds that they may be frozen.
        metadata: whether libvirt is to remember the snapshot, as `virsh snapshot-list` shows it.
        domain: the domain, where *target* is another way to its agent.
        timeout: seconds for each call of the agent; the target's own if None.
        trace: is told of each request and reply, as for `connect`.

    Returns: what there is now. Only if it is `consistent` do the images hold what the guest had
        brought to an end before.

    Raises:
        InvalidTarget: the target is no domain of libvirt.
        SnapshotFailed: no snapshot was made.
        QgaError: as for `Client.frozen`; or libvirt does not answer.
    """
    found, timeout = settled(target, timeout)
    with connect(found, timeout=timeout, trace=trace) as client:
        host = Host(found if domain is None else domain, name, disks, metadata=metadata)
        try:
            host.run(host.look, client.timeout)
            freeze = client.frozen(mountpoints, deadline=deadline, timeout=timeout)
            try:
                with freeze:
                    check_frozen(freeze)
                    host.run(host.create, deadline + PATIENCE)
                host.run(host.look, client.timeout)
            except BaseException as error:
                if host.leaves_open(error):
                    # Behind the snapshot: when libvirt is done with that.
                    try:
                        host.run(nothing, PATIENCE)
                    except QgaError:
                        host.answers = False
                    host.explain(error)
                raise
            return host.judged(freeze)
        finally:
            host.close()


def check_frozen(freeze: FreezeState) -> None:
    """See that something is frozen.

    Raises:
        SnapshotFailed: there is nothing.
    """
    if not freeze.frozen:
        raise SnapshotFailed("no file system was frozen, so no snapshot was made")


def nothing(_: Deadline) -> None:
    """What is done when all before it is done."""


def _way(target: str | Target) -> libvirt.LibvirtWay:
    if isinstance(target, str):
        target = Target(target)
    target.find()
    scheme, _, rest = target.full.partition(":")
    if scheme != "libvirt" and not scheme.startswith("libvirt+"):
        raise InvalidTarget(f"{target} is no domain of libvirt: which one is it?")
    return libvirt.way(target.full, rest, {})


def _description(
    name: str, images: Mapping[str, str], disks: Mapping[str, str] | Sequence[str] | None
) -> str:
    """The snapshot's XML, as libvirt takes it."""
    root = ET.Element("domainsnapshot")
    ET.SubElement(root, "name").text = name
    if disks is not None:
        wanted = disks if isinstance(disks, Mapping) else dict.fromkeys(disks, "")
        unknown = [disk for disk in wanted if disk not in images]
        if unknown or not wanted:
            which = f"no disk {unknown[0]!r}" if unknown else "other disks than none"
            raise SnapshotFailed(f"the domain has {which}: it has {', '.join(images)}")
        listed = ET.SubElement(root, "disks")
        for disk in images:
            kind = "external" if disk in wanted else "no"
            element = ET.SubElement(listed, "disk", name=disk, snapshot=kind)
            if wanted.get(disk):
                ET.SubElement(element, "source", file=wanted[disk])
    return ET.tostring(root, encoding="unicode")


def _sources(domain: Domain) -> dict[str, str]:
    """The names of the domain's disks, and what each is on: a file, a device, or another name."""
    found = {}
    description = ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's own
    for disk in description.iterfind("./devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        given = {} if source is None else source.attrib
        if target is not None:
            where = (given[key] for key in ("file", "dev", "name") if key in given)
            found[target.get("dev", "")] = next(where, "")
    return found


class Host:
    """One domain of libvirt, asked in a thread, for a snapshot of either kind.

    Args:
        target: the domain.
        name: the snapshot's; made of the time if None.
        disks: which, as for `snapshot`.
        metadata: whether libvirt is to remember it.

    Attributes:
        begun: when it was asked for the snapshot, as `time.monotonic` has it; 0.0 until then.
        ended: when it had made it; 0.0 until then, and if it has not.
        answers: whether it has answered in the end.

    Raises:
        InvalidTarget: the target is no domain.
    """

    def __init__(
        self,
        target: str | Target,
        name: str | None,
        disks: Mapping[str, str] | Sequence[str] | None,
        *,
        metadata: bool,
    ) -> None:
        way = _way(target)
        self._text = self._domain = way.domain
        self._name = name or datetime.now(UTC).strftime("qga-%Y%m%d-%H%M%S")
        self._disks = disks
        self._flags = _DISK_ONLY | _ATOMIC | (0 if metadata else _NO_METADATA)
        self._worker = Worker()
        self._shared = shared(way.uri)
        self._asked = False
        self._images: list[dict[str, str]] = []
        self.begun = self.ended = 0.0
        self.answers = True

    def close(self) -> None:
        """Have no more to do with it."""
        self._worker.close()
        give_back(self._shared)

    # What it is asked, in the thread, until a deadline.

    def run(self, ask: Callable[[Deadline], None], seconds: float) -> None:
        """Do *ask*, which is one of those below, in the thread."""
        deadline = Deadline(seconds)
        self._worker.run(lambda: ask(deadline), deadline, self._about(ask))

    async def arun(self, ask: Callable[[Deadline], None], seconds: float) -> None:
        """The same in an event loop."""
        deadline = Deadline(seconds)
        await self._worker.arun(lambda: ask(deadline), deadline, self._about(ask))

    def _about(self, ask: Callable[[Deadline], None]) -> str:
        if ask != self.create:
            return "libvirt"
        self._asked = True
        return "the snapshot"

    def look(self, deadline: Deadline) -> None:
        """See which disks there are, and what each is on."""
        with self._shared.use(deadline) as connection:
            try:
                domain = libvirt.find_domain(connection, self._text)
                self._domain = domain.name()
                self._images.append(_sources(domain))
            except library().error as error:
                reason = explained(error, "the look at the domain", sent=False)
                raise with_connection(reason, connection.isAlive()) from error
        if not self._asked:
            self._description = _description(self._name, self._images[0], self._disks)

    def create(self, deadline: Deadline) -> None:
        """Have the snapshot made, after a look."""
        with self._shared.use(deadline) as connection:
            domain = libvirt.find_domain(connection, self._text)
            self.begun = time.monotonic()
            try:
                domain.snapshotCreateXML(self._description, self._flags)
            except library().error as error:
                if not connection.isAlive():
                    raise LibvirtLost(f"the connection to libvirt broke: {error}") from error
                failure = cast("Failure", error)
                message = failure.get_error_message() or str(error)
                raise SnapshotFailed(f"libvirt made no snapshot: {message}") from error
            self.ended = time.monotonic()

    # What came of it.

    def leaves_open(self, error: BaseException) -> bool:
        """Whether *error* does not tell if there is a snapshot."""
        return self._asked and not isinstance(error, SnapshotFailed)

    def explain(self, error: BaseException) -> None:
        """Have *error* tell whether there is a snapshot, as far as is known."""
        if not self.answers:
            error.add_note("libvirt has not answered: the snapshot may still be made")
        elif isinstance(error, LibvirtLost):
            error.add_note("the snapshot may have been made")
        elif not self.ended:
            error.add_note("no snapshot was made")
        else:
            error.add_note("the snapshot was made all the same")

    def judged(self, freeze: FreezeState) -> Snapshot:
        """The snapshot, and whether it lies within the *freeze*, which is over."""
        images, overlays = self._images
        inside = freeze.confirmed <= self.begun <= self.ended <= freeze.ended
        consistent = freeze.held and inside
        if consistent:
            report = f"the snapshot lies within the freeze: {freeze.report}"
        else:
            why = "it was not done before the thaw" if freeze.held else freeze.report
            report = f"the snapshot may not be consistent: {why}"
        now, clock = datetime.now(UTC), time.monotonic()

        def at(moment: float) -> datetime:
            return now - timedelta(seconds=clock - moment)

        return Snapshot(
            name=self._name,
            domain=self._domain,
            disks=[
                SnapshotDisk(disk, images[disk], overlay)
                for disk, overlay in overlays.items()
                if images.get(disk, overlay) != overlay
            ],
            frozen=freeze.frozen,
            thawed=freeze.thawed or 0,
            confirmed=at(freeze.confirmed),
            begun=at(self.begun),
            made=at(self.ended),
            ended=at(freeze.ended),
            consistent=consistent,
            report=report,
        )
