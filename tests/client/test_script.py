"""Scripts in the guest's shell, through both agents."""

from collections.abc import Iterator

import pytest

import qga
from qga.client.flows.script import script
from tests.support.stock import RunningAgent


@pytest.fixture
def client(exec_agent: RunningAgent) -> Iterator[qga.Client]:
    with qga.connect(exec_agent.target) as client:
        yield client


def test_arguments_are_bytes(client: qga.Client) -> None:
    words = [bytes(range(1, 256)), b"", "ä \n'\"$x".encode(), b"\\", b"-n\n"]
    done = client.perform(script('printf "%s\\0" "$@"', *words))
    assert (done.code, done.out.split(b"\0")[:-1], done.err) == (0, words, b"")


def test_its_end_is_told(client: qga.Client) -> None:
    assert client.perform(script("echo bad >&2; exit 3")).code == 3
    assert client.perform(script("kill -9 $$")).code == 137
    assert client.perform(script("cat; sleep 0.3; echo end")).out == b"end\n"
