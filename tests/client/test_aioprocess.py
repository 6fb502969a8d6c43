"""Programs in the guest, with the asynchronous client."""

import asyncio
import errno
import signal
import subprocess

import pytest

import qga
from tests.support.stock import RunningAgent

from .spools import Spools

PIPE = subprocess.PIPE


def test_run(exec_agent: RunningAgent, spools: Spools) -> None:
    async def main() -> None:
        async with await qga.aconnect(exec_agent.target) as client:
            done = await client.run("cat; exit 3", shell=True, input="in")
            assert (done.text, done.returncode) == ("in", 3)
            with pytest.raises(qga.ProgramFailed):
                await client.run(["false"], check=True)
            with pytest.raises(qga.ProgramTimeout) as raised:
                await client.run("echo some; sleep 600", shell=True, timeout=1)
            assert raised.value.stdout == b"some\n"
            with pytest.raises(qga.GuestOSError) as refused:
                await client.popen(["no-such-program"])
            assert refused.value.errno == errno.ENOENT
            several = [client.run(["echo", str(number)]) for number in range(5)]
            assert [done.text for done in await asyncio.gather(*several)] == [
                f"{number}\n" for number in range(5)
            ]

    asyncio.run(main())


def test_popen(exec_agent: RunningAgent, spools: Spools) -> None:
    async def main() -> None:
        async with await qga.aconnect(exec_agent.target) as client:
            async with await client.popen(["cat"], stdin=PIPE) as program:
                assert program.stdin
                assert program.stdout
                for number in range(3):
                    assert await program.stdin.write(b"%d\n" % number) == 2
                    assert await program.stdout.readline() == b"%d\n" % number
                assert await program.poll() is None
                await program.stdin.write(b"a\nb")
                await program.stdin.close()
                assert [line async for line in program.stdout] == [b"a\n", b"b"]
                assert await program.stdout.read() == b""
            assert program.returncode == 0
            async with await client.popen(["sleep", "600"]) as program:
                with pytest.raises(qga.ProgramTimeout):
                    await program.wait(0.2)
                await program.send_signal(signal.SIGINT)
                assert await program.communicate() == (b"", b"")
                assert program.returncode == -signal.SIGINT
            with pytest.raises(ZeroDivisionError):
                async with await client.popen(["sleep", "600"]) as program:
                    raise ZeroDivisionError
            assert program.returncode == -signal.SIGKILL

    asyncio.run(main())


def test_both_streams_at_once(exec_agent: RunningAgent, spools: Spools) -> None:
    size = 9 << 20

    async def main() -> None:
        async with await qga.aconnect(exec_agent.target) as client:
            text = "tee /dev/stderr"
            async with await client.popen(text, shell=True, stdin=PIPE) as program:
                assert program.stdin
                assert program.stdout
                assert program.stderr
                stdin = program.stdin

                async def send() -> None:
                    await stdin.write(bytes(size))
                    await stdin.close()

                _, out, err = await asyncio.gather(
                    send(), program.stdout.read(), program.stderr.read()
                )
            assert (len(out), len(err)) == (size, size)

    asyncio.run(main())


@pytest.mark.parametrize("after", [0.001, 0.01, 0.03, 0.3])
def test_cancelled(exec_agent: RunningAgent, spools: Spools, after: float) -> None:
    async def main() -> None:
        async with await qga.aconnect(exec_agent.target) as client:
            await client.ping()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(after):
                    await client.run("sleep 600", shell=True)
            await client.ping()  # which has it ended
            if spools.names:
                await asyncio.to_thread(spools.wait_gone)

    asyncio.run(main())
