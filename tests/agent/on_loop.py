"""Freezes and trims a real file system: one in an image, mounted in a mount namespace of its own.

Run by test_freeze_loop, as `unshare --mount python -m tests.agent.on_loop CASE IMAGE FOLDER`.
Before anything is frozen it is certain that FOLDER is the image, and a process of its own is there
that thaws when this one ends, or after a while.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from qga.agent.hookfiles import Manner
from qga.agent.system.fake import FakePower
from qga.agent.system.linux.freezer import LinuxFreezer, parse_mountinfo
from qga.agent.system.linux.storage import LinuxStorage
from qga.agent.system.mounts import Mount, Survey
from tests.agent.harness import call, call_later, children, later, make_agent, refusal, until

WATCHDOG_SECONDS = 60

# Thaws the file system when nobody holds the other end of the pipe any more, or in time.
WATCHDOG = """
import fcntl, os, select, sys
mount, reader, ready, seconds = map(int, sys.argv[1:])
os.setsid()
os.write(ready, b"x")
os.close(ready)
select.select([reader], [], [], seconds)
try:
    while True:
        fcntl.ioctl(mount, 0xC0045878, 0)  # FITHAW
except OSError:
    pass
"""


class OwnFreezer(LinuxFreezer):
    """The real thing, with eyes for one device only."""

    def __init__(self, device: tuple[int, int]) -> None:
        self.device = device

    def mounts(self) -> list[Mount]:
        return [mount for mount in super().mounts() if mount.device == self.device]

    def survey(self) -> Survey:
        return Survey(self.mounts(), table=super().survey().table)

    def are_all(self, fds: Iterable[int]) -> bool:
        return {self.device} == {_device(os.fstat(fd)) for fd in fds}

    def freeze(self, fd: int) -> None:
        self.check(fd)
        super().freeze(fd)

    def check(self, fd: int) -> None:
        assert _device(os.fstat(fd)) == self.device


def _device(status: os.stat_result) -> tuple[int, int]:
    return os.major(status.st_dev), os.minor(status.st_dev)


class OwnStorage(LinuxStorage):
    """The real thing, which trims that device only."""

    def __init__(self, freezer: OwnFreezer) -> None:
        super().__init__()
        self.freezer = freezer

    def trim(self, fd: int, minimum: int) -> tuple[int, int]:
        self.freezer.check(fd)
        return super().trim(fd, minimum)


class OwnSystem:
    """A platform whose only file system is that one."""

    def __init__(self, freezer: OwnFreezer) -> None:
        self.freezer = freezer
        self.storage = OwnStorage(freezer)
        self.power = FakePower(["/bin/true"])


def mounted(image: Path, folder: Path) -> OwnFreezer:
    """Mount *image* at *folder*, and make sure that this is what is there."""
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    device = _device(folder.stat())
    backing = Path(f"/sys/dev/block/{device[0]}:{device[1]}/loop/backing_file")
    assert backing.read_text(encoding="utf-8").strip() == str(image)
    assert device != _device(folder.parent.stat())
    return OwnFreezer(device)


def in_lanes(images: list[Path], run: Callable[[Path], None]) -> None:
    """Call *run* for each image, in a process of its own; print "done" if none has raised."""
    lanes = []
    for image in images:
        lane = os.fork()
        if lane == 0:
            code = 1
            try:
                run(image)
                code = 0
            except BaseException:  # noqa: BLE001 - nobody else would tell
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        lanes.append(lane)
    codes = [os.waitstatus_to_exitcode(os.waitpid(lane, 0)[1]) for lane in lanes]
    if not any(codes):
        print("done")


def start_watchdog(folder: Path, seconds: int = WATCHDOG_SECONDS) -> int:
    """Return the descriptor that keeps the watchdog waiting; it ends with this process."""
    reader, writer = os.pipe()
    ready, tell = os.pipe()
    mount = os.open(folder, os.O_RDONLY)
    given = [mount, reader, tell]
    command = [sys.executable, "-I", "-c", WATCHDOG, *map(str, [*given, seconds])]
    subprocess.Popen(command, pass_fds=given)
    for fd in given:
        os.close(fd)
    # It has everything that it needs; without its word nothing is frozen.
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    return writer


class Writer:
    """A process that writes a file on the file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen(["/bin/sh", "-c", 'echo text > "$1"', "sh", str(path)])

    def blocked(self) -> bool:
        assert self.process.poll() is None, "the writer got through"
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        return stat.rpartition(")")[2].split()[0] == "D"

    def finish(self) -> None:
        assert self.process.wait(20) == 0
        assert self.path.read_bytes() == b"text\n"


