"""The sockets of agents' channels that running QEMUs have been told. For `discovery`.

A process can call itself as it likes and name any socket, so only those count that belong to this
user or to root.
"""

from __future__ import annotations

import json
import os
from itertools import pairwise
from typing import TYPE_CHECKING

from . import unixsockets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = "org.qemu.guest_agent.0"


def sockets() -> Iterator[tuple[str, Path]]:
    """Name and socket of each virtual machine that this user's processes, or root's, run."""
    for folder in unixsockets.PROC.glob("[0-9]*"):
        try:
            if not (folder / "comm").read_text(errors="replace").startswith(("qemu", "kvm")):
                continue
            if folder.stat().st_uid not in {0, os.geteuid()}:
                continue
            words = (folder / "cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
            directory = (folder / "cwd").readlink()
        except OSError:  # it has ended, or does not show this
            continue
        found = agent_socket(words)
        if found is not None:
            name, path = found
            yield name or f"qemu-{folder.name}", directory / path


def agent_socket(words: list[str]) -> tuple[str, str] | None:
    """Name of the virtual machine (empty if it has none) and its agent's socket, as the command
    line *words* of a QEMU tell them; None if there is no such socket.
    """
    name, chardevs, port = "", {}, ""
    for option, value in pairwise(words):
        if option in {"-name", "--name"}:
            given = _options(value, "guest")
            name = given.get("guest", "")
        elif option in {"-chardev", "--chardev"}:
            given = _options(value, "backend")
            if given.get("backend") == "socket" and "path" in given:
                chardevs[given.get("id", "")] = given["path"]
        elif option in {"-device", "--device"}:
            given = _options(value, "driver")
            if given.get("driver") == "virtserialport" and given.get("name") == PORT:
                port = given.get("chardev", "")
    return (name, chardevs[port]) if port in chardevs else None


def _options(text: str, first: str) -> dict[str, str]:
    """What QEMU's options *text* say; *first* is the key of a value that stands there alone."""
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            return {}
        return {name: str(value) for name, value in found.items()}
    parts = [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]
    found = {}
    for number, part in enumerate(parts):
        name, equals, value = part.partition("=")
        if equals:
            found[name] = value
        elif number == 0:
            found[first] = part
    return found
