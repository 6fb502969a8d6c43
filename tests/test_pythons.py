"""The agent and the library under each Python of this machine, each with this one's counterpart."""

import base64
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import qga
from qga.errors import BadArgument, CommandDisabled, CommandNotFound, GuestOSError
from qga.protocol import FileOpen, FileRead, FileSeek
from qga.protocol.files import Seek
from tests.support.pythons import PYTHONS
from tests.support.stock import BLOCKED_BUT_EXEC, running

SOURCE = Path(qga.__file__).parents[1]
PROLOGUE = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); "
AGENT = PROLOGUE + "from qga.agent.__main__ import main; sys.exit(main())"

every_python = pytest.mark.parametrize("python", PYTHONS, ids=[Path(p).name for p in PYTHONS])


@every_python
def test_agent_under(python: str) -> None:
    content = os.urandom(3_000_001)
    with (
        running([python, "-I", "-S", "-W", "error", "-c", AGENT]) as agent,
        qga.connect(agent.target) as client,
    ):
        client.ping()
        assert "guest-file-read" in {c.name for c in client.info().supported_commands}
        path = str(agent.directory / "file")
        client.write_file(path, content)
        assert client.read_file(path) == content
        handle = client.execute(FileOpen(path=path))
        assert client.execute(FileSeek(handle=handle, offset=-5, whence=Seek.END)).position > 0
        chunk = client.execute(FileRead(handle=handle, count=10))
        assert (chunk.data, chunk.eof) == (content[-5:], True)
        with pytest.raises(GuestOSError, match="No such file"):
            client.read_file("/nonexistent")
        with pytest.raises(BadArgument, match="'handle' is missing"):
            client.call("guest-file-close")
        with pytest.raises(CommandNotFound):
            client.call("guest-nope")
        with pytest.raises(CommandDisabled):
            client.call("guest-shutdown")
        # What the C decoder refuses goes to ours, and deep nesting is beyond both recursions.
        nested: list[object] = []
        for _ in range(900):
            nested = [nested]
        with pytest.raises(BadArgument, match="expected: integer"):
            client.call("guest-sync", {"id": nested})
        client.ping()


@every_python
def test_programs_under(python: str) -> None:
    with (
        running([python, "-I", "-S", "-W", "error", "-c", AGENT], BLOCKED_BUT_EXEC) as agent,
        qga.connect(agent.target) as client,
    ):

        def run(**arguments: Any) -> Any:
            pid = client.call("guest-exec", arguments | {"capture-output": True})["pid"]
            deadline = time.monotonic() + 30
            while not (status := client.call("guest-exec-status", {"pid": pid}))["exited"]:
                assert time.monotonic() < deadline
            return status

        # Names that repeat, which the standard library foresees for no environment.
        env = ["A=1", "B=2", "A=3"]
        status = run(path="env", env=env)
        assert base64.b64decode(status["out-data"]).decode().split() == env
        assert run(path="sh", arg=["-c", "kill -9 $$"]) == {"exited": True, "signal": 9}
        status = run(path="head", arg=["-c", "3000001", "/dev/zero"])
        assert base64.b64decode(status["out-data"]) == bytes(3_000_001)
        with pytest.raises(qga.CommandError, match="No such file or directory"):
            run(path="/nonexistent")


@every_python
def test_library_under(python: str) -> None:
    code = PROLOGUE + (
        "import hashlib, qga\n"
        "with qga.connect(sys.argv[1]) as client:\n"
        "    client.write_file(sys.argv[2], b'content' * 300_000)\n"
        "    print(hashlib.sha256(client.read_file(sys.argv[2])).hexdigest())\n"
    )
    with running([sys.executable, "-m", "qga.agent"]) as agent:
        path = str(agent.directory / "file")
        command = [python, "-I", "-S", "-W", "error", "-c", code, agent.target, path]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.strip() == hashlib.sha256(b"content" * 300_000).hexdigest()