def linux_freezer(freezer: OwnFreezer, folder: Path, _: Path) -> None:
    (mount,) = freezer.mounts()
    assert (mount.path, mount.kind) == (str(folder), "ext4")
    fd = freezer.open(mount)
    freezer.freeze(fd)
    with pytest.raises(OSError, match="Device or resource busy"):
        freezer.freeze(fd)  # it is frozen already
    writer = Writer(folder / "file")
    until(writer.blocked, "the writer to block")
    assert not (folder / "file").exists()
    assert freezer.thaw(fd)
    writer.finish()
    assert not freezer.thaw(fd)  # nothing is left to undo
    os.close(fd)


def agent(freezer: OwnFreezer, folder: Path, state: Path) -> None:
    made = make_agent(state, OwnSystem(freezer))
    for number in range(2):
        assert call(made, "guest-fsfreeze-freeze") == 1
        assert call(made, "guest-fsfreeze-status") == "frozen"
        writer = Writer(folder / f"file-{number}")
        until(writer.blocked, "the writer to block")
        assert "disabled" in refusal(made, "guest-fsfreeze-freeze")
        assert call(made, "guest-fsfreeze-thaw") == 1
        writer.finish()
        assert call(made, "guest-fsfreeze-thaw") == 0
    made.close()


def guardian(freezer: OwnFreezer, folder: Path, state: Path) -> None:
    made = make_agent(state, OwnSystem(freezer), fsfreeze_timeout=1.0)
    assert call(made, "guest-fsfreeze-freeze") == 1
    writer = Writer(folder / "file")
    until(writer.blocked, "the writer to block")
    writer.finish()  # nobody but the guardian can have thawed

    later(made, lambda: call(made, "guest-fsfreeze-status") == "thawed", "the guardian to tell")
    made.close()


def hooks(freezer: OwnFreezer, folder: Path, state: Path) -> None:
    """They write to the file system, which they could not while it is frozen."""
    programs = state.parent / "hooks.d"
    programs.mkdir()
    for name in ("a", "b"):
        (programs / name).write_text(
            f'#!/bin/sh\necho "{name} $1" >> "{folder}/notes"; sync "{folder}/notes"\n'
            "[ $1 = freeze ]\n",
            encoding="utf-8",
        )
        (programs / name).chmod(0o700)
    made = make_agent(state, OwnSystem(freezer), fsfreeze_hook_dir=str(programs))
    made.loop.on_signal(signal.SIGCHLD, made.programs.on_child_ended)
    report = call(made, "qga-fsfreeze-freeze", token="t")
    assert [run["ok"] for run in report["hooks"]] == [True, True]
    writer = Writer(folder / "file")
    until(writer.blocked, "the writer to block")
    report = call(made, "qga-fsfreeze-thaw", token="t")
    writer.finish()
    assert [run["ok"] for run in report["hooks"]] == [True, True, False, False]
    assert report["held"] is True
    notes = (folder / "notes").read_text(encoding="utf-8").splitlines()
    assert notes == ["a freeze", "b freeze", "b thaw", "a thaw"]
    made.close()


