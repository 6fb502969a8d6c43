"""Who is logged in: records of utmp, and sessions of logind."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.logins import LinuxLogins
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call, refusal

USER, DEAD, BOOT = 7, 8, 2


def record(user: bytes, seconds: int, microseconds: int = 0, kind: int = USER) -> bytes:
    """As most architectures have it."""
    host, exited = b"host.example.org", (0, 0)
    return struct.pack(
        "=hxxi32s4s32s256shhiii16s20x",
        kind, 4711, b"pts/0", b"ts/0", user, host, *exited, 1, seconds, microseconds, bytes(16),
    )  # fmt: skip


def record_64(user: bytes, seconds: int, microseconds: int = 0, kind: int = USER) -> bytes:
    """As those have it whose long was never 32 bits."""
    return struct.pack(
        "=hxxi32s4s32s256shhqqq16s20x4x",
        kind, 4711, b"pts/0", b"ts/0", user, b"", 0, 0, 1, seconds, microseconds, bytes(16),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "made", "size"),
    [
        ("x86_64", record, 384), ("ppc64le", record, 384), ("s390x", record, 384),
        ("armv7l", record, 384), ("riscv64", record, 384),
        ("aarch64", record_64, 400), ("loongarch64", record_64, 400),
    ],
)  # fmt: skip
def test_each_user_once_with_the_earliest_login(
    tmp_path: Path, make: AgentFactory, machine: str, made: Callable[..., bytes], size: int
) -> None:
    whole = [
        made(b"reboot", 1, kind=BOOT),
        made(b"bob", 1_700_000_300, 250_000),
        made(b"alice", 1_700_000_100, 5),
        made(b"gone", 1_700_000_000, kind=DEAD),
        made(b"bob", 1_700_000_200),
        made(b"alice", 1_700_000_400),
        made(32 * b"x", 0),
        made(b"n\xff", 4),
    ]
    assert {len(each) for each in whole} == {size}
    # The last is being written.
    (tmp_path / "utmp").write_bytes(b"".join(whole) + made(b"late", 1)[:-1])
    logins = LinuxLogins(str(tmp_path / "utmp"), machine=machine)
    agent = make(FakeSystem(logins=logins))
    assert call(agent, "guest-get-users") == [
        {"user": "bob", "login-time": 1_700_000_200},
        {"user": "alice", "login-time": 1_700_000_100.000005},
        {"user": 32 * "x", "login-time": 0},
        {"user": "n\ufffd", "login-time": 4},
    ]


def test_nobody_is_logged_in(tmp_path: Path, make: AgentFactory) -> None:
    agent = make(FakeSystem(logins=LinuxLogins(str(tmp_path / "utmp"), str(tmp_path / "sessions"))))
    assert call(agent, "guest-get-users") == []
    (tmp_path / "utmp").touch()
    assert call(agent, "guest-get-users") == []


def test_records_that_cannot_be_read(tmp_path: Path, make: AgentFactory) -> None:
    agent = make(FakeSystem(logins=LinuxLogins(str(tmp_path))))
    assert refusal(agent, "guest-get-users") == f'open("{tmp_path}"): Is a directory'


SESSION = """\
# This is private data. Do not parse.
UID=1000
USER={user}
ACTIVE=1
IS_DISPLAY=1
STATE={state}
REMOTE=0
TYPE=tty
CLASS={kind}
REALTIME={realtime}
MONOTONIC=12345
"""


def test_a_system_without_utmp_tells_its_sessions(tmp_path: Path, make: AgentFactory) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()

    def session(
        name: str, user: str, realtime: str, kind: str = "user", state: str = "active"
    ) -> None:
        (sessions / name).write_text(
            SESSION.format(user=user, realtime=realtime, kind=kind, state=state)
        )

    session("1", "bob", "1700000300250000")
    session("c2", "alice", "1700000100000005", state="online")
    session("3", "bob", "1700000200000000")
    session("4", "root", "1700000500000000", kind="user-early")
    session("5", "gdm", "1700000000000000", kind="greeter")
    session("6", "bob", "1700000000000000", kind="manager")
    session("7", "late", "1700000000000000", kind="user-incomplete")
    session("8", "gone", "1700000000000000", state="closing")
    session("9", "", "1700000000000000")
    session("10", "odd", "yesterday")
    (sessions / "11").write_bytes(b"\xff\0\n=\nUSER")
    # By these pipes logind notices the end of a session; who opened one would wait.
    os.mkfifo(sessions / "1.ref")
    (sessions / "12").symlink_to("ended")
    agent = make(FakeSystem(logins=LinuxLogins(str(tmp_path / "utmp"), str(sessions))))
    assert call(agent, "guest-get-users") == [
        {"user": "alice", "login-time": 1_700_000_100.000005},
        {"user": "bob", "login-time": 1_700_000_200},
        {"user": "root", "login-time": 1_700_000_500},
    ]
    # Records are believed first.
    (tmp_path / "utmp").write_bytes(record(b"carol", 7))
    assert call(agent, "guest-get-users") == [{"user": "carol", "login-time": 7}]
