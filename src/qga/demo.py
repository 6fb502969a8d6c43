"""What `make demo` shows: agent, library and command line at work, without a virtual machine.

The agent runs here as the user who asked, on a socket that nobody else can reach, and may do only
what is harmless on a machine that is no guest.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import sys
import time
from typing import TYPE_CHECKING

import qga
from qga.protocol import COMMANDS, pages
from qga.testing import HARMLESS, agent_process

if TYPE_CHECKING:
    from rich.console import Console

    from qga.protocol.session import AgentInfo

_SIZE = 64 << 20
_PATIENCE = 10.0  # seconds that a call may take


def show(console: Console) -> None:
    """The whole demonstration."""
    from rich.rule import Rule

    def chapter(title: str) -> None:
        console.print()
        console.print(Rule(f"[bold]{title}", align="left", characters="─"))

    began = time.perf_counter()
    with agent_process() as agent, agent.connect(timeout=_PATIENCE) as client:
        chapter("An agent, and a client in step with it")
        client.sync()
        milliseconds = (time.perf_counter() - began) * 1000
        console.print(
            f"{agent.target}\nstarted, connected and synchronised in {milliseconds:.0f} ms"
        )
        rounds = 1000
        began = time.perf_counter()
        for _ in range(rounds):
            client.ping()
        microseconds = (time.perf_counter() - began) / rounds * 1e6
        console.print(f"guest-ping: {microseconds:.0f} µs, there and back")

        chapter("What it is and can do")
        _commands(console, client.info())

        chapter("What the guest is: here, this machine")
        _facts(console, client)

        chapter("Fifty calls at once, of fifty tasks that share a client")
        asyncio.run(_at_once(console, agent.target))

        chapter("A file, written, sought, read back and compared")
        _file(console, client, str(agent.directory / "notes"))

        chapter("An error, and what it means")
        try:
            client.read_file("/no/such/file")
        except qga.GuestOSError as error:
            console.print("client.read_file('/no/such/file') raises")
            console.print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
            console.print(f"the guest's own reason: errno {error.errno}")
        try:
            client.shutdown()
        except qga.CommandDisabled as error:
            console.print("client.shutdown() raises")
            console.print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
            console.print("this agent allows only what is harmless here")

        chapter(f"{_SIZE >> 20} MiB there and back")
        _throughput(console, client, str(agent.directory / "large"))

    console.print("\nThe agent has been ended, its files are gone. To try next:\n")
    own = "qga-agent -m unix-listen -p /tmp/qga/s -t /tmp/qga -a " + ",".join(HARMLESS)
    steps = (
        ("make vm", "the agent in a real virtual machine, and a prompt"),
        (f"mkdir -m 700 /tmp/qga && .venv/bin/{own}", "an agent of your own, as harmless"),
        (".venv/bin/qga info unix:/tmp/qga/s", "and in another terminal"),
        (".venv/bin/qga cat unix:/tmp/qga/s:/etc/os-release", "or"),
    )
    for command, what in steps:
        console.print(f"  # {what}", style="dim", soft_wrap=True, highlight=False)
        console.print(f"  {command}", style="bold", soft_wrap=True, highlight=False)


def _commands(console: Console, info: AgentInfo) -> None:
    from rich import box
    from rich.table import Table

    console.print(f"version {info.version}: the QEMU whose protocol it speaks")
    enabled = {command.name: command.enabled for command in info.supported_commands}
    table = Table("command", "allowed", "what it does", box=box.SIMPLE_HEAD, pad_edge=False)
    for command in COMMANDS:
        if command.NAME not in enabled:
            continue  # of another platform
        allowed = "[green]yes" if enabled[command.NAME] else "[red]blocked"
        table.add_row(command.NAME, allowed, pages.summary(command))
    console.print(table)


def _facts(console: Console, client: qga.Client) -> None:
    facts = {
        "state": client.state(needs=()),
        "system": client.os().pretty_name,
        "name": client.hostname(),
        "address": client.address() or "none",
        "clock": client.time_offset(),
    }
    for name, fact in facts.items():
        console.print(f"{name:<8} {fact}", highlight=False, soft_wrap=True)


async def _at_once(console: Console, target: str) -> None:
    async with await qga.aconnect(target) as client:
        began = time.perf_counter()
        names = await asyncio.gather(*(client.hostname() for _ in range(50)))
        took = time.perf_counter() - began
        console.print(f"{len(names)} answers in {took * 1000:.0f} ms", highlight=False)
        task = asyncio.ensure_future(client.info())
        await asyncio.sleep(0)
        task.cancel()
        after = await client.hostname()
        console.print(
            f"one was cancelled; the next one's answer is {_verdict(after == names[0])}",
            highlight=False,
        )


def _file(console: Console, client: qga.Client, path: str) -> None:
    text = "one\ntwo\nthree\n"
    with io.TextIOWrapper(io.BufferedWriter(client.open(path, "w")), encoding="utf-8") as writer:
        writer.write(text)
    console.print(f"written  {len(text)} bytes to {path}", highlight=False)
    with client.open(path) as raw:
        position = raw.seek(-6, os.SEEK_END)
        console.print(f"sought   6 bytes before the end: position {position}", highlight=False)
        console.print(f"read     {raw.read(100)!r}", highlight=False)
    same = client.read_file(path).decode() == text
    console.print(f"compared {_verdict(same)}", highlight=False)


def _throughput(console: Console, client: qga.Client, path: str) -> None:
    data = os.urandom(_SIZE)
    began = time.perf_counter()
    client.write_file(path, data)
    written = time.perf_counter() - began
    digest = hashlib.sha256()
    pieces: list[bytes] = []
    began = time.perf_counter()
    client.download(path, pieces.append)
    read = time.perf_counter() - began
    for piece in pieces:
        digest.update(piece)
    same = digest.digest() == hashlib.sha256(data).digest()
    console.print(f"to the agent    {_SIZE / written / (1 << 20):4.0f} MiB/s", highlight=False)
    console.print(f"from the agent  {_SIZE / read / (1 << 20):4.0f} MiB/s", highlight=False)
    console.print(f"sha256          {digest.hexdigest()[:16]}… {_verdict(same)}", highlight=False)


def _verdict(same: bool) -> str:  # noqa: FBT001
    if not same:
        raise RuntimeError("what was read is not what was written")
    return "[green]the same"


def main() -> int:
    """Show it; return the exit code."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100)
    try:
        show(console)
    except (qga.QgaError, RuntimeError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
