"""What of requests and replies may be shown: short, and without secrets. For `trace`; without I/O.

Nothing here is proof against a secret in an unusual place; the content of files and what programs
get to read is never shown, and so are passwords, keys, and variables that are called like them.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import Any

from qga.wire.blob import Blob

HIDDEN = "***"

# How much is shown of a text, and how many items of a list.
_LONGEST, _MOST = 160, 12

# What is called like this is a secret; in words with _ and -, in any case.
_NAME = r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|key|[_-]pwd)[\w.-]*"
_SECRET = re.compile(_NAME, re.IGNORECASE)
# A variable or an option with its value: the whole word, or within a script.
_WORD = re.compile(rf"([=+-]*{_NAME}=).+", re.IGNORECASE | re.DOTALL)
_WITHIN = re.compile(rf"(\b{_NAME}=)('[^']*'|\"[^\"]*\"|[^\s;&|'\"]+)", re.IGNORECASE)
# An option whose value is the next word.
_OPTION = re.compile(rf"--?{_NAME}", re.IGNORECASE)

# Members that are base64: those that are shown by their size alone, and those that begin to show.
_CONTENT = frozenset(("buf-b64", "input-data"))
_OUTPUT = frozenset(("out-data", "err-data"))
_SSH_KEYS = "keys"


def shown(value: Any, name: str = "") -> str:
    """*value* in one line, as JSON but for what is left out.

    Args:
        value: as JSON has it, with bytes or blobs for data.
        name: that of the member which has this value; it tells what may be shown.
    """
    return _text(_masked(value, name))


def _text(value: Any) -> str:
    """JSON; what `_Plain` holds stands there as it is."""
    if isinstance(value, _Plain):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class _Plain:
    """What is shown without quotes, because it is not the value."""

    def __init__(self, text: str) -> None:
        self.text = text


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _masked(item, key) for key, item in value.items()}
    if isinstance(value, (bytes, bytearray, memoryview, Blob)) or name in _CONTENT | _OUTPUT:
        return _data(value, name)
    if isinstance(value, (list, tuple)):
        return _several(list(value), name)
    if isinstance(value, str):
        if name != _SSH_KEYS and _SECRET.fullmatch(name):
            return _Plain(HIDDEN)
        return _shortened(_without_secrets(value))
    return value


def _several(values: list[Any], name: str) -> list[Any]:
    found: list[Any] = []
    hidden = False
    for value in values[:_MOST]:
        if name == _SSH_KEYS and isinstance(value, str):
            found.append(_Plain(_ssh_key(value)))
        elif hidden and isinstance(value, str):
            found.append(_Plain(HIDDEN))
        else:
            found.append(_masked(value))
        hidden = isinstance(value, str) and bool(_OPTION.fullmatch(value))
    if len(values) > _MOST:
        found.append(_Plain(f"... {len(values) - _MOST} more"))
    return found


def _without_secrets(text: str) -> str:
    whole = _WORD.fullmatch(text)
    if whole:
        return f"{whole[1]}{HIDDEN}"
    return _WITHIN.sub(rf"\1{HIDDEN}", text)


def _shortened(text: str) -> Any:
    if len(text) <= _LONGEST:
        return text
    return _Plain(f"{json.dumps(text[:_LONGEST], ensure_ascii=False)}... {len(text)} characters")


def _data(value: Any, name: str) -> Any:
    if isinstance(value, Blob):
        data = bytes(value.data)
    elif isinstance(value, str):
        try:
            data = b64decode(value, validate=True)
        except ValueError:
            return _shortened(value) if name in _OUTPUT else _Plain(HIDDEN)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
    else:
        return value
    size = f"{len(data)} bytes"
    if name not in _OUTPUT:
        return _Plain(f"<{size}>")
    begin = _without_secrets(data[: 4 * _LONGEST].decode(errors="replace"))[:_LONGEST]
    return _Plain(f"<{size}: {json.dumps(begin, ensure_ascii=False)}>")


def _ssh_key(text: str) -> str:
    """The kind of a public key, its end, and its comment."""
    kind, _, rest = text.strip().partition(" ")
    key, _, comment = rest.partition(" ")
    return json.dumps(f"{kind[:40]} ...{key[-8:]} {comment[:60]}".strip(), ensure_ascii=False)
