"""Programs in the guest: what of guest-exec the API can carry as it is, and a shell for the rest.

The API takes the program's words and its input as text, with `capture-output` always on and no
environment. Text that is not ASCII does not reach the agent as it was sent. So everything that is
sent is ASCII, and a program that wants more is started by the guest's shell, which takes care of it
and then becomes the program: its process number, exit code and signals are the program's.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from qga.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

SHELL = "/bin/sh"

# The API takes 64 KiB of input. All of a request was 64 KiB before Proxmox VE 8.4, and what is not
# ASCII goes as base64.
INPUT = 45 * 1024
INPUT_ASCII = 60 * 1024

# What becomes of the output in each mode of `capture-output`.
_REDIRECTIONS = {
    "none": " >/dev/null 2>&1",
    "stdout": " 2>/dev/null",
    "stderr": " >/dev/null",
    "merged": " 2>&1",
    "separated": "",
}

# Input that is not ASCII comes as base64, through a file that has no name when the program starts.
_INPUT = (
    'i=$(mktemp) || exit 125; base64 -d >"$i" && exec <"$i" && rm -f "$i" ||'
    ' { rm -f "$i"; exit 125; }; '
)


def started(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the API's `exec` for the arguments of guest-exec.

    Raises:
        Unsupported: that cannot be carried.
    """
    words = [str(arguments["path"]), *map(str, arguments.get("arg") or ())]
    environment = arguments.get("env")
    redirection = _redirection(arguments.get("capture-output"))
    data = arguments.get("input-data")
    plain, data = _input(None if data is None else content(data))
    if environment is None and not redirection and plain and all(map(str.isascii, words)):
        return _parameters(words, data)
    if environment is not None:
        if "=" in words[0]:
            raise Unsupported(
                f"the Proxmox API has no environment for programs, and env starts no {words[0]!r},"
                " with a = in its name; start it from a script"
            )
        words = ["env", "-i", *map(str, environment), *words]
    text = f'{"" if plain else _INPUT}exec "$@"{redirection}'
    return _parameters(shell(text, *words), data)


def shell(text: str, *words: str) -> list[str]:
    """The command, in ASCII, that has the guest's shell execute *text* with *words* as `$1`, ...

    Args:
        text: ASCII.
        words: any; what cannot be UTF-8 is told as `os.fsdecode` does.
    """
    if all(map(str.isascii, words)):
        return [SHELL, "-c", text, "sh", *words]
    prefix, names, plain = "", [], []
    for word in words:
        if word.isascii():
            plain.append(word)
            names.append(f'"${{{len(plain)}}}"')
        else:
            name = f"w{len(names)}"
            prefix += _spelled(name, word)
            names.append(f'"${{{name}%.}}"')
    return [SHELL, "-c", f"{prefix}set -- {' '.join(names)}; {text}", "sh", *plain]


def content(value: Any) -> bytes:
    """The bytes of an argument that is base64 in JSON: they, or their base64."""
    return b64decode(value) if isinstance(value, str) else bytes(value)


def _parameters(command: Sequence[str], data: str | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {"command": list(command)}
    if data is not None:
        parameters["input-data"] = data
    return parameters


def _redirection(mode: Any) -> str:
    if mode is True:
        mode = "separated"
    try:
        return _REDIRECTIONS[str(mode or "none")]
    except KeyError:
        raise Unsupported(f"no capture-output {mode!r} through the Proxmox API") from None


def _input(data: bytes | None) -> tuple[bool, str | None]:
    """Whether input can go as it is, and its text."""
    if data is None:
        return True, None
    plain = data.isascii()
    limit = INPUT_ASCII if plain else INPUT
    if len(data) > limit:
        raise Unsupported(
            f"{len(data)} bytes of input for a program are more than the Proxmox API takes"
            f" ({limit}); write them to a file of the guest first"
        )
    return plain, data.decode() if plain else b64encode(data).decode()


def _spelled(name: str, word: str) -> str:
    """Shell text that sets *name* to *word* and a full stop, which keeps newlines before it."""
    octal = "".join(f"\\{byte:03o}" for byte in os.fsencode(word))
    return f"{name}=$(printf '{octal}.'); "
