"""`timing.within`: the time of a whole flow."""

import time

import pytest

import qga
from qga.client.deadline import Deadline
from qga.client.flows.steps import Flow, Leave, Timeout, Wait
from qga.client.flows.timing import within
from qga.protocol import Info, Ping

from .driven import Driven
from .peer import Peer, Peers


def test_timeouts_of_the_flow_are_kept_and_bounded() -> None:
    def flow() -> Flow[str]:
        yield Timeout(5)
        yield Ping()
        yield Timeout(7, despite=True)
        yield Info()
        return "done"

    deadline = Deadline(60)
    driven = Driven(within(deadline, flow()))
    assert driven.begin() == Ping()
    assert driven.send(None) == Info()
    with pytest.raises(StopIteration) as stop:
        driven.send(None)
    assert stop.value.value == "done"
    first, second, third = driven.timeouts
    assert (first.seconds, first.by) == (None, deadline)
    assert (second.seconds, second.by, second.despite) == (5, deadline, False)
    assert (third.seconds, third.despite) == (7, True)


def test_when_it_is_over_the_flow_learns_it_and_tidies_up() -> None:
    def flow() -> Flow[None]:
        try:
            yield Ping()
            yield Ping()
        except qga.AgentTimeout:
            yield Leave(Info())
            yield Timeout(1, despite=True)
            yield Info()
            raise

    deadline = Deadline(0.05)
    driven = Driven(within(deadline, flow()))
    driven.begin()
    time.sleep(0.05)
    left = driven.send(None)
    assert isinstance(left, Leave)
    assert driven.send(None) == Info()
    with pytest.raises(qga.AgentTimeout, match=r"no answer within 0\.05 s"):
        driven.send(None)


def test_errors_reach_the_flow_and_it_is_closed_with_its_caller() -> None:
    closed = []

    def flow() -> Flow[int]:
        try:
            yield Ping()
        except qga.GuestOSError:
            pass
        try:
            yield Info()
        finally:
            closed.append(True)
        return 1

    outer = within(Deadline(60), flow())
    driven = Driven(outer)
    driven.begin()
    assert driven.throw(qga.GuestOSError("no")) == Info()
    outer.close()
    assert closed == [True]


def test_a_client_bounds_commands_and_pauses(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-ping")
        peer.request()

    def silent() -> Flow[None]:
        yield Timeout(60)
        yield Ping()

    def idle() -> Flow[None]:
        yield Wait(60)
        yield Ping()

    client = peers(script)
    with pytest.raises(qga.AgentTimeout, match=r"no answer within 0\.1 s"):
        client.perform(within(Deadline(0.1), silent()))
    with pytest.raises(qga.AgentTimeout, match=r"no answer within 0\.1 s"):
        client.perform(within(Deadline(0.1), idle()))
