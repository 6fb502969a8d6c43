"""Kills agents, or stops them, at random moments of freezing and thawing a real file system.

Run by test_freeze_loop, in a mount namespace of its own, as `on_loop` is: `python -m
tests.agent.on_kills ROUNDS SEED FOLDER IMAGE...`, with a lane for each image. Each lane has an
agent that freezes and thaws all the time, kills it, and then writes to the file system, which ends
only when that is thawed; then it begins anew. Nobody but the guardian can have thawed: the
watchdog, which would in the end, is slower than a lane may be.
"""

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from qga.agent import commands
from tests.agent.harness import call, make_agent, until
from tests.agent.on_loop import WATCHDOG_SECONDS, OwnSystem, in_lanes, mounted, start_watchdog

LEASE = 0.3
LONGEST = WATCHDOG_SECONDS / 2


class Lane:
    """One file system and its agents."""

    def __init__(self, folder: Path, image: Path, seed: str) -> None:
        self.folder = folder / f"at-{image.name}"
        self.folder.mkdir()
        self.state = folder / f"state-{image.name}"
        self.state.mkdir()
        self.freezer = mounted(image, self.folder)
        self.random = random.Random(seed)
        self.seen = {"thawed": 0, "frozen": 0}
        self.latest = 0.0

    def work(self, ready: int) -> None:
        """An agent that freezes and thaws until it is killed."""
        agent = make_agent(self.state, OwnSystem(self.freezer))
        assert not agent.freeze.resume()
        commands.load_for_freeze()
        os.write(ready, b"x")
        while True:
            call(agent, "qga-fsfreeze-freeze", deadline_ms=int(LEASE * 1000))
            time.sleep(random.choice((0, 0.05, 2 * LEASE)))
            call(agent, "qga-fsfreeze-thaw")

    def round(self, *, stop: bool) -> None:
        reader, ready = os.pipe()
        agent = os.fork()
        if agent == 0:
            try:
                self.work(ready)
            except BaseException:  # noqa: BLE001 - nobody else would tell
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(ready)
        assert os.read(reader, 1) == b"x"
        os.close(reader)
        time.sleep(self.random.uniform(0, 0.12))
        os.kill(agent, signal.SIGSTOP if stop else signal.SIGKILL)
        killed = time.monotonic()
        marker = self.state / "qga.state.isfrozen"
        self.seen["frozen" if marker.exists() else "thawed"] += 1
        self.probe()
        self.latest = max(self.latest, time.monotonic() - killed)
        until(lambda: not marker.exists(), "the marker to go")
        if stop:
            os.kill(agent, signal.SIGKILL)
        os.waitpid(agent, 0)

    def probe(self) -> None:
        """Write to the file system, in a process of its own: that may hang for ever."""
        writer = os.fork()
        if writer == 0:
            path = self.folder / "probe"
            path.write_bytes(b"x")
            path.unlink()
            os._exit(0)
        deadline = time.monotonic() + LONGEST
        while os.waitpid(writer, os.WNOHANG) == (0, 0):
            assert time.monotonic() < deadline, f"{self.folder} stays frozen"
            time.sleep(0.002)


def run_lane(folder: Path, image: Path, seed: str, rounds: int) -> None:
    """In a process of its own."""
    keep = -1
    try:
        lane = Lane(folder, image, seed)
        keep = start_watchdog(lane.folder)
        for number in range(rounds):
            lane.round(stop=number % 10 == 9)
        print(
            f"{image.name}: {rounds} agents, {lane.seen}, thawed {lane.latest:.2f} s after the end "
            f"of one at the latest (lease {LEASE} s)",
            file=sys.stderr,
        )
    finally:
        if keep >= 0:
            os.close(keep)


def main(rounds: int, seed: str, folder: Path, images: list[Path]) -> None:
    in_lanes(
        images, lambda image: run_lane(folder, image, f"{seed} {image.name}", rounds // len(images))
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), [Path(name) for name in sys.argv[4:]])
