"""A plugin for pytest: agents as fixtures. It is there in every pytest where qga is installed.

    def test_report(fake_agent):
        with fake_agent.connect() as client:
            my_program.report(client)
        assert fake_agent.files["/var/log/report"] == b"done"

- `fake_agent` is a `FakeAgent`: no process, no virtual machine;
- `qga_agent` is an `AgentProcess`: the real agent, on a private socket of this machine. It refuses
  what could harm the machine. A test that needs such a command says so:
  `@pytest.mark.qga_agent(allow=["guest-exec"])`. Mind that it then runs **here, as you**.

What the real agent has said is shown when the test fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    from . import AgentProcess, FakeAgent

_PROCESS = pytest.StashKey["AgentProcess"]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "qga_agent(allow=[], options=[]): commands that the fixture qga_agent may execute besides "
        "the harmless ones, as you, on this machine; and more options of qga-agent",
    )


@pytest.fixture
def fake_agent() -> FakeAgent:
    """A fake agent with a small guest in memory; see `qga.testing.FakeAgent`."""
    from .fake import FakeAgent

    return FakeAgent()


@pytest.fixture
def qga_agent(request: pytest.FixtureRequest) -> Iterator[AgentProcess]:
    """A real agent on a private socket of this machine; see `qga.testing.agent_process`."""
    from .process import agent_process

    marker = request.node.get_closest_marker("qga_agent")
    with agent_process(**(marker.kwargs if marker else {})) as agent:
        request.node.stash[_PROCESS] = agent
        yield agent


@pytest.hookimpl(hookwrapper=True)  # not `wrapper`, which pluggy has since 1.2 alone
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Show what the agent has said when the test fails."""
    outcome = yield
    report = outcome.get_result()
    agent = item.stash.get(_PROCESS, None)
    if report.failed and agent is not None and agent.directory.exists():
        report.sections.append(("qga-agent", agent.output))
