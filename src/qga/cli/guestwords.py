"""The names of guests, and what is in them, for who types them: as `completing` offers them.

Guests are asked with little patience: whoever waits for a word to be completed types it himself.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from qga.client.listing import targets as list_targets
from qga.client.sync import connect
from qga.client.target import from_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    Items: TypeAlias = Iterable[CompletionItem[str]]

# The type of an item that is not yet all of a word.
PART = "part"

# Seconds for an answer of an agent, or of a libvirt.
PATIENCE = 1.0


def names(beginning: str) -> Items:
    """The names of guests that are known here."""
    for known in list_targets(timeout=PATIENCE):
        if known.name.startswith(beginning):
            yield CompletionItem(known.name, help=known.target)


def targets(beginning: str) -> Items:
    """Targets, as far as they can be found."""
    from qga.client import schemes

    scheme, colon, rest = beginning.partition(":")
    if not colon:
        yield from names(beginning)
        if beginning:
            for name in schemes.SCHEMES:
                yield CompletionItem(f"{name}:", PART)
    elif scheme == "libvirt":
        for known in list_targets("libvirt:", timeout=PATIENCE):
            yield CompletionItem(f"libvirt:{known.name}")
    elif scheme in {"unix", "serial"}:
        yield from local(rest, lead=f"{scheme}:", kind=_KINDS[scheme])


_KINDS = {"unix": stat.S_ISSOCK, "serial": stat.S_ISCHR}


def files(word: str) -> Items:
    """Files of guests, as TARGET:PATH, or targets for them."""
    lead, path = split(word)
    if lead is not None:
        target = lead.removesuffix(":") or from_environment().text
        for item in paths(target, path):
            yield CompletionItem(lead + item.value, item.type)
        return
    for item in targets(word):
        colon = "" if item.type == PART else ":"
        yield CompletionItem(item.value + colon, PART, item.help)


def split(word: str) -> tuple[str | None, str]:
    """TARGET with its colon, and PATH, in the beginning of TARGET:PATH; None if it has no path."""
    from qga.client.schemes import scheme_of

    if scheme_of(word) is None:
        name, colon, path = word.partition(":")
        return (name + colon, path) if colon else (None, "")
    lead, slash, path = word.rpartition(":/")
    if not slash or ":" not in lead:
        # The colon may be the last character that there is.
        whole = word.endswith(":") and word.count(":") > 1
        return (word, "") if whole else (None, "")
    return lead + ":", "/" + path


def paths(target: str | None, beginning: str, *, directories: bool = False) -> Items:
    """Paths in the guest *target*."""
    above, slash, name = beginning.rpartition("/")
    if not slash:
        return [] if beginning else [CompletionItem("/", PART)]
    with connect(target, timeout=PATIENCE) as client:
        found = {
            entry.path: entry.stat.is_dir()
            for entry in client.files.list(above or "/")
            if entry.name.startswith(name) and _shown(entry.name, name)
        }
        if len(found) == 1 and not any(found.values()):
            # As in shells, whether a link leads to a directory is asked when it is the only one.
            (path,) = found
            found[path] = client.files.is_dir(path)
    return [
        CompletionItem(f"{path}/", PART) if is_directory else CompletionItem(path)
        for path, is_directory in found.items()
        if is_directory or not directories
    ]


def users(target: str | None) -> Items:
    """The users of the guest *target*."""
    with connect(target, timeout=PATIENCE) as client:
        accounts = client.read_file("/etc/passwd").decode(errors="replace").splitlines()
    return [CompletionItem(name) for name in (line.partition(":")[0] for line in accounts) if name]


def local(beginning: str, *, kind: Callable[[int], bool] | None = None, lead: str = "") -> Items:
    """Paths of this machine, with *lead* in front; of a *kind*, or all, and of directories."""
    above, slash, name = beginning.rpartition("/")
    with os.scandir(above + slash or ".") as folder:
        for entry in sorted(folder, key=lambda entry: entry.name):
            if not (entry.name.startswith(name) and _shown(entry.name, name)):
                continue
            path = f"{lead}{above}{slash}{entry.name}"
            if entry.is_dir():
                yield CompletionItem(f"{path}/", PART)
            elif kind is None or kind(entry.stat().st_mode):
                yield CompletionItem(path)


def _shown(name: str, beginning: str) -> bool:
    """Whether a file is offered: hidden ones are when they are asked for."""
    return not name.startswith(".") or beginning.startswith(".")
