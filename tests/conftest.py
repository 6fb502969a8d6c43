"""Set-up for all tests. What a test needs from the machine it says by `tests.support.need`."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from qga.testing import AgentProcess, agent_process
from tests.support import guard

guard.install()

# Nothing of this machine is found by itself, neither here nor by the programs that tests start: the
# virtual machines and domains that are there are other people's. Who tests that sets it again.
os.environ["QGA_FIND"] = "files"

# Whoever runs the tests behind `nohup`, or in the background of a script, has signals ignored, and
# so would each program that a test starts and then interrupts.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

# What each test leaves as it has found it: the next one may interrupt its own process.
SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


@pytest.fixture(autouse=True)
def _signals_stay() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    after = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not None:
            signal.signal(number, handler)
    assert after == before


# The property of a test's report that holds what the short form of the benchmarks has printed.
BENCHMARKS = "benchmarks"

pytest_plugins = ["pytester"]

# Machines differ in speed; a deadline per example would make slow ones fail at random.
settings.register_profile("qga", settings.get_profile("default"), deadline=None)
if settings.get_current_profile_name() == "default":  # not "ci", nor one asked for by name
    settings.load_profile("qga")


@pytest.fixture(scope="module")
def real_agent() -> Iterator[AgentProcess]:
    """An agent that runs programs, as the user who runs the tests, on this machine."""
    with agent_process(allow=["guest-exec"]) as agent:
        yield agent


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the benchmarks have printed, in whatever process they ran."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, printed in getattr(report, "user_properties", ()):
                if name == BENCHMARKS:
                    terminalreporter.section("benchmarks, in short")
                    terminalreporter.write_line(printed)
