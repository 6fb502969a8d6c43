"""Tests of a program that uses qga, without a virtual machine: `pytest test_my_program.py`.

The fixture `fake_agent` is there where qga is installed.
"""

import pytest

import qga
from qga.testing import FakeAgent


def greet(guest: qga.Client, text: str) -> None:
    """The program: it puts a message of the day into a guest, unless there is one."""
    try:
        guest.read_file("/etc/motd")
    except qga.GuestOSError:
        guest.write_file("/etc/motd", text.encode())


def test_it_greets(fake_agent: FakeAgent) -> None:
    with fake_agent.connect() as guest:
        greet(guest, "Welcome.\n")
    assert fake_agent.files["/etc/motd"] == b"Welcome.\n"


def test_it_leaves_a_message_alone(fake_agent: FakeAgent) -> None:
    fake_agent.files["/etc/motd"] = b"Go away.\n"
    with fake_agent.connect() as guest:
        greet(guest, "Welcome.\n")
    assert fake_agent.files["/etc/motd"] == b"Go away.\n"


def test_a_full_disk(fake_agent: FakeAgent) -> None:
    fake_agent.files.room = 3
    with fake_agent.connect() as guest, pytest.raises(qga.GuestOSError, match="No space left"):
        greet(guest, "Welcome.\n")


def test_an_agent_that_hangs(fake_agent: FakeAgent) -> None:
    with fake_agent.connect() as guest, fake_agent.stopped(), pytest.raises(qga.AgentTimeout):
        greet(guest, "Welcome.\n")
