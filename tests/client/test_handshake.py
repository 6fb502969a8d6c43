"""Being in step with an agent that lags behind, talks nonsense, is old, or goes away."""

import json
from collections.abc import Generator

import pytest

import qga
from qga.client import Deadline
from qga.client.channel import StreamChannel
from qga.protocol import FileRead, Ping
from qga.wire import handshake
from qga.wire.refusal import refusal as made

from .peer import Peer, Peers

STRAY = b'{"error": {"class": "GenericError", "desc": "JSON parse error, stray \'\\uFFFD\'"}}\n'


def answer_pings(peer: Peer) -> None:
    peer.sync()
    while True:
        peer.expect("guest-ping")
        peer.answer({})


def test_synchronises_once_and_then_only_asks(peers: Peers) -> None:
    client = peers(answer_pings)
    for _ in range(3):
        client.ping()


def test_the_error_that_stock_agents_send_for_0xff_is_ignored(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.send(STRAY)
        answer_pings(peer)

    peers(script).ping()


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage",
        b'{"return": {"half": "of a reply',
        b'{"return": [[[[ {',
        b'quet": "of a reply"}}\n',
        b"\x00\x01\xfe\xff\xff\n",
        b'{"return": 12345}\n{"return": {}}\n' * 100,
        b'{"return": "' + b"A" * 100_000,
        b"\xff" + b'{"return": 1}\n',
    ],
)
def test_whatever_comes_before_the_echo_is_dropped(peers: Peers, garbage: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.send(garbage)
        answer_pings(peer)

    peers(script).ping()


def test_replies_to_earlier_synchronisations_are_stale(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        first = peer.expect("guest-sync-delimited")["id"]
        second = peer.expect("guest-sync-delimited")["id"]
        assert first != second
        for number in (first, second):
            peer.send(b"\xff")
            peer.answer(number)
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    with pytest.raises(qga.AgentNotResponding, match="does not answer"):
        client.ping(timeout=0.1)
    client.ping()


def test_a_late_reply_is_not_taken_for_the_next_one(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-fsfreeze-status")
        number = peer.expect("guest-sync-delimited")["id"]
        peer.answer("frozen")
        peer.send(b"\xff")
        peer.answer(number)
        peer.expect("guest-fsfreeze-status")
        peer.answer("thawed")

    client = peers(script)
    with pytest.raises(qga.AgentTimeout, match=r"guest-fsfreeze-status: no answer within 0\.1 s"):
        client.fsfreeze_status(timeout=0.1)
    assert client.fsfreeze_status() == "thawed"


def test_an_unsolicited_reply_is_not_taken_for_the_next_one(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-fsfreeze-status")
        peer.send(b'{"return": "thawed"}\n{"return": "frozen"}\n')
        peer.sync()
        peer.expect("guest-fsfreeze-status")
        peer.answer("thawed")

    client = peers(script)
    assert client.fsfreeze_status() == "thawed"
    assert client.fsfreeze_status() == "thawed"


@pytest.mark.parametrize(
    "refusal",
    [
        {
            "class": "CommandNotFound",
            "desc": "The command guest-sync-delimited has not been found",
        },
        {"class": "CommandNotFound", "data": {"name": "guest-sync-delimited"}},
        {
            "class": "CommandNotFound",
            "desc": "Command guest-sync-delimited has been disabled: not allowed",
        },
        {"class": "CommandDisabled", "data": {"name": "guest-sync-delimited"}},
    ],
)
def test_agents_without_sync_delimited_are_synchronised_by_sync(
    peers: Peers, refusal: dict[str, object]
) -> None:
    def script(peer: Peer) -> None:
        # A refusal that belongs to a call of an earlier client.
        peer.refuse(**{"class": "CommandNotFound", "data": {"name": "guest-foo"}})
        peer.refuse(**{"class": "JSONParsing", "data": {}})
        peer.expect("guest-sync-delimited")
        peer.refuse(**refusal)
        number = peer.expect("guest-sync")["id"]
        peer.answer(number - 1)
        peer.answer({})
        peer.answer(number)
        peer.expect("guest-ping")
        # After the next doubt it is not asked for sync-delimited again.
        number = peer.expect("guest-sync")["id"]
        peer.answer({})
        peer.answer(number)
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    with pytest.raises(qga.AgentTimeout):
        client.ping(timeout=0.2)
    client.ping()


def test_an_agent_that_refuses_both_synchronisations_is_an_error(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        for name in ("guest-sync-delimited", "guest-sync"):
            peer.expect(name)
            peer.refuse(**{"class": "CommandNotFound", "desc": f"Command {name} has been disabled"})

    with pytest.raises(qga.CommandDisabled, match="guest-sync has been disabled"):
        peers(script).ping()


@pytest.mark.parametrize(
    "garbage",
    [
        b"no JSON\n",
        b"[1]\n",
        b'"text"\n',
        b"{}\n",
        b'{"return": 1, "error": {}}\n',
        b'{"return": {} }}\n{"return": {}}\n',
        b"\xff",
    ],
)
def test_garbage_instead_of_a_reply_is_an_error_and_heals(peers: Peers, garbage: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-ping")
        peer.send(garbage)
        answer_pings(peer)

    client = peers(script)
    if garbage.startswith(b'{"return": {}'):
        client.ping()  # what comes behind the reply is only seen by the next call
    else:
        with pytest.raises(qga.ProtocolError, match="guest-ping"):
            client.ping()
    client.ping()


def test_a_result_of_another_type_is_an_error_and_no_reason_to_resynchronise(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-file-read")
        peer.answer({"count": "4", "buf-b64": "", "eof": True})
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    with pytest.raises(qga.ProtocolError, match=r"guest-file-read: .*'count', expected: integer"):
        client.execute(FileRead(handle=1))
    client.ping()


def test_replies_may_arrive_in_any_pieces(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        number = peer.expect("guest-sync-delimited")["id"]
        for byte in b'\xff{"return": %d}\n' % number:
            peer.send(bytes((byte,)))
        peer.expect("guest-ping")
        for byte in b'{"return": {}}\n':
            peer.send(bytes((byte,)))

    peers(script).ping()


def test_huge_replies(peers: Peers) -> None:
    size = 48 << 20
    text = b"AAAA" * (size // 3)

    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-file-read")
        peer.send(b'{"return": {"count": %d, "buf-b64": "%s", "eof": false}}\n' % (size, text))

    piece = peers(script, timeout=60).execute(FileRead(handle=1, count=size))
    assert piece.count == size
    assert piece.data == bytes(size)


def test_a_reply_beyond_all_limits_is_an_error() -> None:
    conversation = handshake.Conversation(reply_limit=1000)
    talk = conversation.exchange("guest-ping", {})
    step = next(talk)
    assert isinstance(step, handshake.Send)
    number = json.loads(b"".join(step.pieces)[1:])["arguments"]["id"]
    next(talk)
    step = talk.send(b'\xff{"return": %d}\n' % number)
    assert isinstance(step, handshake.Send)
    next(talk)
    with pytest.raises(qga.ProtocolError, match="limit"):
        talk.send(b'{"return": "' + b"x" * 2000)
    assert not conversation.synced


def test_losing_the_channel_is_told_and_the_next_call_opens_it_again(peers: Peers) -> None:
    def lost(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-ping")
        peer.send(b'{"return"')
        peer.close()

    client = peers(lost, answer_pings)
    with pytest.raises(qga.ConnectionLost, match="closed the channel"):
        client.ping()
    client.ping()


def test_an_interrupt_leaves_no_reply_behind(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.sync()
        peer.expect("guest-fsfreeze-status")
        number = peer.expect("guest-sync-delimited")["id"]
        peer.answer("frozen")
        peer.send(b"\xff")
        peer.answer(number)
        peer.expect("guest-ping")
        peer.answer({})

    client = peers(script)
    client.sync()
    assert isinstance(client._channel, StreamChannel)
    talk = client._channel._conversation.exchange("guest-fsfreeze-status", {})
    step = next(talk)
    assert isinstance(step, handshake.Send)
    client._channel._transport.send(step.pieces, Deadline(1))
    next(talk)
    with pytest.raises(KeyboardInterrupt):
        talk.throw(KeyboardInterrupt())
    assert client.execute(Ping()) is None


def test_requests_beyond_what_is_read_at_once_wait_for_replies() -> None:
    sizes = [10, handshake.AT_ONCE, 10, 20, 5000]
    conversation = handshake.Conversation()
    talk = conversation.synchronise()
    sent = next(talk)
    assert isinstance(sent, handshake.Send)
    number = json.loads(b"".join(sent.pieces)[1:])["arguments"]["id"]
    next(talk)
    with pytest.raises(StopIteration):
        talk.send(b'\xff{"return": %d}\n' % number)

    results = []

    def asking() -> Generator[object, bytes, None]:
        requests = [("guest-x", {"x": "y" * size}) for size in sizes]
        results.extend((yield from conversation.exchange_all(requests)))
        yield None

    asked = asking()
    step = next(asked)
    steps = ""
    while step is not None:
        steps += "s" if isinstance(step, handshake.Send) else "r"
        step = asked.send(b'{"return": %d}\n' % steps.count("r") if steps[-1] == "r" else b"")
    assert steps == "srsrssrrsr"
    assert results == [1, 2, 3, 4, 5]
    assert conversation.synced


def refusal(**error: object) -> qga.CommandError:
    return made(error)


@pytest.mark.parametrize(
    ("name", "desc", "kind", "errno"),
    [
        ("CommandNotFound", "The command x has not been found", qga.CommandNotFound, None),
        ("CommandNotFound", "Command x has been disabled", qga.CommandDisabled, None),
        (
            "CommandNotFound",
            "Command x has been disabled: the agent is in frozen state",
            qga.AgentFrozen,
            None,
        ),
        (
            "CommandNotFound",
            "Command x has been disabled: the command is not allowed",
            qga.CommandDisabled,
            None,
        ),
        ("GenericError", "Parameter 'id' is missing", qga.BadArgument, None),
        ("GenericError", "Parameter 'foo' is unexpected", qga.BadArgument, None),
        (
            "GenericError",
            "Invalid parameter type for 'id', expected: integer",
            qga.BadArgument,
            None,
        ),
        ("GenericError", "value '-1' is invalid for argument count", qga.BadArgument, None),
        ("GenericError", "handle '7' has not been found", qga.BadArgument, None),
        ("GenericError", "invalid file open mode 'x'", qga.BadArgument, None),
        ("GenericError", "Base64 data contains invalid characters", qga.BadArgument, None),
        (
            "GenericError",
            "failed to open file '/x' (mode: 'r'): No such file or directory",
            qga.GuestOSError,
            2,
        ),
        ("GenericError", "failed to exec 'P': Permission denied\n", qga.GuestOSError, 13),
        (
            "GenericError",
            "failed to read file: Resource temporarily unavailable",
            qga.GuestOSError,
            11,
        ),
        ("GenericError", "failed to seek file: Illegal seek", qga.GuestOSError, 29),
        (
            "GenericError",
            "Failed to execute child process “/bin/x” (No such file or directory)",
            qga.GuestOSError,
            2,
        ),
        (
            "GenericError",
            (
                "Guest agent command failed, error was "
                "'Failed to execute child process “/etc” (Permission denied)'"
            ),
            qga.GuestOSError,
            13,
        ),
        ("GenericError", "something (else)", qga.CommandError, None),
        ("GenericError", "something else: entirely", qga.CommandError, None),
    ],
)
def test_error_replies_become_exceptions(
    name: str, desc: str, kind: type[qga.CommandError], errno: int | None
) -> None:
    error = refusal(**{"class": name, "desc": desc})
    assert type(error) is kind
    assert error.desc == desc
    assert error.error_class == name
    if isinstance(error, qga.GuestOSError):
        assert error.errno == errno


@pytest.mark.parametrize(
    ("name", "data", "kind", "desc"),
    [
        ("CommandNotFound", {"name": "x"}, qga.CommandNotFound, "The command x has not been found"),
        ("CommandDisabled", {"name": "x"}, qga.CommandDisabled, "The command x has been disabled"),
        ("MissingParameter", {"name": "id"}, qga.BadArgument, "Parameter 'id' is missing"),
        (
            "InvalidParameterType",
            {"name": "id", "expected": "integer"},
            qga.BadArgument,
            "Invalid parameter type for 'id', expected: integer",
        ),
        ("FdNotFound", {"name": "7"}, qga.BadArgument, "handle '7' has not been found"),
        ("OpenFileFailed", {"filename": "/x"}, qga.GuestOSError, "failed to open file '/x'"),
        ("QgaCommandFailed", {"message": "it is so"}, qga.CommandError, "it is so"),
        ("QgaCommandFailed", {"message": "x: File exists"}, qga.GuestOSError, "x: File exists"),
        ("Invented", {"a": 1, "b": "c"}, qga.CommandError, "Invented (a: 1, b: c)"),
        ("Invented", {}, qga.CommandError, "Invented"),
        ("OpenFileFailed", {}, qga.GuestOSError, "OpenFileFailed"),
    ],
)
def test_error_replies_of_2011_become_the_same_exceptions(
    name: str, data: dict[str, object], kind: type[qga.CommandError], desc: str
) -> None:
    error = refusal(**{"class": name, "data": data})
    assert type(error) is kind
    assert str(error) == desc
    assert error.legacy == (name, data)


@pytest.mark.parametrize("error", [None, 1, "text", [], {}, {"class": 1, "desc": []}])
def test_any_error_reply_becomes_some_exception(error: object) -> None:
    assert isinstance(made(error), qga.CommandError)
