"""Scripts in the guest's shell, through both agents."""

import errno
import os
from collections.abc import Iterator

import pytest

import qga
from qga.client.flows.asking import fail
from qga.client.flows.script import Output, script
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


@pytest.mark.parametrize(
    ("said", "number", "told"),
    [
        (b"/bin/sh: 22: cannot create /proc/x: Directory nonexistent\n", errno.ENOENT, ""),
        (b"/bin/sh: can't create /proc/x: nonexistent directory\n", errno.ENOENT, ""),
        (b"main: line 22: /proc/x: No such file or directory\n", errno.ENOENT, ""),
        (b"/bin/sh: 3: cannot open /x: No such file\n", errno.ENOENT, ""),
        (b"main: line 3: /x: cannot overwrite existing file\n", errno.EEXIST, ""),
        (b"/bin/sh: line 10: can't cd to /x: Permission denied\n", errno.EACCES, ""),
        (b"/bin/sh: 10: cd: can't cd to /x\n", None, "cd: can't cd to /x"),
        (b"chown: invalid user: 'x'\n", None, "chown: invalid user: 'x'"),
    ],
)
def test_what_shells_complain_of(said: bytes, number: int | None, told: str) -> None:
    """Of dash, busybox and bash; only what helps is passed on."""
    with pytest.raises(qga.GuestOSError) as raised:
        fail("do it", Output(1, b"", said))
    assert raised.value.errno == number
    assert str(raised.value) == f"cannot do it: {told or os.strerror(number or 0)}"


def test_a_program_that_a_shell_misses() -> None:
    with pytest.raises(qga.Unsupported, match=r"needs: tar: not found$"):
        fail("do it", Output(127, b"", b"/bin/sh: 3: tar: not found\n"))