def stuck_hook(freezer: OwnFreezer, folder: Path, state: Path) -> None:
    """It cannot be ended, since it writes to a file system that somebody has frozen."""
    programs = state.parent / "hooks.d"
    programs.mkdir()
    hook = programs / "writes"
    hook.write_text(f'#!/bin/sh\n[ $1 = thaw ] || echo "$$" > "{folder}/pid"\n', encoding="utf-8")
    hook.chmod(0o700)
    required = Manner()
    required.timeout, required.required = 0.5, True
    made = make_agent(
        state, OwnSystem(freezer), fsfreeze_hook_dir=str(programs), hooks={"writes": required}
    )
    made.loop.on_signal(signal.SIGCHLD, made.programs.on_child_ended)
    (mount,) = freezer.mounts()
    fd = freezer.open(mount)
    freezer.freeze(fd)
    late = refusal(made, "qga-fsfreeze-freeze")
    (pid,) = (pid for pid in children(os.getpid()) if name_of(pid) == "writes")
    why = f"it waits in the kernel (/proc/{pid}/stack tells for what)"
    what = "child process has failed to execute fsfreeze hook writes: "
    late_too = f"it has not finished after 0.5 s; killed, its process {pid} does not end: {why}"
    assert late == what + late_too
    report = call(made, "qga-fsfreeze-report")
    told = [(run["action"], run["ok"], run.get("reason")) for run in report["hooks"]]
    assert told == [("freeze", False, late_too), ("thaw", True, None)]
    # The next freeze need not wait for it.
    again = refusal(made, "guest-fsfreeze-freeze")
    assert again == f"{what}process {pid} of an earlier run has not ended: {why}"
    # It has ended as soon as the file system is thawed.
    assert freezer.thaw(fd)
    later(made, lambda: pid not in children(os.getpid()), "the hook to end")
    required.timeout = 60
    assert call(made, "qga-fsfreeze-freeze")["count"] == 1
    assert call(made, "qga-fsfreeze-thaw")["held"] is True
    os.close(fd)
    made.close()


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()


def bind_mount(freezer: OwnFreezer, folder: Path, state: Path) -> None:
    (folder / "inner").mkdir()
    other = state / "bind here"
    other.mkdir()
    subprocess.run(["mount", "--bind", str(folder / "inner"), str(other)], check=True)
    table = Path("/proc/self/mountinfo").read_bytes()
    assert b"bind\\040here" in table
    assert [mount.path for mount in freezer.mounts()] == [str(folder)]
    # It alone can be frozen by its other name too, blank and all.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    (mount,) = [m for m, *_ in parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
                if m.device == freezer.device]  # fmt: skip
    assert mount.path == str(other)
    fd = freezer.open(mount)
    freezer.freeze(fd)
    assert freezer.thaw(fd)
    os.close(fd)
    subprocess.run(["umount", str(other)], check=True)


def watchdog(freezer: OwnFreezer, folder: Path, _: Path) -> None:
    """Ends frozen: what the watchdog is for."""
    (mount,) = freezer.mounts()
    freezer.freeze(freezer.open(mount))


def trim(freezer: OwnFreezer, folder: Path, state: Path) -> None:
    image = folder.parent / "image"
    blocks = image.stat().st_blocks
    (folder / "big").write_bytes(os.urandom(4 << 20))
    os.sync()
    assert image.stat().st_blocks > blocks + 4096
    (folder / "big").unlink()
    os.sync()
    made = make_agent(state, OwnSystem(freezer))
    (result,) = call_later(made, "guest-fstrim")["paths"]
    assert result["path"] == str(folder)
    assert result["trimmed"] > 4 << 20
    assert result["minimum"] < 1 << 20
    # The loop device has punched a hole into its file.
    until(lambda: image.stat().st_blocks < blocks + 4096, "the image to shrink")
    # No free range is that long. (More than the file system has is refused.)
    (result,) = call_later(made, "guest-fstrim", minimum=1 << 30)["paths"]
    assert result == {"path": str(folder), "error": "failed to trim: Invalid argument"}
    (result,) = call_later(made, "guest-fstrim", minimum=-1)["paths"]
    assert result == {"path": str(folder), "error": "failed to trim: Invalid argument"}
    (info,) = (i for i in call(made, "guest-get-fsinfo") if i["mountpoint"] == str(folder))
    sizes = os.statvfs(folder)
    used = (sizes.f_blocks - sizes.f_bfree) * sizes.f_frsize
    assert info == {
        "name": f"loop{freezer.device[1]}",
        "mountpoint": str(folder),
        "type": "ext4",
        "used-bytes": used,
        "total-bytes": used + sizes.f_bavail * sizes.f_frsize,
        "total-bytes-privileged": sizes.f_blocks * sizes.f_frsize,
        "disk": [],
    }
    made.close()


CASES: dict[str, Callable[[OwnFreezer, Path, Path], None]] = {
    case.__name__: case
    for case in (linux_freezer, agent, guardian, hooks, stuck_hook, bind_mount, watchdog, trim)
}


def main(name: str, image: Path, folder: Path) -> None:
    freezer = mounted(image, folder)
    state = image.parent / "state"
    state.mkdir()
    keep = start_watchdog(folder)
    try:
        CASES[name](freezer, folder, state)
    finally:
        os.close(keep)
    print("done")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
