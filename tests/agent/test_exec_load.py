"""guest-exec with much of everything: output, input, programs, results that nobody fetches."""

import base64
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.agent.loop import Loop
from qga.agent.pipes import LIMIT, Output, Pipe, encoded
from qga.wire import base64 as wire_base64
from qga.wire.base64 import PIECE
from tests.agent.conftest import AgentFactory, Starter
from tests.agent.harness import (
    Peer,
    RunningAgent,
    call,
    own_descriptors,
    refusal,
    request,
    spins,
    until,
)
from tests.agent.programs import (
    begin,
    children,
    end,
    is_gone,
    memory,
    output,
    refusal_of,
    result,
    run,
    start_runner,
)

MIB = 1 << 20
KEPT = 64


@pytest.fixture
def running(start: Starter) -> RunningAgent:
    """An agent that may run programs."""
    return start_runner(start)


@pytest.fixture
def peer(running: RunningAgent) -> Peer:
    return running.connect()


def changed(**constants: object) -> str:
    """A statement that gives constants of the agent's programs another value."""
    return "; ".join(
        ["import qga.agent.processes as p", *(f"p.{name} = {v!r}" for name, v in constants.items())]
    )


# Output.


@pytest.mark.parametrize(
    ("size", "truncated"), [(LIMIT - 1, False), (LIMIT, False), (LIMIT + 1, True)]
)
def test_16_mib_are_kept(peer: Peer, size: int, truncated: bool) -> None:
    status = run(peer, "head", "-c", str(size), "/dev/zero", capture_output="stdout")
    assert len(status["out-data"]) == min(size, LIMIT)
    assert status["out-truncated"] is truncated
    assert set(status) == {"exited", "exitcode", "out-data", "out-truncated"}


def test_each_stream_has_a_limit_of_its_own(peer: Peer) -> None:
    script = f"head -c {LIMIT + 1} /dev/zero | tr '\\0' o; head -c {LIMIT} /dev/zero >&2; exit 2"
    status = run(peer, "sh", "-c", script, capture_output=True)
    assert status == {
        "exited": True,
        "exitcode": 2,
        "out-data": b"o" * LIMIT,
        "out-truncated": True,
        "err-data": bytes(LIMIT),
        "err-truncated": False,
    }


@pytest.mark.parametrize("size", [1, 65_536, 196_607, 196_608, 196_609, 500_000, 3 * MIB + 1])
def test_output_comes_as_it_was_written(peer: Peer, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "data").write_bytes(data)
    status = run(peer, "cat", str(tmp_path / "data"), capture_output=True)
    assert status == {"exited": True, "exitcode": 0, "out-data": data, "out-truncated": False}
    # A signal's number stands in a large reply as well.
    script = f"cat {tmp_path / 'data'}; kill -9 $$"
    status = run(peer, "sh", "-c", script, capture_output="merged")
    assert status == {"exited": True, "signal": 9, "out-data": data, "out-truncated": False}


def test_a_large_reply_has_its_id(peer: Peer) -> None:
    pid = begin(peer, "head", "-c", "300000", "/dev/zero", capture_output=True)
    until(lambda: is_gone(pid), "the program to end")
    peer.send(request("guest-exec-status", {"pid": pid}, id={"a": [1]}))
    reply = peer.reply()
    assert set(reply) == {"return", "id"}
    assert reply["id"] == {"a": [1]}
    assert base64.b64decode(reply["return"]["out-data"]) == bytes(300_000)


def test_what_was_written_last_is_never_lost(peer: Peer) -> None:
    script = "head -c 900000 /dev/zero; printf end; kill -9 $$"
    for _ in range(30):
        status = run(peer, "sh", "-c", script, capture_output=True)
        assert len(status["out-data"]) == 900_003
        assert status["out-data"].endswith(b"end")


