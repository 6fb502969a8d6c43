"""The transport of one's own that docs/transports.md shows, against real agents."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import qga
from tests.support.stock import RunningAgent

PAGE = Path(__file__).parents[2] / "docs" / "transports.md"
# What `socat - UNIX-CONNECT:...` does.
RELAY = """
import os, select, socket, sys
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
while True:
    for ready in select.select([0, stream], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else stream.recv(65536)
        if not data:
            sys.exit()
        if ready == 0:
            stream.sendall(data)
        else:
            os.write(1, data)
"""


@pytest.fixture
def shown() -> Any:
    """The class on the page."""
    (text,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "class ProgramTransport" in block
    )
    namespace: dict[str, Any] = {}
    exec(compile(text, PAGE, "exec"), namespace)
    return namespace["ProgramTransport"]


def test_it_carries_everything(shown: Any, agent: RunningAgent) -> None:
    command = [sys.executable, "-c", RELAY, str(agent.socket)]
    path = str(agent.directory / "file")
    data = bytes(range(256)) * 8000
    with qga.Client(lambda deadline: shown(command), timeout=30) as client:
        assert client.info().version
        client.write_file(path, data)
        assert client.read_file(path) == data
        with agent.stopped(), pytest.raises(qga.AgentTimeout):
            client.ping(timeout=0.2)
        client.ping()


def test_it_tells_when_the_program_ends(shown: Any) -> None:
    with qga.Client(lambda deadline: shown(["true"]), timeout=30) as client:
        for _ in range(2):
            with pytest.raises(qga.ConnectionLost, match="the program has ended"):
                client.ping()
