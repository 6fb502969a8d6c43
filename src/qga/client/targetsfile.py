"""Names for targets, from a file: `connect("db")` instead of `connect("unix:/run/vm/db.sock")`.

    [targets]
    db = "unix:/run/vm/db.sock"

    [targets.web]
    target = "libvirt+qemu+ssh://host/system?domain=web"
    timeout = 60

The user's file is `$QGA_TARGETS`, or else `qga/targets.toml` in `$XDG_CONFIG_HOME` (~/.config); a
name that is not there is looked up in `/etc/qga/targets.toml`. For `target`.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qga.errors import InvalidTarget

from .schemes import grammar, scheme_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

VARIABLE = "QGA_TARGETS"
SYSTEM = Path("/etc/qga/targets.toml")

# A key with one of these words in it holds a secret, which not everybody may read.
_SECRETS = ("password", "secret", "token")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a targets file says of a name.

    Attributes:
        target: in full.
        timeout: what calls may take unless they say otherwise, in seconds; None if it is not told.
        settings: what else its scheme needs.
        where: the file and the key, for errors.
    """

    target: str
    timeout: float | None
    settings: dict[str, Any]
    where: str


def files() -> list[Path]:
    """The files that are looked into, there or not; the first one that has a name counts."""
    own = os.environ.get(VARIABLE)
    if own:
        return [Path(own), SYSTEM]
    # What is not absolute is to be ignored, says the XDG Base Directory Specification.
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if base.startswith("/") else Path("~/.config").expanduser()
    return [folder / "qga" / "targets.toml", SYSTEM]


def entries() -> list[tuple[str, Entry]]:
    """All names and what they stand for, in alphabetical order.

    Raises:
        InvalidTarget: a file is wrong.
    """
    found: dict[str, Entry] = {}
    for path, table in _tables():
        for name, value in table.items():
            found.setdefault(name, _entry(path, name, value))
    return sorted(found.items(), key=lambda item: item[0])


def find(name: str) -> Entry | None:
    """What the files say of *name*; None if they do not have it.

    Raises:
        InvalidTarget: a file is wrong, or what it says of this name.
    """
    for path, table in _tables():
        if name in table:
            return _entry(path, name, table[name])
    return None


def unknown(name: str) -> InvalidTarget:
    """The error for a name that no file has."""
    known = sorted({name for _, table in _tables() for name in table})
    if not known:
        return InvalidTarget(
            f"{name!r} is not the name of a target, nor {grammar()}: "
            f"there are no names in {_listed(map(str, files()))}"
        )
    return InvalidTarget(f"no target is named {name!r}: {_similar(name, known)}")


def _tables() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file that is there, and its names."""
    told = VARIABLE if os.environ.get(VARIABLE) else None
    for path in files():
        found = _read(path)
        if found is not None:
            yield path, found
        elif told is not None:
            raise InvalidTarget(f"{told}: there is no file {path}")
        told = None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            readable_by_all = os.fstat(file.fileno()).st_mode & stat.S_IROTH
            import tomllib  # not light, and there may be no such file

            content = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidTarget(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # also what is not UTF-8
        raise InvalidTarget(f"{path}: {error}") from None
    for key in content:
        if key != "targets":
            raise InvalidTarget(
                f"{path}: {key!r} is not known here: names are keys of the table [targets]"
            )
    table = content.get("targets", {})
    if not isinstance(table, dict):
        raise InvalidTarget(f"{path}: targets has to be a table, [targets]")
    secret = next(_secrets("targets", table), None)
    if readable_by_all and secret:
        raise InvalidTarget(
            f"{path} holds a secret ({secret}) and every user may read it: chmod o= {path}"
        )
    return table


def _secrets(where: str, table: dict[str, Any]) -> Iterator[str]:
    """The keys within *table* that hold secrets."""
    for name, entry in table.items():
        for key in entry if isinstance(entry, dict) else ():
            if any(word in key for word in _SECRETS):
                yield f"{where}.{name}.{key}"


def _entry(path: Path, name: str, value: Any) -> Entry:
    where = f"{path}: targets.{name}"
    if isinstance(value, str):
        value = {"target": value}
    if not isinstance(value, dict):
        raise InvalidTarget(f"{where} has to be a target in quotes, or a table")
    settings = dict(value)
    target = settings.pop("target", None)
    if not isinstance(target, str):
        fault = "lacks a target" if target is None else "has a target that is no text"
        raise InvalidTarget(f'{where} {fault}, as in target = "unix:/path/to/socket"')
    scheme = scheme_of(target)
    if scheme is None:
        raise InvalidTarget(f"{where}: {target!r} is not a target: use {grammar()}")
    timeout = settings.pop("timeout", None)
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0
    ):
        raise InvalidTarget(f"{where}.timeout has to be seconds, more than 0 (inf for ever)")
    for key in settings:
        if key not in scheme.settings:
            known = sorted({"target", "timeout", *scheme.settings})
            raise InvalidTarget(
                f"{where}.{key} is not known for {scheme.form}: {_similar(key, known)}"
            )
    return Entry(target, timeout, settings, where)


def _similar(wrong: str, known: list[str]) -> str:
    """What may have been meant."""
    from difflib import get_close_matches

    close = get_close_matches(wrong, known, cutoff=0.5)
    if close:
        return f"do you mean {_listed(close, 'or')}?"
    return f"there is {_listed(known[:10])}{' and others' if len(known) > 10 else ''}"


def _listed(names: Iterable[str], conjunction: str = "and") -> str:
    *others, last = names
    return f"{', '.join(others)} {conjunction} {last}" if others else last