def test_output_beyond_the_limit_costs_no_memory(running: RunningAgent, peer: Peer) -> None:
    run(peer, "head", "-c", str(LIMIT), "/dev/zero", capture_output=True)
    before = memory(running.process.pid, "VmRSS")
    script = f"head -c {300 * MIB} /dev/zero; echo done >&2"
    pid = begin(peer, "sh", "-c", script, capture_output=True)
    until(lambda: is_gone(pid), "the program to end")
    # Two streams, had both been full.
    assert memory(running.process.pid, "VmHWM") < before + 40 * 1024
    status = result(peer, pid)
    assert (len(status["out-data"]), status["out-truncated"]) == (LIMIT, True)
    assert (status["err-data"], status["err-truncated"]) == (b"done\n", False)
    # And afterwards it is given back.
    assert memory(running.process.pid, "VmRSS") < before + 8 * 1024


@pytest.fixture
def pipe() -> Iterator[tuple[Output, int]]:
    """What is kept of a pipe of this process, and the end to write to."""
    loop = Loop()
    reader, writer = os.pipe()
    pipes: set[Pipe] = set()
    kept = Output(loop, pipes, reader)
    yield kept, writer
    kept.close()
    os.close(writer)
    loop.close()


@pytest.mark.parametrize("size", [0, 1, 2, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2])
def test_pieces_are_one_text(size: int) -> None:
    data = os.urandom(size)
    assert b"".join(encoded(memoryview(data))) == base64.b64encode(data)


