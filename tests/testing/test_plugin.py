"""The plugin for pytest, as the tests of others see it."""

import subprocess
import sys
from pathlib import Path

import pytest

from qga.testing import HARMLESS, AgentProcess, FakeAgent

NESTED = """
import pytest, qga

def test_fake(fake_agent):
    with fake_agent.connect() as client:
        assert client.read_file("/etc/hostname") == b"fake\\n"

def test_real(qga_agent):
    with qga_agent.connect() as client:
        client.ping()
        with pytest.raises(qga.CommandDisabled):
            client.call("guest-exec", {"path": "true"})
    print("directory", qga_agent.directory, qga_agent.process.pid)

@pytest.mark.qga_agent(allow=["guest-exec"], options=["-v"])
def test_real_with_programs(qga_agent):
    with qga_agent.connect() as client:
        assert client.call("guest-exec", {"path": "true"})["pid"] > 1
"""


def test_fixtures_work_without_any_set_up(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(NESTED)
    result = pytester.runpytest("--strict-markers", "-Werror", "-s")
    result.assert_outcomes(passed=3)
    (line,) = [line for line in result.outlines if "directory" in line]
    directory, pid = line.split("directory ")[1].split()
    assert not Path(directory).exists()
    assert not Path(f"/proc/{pid}").exists()


def test_what_the_agent_said_is_shown_when_the_test_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.qga_agent(options=["-v"])
        def test_fails(qga_agent):
            with qga_agent.connect() as client:
                client.info()
            assert not "yet"

        def test_fails_without_an_agent():
            assert False
    """)
    result = pytester.runpytest()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*- qga-agent -*", "*guest-info*"])
    assert result.stdout.str().count("- qga-agent -") == 1


def test_an_agent_that_does_not_start_is_an_error_with_its_words(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.qga_agent(options=["--nonsense"])
        def test_fails(qga_agent):
            pass
    """)
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the agent does not start*--nonsense*"])


def test_fixtures_and_marker_are_listed(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest("--fixtures").stdout.str()
    assert "fake_agent -- " in shown
    assert "qga_agent -- " in shown
    assert "qga.testing.FakeAgent" in shown
    pytester.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.qga_agent(allow=*"])


def test_the_plugin_loads_little() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import qga.testing.plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "['qga', 'qga.testing', 'qga.testing.plugin']\n"


def test_without_pytest_there_is_everything_but_the_plugin() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None; from qga.testing import *; "
        "FakeAgent().connect().ping(); print('_pytest' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_the_real_agent_refuses_what_could_do_harm(qga_agent: AgentProcess) -> None:
    with qga_agent.connect() as client:
        enabled = {each.name for each in client.info().supported_commands if each.enabled}
    assert enabled <= set(HARMLESS)
    assert len(str(qga_agent.socket)) < 108
    assert qga_agent.directory.stat().st_mode & 0o777 == 0o700


def test_each_test_has_an_agent_of_its_own(fake_agent: FakeAgent) -> None:
    assert fake_agent.requests == []
