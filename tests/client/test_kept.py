"""What is left of a program when whoever uses it is interrupted: orders to end it, for later."""

from typing import Any

import pytest

import qga
from qga.client.flows.process import run
from qga.client.flows.running import Running
from qga.client.flows.steps import Flow, Leave, Together, Wait
from qga.protocol import Exec, ExecGetStatus, FileClose, FileOpen, FileRead, FileWrite
from qga.protocol.exec import ExecStarted, ExecStatus
from qga.protocol.files import FileChunk

from .driven import Driven

CONTROL = 1


def started() -> Running:
    """A program without streams, whose keeper listens."""
    running = Running(["true"], 7)
    running.begin("name", "/run")
    opening = Driven(running.open("n", "n", "n"))
    opening.begin()
    with pytest.raises(StopIteration):
        opening.send([CONTROL])
    return running


def left_by(flow: Driven) -> list[Any]:
    """What *flow* leaves to be done when the step that it is at is interrupted."""
    left = []
    try:
        step = flow.throw(KeyboardInterrupt())
        while True:
            assert isinstance(step, Leave)
            left.append(step.command)
            step = flow.send(None)
    except KeyboardInterrupt:
        return left


def interrupted(flow: Flow[Any]) -> list[Any]:
    driven = Driven(flow)
    assert isinstance(driven.begin(), Together)
    return left_by(driven)


def test_an_end_that_is_interrupted_is_done_later() -> None:
    running = started()
    running.note(ExecStatus(exited=True, exitcode=0))
    *order, closing, last = interrupted(running.finish())
    assert order[0].data == b"done\n"
    assert closing == FileClose(handle=CONTROL)
    assert isinstance(last, Exec)  # for an agent that knows no such handle


def test_a_program_that_could_not_be_killed_is_killed_later() -> None:
    left = interrupted(started().abandon())
    assert left[0].data == b"abort\n"
    assert left[-2] == FileClose(handle=CONTROL)
    assert isinstance(left[-1], Exec)  # for an agent that knows no such handle


def test_what_is_late_is_killed_later_if_that_is_interrupted() -> None:
    flow = Driven(run(["sleep", "60"], stdout=None, stderr=None, timeout=0))
    step: Any = flow.begin()
    killing = False
    while not killing:
        match step:
            case Exec():
                step = flow.send(ExecStarted(pid=7))
            case FileOpen():
                step = flow.send(CONTROL)
            case FileRead():
                step = flow.send(FileChunk(count=3, data=b"ok\n", eof=True))
            case ExecGetStatus():
                step = flow.send(ExecStatus(exited=False))
            case Together(commands=[FileWrite(data=b"group 9\n"), *_]):
                killing = True
            case Together(commands=commands):
                step = flow.send([CONTROL for _ in commands])
            case Wait() | FileClose():
                step = flow.send(None)
    left = left_by(flow)
    assert left[0].data == b"abort\n"
    assert left[-1] == ExecGetStatus(pid=7)


def test_it_is_killed_at_once_after_an_error_of_the_agent() -> None:
    giving_up = Driven(started().give_up(qga.GuestOSError("no")))
    step = giving_up.begin()
    assert isinstance(step, Together)
    assert step.commands[0].data == b"abort\n"  # type: ignore[attr-defined]
