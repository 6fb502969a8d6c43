"""Fixtures for tests that need a whole machine. Every test in this folder is marked ``vm``."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.machine import PLAIN, SYSTEMD, Machine
from tests.vm.qemu import AGENT, Guest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vm)


class GuestFactory:
    """Makes fresh guests for one test: ``guest_factory(agent=[*AGENT, "--verbose"])``."""

    def __init__(self, guests: ExitStack) -> None:
        self._guests = guests

    def __call__(
        self,
        agent: Sequence[str] | None = AGENT,
        machine: Machine = PLAIN,
        *,
        boot: bool = False,
    ) -> Guest:
        """A restored guest (*boot*: one from power-on) with that agent; None: without any."""
        try:
            made = Guest.boot(machine) if boot else Guest.restore(machine)
        except Unavailable as error:
            missing(error.what, error.remedy)
        guest = self._guests.enter_context(made)
        if agent is not None:
            guest.start_agent(agent)
        return guest


@pytest.fixture
def guest_factory() -> Iterator[GuestFactory]:
    """Fresh guests by options; they end with the test."""
    with ExitStack() as guests:
        yield GuestFactory(guests)


@pytest.fixture
def guest(guest_factory: GuestFactory) -> Guest:
    """A fresh guest with our agent answering on ``guest.agent_socket``."""
    return guest_factory()


@pytest.fixture
def systemd_guest(guest_factory: GuestFactory) -> Guest:
    """A fresh Debian guest with systemd and udev; no agent's package is installed in it yet."""
    return guest_factory(None, SYSTEMD)
