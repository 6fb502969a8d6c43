"""The fake agent: it behaves as an agent does, and as badly as it is told to."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

import qga
from qga import protocol
from qga.protocol import FileOpen, FileWrite, GetHostName, GetTime, Info, SetTime
from qga.protocol.system import HostName
from qga.testing import Ended, FakeAgent, Guest


def test_every_command_is_there(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    enabled = {each.name for each in client.info().supported_commands if each.enabled}
    assert enabled == {command.NAME for command in protocol.COMMANDS if not command.PLATFORM}
    for command in protocol.COMMANDS:
        if "-get-" in command.NAME and not command.PLATFORM and "ssh" not in command.NAME:
            assert client.execute(command()) is not None


def test_requests_are_recorded(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    client.write_file("/tmp/a", b"x" * 5000)
    with pytest.raises(qga.BadArgument):
        client.call("guest-file-close", {"handle": "1"})
    with pytest.raises(qga.CommandNotFound):
        client.call("guest-nonsense")
    assert [(each.name, each.command is None) for each in fake_agent.requests] == [
        ("guest-file-open", False), ("guest-file-write", False), ("guest-file-close", False),
        ("guest-file-close", True), ("guest-nonsense", True),
    ]  # fmt: skip
    assert fake_agent.synchronisations == 1
    (written,) = fake_agent.asked(FileWrite)
    assert bytes(written.data) == b"x" * 5000
    assert fake_agent.requests[1].arguments["buf-b64"].startswith("eHh4")


def test_replies_can_be_set(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    fake_agent.reply(GetHostName, HostName(host_name="x"))
    assert client.execute(GetHostName()).host_name == "x"
    fake_agent.reply("guest-get-host-name", {"host-name": "y", "new": 1})
    assert client.execute(GetHostName()).host_name == "y"
    fake_agent.reply(FileOpen, lambda command: len(command.path))
    assert client.execute(FileOpen(path="/four")) == 5
    fake_agent.reply("guest-get-host-name", [])
    with pytest.raises(qga.ProtocolError, match="guest-get-host-name"):
        client.execute(GetHostName())


# Time.


def test_no_time_passes_for_the_blocking_client(fake_agent: FakeAgent) -> None:
    began = time.monotonic()
    client = fake_agent.connect()
    fake_agent.disturb(delay=100)
    with pytest.raises(qga.AgentTimeout, match="guest-ping: no answer within 30 s"):
        client.ping()
    # The late reply, and the echo behind it, are 70 seconds away by now.
    for _ in range(2):
        with pytest.raises(qga.AgentNotResponding):
            client.ping()
    assert client.info().version
    assert time.monotonic() - began < 20


def test_delays_add_up_within_a_deadline(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    fake_agent.disturb(delay=2, times=5)
    with qga.deadline(5):
        client.ping(timeout=3)
        client.ping()
        with pytest.raises(qga.AgentTimeout, match="guest-ping: no answer within 5 s"):
            client.ping()
    assert len(fake_agent.requests) == 3
    client.ping(timeout=60)


def test_silence(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect(timeout=float("inf"))
    fake_agent.disturb("guest-info", silent=True)
    with pytest.raises(qga.AgentTimeout, match="guest-info"):
        client.info()
    client.ping()


def test_shutdown_is_answered_by_silence(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    client.shutdown("reboot")
    client.ping()
    client.execute(protocol.SuspendRam())
    client.shutdown()
    assert fake_agent.guest.shut_down == ["reboot", "powerdown"]
    assert fake_agent.guest.slept == ["ram"]
    with pytest.raises(qga.NoChannel):
        client.ping()
    with pytest.raises(qga.CommandError, match="mode is invalid"):
        FakeAgent().connect().shutdown("sideways")


def test_the_asynchronous_client_waits(fake_agent: FakeAgent) -> None:
    async def work() -> None:
        async with await fake_agent.aconnect(timeout=20) as client:
            fake_agent.disturb(Info, delay=30)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.info()
            with pytest.raises(qga.AgentNotResponding):
                await client.ping(timeout=0.05)
            fake_agent.kill()
            fake_agent.start()
            with pytest.raises(qga.ConnectionLost):
                await client.ping()
            fake_agent.disturb(delay=0.05)
            assert await client.read_file("/etc/hostname") == b"fake\n"

    asyncio.run(work())


def test_tasks_and_what_they_wait_for(fake_agent: FakeAgent) -> None:
    async def work() -> None:
        async with await fake_agent.aconnect() as client:
            with fake_agent.stopped():
                task = asyncio.create_task(client.read_file("/etc/hostname"))
                await asyncio.sleep(0.01)
                assert not task.done()
            assert await task == b"fake\n"
            results = await asyncio.gather(
                *(client.call("guest-sync", {"id": n}) for n in range(9))
            )
            assert results == list(range(9))
            await client.close()
            with pytest.raises(qga.TransportError):
                await client.ping()

    asyncio.run(work())


# Trouble.


@pytest.mark.parametrize("piece", [None, 1, 7])
def test_garbage_is_got_over(piece: int | None) -> None:
    agent = FakeAgent(piece=piece)
    client = agent.connect()
    agent.disturb(garbage=b"\0\xff nonsense } ")
    with pytest.raises(qga.ProtocolError):
        client.ping()
    agent.disturb("guest-sync-delimited", garbage=b'{"return": {"version": "stale"}}\n{"return": ')
    assert client.info().version == protocol.UPSTREAM_VERSION


def test_channels_break(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    fake_agent.disturb("guest-info", cut=0)
    fake_agent.disturb("guest-file-read", cut=10, skip=1)
    with pytest.raises(qga.ConnectionLost):
        client.info()
    assert client.read_file("/etc/hostname") == b"fake\n"
    with pytest.raises(qga.ConnectionLost):
        client.read_file("/etc/hostname")
    assert client.info().version
    assert fake_agent.files.open_handles == 0


def test_a_killed_agent_forgets(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    file = client.open("/etc/hostname")
    fake_agent.kill()
    with pytest.raises(qga.ConnectionLost):
        file.read(1)
    with pytest.raises(qga.NoChannel, match="killed"):
        client.ping()
    fake_agent.start()
    with pytest.raises(qga.ConnectionLost, match="hostname is not open any more"):
        file.close()


def test_a_stopped_agent_answers_when_it_goes_on(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    with fake_agent.stopped():
        with pytest.raises(qga.AgentNotResponding):
            client.ping()
        other = fake_agent.connect()
        with pytest.raises(qga.AgentNotResponding):
            other.ping()
    client.ping()
    other.ping()


# Policies and ages.


def test_blocked_and_unknown_commands() -> None:
    agent = FakeAgent(blocked=["guest-exec"], unknown=["guest-get-load"])
    client = agent.connect()
    with pytest.raises(qga.CommandDisabled, match="guest-exec has been disabled"):
        client.call("guest-exec")
    with pytest.raises(qga.CommandNotFound):
        client.call("guest-get-load")
    commands = {each.name: each.enabled for each in client.info().supported_commands}
    assert commands["guest-exec"] is False
    assert "guest-get-load" not in commands
    agent.blocked.clear()
    with pytest.raises(qga.BadArgument, match="'path' is missing"):
        client.call("guest-exec")


@pytest.mark.parametrize("version", ["0.15", "1.0", "1.1", "2.0", "2.5", "7.2", "10.0"])
def test_agents_of_every_age(version: str) -> None:
    agent = FakeAgent(version=version)
    client = agent.connect()
    assert client.info().version == version
    assert client.write_file("/tmp/a", b"0123456789") == 10
    with client.open("/tmp/a") as file:
        assert file.seek(-3, os.SEEK_END) == 7
        assert file.read(10) == b"789"
    with pytest.raises(qga.CommandNotFound, match="guest-nonsense"):
        client.call("guest-nonsense")
    with pytest.raises(qga.GuestOSError, match="/nonexistent"):
        client.read_file("/nonexistent")
    with pytest.raises(qga.BadArgument):
        client.execute(protocol.FileClose(handle=7))
    client.shutdown("reboot")
    client.ping()


def test_a_frozen_guest_refuses(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    with client.frozen() as freeze:
        assert freeze.frozen == 2
        assert client.fsfreeze_status() == "frozen"
        with pytest.raises(qga.CommandDisabled):
            client.read_file("/etc/hostname")
        enabled = {each.name for each in client.info().supported_commands if each.enabled}
        assert enabled == {command.NAME for command in protocol.COMMANDS if command.WHILE_FROZEN}
        fake_agent.version = "7.2"
        with pytest.raises(qga.AgentFrozen):
            client.read_file("/etc/hostname")
    assert freeze.thawed == 2
    assert client.execute(protocol.FsfreezeFreezeList(mountpoints=["/srv", "/nowhere"])) == 1
    assert client.thaw() == 1
    assert client.execute(protocol.FsfreezeFreezeList(mountpoints=[])) == 0
    assert fake_agent.state == "thawed"


def test_a_freeze_with_a_lease(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    planned = client.call("qga-fsfreeze-freeze", {"dry-run": True, "exclude": ["type:vfat"]})
    assert {mount["outcome"] for mount in planned["mounts"]} <= {"planned", "skipped"}
    assert fake_agent.state == "thawed"
    made = client.call("qga-fsfreeze-freeze", {"deadline-ms": 60_000, "token": "mine"})
    assert (made["state"], made["count"]) == ("frozen", fake_agent.frozen)
    client.call("qga-fsfreeze-renew", {"token": "mine", "deadline-ms": 60_000})
    with pytest.raises(qga.CommandError, match="another token than 'other'"):
        client.call("qga-fsfreeze-thaw", {"token": "other"})
    assert client.call("qga-fsfreeze-thaw", {"token": "mine"})["held"] is True
    assert client.call("qga-fsfreeze-report")["end"] == "thawed"


def test_a_lease_that_ends(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    client.call("qga-fsfreeze-freeze", {"deadline-ms": 1, "token": "mine"})
    while fake_agent.frozen:
        pass
    told = client.call("qga-fsfreeze-thaw", {"token": "mine"})
    assert (told["held"], told["end"]) == (False, "lease")
    with pytest.raises(qga.CommandError, match="the freeze of token 'mine' has ended"):
        client.call("qga-fsfreeze-renew", {"token": "mine", "deadline-ms": 60_000})


# The guest.


def test_the_guest_changes() -> None:
    guest = Guest(host_name="web1")
    agent = FakeAgent(guest=guest)
    client = agent.connect()
    assert client.read_file("/etc/hostname") == b"web1\n"
    client.execute(SetTime(time=10**18))
    assert abs(client.execute(GetTime()) - 10**18) < 60e9
    client.execute(SetTime())
    assert guest.clock_offset == 0
    client.execute(protocol.SetUserPassword(username="root", password=b"pw", crypted=False))
    assert guest.passwords == {"root": b"pw"}
    with pytest.raises(qga.CommandError, match="password"):
        client.execute(protocol.SetUserPassword(username="none", password=b"pw", crypted=False))
    trimmed = client.execute(protocol.Fstrim()).paths
    assert [each.path for each in trimmed] == ["/", "/srv"]


def test_keys(fake_agent: FakeAgent) -> None:
    execute = fake_agent.connect().execute
    with pytest.raises(qga.GuestOSError):
        execute(protocol.SshGetAuthorizedKeys(username="debian"))
    execute(protocol.SshAddAuthorizedKeys(username="debian", keys=["ssh-x A", "ssh-x B"]))
    execute(protocol.SshAddAuthorizedKeys(username="debian", keys=["ssh-x A", "ssh-x C"]))
    execute(protocol.SshRemoveAuthorizedKeys(username="debian", keys=["ssh-x B", "ssh-x Z"]))
    keys = execute(protocol.SshGetAuthorizedKeys(username="debian")).keys
    assert sorted(keys) == ["ssh-x A", "ssh-x C"]
    assert fake_agent.files["/home/debian/.ssh/authorized_keys"] == b"ssh-x A\nssh-x C\n"
    execute(protocol.SshAddAuthorizedKeys(username="debian", keys=["ssh-x D"], reset=True))
    assert execute(protocol.SshGetAuthorizedKeys(username="debian")).keys == ["ssh-x D"]
    with pytest.raises(qga.CommandError, match="failed to lookup user 'none'"):
        execute(protocol.SshGetAuthorizedKeys(username="none"))


def test_processors_and_memory(fake_agent: FakeAgent) -> None:
    execute = fake_agent.connect().execute

    def processor(number: int, online: bool) -> protocol.cpu.LogicalProcessor:
        return protocol.cpu.LogicalProcessor(logical_id=number, online=online)

    def block(number: int, online: bool) -> protocol.memory.MemoryBlock:
        return protocol.memory.MemoryBlock(phys_index=number, online=online)

    assert execute(protocol.SetVcpus(vcpus=[processor(1, False), processor(0, False)])) == 1
    assert [each.online for each in execute(protocol.GetVcpus())] == [True, False]
    assert len(execute(protocol.GetCpuStats())) == 1
    with pytest.raises(qga.CommandError, match="#0 can't be offlined"):
        execute(protocol.SetVcpus(vcpus=[processor(0, False)]))
    with pytest.raises(qga.GuestOSError, match="cpu9"):
        execute(protocol.SetVcpus(vcpus=[processor(9, False)]))
    wanted = [block(0, False), block(1, False), block(9, True)]
    outcomes = execute(protocol.SetMemoryBlocks(mem_blks=wanted))
    assert [each.response for each in outcomes] == ["operation-failed", "success", "not-found"]
    assert [each.online for each in execute(protocol.GetMemoryBlocks())] == [
        True,
        False,
        True,
        True,
    ]


def test_disks_fill_up_and_commands_do_less_than_asked(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    fake_agent.files.most = 3
    assert client.write_file("/tmp/a", b"0123456789") == 10
    assert client.read_file("/tmp/a") == b"0123456789"
    assert [bytes(each.data) for each in fake_agent.asked(FileWrite)] == [
        b"0123456789", b"3456789", b"6789", b"9",
    ]  # fmt: skip
    fake_agent.files.most = None
    fake_agent.files.room = 5
    client.write_file("/tmp/a", b"0123456789abc")
    with pytest.raises(qga.GuestOSError, match="No space left"):
        client.write_file("/tmp/b", b"xyz")
    assert fake_agent.files["/tmp/a"] == b"0123456789abc"
    assert fake_agent.files.room == 2


# Programs.


def test_programs(fake_agent: FakeAgent) -> None:
    execute = fake_agent.connect().execute
    seen: list[object] = []

    def program(argv: list[str], input: bytes, env: object) -> tuple[int, bytes, bytes]:
        seen.append((argv, input, env))
        return 3, b"out", b"err"

    fake_agent.programs["tool"] = program
    for capture, out, err in (
        (True, b"out", b"err"), (False, None, None), (None, None, None),
        (protocol.exec.ExecCaptureMode.MERGED, b"outerr", None),
        (protocol.exec.ExecCaptureMode.STDERR, None, b"err"),
    ):  # fmt: skip
        command = protocol.Exec(
            path="/usr/bin/tool",
            arg=["-v"],
            env=["A=b=c"],
            input_data=b"in",
            capture_output=capture,
        )
        status = execute(protocol.ExecGetStatus(pid=execute(command).pid))
        assert (status.exited, status.exitcode) == (True, 3)
        assert (status.out_data, status.err_data) == (out, err)
    assert seen[0] == (["/usr/bin/tool", "-v"], b"in", {"A": "b=c"})
    assert "tool" in fake_agent.programs
    del fake_agent.programs["tool"]
    with pytest.raises(qga.GuestOSError, match="Failed to execute") as raised:
        execute(protocol.Exec(path="tool"))
    assert raised.value.errno == 2


def test_programs_take_their_time_and_die(fake_agent: FakeAgent) -> None:
    execute = fake_agent.connect().execute
    fake_agent.programs["slow"] = Ended(signal=15, out=b"x" * ((16 << 20) + 1), looks=2)
    pid = execute(protocol.Exec(path="slow", capture_output=True)).pid
    looks = [execute(protocol.ExecGetStatus(pid=pid)) for _ in range(3)]
    assert [each.exited for each in looks] == [False, False, True]
    assert (looks[2].signal, looks[2].exitcode, looks[2].out_truncated) == (15, None, True)
    with pytest.raises(qga.CommandError, match=f"PID {pid} does not exist"):
        execute(protocol.ExecGetStatus(pid=pid))


# The socket.


def test_it_is_served_on_a_socket(fake_agent: FakeAgent, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with fake_agent.serve(path) as target:
        assert target == f"unix:{path}"
        with qga.connect(target) as first, qga.connect(target) as second:
            data = os.urandom(3_000_000)
            first.write_file("/tmp/large", data)
            assert second.read_file("/tmp/large") == data
            fake_agent.disturb(Info, delay=0.05)
            assert first.info().version
            fake_agent.disturb(Info, delay=30)
            with pytest.raises(qga.AgentTimeout):
                first.info(timeout=0.05)
            second.ping()
            fake_agent.disturb("guest-ping", cut=5)
            with pytest.raises(qga.ConnectionLost):
                second.ping()
            second.ping()
            with fake_agent.stopped(), pytest.raises(qga.AgentTimeout):
                second.ping(timeout=0.05)
            second.ping()
            fake_agent.kill()
            with pytest.raises(qga.ConnectionLost):
                second.ping()
            with pytest.raises(qga.TransportError):
                second.ping()
            fake_agent.start()
            second.ping()
    assert not path.exists()
    with pytest.raises(qga.NoChannel):
        qga.connect(target)
    assert not [each for each in threading.enumerate() if each.name == "qga fake agent"]


def test_a_client_that_does_not_read_holds_up_nobody(fake_agent: FakeAgent) -> None:
    fake_agent.files["/large"] = bytes(8 << 20)
    with fake_agent.serve() as target, qga.connect(target) as client, qga.connect(target) as other:
        handle = client.execute(FileOpen(path="/large"))
        with pytest.raises(qga.AgentTimeout):
            client.execute(protocol.FileRead(handle=handle, count=8 << 20), timeout=0)
        other.ping()
        client.ping()