def test_no_memory_for_output_cuts_it_off(
    pipe: tuple[Output, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, writer = pipe
    os.write(writer, b"before")
    kept.drain()

    def fail(fd: int, size: int) -> bytes:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(os, "read", fail)
        os.write(writer, b"lost")
        kept.drain()
    os.write(writer, b"after")
    kept.drain()
    assert bytes(kept.take()) == b"before"
    assert kept.truncated


# Input.


def test_much_input(peer: Peer) -> None:
    data = os.urandom(20 * MIB + 1)
    given = base64.b64encode(data).decode()
    status = run(peer, "sha256sum", capture_output=True, input_data=given)
    assert status["out-data"].split()[0].decode() == hashlib.sha256(data).hexdigest()
    # Written and read at the same time, or the program would never go on.
    status = run(peer, "cat", capture_output=True, input_data=given)
    assert status["out-data"] == data[:LIMIT]
    assert status["out-truncated"] is True


@pytest.mark.parametrize("script", ["exit 3", "exec <&-; sleep 0.3; exit 3", "head -c 1; exit 3"])
def test_input_that_is_not_read(running: RunningAgent, peer: Peer, script: str) -> None:
    run(peer, "true")
    before = running.descriptors()
    given = base64.b64encode(bytes(20 * MIB)).decode()
    assert run(peer, "sh", "-c", script, input_data=given) == {"exited": True, "exitcode": 3}
    until(lambda: running.descriptors() == before, "the pipe to be closed")
    assert peer.call("guest-ping") == {}


def test_input_waits_for_who_reads_late(running: RunningAgent, peer: Peer) -> None:
    go = running.folder / "go"
    given = base64.b64encode(bytes(5 * MIB)).decode()
    script = f"until test -e {go}; do sleep 0.05; done; wc -c"
    pid = begin(peer, "sh", "-c", script, capture_output=True, input_data=given)
    assert not spins(running)
    go.touch()
    assert result(peer, pid)["out-data"].split() == [b"%d" % (5 * MIB)]


# Programs that leave others behind.


def test_who_holds_the_output_is_waited_for(start: Starter) -> None:
    with start_runner(start, changes=changed(_GRACE=600.0)).connect() as peer:
        script = "(sleep 0.3; echo late; exec >&- 2>&-; sleep 60) & echo early"
        status = run(peer, "sh", "-c", script, capture_output=True)
        assert status["out-data"] == b"early\nlate\n"


def test_who_holds_the_output_is_not_waited_for_for_ever(start: Starter) -> None:
    running = start_runner(start, changes=changed(_GRACE=0.3))
    go, alive = running.folder / "go", running.folder / "alive"
    # It writes more than a pipe holds when its output has long been reported: it must not be ended
    # by that, nor hang.
    daemon = f"until test -e {go}; do sleep 0.05; done; head -c 3000000 /dev/zero; touch {alive}"
    with running.connect() as peer:
        run(peer, "true")
        before = running.descriptors()
        for size in (5, 900_000):
            script = f"({daemon}) & head -c {size} /dev/zero; exit 4"
            status = run(peer, "sh", "-c", script, capture_output=True)
            # What the program has written itself is all there.
            assert status == {
                "exited": True,
                "exitcode": 4,
                "out-data": bytes(size),
                "out-truncated": False,
            }
            assert not alive.exists()
            go.touch()
            until(alive.exists, "the program that was left behind")
            go.unlink()
            alive.unlink()
            until(lambda: running.descriptors() == before, "the pipes to be closed")


def test_what_comes_before_the_result_is_fetched_belongs_to_it(start: Starter) -> None:
    with start_runner(start, changes=changed(_GRACE=0.0)).connect() as peer:
        script = "(sleep 0.3; echo late; sleep 60) & echo $!"
        pid = begin(peer, "sh", "-c", script, capture_output=True)
        until(lambda: is_gone(pid), "the program to end")
        time.sleep(0.6)
        first, *rest = result(peer, pid)["out-data"].split()
        end(int(first))
        assert rest in ([b"late"], [])  # a slow machine may not have come so far


# Many.


def test_a_thousand_programs_leave_nothing_behind(running: RunningAgent, peer: Peer) -> None:
    pid = running.process.pid

    def work(rounds: int) -> None:
        for number in range(rounds):
            capture: dict[str, Any] = {"capture_output": True} if number % 2 else {}
            given: dict[str, Any] = {"input_data": "eA=="} if number % 3 else {}
            status = run(peer, "printf", str(number), **capture, **given)
            assert status.get("out-data", b"%d" % number) == b"%d" % number
            if number % 10 == 0:
                refusal_of(peer, path="/absent", **capture, **given)

    work(100)
    run(peer, "true")  # by whose end all pipes are closed
    before = running.descriptors(), memory(pid, "VmRSS")
    work(1000)
    until(lambda: running.descriptors() == before[0], "the last pipe to be closed")
    assert children(pid) == []
    assert memory(pid, "VmRSS") < before[1] + 512


def test_many_programs_at_once(running: RunningAgent, peer: Peer) -> None:
    run(peer, "true")
    before = running.descriptors()
    go = running.folder / "go"
    script = f"until test -e {go}; do sleep 0.2; done; echo $$"
    pids = [begin(peer, "sh", "-c", script, capture_output=True) for _ in range(50)]
    assert len(children(running.process.pid)) == 50
    go.touch()
    for pid in pids:
        assert result(peer, pid)["out-data"] == b"%d\n" % pid
    until(lambda: running.descriptors() == before, "the last pipe to be closed")
    assert children(running.process.pid) == []


def test_the_oldest_result_is_forgotten(running: RunningAgent, peer: Peer) -> None:
    still = begin(peer, "sleep", "60")
    pids = []
    for number in range(KEPT + 3):
        pids.append(begin(peer, "sh", "-c", f"echo; exit {number}", capture_output=True))
        until(lambda: is_gone(pids[-1]), "the program to end")
    for pid in pids[:3]:
        error = peer.ask("guest-exec-status", pid=pid)["error"]
        assert error["desc"] == f"PID {pid} does not exist"
    # One that runs is older than all of them, and not forgotten.
    assert peer.call("guest-exec-status", pid=still) == {"exited": False}
    for number, pid in enumerate(pids[3:], 3):
        assert result(peer, pid)["exitcode"] == number
    end(still)
    assert result(peer, still)["signal"] == signal.SIGKILL


def test_without_descriptors_nothing_is_started(start: Starter) -> None:
    running = start_runner(start, files=32)
    with running.connect() as peer:
        run(peer, "true")
        before = running.descriptors()
        handles = []
        while "return" in (reply := peer.ask("guest-file-open", path="/dev/null")):
            handles.append(reply["return"])
        for capture, given in (
            (True, {}),
            ("none", {"input_data": ""}),
            (True, {"input_data": ""}),
        ):
            desc = refusal_of(peer, path="true", capture_output=capture, **given)
            assert desc == (
                "Failed to create pipe for communicating with child process (Too many open files)"
            )
        # A program without pipes needs none.
        assert run(peer, "true") == {"exited": True, "exitcode": 0}
        for handle in handles:
            peer.call("guest-file-close", handle=handle)
        assert running.descriptors() == before
        assert output(peer, "echo", "again") == "again\n"


def test_a_program_that_prints_for_ever_holds_up_nobody(running: RunningAgent, peer: Peer) -> None:
    pid = begin(peer, "yes", capture_output=True)
    with running.connect() as other:
        for _ in range(100):
            assert other.call("guest-ping") == {}
        assert other.call("guest-exec-status", pid=pid) == {"exited": False}
    end(pid)
    assert result(peer, pid)["signal"] == signal.SIGKILL


# The agent's own end, and its other children.


def test_programs_survive_the_agent(running: RunningAgent, peer: Peer) -> None:
    go, alive = running.folder / "go", running.folder / "alive"
    script = f"until test -e {go}; do sleep 0.05; done; touch {alive}"
    begin(peer, "sh", "-c", script, capture_output=True, input_data="eA==")
    assert running.end() == 0
    go.touch()
    until(alive.exists, "the program to go on")


def test_a_child_that_is_not_reaped_hides_no_other(make: AgentFactory) -> None:
    agent = make()
    stranger = os.posix_spawn("/bin/true", ["true"], os.environ)
    try:
        os.waitid(os.P_PID, stranger, os.WEXITED | os.WNOWAIT)
        pids = [call(agent, "guest-exec", path="/bin/true")["pid"] for _ in range(3)]

        def reaped() -> bool:
            agent.processes.on_child_ended()
            return all(is_gone(pid) for pid in pids)

        until(reaped, "the programs to be reaped")
        for pid in pids:
            status = call(agent, "guest-exec-status", pid=pid)
            assert status == {"exited": True, "exitcode": 0}
    finally:
        assert os.waitpid(stranger, 0)[0] == stranger  # which is still its parent's to reap


def test_status_need_not_wait_for_the_signal(make: AgentFactory) -> None:
    agent = make()  # whose loop does not run
    pid = call(agent, "guest-exec", path="/bin/echo", capture_output=True)["pid"]
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert call(agent, "guest-exec-status", pid=pid) == {
        "exited": True,
        "exitcode": 0,
        "out-data": wire_base64.encode(b"\n").decode(),
        "out-truncated": False,
    }


def test_a_number_that_the_kernel_gives_again(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make()
    old = call(agent, "guest-exec", path="/bin/echo", capture_output=True)["pid"]
    os.waitid(os.P_PID, old, os.WEXITED | os.WNOWAIT)
    processes = agent.processes
    processes.on_child_ended()
    spawn = processes._spawner.spawn

    def spawn_with_old_number(*arguments: Any) -> int:
        pid = spawn(*arguments)
        processes._ended[pid] = processes._ended.pop(old)
        return pid

    monkeypatch.setattr(processes._spawner, "spawn", spawn_with_old_number)
    pid = call(agent, "guest-exec", path="/bin/false")["pid"]
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert call(agent, "guest-exec-status", pid=pid) == {"exited": True, "exitcode": 1}
    assert refusal(agent, "guest-exec-status", pid=pid) == f"PID {pid} does not exist"


def test_a_start_that_fails_oddly_leaves_nothing_behind(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make()
    processes = agent.processes

    def fail(*arguments: Any) -> int:
        raise MemoryError

    monkeypatch.setattr(processes._spawner, "spawn", fail)
    before = own_descriptors()
    for _ in range(3):
        desc = refusal(agent, "guest-exec", path="x", capture_output=True, input_data="eA==")
        assert desc == "not enough memory in the guest for this request"
    assert own_descriptors() == before


def test_a_client_that_leaves_during_a_large_reply(running: RunningAgent, peer: Peer) -> None:
    run(peer, "true")
    before = running.descriptors()
    pid = begin(peer, "head", "-c", str(LIMIT), "/dev/zero", capture_output=True)
    until(lambda: is_gone(pid), "the program to end")
    with running.connect() as other:
        other.send(request("guest-exec-status", {"pid": pid}))
        assert other.socket.recv(1000)
    until(lambda: running.descriptors() == before, "the connection to be closed")
    assert peer.ask("guest-exec-status", pid=pid)["error"]["desc"].endswith("does not exist")
    peer.send(json.dumps(request("guest-ping")).encode())
    assert peer.reply() == {"return": {}}
