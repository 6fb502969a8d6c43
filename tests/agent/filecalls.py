"""The file commands of an agent in this process, as functions."""

import base64
from pathlib import Path
from typing import Any

from qga.agent.app import Agent
from tests.agent.harness import call


def opened(agent: Agent, path: Path, mode: str = "r") -> int:
    handle = call(agent, "guest-file-open", path=str(path), mode=mode)
    assert isinstance(handle, int)
    return handle


def read(agent: Agent, handle: int, count: int | None = None) -> tuple[bytes, bool]:
    more = {} if count is None else {"count": count}
    chunk = call(agent, "guest-file-read", handle=handle, **more)
    data = base64.b64decode(chunk["buf-b64"])
    assert chunk["count"] == len(data)
    return data, chunk["eof"]


def write(agent: Agent, handle: int, data: bytes, **more: Any) -> int:
    text = base64.b64encode(data).decode()
    result = call(agent, "guest-file-write", handle=handle, buf_b64=text, **more)
    assert result["eof"] is False
    return int(result["count"])


def seek(agent: Agent, handle: int, offset: int, whence: int | str = "set") -> int:
    result = call(agent, "guest-file-seek", handle=handle, offset=offset, whence=whence)
    assert result["eof"] is False
    return int(result["position"])
