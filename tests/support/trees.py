"""A directory tree with all that a tree may hold, and how two trees are compared.

`LISTING` is for any Python, here or in a guest: it prints a line for each file below the directory
that is its argument, with all that a copy has to keep. No symlink has a time: busybox loses it.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

LISTING = """
import hashlib, os, stat, sys
root = os.fsencode(sys.argv[1])
found = [root]
for directory, directories, files in os.walk(root):
    found += [os.path.join(directory, name) for name in directories + files]
for path in found:
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    rest = None
    if kind == stat.S_IFREG:
        rest = hashlib.sha256(open(path, "rb").read()).hexdigest()
    elif kind == stat.S_IFLNK:
        rest = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        rest = s.st_rdev
    relative = os.path.relpath(path, root)
    links = s.st_nlink if kind == stat.S_IFREG else 0
    link = kind == stat.S_IFLNK
    mode, time = (kind, 0) if link else (s.st_mode, int(s.st_mtime))
    print(ascii((relative, mode, s.st_uid, s.st_gid, links, time, rest)))
"""


def listing(directory: Path) -> set[str]:
    """What is below *directory* here."""
    command = [sys.executable, "-c", LISTING, str(directory)]
    return set(subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\n"))


def names(listed: set[str]) -> set[bytes]:
    """The paths of what is listed."""
    return {ast.literal_eval(line)[0] for line in listed if line}


def plant(directory: Path, files: int = 40) -> None:
    """Make a tree of all kinds, with so many ordinary *files* besides."""
    directory.mkdir()
    for number in range(files):
        below = directory / f"d{number % 37}" / f"e{number % 5}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"f{number}").write_bytes(os.urandom(number % 1500))
    (directory / "empty").mkdir(mode=0o750)
    (directory / "dangling").symlink_to("../nowhere")
    os.link(directory / "d0/e0/f0", directory / "hard")
    os.mkfifo(directory / "fifo", 0o640)
    (directory / os.fsdecode(b"odd\n\xff '\\name\"")).write_bytes(b"odd")
    long = directory / ("x" * 200)
    long.mkdir()
    (long / ("y" * 200)).write_bytes(b"long")
    (long / "link").symlink_to("z" * 300)
    big = directory / "big"
    with big.open("wb") as file:
        file.write(os.urandom(1 << 20))
        file.seek(3 << 20)
        file.write(os.urandom(1 << 20))
        file.truncate(6 << 20)
    os.link(big, directory / "hard to big")
    big.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(directory / "d1/e1/f1", 1234, 5678)
    (directory / "d1/e1/f1").chmod(0o4755)
    (directory / "d2").chmod(0o555)
    os.utime(directory / "d2", (10**9, 10**9))
    os.utime(directory / "d1/e1/f1", (10**9 + 1, 10**9 + 1))
    os.utime(directory, (10**9 + 2, 10**9 + 2))
