"""The two agents on this machine, each with a private socket, state and folder of files.

Used by `compare`. What would change the machine is refused by both.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.interop.case import FOLDER
from tests.interop.conversation import PATIENCE, Conversation
from tests.interop.files import fill
from tests.support.stock import BLOCKED

OURS = (sys.executable, "-m", "qga.agent")


class SideAgent(Conversation):
    """One of the two, and the conversation with it.

    Args:
        command: the beginning of the command line.
        home: an empty folder that is its own.
        blocked: the commands that it refuses.
    """

    def __init__(
        self, command: Sequence[str], home: Path, blocked: Sequence[str] = BLOCKED
    ) -> None:
        self.folder = home / "files"
        fill(self.folder)
        self._path = home / "socket"
        self._ours = tuple(command) == OURS
        options = ["-m", "unix-listen", "-p", str(self._path), "-t", str(home)]
        self._process = subprocess.Popen(
            [*command, *options, "-b", ",".join(blocked)], stderr=subprocess.DEVNULL
        )
        self.pid = self._process.pid
        super().__init__(self._listening, {FOLDER: str(self.folder)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if self._ours:
            self._process.terminate()
            self._process.wait(PATIENCE)
        else:
            # Asked to end, qemu-ga may wait for itself for ever: its signal handler takes locks.
            self._process.kill()
            self._process.wait()

    def _listening(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                client.connect(str(self._path))
                return client
            except (FileNotFoundError, ConnectionRefusedError):
                assert self._process.poll() is None, "the agent ended"
                assert time.monotonic() < deadline, "the agent does not listen"
                time.sleep(0.01)

    def left_behind(self) -> dict[str, tuple[int, bytes | None]]:
        """What is in its folder: permissions and content of each file."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            content = path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else None
            found[str(path.relative_to(self.folder))] = (path.lstat().st_mode, content)
        shutil.rmtree(self.folder)
        return found
