"""Freezes and thaws a real file system again and again, while programs write to it.

Run by test_freeze_loop, in a mount namespace of its own, as `on_loop` is: `python -m
tests.agent.on_rounds ROUNDS FOLDER IMAGE...`, with an agent and writers for each image, which share
the rounds.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.agent.harness import call_later, later, make_agent, until
from tests.agent.on_loop import OwnSystem, in_lanes, mounted, start_watchdog

WRITERS = 2
WARM_UP = 50  # rounds, until memory and descriptors are as they stay
MOST_MEMORY = 1 << 20
WATCHDOG_SECONDS = 100


class Writer:
    """A process that appends numbers to a file and has each synced, until it is told to end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        end, self._goes_on = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                os.close(self._goes_on)
                os.set_blocking(end, False)
                self._write(end)
                code = 0
            finally:
                os._exit(code)
        os.close(end)

    def _write(self, end: int) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        number = 0
        while True:
            number += 1
            os.write(file, b"%d\n" % number)
            os.fsync(file)
            time.sleep(0.01)  # for others
            try:
                if not os.read(end, 1):
                    return
            except BlockingIOError:
                pass

    def size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def finish(self) -> int:
        """How many numbers it has written; all of them, and in order."""
        os.close(self._goes_on)
        assert os.waitpid(self._pid, 0)[1] == 0
        numbers = self._path.read_text().split()
        assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
        return len(numbers)


def resident() -> int:
    """How much memory this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def state() -> tuple[int, ...]:
    """How many descriptors and threads this process has."""
    return tuple(len([*Path(f"/proc/self/{name}").iterdir()]) for name in ("fd", "task"))


def run_lane(folder: Path, image: Path, rounds: int) -> None:
    """In a process of its own."""
    mountpoint, statedir = folder / f"at-{image.name}", folder / f"state-{image.name}"
    mountpoint.mkdir()
    statedir.mkdir()
    agent = make_agent(statedir, OwnSystem(mounted(image, mountpoint)))
    keep = start_watchdog(mountpoint, WATCHDOG_SECONDS)
    writers = [Writer(mountpoint / str(number)) for number in range(WRITERS)]
    until(lambda: all(writer.size() for writer in writers), "the writers to write")
    began = time.monotonic()
    for number in range(rounds):
        if number == WARM_UP:
            before, used = state(), resident()
        assert call_later(agent, "guest-fsfreeze-freeze") == 1
        assert call_later(agent, "guest-fsfreeze-thaw") == 1
    took = time.monotonic() - began
    later(agent, lambda: state() == before, "descriptors and threads to be as before")
    more = resident() - used
    assert more < MOST_MEMORY
    sizes = [writer.size() for writer in writers]
    until(
        lambda: all(w.size() > size for w, size in zip(writers, sizes, strict=True)),
        "all to go on writing",
    )
    # The last one first: it has the others' pipes, too.
    written = [writer.finish() for writer in reversed(writers)]
    agent.close()
    os.close(keep)
    print(
        f"{image.name}: {rounds} rounds in {took:.1f} s, {written} numbers, {more} bytes more",
        file=sys.stderr,
    )


def main(rounds: int, folder: Path, images: list[Path]) -> None:
    # Not on the machine's disk, which others use too.
    memory = folder / "memory"
    memory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(memory)], check=True)

    def run(image: Path) -> None:
        shutil.copy(image, memory)
        run_lane(folder, memory / image.name, rounds // len(images))

    in_lanes(images, run)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
