"""Fixtures for tests through libvirt. Every test in this folder is marked ``libvirt``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.libvirt.daemon import Daemon
from tests.libvirt.domain import Domain, make_guest
from tests.libvirt.pair import Pair
from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.debs import packages
from tests.vm.machine import qemu_program
from tests.vm.qemu import AGENT, STOCK_AGENT

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.libvirt)


@pytest.fixture(scope="session")
def domains() -> Iterator[Pair]:
    """Both domains, which boot once for all tests."""
    try:
        qemu_program()
        found = packages()
    except Unavailable as error:
        missing(error.what, error.remedy)
    with Daemon() as daemon:
        guest = make_guest(daemon, found)
        pair = Pair(
            Domain(daemon, guest, "stock", STOCK_AGENT), Domain(daemon, guest, "ours", AGENT)
        )
        try:
            pair.restart()
            yield pair
        finally:
            pair.close()


@pytest.fixture
def pair(domains: Pair) -> Pair:
    """Both domains, running."""
    if any(domain.state != "running" for domain in domains):
        domains.restart()
    return domains
