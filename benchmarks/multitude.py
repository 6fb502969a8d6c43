"""Many agents asked at once, by one process: see `crowd`. Used by `__main__`."""

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import qga
from benchmarks.crowd import allow_files, crowd
from benchmarks.measures import Sample
from benchmarks.plain import Plain
from benchmarks.rounds import SECONDS, Clock, Group, Site, Sizes

_THREADS = 100


def _socket(site: Site, number: int) -> str:
    return f"{site.folder}/{number}"


def _one_by_one(site: Site) -> tuple[Sample, list[str]]:
    clock = Clock()
    versions = []
    for number in range(site.sizes.agents):
        with closing(Plain(_socket(site, number))) as hand:
            versions.append(hand.ask("guest-info")["version"])
    return clock.sample(), versions


def _threads(site: Site) -> tuple[Sample, list[str]]:
    def ask(number: int) -> str:
        with qga.connect(f"unix:{_socket(site, number)}") as client:
            return client.info().version

    clock = Clock()
    with ThreadPoolExecutor(_THREADS) as pool:
        versions = list(pool.map(ask, range(site.sizes.agents)))
    return clock.sample(), versions


def _tasks(site: Site) -> tuple[Sample, list[str]]:
    async def ask(number: int) -> str:
        async with await qga.aconnect(f"unix:{_socket(site, number)}") as client:
            return (await client.info()).version

    async def all_of_them() -> tuple[Sample, list[str]]:
        clock = Clock()
        versions = await asyncio.gather(*map(ask, range(site.sizes.agents)))
        return clock.sample(), versions

    return asyncio.run(all_of_them())


def _answered(site: Site, result: Any) -> bool:
    return len(result) == site.sizes.agents and all(result)


MULTITUDE = Group(
    "guest-info of all agents",
    SECONDS,
    lambda _: 1,
    {
        "by hand, one after the other": _one_by_one,
        f"Client, {_THREADS} threads": _threads,
        "AsyncClient, a task for each": _tasks,
    },
    _answered,
)


@contextmanager
def multitude(sizes: Sizes) -> Iterator[Site]:
    """Agents without a guest, which end with the block."""
    allow_files(2 * sizes.agents + 100)
    with tempfile.TemporaryDirectory(prefix="qga-bench-") as name:
        folder = Path(name)
        with crowd(folder, sizes.agents):
            yield Site("", name, folder, sizes, lambda: Plain(f"{folder}/0"))
