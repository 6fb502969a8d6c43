"""What a call costs: `python -m benchmarks.calling SOCKET CALLS ROUNDS` prints it as JSON.

A program of its own, for the Python that the agents run on: that of the tests may be slower. All
ways in turns; microseconds of CPU time for one guest-ping, a list of the rounds for each.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable

import qga
from qga.protocol import Ping

_REQUEST = b'{"execute":"guest-ping"}\n'

# What the others are compared with; and the same as people write it for asyncio.
RAW, STREAMS = "a raw socket", "asyncio's streams"


def _raw(path: str, calls: int) -> float:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(path)
        began = time.process_time()
        for _ in range(calls):
            stream.sendall(_REQUEST)
            data = b""
            while not data.endswith(b"\n"):
                data += stream.recv(4096)
            json.loads(data)
        return time.process_time() - began


async def _streams(path: str, calls: int) -> float:
    reader, writer = await asyncio.open_unix_connection(path)
    began = time.process_time()
    for _ in range(calls):
        writer.write(_REQUEST)
        json.loads(await reader.readline())
    used = time.process_time() - began
    writer.close()
    return used


def _blocking(call: Callable[[qga.Client], object]) -> Callable[[str, int], float]:
    def measured(path: str, calls: int) -> float:
        with qga.connect(f"unix:{path}") as client:
            call(client)  # loads what it needs
            began = time.process_time()
            for _ in range(calls):
                call(client)
            return time.process_time() - began

    return measured


def _awaiting(
    call: Callable[[qga.AsyncClient], Awaitable[object]],
) -> Callable[[str, int], float]:
    async def measured(path: str, calls: int) -> float:
        async with await qga.aconnect(f"unix:{path}") as client:
            await call(client)
            began = time.process_time()
            for _ in range(calls):
                await call(client)
            return time.process_time() - began

    return lambda path, calls: asyncio.run(measured(path, calls))


WAYS: dict[str, Callable[[str, int], float]] = {
    RAW: _raw,
    'client.call("guest-ping")': _blocking(lambda client: client.call("guest-ping")),
    "client.execute(Ping())": _blocking(lambda client: client.execute(Ping())),
    "client.ping()": _blocking(lambda client: client.ping()),
    STREAMS: lambda path, calls: asyncio.run(_streams(path, calls)),
    'await client.call("guest-ping")': _awaiting(lambda client: client.call("guest-ping")),
    "await client.execute(Ping())": _awaiting(lambda client: client.execute(Ping())),
    "await client.ping()": _awaiting(lambda client: client.ping()),
}


def main(path: str, calls: int, rounds: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            taken[name].append(way(path, calls) / calls * 1e6)
    print(json.dumps(taken))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
