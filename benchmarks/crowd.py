"""A thousand agents for one client: `python -m benchmarks.crowd FOLDER COUNT` serves them.

One process with as many sockets, in FOLDER, named by their numbers. They synchronise and answer
every other request with the same guest-info reply, so that what is measured is the client.
"""

import asyncio
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qga.protocol import COMMANDS

_INFO = json.dumps(
    {
        "return": {
            "version": "10.2.0",
            "supported_commands": [
                {"name": command.NAME, "enabled": True, "success-response": True}
                for command in COMMANDS
            ],
        }
    }
).encode()


class Agent(asyncio.Protocol):
    """The agent's end of one connection. The benchmark ends its requests with newlines."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            request = json.loads(line.rpartition(b"\xff")[2])
            if request["execute"] == "guest-sync-delimited":
                echo = json.dumps({"return": request["arguments"]["id"]}).encode()
                self._transport.write(b"\xff" + echo + b"\n")
            else:
                self._transport.write(_INFO + b"\n")


def allow_files(count: int) -> None:
    """Let this process have *count* open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@contextmanager
def crowd(folder: Path, count: int) -> Iterator[list[str]]:
    """The targets of *count* agents, which are there until the end of the block."""
    command = [sys.executable, "-m", "benchmarks.crowd", str(folder), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("the agents do not start")
            yield [f"unix:{folder}/{number}" for number in range(count)]
        finally:
            process.terminate()


async def _serve(folder: Path, count: int) -> None:
    allow_files(2 * count + 100)
    loop = asyncio.get_running_loop()
    for number in range(count):
        await loop.create_unix_server(Agent, folder / str(number))
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    print("ready", flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
