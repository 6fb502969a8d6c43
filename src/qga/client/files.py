"""The files of a guest: `client.files`, for the blocking and for the asynchronous client."""

from __future__ import annotations

from .operation import Awaiting, Blocking, opens, operation
from .transfers import TransferOperations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from . import following as followers
    from .flows import (
        attributes,
        changing,
        finding,
        following,
        globbing,
        listing,
        looking,
        space,
        tailing,
    )
    from .flows.steps import Flow

    R = TypeVar("R")
else:
    from .operation import Deferred

    attributes, changing = map(Deferred, ("flows.attributes", "flows.changing"))
    finding, following = map(Deferred, ("flows.finding", "flows.following"))
    globbing, listing = map(Deferred, ("flows.globbing", "flows.listing"))
    looking, space, tailing = map(Deferred, ("flows.looking", "flows.space", "flows.tailing"))
    followers = Deferred("following")


class FileOperations(TransferOperations):
    """What can be done with the files of a guest.

    Paths are absolute. They may be str, bytes or `os.PathLike`; names that are no UTF-8 come as str
    with surrogate escapes, which can be passed back: `os.fsencode` gives their bytes.

    All but reading, writing and following is done by short scripts in the guest's shell, so the
    agent must allow guest-exec.
    """

    stat = operation(looking.stat)
    lstat = operation(looking.lstat)
    exists = operation(looking.exists)
    is_dir = operation(looking.is_dir)
    is_file = operation(looking.is_file)
    list = operation(listing.list_directory)
    walk = operation(listing.walk)
    glob = operation(globbing.glob)
    find = operation(finding.find)
    readlink = operation(looking.readlink)
    disk_usage = operation(looking.disk_usage)
    mounts = operation(space.mounts)
    du = operation(looking.du)
    du_each = operation(space.du_each)
    checksum = operation(looking.checksum)
    tail = operation(tailing.tail)
    follow = opens(following.follow, followers.Follower, followers.AsyncFollower)

    mkdir = operation(changing.mkdir)
    remove = operation(changing.remove)
    rename = operation(changing.rename)
    copy = operation(changing.copy)
    symlink = operation(changing.symlink)
    chmod = operation(attributes.chmod)
    chown = operation(attributes.chown)
    touch = operation(attributes.touch)
    utime = operation(attributes.utime)
    mktemp = operation(changing.mktemp)
    mkdtemp = operation(changing.mkdtemp)


class Files(Blocking, FileOperations):
    r"""The files of a guest; `Client.files`.

        >>> files = guest.files
        >>> files.write(f"{folder}/file", b"data\n")
        5
        >>> [entry.name for entry in files.list(folder)]
        ['file']

    Args:
        client: what carries out the operations.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Blocking) -> None:
        self._client = client

    def perform(self, flow: Flow[R]) -> R:
        return self._client.perform(flow)


class AsyncFiles(Awaiting, FileOperations):
    r"""The files of a guest, for asyncio; `AsyncClient.files`. Its operations are to be awaited.

        >>> await aguest.files.write(f"{folder}/file", b"data\n")
        5
        >>> [entry.name for entry in await aguest.files.list(folder)]
        ['file']

    Args:
        client: what carries out the operations.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Awaiting) -> None:
        self._client = client

    async def perform(self, flow: Flow[R]) -> R:
        return await self._client.perform(flow)
