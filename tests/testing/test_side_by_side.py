"""The fake agent answers about files as the real one does, error texts and all."""

from typing import Any

import pytest

import qga
from qga.testing import AgentProcess, FakeAgent, agent_process

H = 1000
"""The first handle."""

CASES: list[list[tuple[str, dict[str, Any]]]] = [
    [("open", {"path": "/nowhere"})],
    [("open", {"path": "/nowhere/new", "mode": "w"})],
    [("open", {"path": "/file/new", "mode": "w"})],
    [("open", {"path": "/file/new"})],
    [("open", {"path": "/", "mode": "w"})],
    [("open", {"path": "/", "mode": "r+"})],
    [("open", {"path": "/"}), ("read", {"handle": H}), ("write", {"handle": H, "buf-b64": "eA=="})],
    [("open", {"path": "/file", "mode": "x"})],
    [("open", {"path": "/file", "mode": ""})],
    [("open", {"path": "/a\0b"})],
    [("open", {"path": "/new", "mode": "w"}), ("read", {"handle": H})],
    [("open", {"path": "/file", "mode": "a"}), ("read", {"handle": H})],
    [("open", {"path": "/file"}), ("write", {"handle": H, "buf-b64": "eA=="})],
    [("open", {"path": "/file"}), ("read", {"handle": H, "count": -1})],
    [("open", {"path": "/file"}), ("read", {"handle": H, "count": 50 << 20})],
    [("open", {"path": "/file"}), ("read", {"handle": H, "count": 0})],
    [("open", {"path": "/file"}), ("read", {"handle": H, "count": 10}), ("read", {"handle": H})],
    [("open", {"path": "/file"}), ("read", {"handle": H, "count": 11}), ("read", {"handle": H})],
    [("open", {"path": "/file"}), ("seek", {"handle": H, "offset": -1, "whence": 0})],
    [("open", {"path": "/file"}), ("seek", {"handle": H, "offset": -3, "whence": 2})],
    [("open", {"path": "/file"}), ("seek", {"handle": H, "offset": 1, "whence": "cur"})],
    [("open", {"path": "/file"}), ("seek", {"handle": H, "offset": 1, "whence": 7})],
    [("open", {"path": "/file"}), ("seek", {"handle": H, "offset": 1, "whence": "mid"})],
    [
        ("open", {"path": "/file", "mode": "r+"}),
        ("seek", {"handle": H, "offset": 20, "whence": 0}),
        ("write", {"handle": H, "buf-b64": "eHl6", "count": 2}),
        ("seek", {"handle": H, "offset": 8, "whence": "set"}),
        ("read", {"handle": H}),
        ("write", {"handle": H, "buf-b64": "eHl6", "count": 4}),
        ("write", {"handle": H, "buf-b64": "?"}),
        ("flush", {"handle": H}),
        ("close", {"handle": H}),
        ("close", {"handle": H}),
    ],
    [
        ("open", {"path": "/file", "mode": "a+"}),
        ("write", {"handle": H, "buf-b64": "eHl6"}),
        ("seek", {"handle": H, "offset": 0, "whence": 0}),
        ("write", {"handle": H, "buf-b64": "eHl6"}),
        ("read", {"handle": H}),
        ("open", {"path": "/file"}),
        ("read", {"handle": H + 1}),
    ],
    [("read", {"handle": 7}), ("write", {"handle": 7, "buf-b64": ""}), ("flush", {"handle": 7})],
    [("open", {}), ("open", {"path": 1}), ("open", {"path": "/file", "what": 1})],
]


def converse(client: qga.Client, root: str, case: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    replies: list[Any] = []
    for name, given in case:
        arguments = dict(given)
        if isinstance(given.get("path"), str):
            arguments["path"] = root + given["path"].removesuffix("/")
        try:
            replies.append(client.call(f"guest-file-{name}", arguments))
        except qga.CommandError as error:
            replies.append((type(error), error.desc))
    return replies


@pytest.mark.parametrize("version", ["10.2", "1.0"])
def test_files(version: str) -> None:
    options = [] if version == "10.2" else ["--compat", version]
    with agent_process(options=options) as agent:
        for case in CASES:
            compare(agent, FakeAgent(version=version), case)


def compare(agent: AgentProcess, fake: FakeAgent, case: list[tuple[str, dict[str, Any]]]) -> None:
    for leftover in (agent.directory / "root").glob("*"):
        leftover.unlink()
    (agent.directory / "root").mkdir(exist_ok=True)
    (agent.directory / "root/file").write_bytes(b"0123456789")
    root = str(agent.directory / "root")
    fake.files[f"{root}/file"] = b"0123456789"
    with agent.connect() as client, fake.connect() as other:
        first = client.call("guest-file-open", {"path": f"{root}/file"})
        shifted = [(name, shift(given, first + 1 - H)) for name, given in case]
        wanted = converse(client, root, shifted)
        got = converse(other, root, case)
    assert normal(got, 0) == normal(wanted, first + 1 - H), case


def shift(given: dict[str, Any], by: int) -> dict[str, Any]:
    """*given* with the handles of the real agent, which go on counting."""
    handle = given.get("handle", 0)
    return {**given, "handle": handle + by} if handle >= H else given


def normal(replies: list[Any], by: int) -> list[Any]:
    """*replies* with handles as if the agent had just begun to count."""

    def one(reply: Any) -> Any:
        if isinstance(reply, int):
            return reply - by
        if isinstance(reply, tuple):
            return reply[0], reply[1].replace(f"handle '{H + by}'", f"handle '{H}'")
        return reply

    return [one(reply) for reply in replies]
