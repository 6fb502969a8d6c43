"""A Proxmox VE server of the tests in front of each agent, and both kinds of clients for it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.client import proxmox
from tests.support.proxmox import Certificates, Server, make, serving
from tests.support.proxmox.server import TOKEN
from tests.support.stock import RunningAgent, exec_agent

__all__ = ["exec_agent"]

Check = Callable[[Any], Awaitable[None]]
Anyway = Callable[[Check], None]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting and no proxy of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("PROXMOX_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates, exec_agent: RunningAgent) -> Iterator[Server]:
    """The server in front of our agent and, among the interop tests, QEMU's own."""
    with serving(certificates, exec_agent.socket) as found:
        yield found


@pytest.fixture
def lone_server(certificates: Certificates, tmp_path: Path) -> Iterator[Server]:
    """The server in front of a machine whose agent does not run."""
    with serving(certificates, tmp_path / "nobody.sock") as found:
        yield found


@pytest.fixture
def directory(exec_agent: RunningAgent) -> Path:
    """Where files of the tests may be written."""
    path = exec_agent.directory / "files"
    path.mkdir()
    return path


@pytest.fixture
def settings(certificates: Certificates, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What leads to the server that the test uses."""
    name = "lone_server" if "lone_server" in request.fixturenames else "server"
    found: Server = request.getfixturevalue(name)
    return {"host": found.host, "token": TOKEN, "ca": str(certificates.authority)}


class Awaited:
    """A blocking client whose methods are awaited, so that one test serves both kinds."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        async def method(*args: Any, **kwargs: Any) -> Any:
            return getattr(self._client, name)(*args, **kwargs)

        return method


@pytest.fixture(params=["blocking", "asyncio"])
def anyway(request: pytest.FixtureRequest, settings: dict[str, Any]) -> Anyway:
    """Does a check with a blocking, and with an asynchronous client of the server."""

    async def asynchronous(check: Check) -> None:
        async with await proxmox.aconnect("node1", 100, **settings) as client:
            await check(client)

    def run(check: Check) -> None:
        if request.param == "asyncio":
            asyncio.run(asynchronous(check))
        else:
            with proxmox.connect("node1", 100, **settings) as client:
                asyncio.run(check(Awaited(client)))  # type: ignore[arg-type]

    return run
