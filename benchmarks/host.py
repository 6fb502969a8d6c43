"""What is measured of the library, against what people write by hand: calls, files, programs."""

import shutil
from dataclasses import replace
from hashlib import sha256
from typing import Any

import qga
from benchmarks.measures import MIB
from benchmarks.rounds import (
    CALLS,
    FILES,
    MEGABYTES,
    MILLISECONDS,
    Group,
    Site,
    awaiting,
    blocking,
    by_hand,
)
from qga.protocol import Ping

_HAND = "by hand"
_BYTES = "the same bytes, not looked at"


async def _execute(client: qga.AsyncClient, site: Site) -> None:
    for _ in range(site.sizes.calls):
        await client.execute(Ping())


async def _ping(client: qga.AsyncClient, site: Site) -> None:
    for _ in range(site.sizes.calls):
        await client.ping()


_CALLS = Group(
    "guest-ping, one after the other",
    CALLS,
    lambda sizes: sizes.calls,
    {
        _HAND: by_hand(
            lambda hand, site: [hand.ask("guest-ping") for _ in range(site.sizes.calls)]
        ),
        _BYTES: by_hand(lambda hand, site: hand.ping_many(site.sizes.calls)),
        "Client.execute": blocking(
            lambda client, site: [client.execute(Ping()) for _ in range(site.sizes.calls)]
        ),
        "Client.ping": blocking(
            lambda client, site: [client.ping() for _ in range(site.sizes.calls)]
        ),
        "AsyncClient.execute": awaiting(_execute),
        "AsyncClient.ping": awaiting(_ping),
    },
)


# Files. What is copied is looked at when the clock has stopped.


def _there(site: Site) -> str:
    return f"{site.folder}/content"


def _content(site: Site) -> bytes:
    return (site.local / "content").read_bytes()


def _arrived(site: Site, result: Any) -> bool:
    """Whether the file has been read: as bytes, or to a file here."""
    if not isinstance(result, bytes):
        path = site.local / "arrived"
        result = path.read_bytes()
        path.unlink()
    return bool(result == _content(site))


def _sent(site: Site, _: Any) -> bool:
    path = f"{site.folder}/sent"
    with qga.connect(site.target) as client:
        found = client.files.checksum(path)
        client.files.remove(path)
    return found == sha256(_content(site)).hexdigest()


_DOWNLOAD = Group(
    "a file from the guest",
    MEGABYTES,
    lambda sizes: sizes.file / 1e6,
    {
        _HAND: by_hand(lambda hand, site: hand.read(_there(site))),
        "by hand, 1 MiB pieces": by_hand(lambda hand, site: hand.read(_there(site), MIB)),
        "Client.read_file": blocking(lambda client, site: client.read_file(_there(site))),
        "Client.files.download": blocking(
            lambda client, site: client.files.download(_there(site), site.local / "arrived")
        ),
        "AsyncClient.read_file": awaiting(lambda client, site: client.read_file(_there(site))),
        "AsyncClient.files.download": awaiting(
            lambda client, site: client.files.download(_there(site), site.local / "arrived")
        ),
    },
    _arrived,
)

_UPLOAD = Group(
    "a file to the guest",
    MEGABYTES,
    lambda sizes: sizes.file / 1e6,
    {
        _HAND: by_hand(lambda hand, site: hand.write(f"{site.folder}/sent", _content(site))),
        "Client.write_file": blocking(
            lambda client, site: client.write_file(f"{site.folder}/sent", _content(site))
        ),
        "Client.files.upload": blocking(
            lambda client, site: client.files.upload(site.local / "content", f"{site.folder}/sent")
        ),
        "AsyncClient.write_file": awaiting(
            lambda client, site: client.write_file(f"{site.folder}/sent", _content(site))
        ),
        "AsyncClient.files.upload": awaiting(
            lambda client, site: client.files.upload(site.local / "content", f"{site.folder}/sent")
        ),
    },
    _sent,
)


def _small(site: Site) -> str:
    return f"{site.folder}/small"


def _data(site: Site) -> bytes:
    return (site.local / "small").read_bytes()


_READ_SMALL = Group(
    "4 KiB from the guest",
    MILLISECONDS,
    lambda sizes: sizes.repeated,
    {
        _HAND: by_hand(
            lambda hand, site: [hand.read(_small(site)) for _ in range(site.sizes.repeated)]
        ),
        "Client.read_file": blocking(
            lambda client, site: [
                client.read_file(_small(site)) for _ in range(site.sizes.repeated)
            ]
        ),
        "Client.files.read": blocking(
            lambda client, site: [
                client.files.read(_small(site)) for _ in range(site.sizes.repeated)
            ]
        ),
    },
    lambda site, result: bool(result == [_data(site)] * site.sizes.repeated),
)


def _write_small_by_hand(hand: Any, site: Site) -> None:
    for _ in range(site.sizes.repeated):
        hand.write(_small(site), _data(site))


_WRITE_SMALL = Group(
    "4 KiB to the guest",
    MILLISECONDS,
    lambda sizes: sizes.repeated,
    {
        _HAND: by_hand(_write_small_by_hand),
        "Client.write_file": blocking(
            lambda client, site: [
                client.write_file(_small(site), _data(site)) for _ in range(site.sizes.repeated)
            ]
        ),
        "Client.files.write": blocking(
            lambda client, site: [
                client.files.write(_small(site), _data(site)) for _ in range(site.sizes.repeated)
            ]
        ),
    },
)


# Programs.


async def _run_often(client: qga.AsyncClient, site: Site) -> list[bytes]:
    return [(await client.run(["true"])).stdout for _ in range(site.sizes.repeated)]


