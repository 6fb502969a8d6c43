"""How what `copyplan` has planned is carried out, by what the library has for it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qga.client.flows.steps import CHUNK

from .copyplan import same_file, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from qga.client import Client
    from qga.client.flows.trees import TreeTransferred

    from .copyplan import Job, Machines


@dataclass(frozen=True, slots=True)
class Ways:
    """How to copy.

    Attributes:
        mode: permissions; None for the usual ones.
        owner: user, by name or number; None for the usual one.
        group: likewise.
        preserve: keep permissions and times; of directories also owners.
        verify: whether checksums are compared; None for where it can be done.
        resume: go on where an earlier attempt has stopped.
        in_place: write to the file itself.
        ignore: patterns of what is left out of directories.
    """

    mode: int | None
    owner: str | int | None
    group: str | int | None
    preserve: bool
    verify: bool | None
    resume: bool
    in_place: bool
    ignore: tuple[str, ...]


@dataclass(slots=True)
class Copied:
    """What came of a job; None for what the guest has done by itself."""

    size: int | None
    files: int | None = 1
    skipped: int = 0
    verified: bool = False
    warnings: str = ""


class Copying:
    """Carries out what was planned.

    Args:
        machines: where the files are.
        ways: how.
        report: called with the bytes of a file, or a tree, so far.
    """

    def __init__(
        self, machines: Machines, ways: Ways, report: Callable[[int], None] | None
    ) -> None:
        self._machines = machines
        self._ways = ways
        self._count = report
        self._report = None if report is None else lambda moment: report(moment.done)

    def do(self, job: Job) -> Copied:
        """Copy one thing."""
        source, to = job.source, job.destination
        if to.target is None:
            assert source.target is not None  # noqa: S101 - `_check` has seen to it
            return self._fetch(self._machines.client(source.target), job)
        client = self._machines.client(to.target)
        if source.target is None:
            return self._deliver(client, job)
        other = self._machines.client(source.target)
        return self._within(client, job) if other is client else self._relay(other, client, job)

    def _fetch(self, client: Client, job: Job) -> Copied:
        source, to, ways = job.source, job.destination, self._ways
        if to.is_stream:
            count = client.download(source.path, sys.stdout.buffer.write, progress=self._count)
            sys.stdout.buffer.flush()
            return Copied(count)
        if job.tree:
            return _of_tree(
                client.files.download_tree(
                    source.path,
                    to.path,
                    exclude=ways.ignore,
                    owners=None if ways.preserve else False,
                    verify=ways.verify is True,
                    progress=self._report,
                )
            )
        if job.there.kind == "other" or not source.path.startswith("/"):
            with Path(to.path).open("wb") as file:
                return Copied(client.download(source.path, file.write, progress=self._count))
        done = client.files.download(
            source.path,
            to.path,
            preserve=ways.preserve,
            verify=ways.verify,
            resume=ways.resume,
            progress=self._report,
        )
        return Copied(done.size, verified=done.verified)

    def _deliver(self, client: Client, job: Job) -> Copied:
        source, to, ways = job.source, job.destination, self._ways
        if job.tree:
            owner, group = self._numbers()
            return _of_tree(
                client.files.upload_tree(
                    source.path,
                    to.path,
                    exclude=ways.ignore,
                    owner=owner,
                    group=group,
                    verify=ways.verify is True,
                    progress=self._report,
                )
            )
        if source.is_stream:
            return self._pour(client, sys.stdin.buffer, job)
        if not Path(source.path).is_file() or not to.path.startswith("/"):
            with Path(source.path).open("rb", buffering=0) as file:
                return self._pour(client, file, job)
        done = client.files.upload(
            source.path, to.path, resume=ways.resume, progress=self._report, **self._attributes(job)
        )
        return Copied(done.size, verified=done.verified)

    def _pour(self, client: Client, file: BinaryIO, job: Job) -> Copied:
        """Write what has no length that could be known: what was there is lost if it breaks."""
        to = job.destination
        if job.there.kind == "absent":  # agents make files that everybody may write
            first = 0o644 if self._ways.mode is None else self._ways.mode & 0o700
            client.files.write(to.path, b"", mode=first)
        count = client.upload(to.path, _pieces(file), progress=self._count)
        if self._ways.mode is not None:
            client.files.chmod(to.path, self._ways.mode)
        if self._ways.owner is not None or self._ways.group is not None:
            client.files.chown(to.path, self._ways.owner, self._ways.group)
        return Copied(count)

    def _within(self, client: Client, job: Job) -> Copied:
        """From a guest to itself: by a program there, if it runs any."""
        source, to, ways = job.source, job.destination, self._ways
        if same_file(source, to):
            raise wrong(to, f"{source.text!r} and {to.text!r} are the same")
        plain = (ways.mode, ways.owner, ways.group, ways.verify) == (None, None, None, None)
        if job.there.kind == "unknown" or not plain or ways.resume or ways.ignore:
            return self._relay(client, client, job)
        client.files.copy(source.path, to.path, recursive=job.tree, preserve=ways.preserve)
        return Copied(job.size, files=None if job.tree else 1)

    def _relay(self, other: Client, client: Client, job: Job) -> Copied:
        source, to, ways = job.source, job.destination, self._ways
        if job.tree:
            owner, group = self._numbers()
            return _of_tree(
                client.files.copy_tree_from(
                    other,
                    source.path,
                    to.path,
                    exclude=ways.ignore,
                    owner=owner,
                    group=group,
                    verify=ways.verify is True,
                    progress=self._report,
                )
            )
        done = client.files.copy_from(
            other,
            source.path,
            to.path,
            resume=ways.resume,
            progress=self._report,
            **self._attributes(job),
        )
        return Copied(done.size, verified=done.verified)

    def _attributes(self, job: Job) -> dict[str, Any]:
        """How a file in a guest is written."""
        ways = self._ways
        kernels = job.destination.path.startswith(("/proc/", "/sys/"))  # nothing beside them
        beside = job.there.kind in {"absent", "file"} and not ways.in_place and not kernels
        return {
            "mode": ways.mode,
            "owner": ways.owner,
            "group": ways.group,
            "preserve": ways.preserve,
            "atomic": beside,
            "verify": ways.verify,
        }

    def _numbers(self) -> tuple[int | None, int | None]:
        """The owner of all in a directory: as told, as it was, or root as for a single file."""
        ways = self._ways
        told = [found if isinstance(found, int) else None for found in (ways.owner, ways.group)]
        owner, group = told if ways.preserve else [found or 0 for found in told]
        return owner, group


def _of_tree(done: TreeTransferred) -> Copied:
    return Copied(done.size, done.files, done.skipped, done.verified, done.warnings)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece
