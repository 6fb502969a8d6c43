"""SSH public keys as people have them: texts, files and fingerprints. For `accounts`."""

from __future__ import annotations

import binascii
import re
import sys
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

# A type of key, and its data in base64; options may stand before, a comment behind.
_KEY = re.compile(
    r"""
    (?: ^ | \s )
    ( (?: ssh | ecdsa | sk-ssh | sk-ecdsa | rsa ) - [\w@.-]+ )
    \s+ ( [A-Za-z0-9+/]+ =* )
    (?: \s+ (.*) )? $
    """,
    re.VERBOSE,
)
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True, slots=True)
class Key:
    """A line of authorized_keys.

    Attributes:
        text: the whole of it.
        type: such as ssh-ed25519; empty if it is not understood.
        data: what of it is the key, in base64; the whole line if it is not understood.
        comment: what stands behind.
    """

    text: str
    type: str
    data: str
    comment: str

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it; empty if it is not understood."""
        try:
            data = b64decode(self.data, validate=True) if self.type else b""
        except binascii.Error:
            data = b""
        digest = b64encode(sha256(data).digest()).decode().rstrip("=")
        return f"SHA256:{digest}" if data else ""

    def record(self) -> dict[str, Any]:
        """For programs."""
        return {
            "key": self.text,
            "type": self.type or None,
            "fingerprint": self.fingerprint or None,
            "comment": self.comment,
        }


def key(text: str) -> Key:
    """The key that stands in *text*, a line of a guest's file: understood or not."""
    found = _KEY.search(text)
    if found is None:
        return Key(text, "", text, "")
    return Key(text, found[1], found[2], found[3] or "")


def given(words: Iterable[str]) -> list[Key]:
    """The keys that *words* mean: texts, `@FILE`, or `-` for standard input; each once.

    Raises:
        click.UsageError: one is no public key.
        OSError: a file cannot be read.
    """
    found: dict[str, Key] = {}
    for word in words:
        for one in _keys(word):
            found.setdefault(one.data, one)
    return list(found.values())


def chosen(words: Iterable[str], there: list[Key]) -> list[Key]:
    """Those *there* that *words* mean: as `given`, or fingerprints.

    Options and comments do not matter.
    """
    wanted: set[str] = set()
    for word in words:
        if _FINGERPRINT.fullmatch(word):
            wanted.add(word)
        else:
            wanted.update(one.data for one in _keys(word))
    return [one for one in there if one.data in wanted or one.fingerprint in wanted]


def _keys(word: str) -> list[Key]:
    if word == "-":
        return _lines("standard input", sys.stdin.read())
    if word.startswith("@"):
        return _lines(word[1:], Path(word[1:]).expanduser().read_text(errors="replace"))
    found = key(word.strip())
    if found.type and "\n" not in found.text:
        return [found]
    hint = f"; do you mean @{word}?" if Path(word).is_file() else ""
    raise click.UsageError(f"{_shortened(word)!r} is no public SSH key{hint}")


def _lines(where: str, text: str) -> list[Key]:
    if "PRIVATE KEY-----" in text:
        raise click.UsageError(f"{where} holds a private key, which stays here: give its .pub file")
    lines = [line.strip() for line in text.splitlines()]
    keys = [key(line) for line in lines if line and not line.startswith("#")]
    for one in keys:
        if not one.type:
            raise click.UsageError(f"{where}: {_shortened(one.text)!r} is no public SSH key")
    if not keys:
        raise click.UsageError(f"{where} holds no key")
    return keys


def _shortened(text: str) -> str:
    return text if len(text) < 50 else f"{text[:47]}..."
