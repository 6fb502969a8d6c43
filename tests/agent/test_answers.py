"""The short way to a reply, and the long way by the splitter: it has to be the same reply."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qga.agent.app import Agent
from qga.wire.splitter import Splitter
from tests.agent.filecalls import opened

LONG = base64.b64encode(bytes(range(256)) * 20)


def by_the_splitter(agent: Agent, data: bytes) -> bytes:
    replies = []
    for message in Splitter().feed(data):
        reply = agent.dispatcher.answer(message)
        assert isinstance(reply, list)
        replies += reply
    return b"".join(replies)


def directly(agent: Agent, data: bytes) -> bytes | None:
    reply = agent.dispatcher.answer_short(data)
    if reply is None:
        return None
    assert isinstance(reply, list)
    return b"".join(reply)


def asking(name: bytes, arguments: bytes, end: bytes = b"}\n") -> bytes:
    return b'{"execute": "%b", "arguments": {%b}' % (name, arguments) + end


@pytest.mark.parametrize("end", [b"}", b"}\n", b"} \r\n"])
@pytest.mark.parametrize("more", [b"", b', "count": 3', b', "count": 99999'])
def test_a_write_takes_the_short_way(agent: Agent, tmp_path: Path, more: bytes, end: bytes) -> None:
    handle = opened(agent, tmp_path / "file", "w")
    data = asking(
        b"guest-file-write", b'"handle": %d, "buf-b64": "%b"%b' % (handle, LONG, more), end
    )
    reply = directly(agent, data)
    assert reply is not None
    once = (tmp_path / "file").read_bytes()
    assert by_the_splitter(agent, data) == reply
    assert (tmp_path / "file").read_bytes() == 2 * once


@pytest.mark.parametrize(
    "data",
    [
        # Refused, or with more than can be told at a glance.
        asking(b"guest-file-write", b'"handle": 1, "buf-b64": "%b"' % LONG, b', "id": 7}\n'),
        asking(b"guest-file-write", b'"handle": 1, "buf-b64": "%b", "more": 1' % LONG),
        asking(b"guest-file-write", b'"handle": 1, "buf-b64": "%b\\n"' % LONG),
        asking(b"guest-file-write", b'"handle": 1, "buf-b64": "%b-"' % LONG),
        asking(b"guest-file-write", b'"handle": 1, "handle": 1, "buf-b64": "%b"' % LONG),
        asking(b"guest-file-write", b'"handle": "1", "buf-b64": "%b"' % LONG),
        asking(b"guest-file-write", b'"buf-b64": "%b"' % LONG),
        asking(b"guest-file-rite", b'"handle": 1, "buf-b64": "%b"' % LONG),
        asking(b"guest-set-time", b'"buf-b64": "%b"' % LONG),
        asking(LONG, b""),
        b'{"execute": "guest-ping", "%b": {}}' % LONG,
        b'{"execute": "guest-ping", "arguments": ["%b"]}' % LONG,
        b'["execute", "%b"]' % LONG,
        b' "%b"' % LONG,
        asking(b"guest-file-write", b'"handle": 1, "buf-b64": "%b"' % LONG) * 2,
    ],
)
def test_what_does_not(agent: Agent, data: bytes) -> None:
    assert directly(agent, data) is None
    assert b'"error"' in by_the_splitter(agent, data)


@pytest.mark.parametrize("name", [b"guest-file-write", b"guest-file-open", b"guest-file-seek"])
def test_errors_of_the_command_are_the_same(agent: Agent, name: bytes) -> None:
    arguments = {
        b"guest-file-write": b'"handle": 12345, "buf-b64": "%b"' % LONG,
        b"guest-file-open": b'"path": "/nowhere/%b"' % (b"a" * 5000),
        b"guest-file-seek": b'"handle": 12345, "offset": 0, "whence": "%b"' % (b"c" * 5000),
    }
    data = asking(name, arguments[name])
    expected = by_the_splitter(agent, data)
    assert b'"error"' in expected
    assert directly(agent, data) in (expected, None)


WORDS = [
    b"{", b"}", b'"', b'"execute"', b'"arguments"', b": ", b", ", b'"guest-ping"', b'"guest-sync"',
    b'{"id": 5}', b'"id"', b"\n", b" ", b"[]", b"\\", b"\xff", b"'", LONG, b'"%b"' % LONG, b"7",
]  # fmt: skip


@pytest.mark.parametrize(
    "start", [b"", b'{"execute": "guest-sync", "arguments": {"id": 5', b'{"execute": "guest-ping"']
)
def test_any_bytes(agent: Agent, start: bytes) -> None:
    @given(st.lists(st.sampled_from(WORDS), max_size=10).map(b"".join))
    def check(junk: bytes) -> None:
        reply = directly(agent, start + junk)
        if reply is not None:
            assert reply == by_the_splitter(agent, start + junk)

    check()


NUMBERS = [
    b"0", b"7", b"1000", b"999999999999999999", b"9223372036854775807", b"9223372036854775808",
    b"00", b"01", b"-1", b"-0", b"+1", b"1.0", b"1e3", b"1_0", b'"1"', b"null", b"true", b"",
    b"1 1", b"\xd9\xa1", b"[1]", b"1, 1", b'1, "id": 2', b'1, "more": 2',
]  # fmt: skip
AROUND = [
    (b"", b"}}"), (b"", b"}}\n"), (b" ", b"}}\n"), (b"  ", b" } }\n\n"), (b"\t", b"}}"),
    (b"", b"}"), (b"", b"}}}"), (b"}", b"}"), (b"", b"}\n}"),
    (b"", b"}}" + b'{"execute": "guest-ping"}'),
    (b"", b"}}\xff"), (b"", b"}}\r\n"), (b"", b'}, "id": 8}'),
]  # fmt: skip


@pytest.mark.parametrize(
    "start",
    [
        b'{"execute": "guest-sync-delimited", "arguments": {"id":',
        b'{"execute":"guest-sync","arguments":{"id":',
        b'{"execute": "guest-file-close", "arguments": {"handle":',
    ],
)
def test_what_is_known_but_for_a_number(agent: Agent, start: bytes) -> None:
    directly(agent, start + b"5}}")
    spelt = start + b" " * (b'": "' in start) + b"5}}"
    assert agent.dispatcher.known.numbered(spelt) is not None
    assert agent.dispatcher.known.numbered(spelt + b"\n") is not None
    for number in NUMBERS:
        for before, behind in AROUND:
            data = start + before + number + behind
            reply = directly(agent, data)
            assert reply in (None, by_the_splitter(agent, data)), data


def test_what_is_known_may_be_refused_later(agent: Agent) -> None:
    for data in (
        b'{"execute": "guest-get-host-name"}\n',
        asking(b"guest-exec-status", b'"pid": 1'),
    ):
        by_the_splitter(agent, data)
        by_the_splitter(agent, data)
        agent.policy.frozen = True
        try:
            refused = by_the_splitter(agent, data)
            assert b'"CommandNotFound"' in refused
            assert directly(agent, data) in (None, refused)
        finally:
            agent.policy.frozen = False


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize(
    "data",
    [
        b'{"execute": "guest-ping"}', b'{"execute":"guest-ping"}',
        b'{"execute": "guest-ping", "arguments": {}}', b'{"execute":"guest-ping","arguments":{}}',
    ],
)  # fmt: skip
def test_usual_spellings_are_known(agent: Agent, data: bytes, end: bytes) -> None:
    by_the_splitter(agent, b'{"execute": "guest-ping"}')
    assert data + end in agent.dispatcher.known.whole
    assert directly(agent, data + end) == by_the_splitter(agent, data + end)


def test_what_is_asked_again_is_carried_out_again(agent: Agent, tmp_path: Path) -> None:
    content = bytes(range(256)) * 64
    (tmp_path / "file").write_bytes(content)
    first, second = opened(agent, tmp_path / "file", "r"), opened(agent, tmp_path / "file", "r")
    reading = [
        asking(b"guest-file-read", b'"handle": %d, "count": 4096' % h) for h in (first, second)
    ]
    for at in range(0, len(content), 4096):
        expected = base64.b64encode(content[at : at + 4096])
        for data in reading:
            reply = directly(agent, data)
            assert reply is not None
            assert expected in reply
    assert directly(agent, reading[0]) == by_the_splitter(agent, reading[1])
    # Writing, where what surrounds the string is the same, and then is not.
    handle, other = opened(agent, tmp_path / "one", "w"), opened(agent, tmp_path / "two", "w")
    pieces = [base64.b64encode(bytes([number]) * 5000) for number in range(6)]
    for number, piece in enumerate(pieces):
        to = handle if number < 4 else other
        write = asking(b"guest-file-write", b'"handle": %d, "buf-b64": "%b"' % (to, piece))
        assert directly(agent, write) == b'{"return": {"count": 5000, "eof": false}}\n'
        bad = write.replace(b'A"', b'-"').replace(b'="', b'-"').replace(b'B"', b'-"')
        if bad != write:
            assert directly(agent, bad) is None
    assert (tmp_path / "one").read_bytes() == b"".join(bytes([n]) * 5000 for n in range(4))
    assert (tmp_path / "two").read_bytes() == b"".join(bytes([n]) * 5000 for n in (4, 5))
    # And where it is another command, or refused now.
    agent.policy.frozen = True
    try:
        assert directly(agent, reading[0]) is None
        assert directly(agent, write) is None
    finally:
        agent.policy.frozen = False
    again = asking(b"guest-file-close", b'"handle": %d' % first)
    assert directly(agent, again) == b'{"return": {}}\n'
    assert b"has not been found" in (directly(agent, reading[0]) or b"")
