"""`qga edit`: a file of a guest in the user's editor."""

from __future__ import annotations

import errno
import os
import posixpath
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qga.client.target import split_path
from qga.errors import CommandDisabled, CommandNotFound, GuestOSError, QgaError, Unsupported

from . import ending, places
from .ending import printable
from .options import Settings, with_settings
from .output import Shown

if TYPE_CHECKING:
    from typing import Self

    from qga.client import Client, Target

_EDITOR = "vi"
_NO_PROGRAMS = (CommandDisabled, CommandNotFound, Unsupported)


@dataclass(frozen=True, slots=True)
class _Original:
    """A file as it was met.

    Attributes:
        content: None if there is no such file.
        mark: what changes with it; None where the agent may not run the program that tells.
    """

    content: bytes | None
    mark: tuple[int, int, int, int] | None


@click.command(
    short_help="Edit files of guests.",
    epilog="""\
\b
Examples:
  qga edit web1:/etc/nginx/nginx.conf
  EDITOR='code --wait' qga edit web1:/etc/hosts
""",
)
@with_settings
@click.argument("files", nargs=-1, required=True, metavar="[TARGET]:PATH...")
def edit(settings: Settings, files: tuple[str, ...]) -> Shown:
    """Edit files of guests here, with $VISUAL or $EDITOR.

    When the editor ends, a file that was changed is written back as a whole; its permissions and
    owner stay. Not so if it was changed in the guest meanwhile: then the edited copy is kept here.
    A file that is not there is made if the editor saves something.
    """
    places.check(split_path(file)[1] for file in files)
    done = []
    for file in files:
        target, path = split_path(file)
        done.append(_edit(settings, target, path))
    return Shown(done[0] if len(done) == 1 else done)


def _edit(settings: Settings, target: Target, path: str) -> dict[str, Any]:
    # The channel is others' while the user edits.
    with settings.connect(target) as client:
        original = _read(client, path)
    with _Copy(path, original.content or b"") as copy:
        _run_editor(copy.path)
        edited = copy.read()
        changed = edited != copy.before
        if changed:
            with settings.connect(target) as client:
                _write(client, path, original, edited)
    if not changed:
        print(f"qga: {printable(path)} is not changed", file=sys.stderr)
    return {
        **places.fields("path", path),
        "changed": changed,
        "created": changed and original.content is None,
        "count": len(edited),
    }


class _Copy:
    """The file here that is edited. It is kept if what the user has made of it was not written."""

    def __init__(self, path: str, content: bytes) -> None:
        self.before = content
        self._directory = Path(tempfile.mkdtemp(prefix="qga-edit-"))
        # Editors tell by the name what it is.
        self.path = self._directory / (posixpath.basename(path) or "file")
        self.path.touch(0o600)
        self.path.write_bytes(content)

    def read(self) -> bytes:
        """What it holds now: what it held, if the editor has removed it."""
        return self.path.read_bytes() if self.path.exists() else self.before

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or self.read() == self.before:
            shutil.rmtree(self._directory, ignore_errors=True)
        else:
            where = f"what you have edited is in {self.path}"
            if isinstance(error, KeyboardInterrupt):
                ending.tell(where, ending.INTERRUPTED)
            (error.cause if isinstance(error, ending.Failed) else error).add_note(where)


def _read(client: Client, path: str) -> _Original:
    try:
        mark = _mark(client, path)
        return _Original(client.read_file(path), mark)
    except GuestOSError as error:
        if error.errno != errno.ENOENT:
            raise
    try:
        if not client.files.is_dir(posixpath.dirname(path)):
            raise GuestOSError(f"cannot edit {printable(path)}: No such directory", errno.ENOENT)
    except _NO_PROGRAMS:
        pass  # it will be seen
    return _Original(None, None)


def _mark(client: Client, path: str) -> tuple[int, int, int, int] | None:
    try:
        found = client.files.stat(path)
    except _NO_PROGRAMS:
        return None
    if not found.is_file():
        raise GuestOSError(f"cannot edit {printable(path)}: it is a {found.type}", errno.EINVAL)
    return found.device, found.inode, found.size, found.mtime_ns


def _write(client: Client, path: str, original: _Original, edited: bytes) -> None:
    """Make *edited* the content of the file, which nobody else may have changed."""
    now = _read(client, path)
    same = now.mark == original.mark if now.mark else now.content == original.content
    if not same and now.content != original.content:
        raise ending.Failed(
            QgaError(f"{path} has been changed in the guest meanwhile, so it was left alone"),
            ending.AGENT_ERROR,
        )
    try:
        client.files.write(path, edited)
    except _NO_PROGRAMS:
        client.write_file(path, edited)
        print(
            f"qga: {printable(path)} was written in place, for the agent runs no programs",
            file=sys.stderr,
        )


def _run_editor(path: Path) -> None:
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or _EDITOR)
    # An interrupt from the terminal is the editor's, which decides what to do about it.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.run([*words, path], check=False).returncode
    except FileNotFoundError as error:
        error.add_note("set VISUAL or EDITOR to the editor that you use")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise ending.Failed(
            QgaError(f"{words[0]} has ended with {code}, so nothing was written"), ending.LOCAL
        )