_RUN = Group(
    "a program that does nothing",
    MILLISECONDS,
    lambda sizes: sizes.repeated,
    {
        _HAND: by_hand(lambda hand, site: [hand.run("true") for _ in range(site.sizes.repeated)]),
        "Client.run": blocking(
            lambda client, site: [client.run(["true"]).stdout for _ in range(site.sizes.repeated)]
        ),
        "AsyncClient.run": awaiting(_run_often),
    },
    lambda site, result: bool(result == [b""] * site.sizes.repeated),
)


def _printing(size: int) -> list[str]:
    return ["head", "-c", str(size), "/dev/zero"]


async def _capture(client: qga.AsyncClient, site: Site) -> bytes:
    return (await client.run(_printing(site.sizes.captured))).stdout


_CAPTURE = Group(
    "a program's output, at its end",
    MEGABYTES,
    lambda sizes: sizes.captured / 1e6,
    {
        _HAND: by_hand(lambda hand, site: hand.run(*_printing(site.sizes.captured))),
        "Client.run": blocking(
            lambda client, site: client.run(_printing(site.sizes.captured)).stdout
        ),
        "AsyncClient.run": awaiting(_capture),
    },
    lambda site, result: bool(result == bytes(site.sizes.captured)),
)


def _stream_by_hand(hand: Any, site: Site) -> int:
    """As agents keep 16 MiB of an output at most: to a file, and read that."""
    path = f"{site.folder}/output"
    hand.run("sh", "-c", f"head -c {site.sizes.streamed} /dev/zero > {path}")
    size = len(hand.read(path))
    hand.run("rm", path)
    return size


def _stream(client: qga.Client, site: Site) -> int:
    size = 0
    with client.popen(_printing(site.sizes.streamed)) as program:
        assert program.stdout is not None
        while piece := program.stdout.read(MIB):
            size += len(piece)
    return size


async def _stream_async(client: qga.AsyncClient, site: Site) -> int:
    size = 0
    async with await client.popen(_printing(site.sizes.streamed)) as program:
        assert program.stdout is not None
        while piece := await program.stdout.read(MIB):
            size += len(piece)
    return size


_STREAM = Group(
    "a program's output, while it runs",
    MEGABYTES,
    lambda sizes: sizes.streamed / 1e6,
    {
        "by hand: to a file, and read that": by_hand(_stream_by_hand),
        "Client.popen": blocking(_stream),
        "AsyncClient.popen": awaiting(_stream_async),
    },
    lambda site, result: bool(result == site.sizes.streamed),
)


# Trees: one directory, with many small files.


def _send_each(hand: Any, site: Site) -> None:
    hand.run("mkdir", f"{site.folder}/copy")
    for path in (site.local / "tree").iterdir():
        hand.write(f"{site.folder}/copy/{path.name}", path.read_bytes())


def _tree_sent(site: Site, _: Any) -> bool:
    copy = f"{site.folder}/copy"
    with qga.connect(site.target) as client:
        # All files, in the order of their names.
        found = client.run("cat * | sha256sum", shell=True, cwd=copy, check=True).text
        client.files.remove(copy, recursive=True)
    expected = sha256()
    for path in sorted((site.local / "tree").iterdir()):
        expected.update(path.read_bytes())
    return found[:64] == expected.hexdigest()


def _fetch_each(hand: Any, site: Site) -> None:
    copy = site.local / "copy"
    copy.mkdir()
    for name in hand.run("ls", f"{site.folder}/tree").decode().split():
        (copy / name).write_bytes(hand.read(f"{site.folder}/tree/{name}"))


def _tree_arrived(site: Site, _: Any) -> bool:
    copy, tree = site.local / "copy", site.local / "tree"
    found = {path.name: path.read_bytes() for path in copy.iterdir()}
    shutil.rmtree(copy)
    return found == {path.name: path.read_bytes() for path in tree.iterdir()}


_UPLOAD_TREE = Group(
    "a tree to the guest",
    FILES,
    lambda sizes: sizes.files,
    {
        "by hand: each file": by_hand(_send_each),
        "Client.files.upload_tree": blocking(
            lambda client, site: client.files.upload_tree(
                site.local / "tree", f"{site.folder}/copy"
            )
        ),
        "AsyncClient.files.upload_tree": awaiting(
            lambda client, site: client.files.upload_tree(
                site.local / "tree", f"{site.folder}/copy"
            )
        ),
    },
    _tree_sent,
)

_DOWNLOAD_TREE = Group(
    "a tree from the guest",
    FILES,
    lambda sizes: sizes.files,
    {
        "by hand: each file": by_hand(_fetch_each),
        "Client.files.download_tree": blocking(
            lambda client, site: client.files.download_tree(
                f"{site.folder}/tree", site.local / "copy"
            )
        ),
        "AsyncClient.files.download_tree": awaiting(
            lambda client, site: client.files.download_tree(
                f"{site.folder}/tree", site.local / "copy"
            )
        ),
    },
    _tree_arrived,
)

GROUPS = (
    _CALLS,
    _DOWNLOAD,
    _UPLOAD,
    _READ_SMALL,
    _WRITE_SMALL,
    _RUN,
    _CAPTURE,
    _STREAM,
    _UPLOAD_TREE,
    _DOWNLOAD_TREE,
)

# Through libvirt nobody gets at the bytes.
LIBVIRT_GROUPS = (
    replace(_CALLS, ways={name: way for name, way in _CALLS.ways.items() if name != _BYTES}),
    *GROUPS[1:],
)
