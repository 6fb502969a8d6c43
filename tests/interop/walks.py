"""Random walks through what can be done with open files. Used by `randomly`.

No file is open twice at once: what one handle sees of another's writes is known to differ, for
qemu-ga writes and reads through a buffer.
"""

import base64
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.interop.case import FOLDER
from tests.interop.files import BAD_MODES, MODES

# Around the size of qemu-ga's buffer, and in the middle of a file, and beyond 4 GiB.
_SIZES = (0, 1, 2, 3, 10, 1000, 4095, 4096, 4097, 8192, 10_000)
_OFFSETS = (0, 0, 1, -1, 5, -5, 4095, 4096, -4096, 10_000, -10_000, 5 << 30, (5 << 30) - 10)
_BAD_OFFSETS = (2**62, 2**63 - 1, -(2**63), 2**63, 1.0)
_BAD_COUNTS = (-1, (48 << 20) + 1, 2**32, 2**32 + 5, 2**63 - 1, -(2**63))
_WHENCES: tuple[int | str, ...] = (0, 1, 2, "set", "cur", "end")
_BAD_WHENCES: tuple[Any, ...] = (3, -1, "SET", 1.0, None)
_OLD = {"old-0": 0, "old-1": 10, "old-2": 4096, "old-3": 20_000}
_NAMES = (*_OLD, "new-0", "new-1", "link", "dangling", "sparse")

_BLOCK = 4096


def write_files(folder: Path) -> None:
    """Make the files of *folder* what they are before a walk."""
    shutil.rmtree(folder)
    (folder / "folder").mkdir(parents=True)
    (folder / "hello").write_bytes(b"hello world\n" * 400)
    for name, size in _OLD.items():
        (folder / name).write_bytes(random.Random(name).randbytes(size))
    (folder / "link").symlink_to("linked")
    (folder / "linked").write_bytes(b"linked")
    (folder / "dangling").symlink_to("nowhere")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(5 << 30)


def contents(folder: Path) -> dict[str, tuple[int, int, dict[int, bytes]]]:
    """Of each file in *folder* its mode, its size, and what is in the blocks that hold anything."""
    found = {}
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        blocks = dict(_blocks(path)) if path.is_file() else {}
        found[path.name] = status.st_mode, path.is_file() and path.stat().st_size, blocks
    return found


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb", buffering=0) as file:
        end = 0
        while end < path.stat().st_size:
            try:
                begin = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # a hole up to the end
                return
            end = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            for at in range(begin, end, _BLOCK):
                block = os.pread(file.fileno(), _BLOCK, at)
                if block.strip(b"\0"):
                    yield at, block


class Walk:
    """The requests of one walk; the answer to each has to be taken before the next.

    Attributes:
        history: requests, and what came back.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._files: dict[int, str] = {}  # by handle
        self._asked: dict[str, Any] = {}
        self.history: list[tuple[bytes, str]] = []

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._chance.randint(20, 60)):
            name, arguments = self._step()
            self._asked = {"execute": name, "arguments": arguments}
            yield json.dumps(self._asked).encode()

    def take(self, reply: str) -> None:
        """Both have answered the last request with *reply*."""
        self.history.append((json.dumps(self._asked).encode()[:200], reply[:200]))
        if "return" not in json.loads(reply):
            return
        arguments = self._asked["arguments"]
        if self._asked["execute"] == "guest-file-open":
            self._files[json.loads(reply)["return"]] = Path(arguments["path"]).name
        elif self._asked["execute"] == "guest-file-close":
            del self._files[arguments["handle"]]

    def _step(self) -> tuple[str, dict[str, Any]]:
        kind = self._chance.random()
        if kind < 0.15 or not self._files:
            return "guest-file-open", self._opening()
        arguments = {"handle": self._mostly(list(self._files), (0, 999, 2**63 - 1))}
        if kind < 0.2:
            return "guest-file-close", arguments
        if kind < 0.25:
            return "guest-file-flush", arguments
        if kind < 0.5:
            if self._chance.random() < 0.9:
                arguments["count"] = self._mostly(_SIZES, _BAD_COUNTS)
            return "guest-file-read", arguments
        if kind < 0.75:
            return "guest-file-write", arguments | self._writing()
        arguments["offset"] = self._mostly(_OFFSETS, _BAD_OFFSETS)
        arguments["whence"] = self._mostly(_WHENCES, _BAD_WHENCES)
        return "guest-file-seek", arguments

    def _opening(self) -> dict[str, Any]:
        free = [name for name in _NAMES if name not in self._files.values()]
        path = f"{FOLDER}/{self._mostly(free, ('none/new',)) if free else 'none/new'}"
        return {"path": path, "mode": self._mostly(MODES, BAD_MODES)}

    def _writing(self) -> dict[str, Any]:
        size = self._chance.choice(_SIZES)
        writing: dict[str, Any] = {
            "buf-b64": base64.b64encode(self._chance.randbytes(size)).decode()
        }
        if self._chance.random() < 0.2:
            writing["count"] = self._chance.choice((0, 1, size, size // 2, size + 1, -1))
        return writing

    def _mostly(self, good: Any, bad: Any) -> Any:
        return self._chance.choice(good if self._chance.random() < 0.96 else bad)
