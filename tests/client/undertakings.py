"""Every operation of the library that talks to an agent, as tests undertake it, one by one.

`SIMPLE` are those that one call is; `PREPARED` need something first, and say by `Scene.begin` when
it is there. `test_faults_each` has the agent in trouble in the middle of each.
"""

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import qga
from qga.protocol import GetTime

MIB = 1 << 20
# What an operation has for itself that gives up by itself.
SHORT = 2.0
PATIENCE = 60.0
PIPE = subprocess.PIPE
_numbers = count()


class Scene:
    """Where operations are undertaken.

    Args:
        client: of the agent.
        guest: a directory of the guest, which is this machine.
        here: a directory that is not the guest's.
    """

    def __init__(self, client: Any, guest: Path, here: Path) -> None:
        self.client = client
        self.files = client.files
        self.guest = guest
        self.here = here
        self.file = guest / "file"
        self.tree = guest / "tree"
        self.link = guest / "link"
        self.local = here / "file"
        self.local_tree = here / "tree"
        self.begin: Callable[[], None] = lambda: None

    def furnish(self) -> None:
        """Make what operations find."""
        for directory in (self.guest, self.here):
            directory.mkdir()
            (directory / "file").write_bytes(os.urandom(2 * MIB))
            (directory / "tree/below").mkdir(parents=True)
            for number in range(6):
                (directory / f"tree/below/{number}").write_bytes(os.urandom(300_000))
        self.link.symlink_to("file")

    def left(self) -> list[str]:
        """What transfers have left behind."""
        directories = (self.guest, self.here)
        names = [str(name) for directory in directories for name in directory.iterdir()]
        return [name for name in names if "/.qga-" in name]

    def new(self, directory: Path | None = None) -> Path:
        """A name that is not there."""
        return (directory or self.guest) / f"new-{next(_numbers)}"

    def made(self) -> Path:
        """A small file of the guest, which is new."""
        path = self.new()
        path.write_bytes(b"made\n")
        return path


Operation = Callable[[Scene], Any]


def open_file(at: Scene) -> Any:
    with at.client.open(at.file) as file:
        return file.mode


def popen(at: Scene) -> Any:
    with at.client.popen(["true"]) as program:
        return program.wait()


def shell(at: Scene) -> Any:
    with at.client.shell("exit 3") as terminal:
        return terminal.wait()


def follow(at: Scene) -> Any:
    with at.files.follow(at.file, lines=3) as follower:
        return follower.read()


SIMPLE: dict[str, Operation] = {
    "Client.address": lambda at: at.client.address(),
    "Client.addresses": lambda at: at.client.addresses(),
    "Client.boot_id": lambda at: at.client.boot_id(),
    "Client.call": lambda at: at.client.call("guest-get-time"),
    "Client.cpus": lambda at: at.client.cpus(),
    "Client.download": lambda at: at.client.download(str(at.file), len),
    "Client.execute": lambda at: at.client.execute(GetTime()),
    "Client.filesystems": lambda at: at.client.filesystems(),
    "Client.freezable": lambda at: at.client.freezable(),
    "Client.freeze_plan": lambda at: at.client.freeze_plan(),
    "Client.fsfreeze_report": lambda at: at.client.fsfreeze_report(),
    "Client.fsfreeze_status": lambda at: at.client.fsfreeze_status(),
    "Client.hostname": lambda at: at.client.hostname(),
    "Client.info": lambda at: at.client.info(),
    "Client.interfaces": lambda at: at.client.interfaces(),
    "Client.load": lambda at: at.client.load(),
    "Client.memory": lambda at: at.client.memory(),
    "Client.open": open_file,
    "Client.os": lambda at: at.client.os(),
    "Client.overview": lambda at: at.client.overview(),
    "Client.popen": popen,
    "Client.ping": lambda at: at.client.ping(),
    "Client.read_file": lambda at: at.client.read_file(str(at.file)),
    "Client.run": lambda at: at.client.run(["sort"], input=b"b\na\n"),
    "Client.shell": shell,
    "Client.state": lambda at: at.client.state(timeout=SHORT),
    "Client.sync": lambda at: at.client.sync(),
    "Client.time_offset": lambda at: at.client.time_offset(),
    "Client.upload": lambda at: at.client.upload(str(at.new()), [bytes(MIB)] * 3),
    "Client.uptime": lambda at: at.client.uptime(),
    "Client.users": lambda at: at.client.users(),
    "Client.vitals": lambda at: at.client.vitals(),
    "Client.wait_for": lambda at: at.client.wait_for(file=at.file, timeout=SHORT),
    "Client.wait_ready": lambda at: at.client.wait_ready(SHORT),
    "Client.write_file": lambda at: at.client.write_file(str(at.new()), bytes(2 * MIB)),
    "Files.append": lambda at: at.files.append(at.made(), bytes(2 * MIB)),
    "Files.checksum": lambda at: at.files.checksum(at.file),
    "Files.chmod": lambda at: at.files.chmod(at.file, 0o640),
    "Files.chown": lambda at: at.files.chown(at.file, os.getuid()),
    "Files.copy": lambda at: at.files.copy(at.file, at.new()),
    "Files.copy_from": lambda at: at.files.copy_from(at.client, at.file, at.new()),
    "Files.copy_tree_from": lambda at: at.files.copy_tree_from(at.client, at.tree, at.new()),
    "Files.disk_usage": lambda at: at.files.disk_usage(at.guest),
    "Files.download": lambda at: at.files.download(at.file, at.new(at.here)),
    "Files.download_tree": lambda at: at.files.download_tree(at.tree, at.new(at.here)),
    "Files.du": lambda at: at.files.du(at.tree),
    "Files.du_each": lambda at: at.files.du_each(at.tree),
    "Files.exists": lambda at: at.files.exists(at.file),
    "Files.find": lambda at: at.files.find(at.tree, "-type", "f"),
    "Files.follow": follow,
    "Files.glob": lambda at: at.files.glob(f"{at.tree}/**"),
    "Files.is_dir": lambda at: at.files.is_dir(at.file),
    "Files.is_file": lambda at: at.files.is_file(at.file),
    "Files.list": lambda at: at.files.list(at.tree),
    "Files.lstat": lambda at: at.files.lstat(at.link),
    "Files.mkdir": lambda at: at.files.mkdir(at.new()),
    "Files.mkdtemp": lambda at: at.files.mkdtemp(directory=at.guest),
    "Files.mktemp": lambda at: at.files.mktemp(directory=at.guest),
    "Files.mounts": lambda at: at.files.mounts(),
    "Files.read": lambda at: at.files.read(at.file),
    "Files.readlink": lambda at: at.files.readlink(at.link),
    "Files.remove": lambda at: at.files.remove(at.made()),
    "Files.rename": lambda at: at.files.rename(at.made(), at.new()),
    "Files.stat": lambda at: at.files.stat(at.link),
    "Files.symlink": lambda at: at.files.symlink("elsewhere", at.new()),
    "Files.tail": lambda at: at.files.tail(at.file, 3),
    "Files.touch": lambda at: at.files.touch(at.file),
    "Files.upload": lambda at: at.files.upload(at.local, at.new()),
    "Files.upload_tree": lambda at: at.files.upload_tree(at.local_tree, at.new()),
    "Files.utime": lambda at: at.files.utime(at.file, (1, 10**9)),
    "Files.walk": lambda at: at.files.walk(at.tree),
    "Files.write": lambda at: at.files.write(at.new(), bytes(2 * MIB)),
}


def frozen(at: Scene) -> Any:
    with at.client.frozen(deadline=SHORT) as freeze:
        return freeze.frozen


def wait_down(at: Scene) -> Any:
    with suppress(qga.WaitTimeout):  # nobody has it go down
        return at.client.wait_down(SHORT / 4)


# Those that are not for a machine that is no guest, and are undertaken with a fake agent.
FAKED: dict[str, Operation] = {
    "Client.frozen": frozen,
    "Client.suspend": lambda at: at.client.suspend(),
    "Client.sync_time": lambda at: at.client.sync_time(),
    "Client.thaw": lambda at: at.client.thaw(),
    "Client.wait_boot": lambda at: at.client.wait_boot("another", SHORT),
    "Client.wait_cloud_init": lambda at: at.client.wait_cloud_init(SHORT),
    "Client.wait_down": wait_down,
}


def popen_communicate(at: Scene) -> Any:
    with at.client.popen(["sort"], stdin=PIPE) as program:
        at.begin()
        return program.communicate(b"b\na\n" * 1000)


def popen_interact(at: Scene) -> Any:
    popen = at.client.popen(["cat"], stdin=PIPE, lease=4)
    with Path(os.devnull).open("r+b") as nothing, popen as program:
        at.begin()
        nowhere = nothing.fileno()
        return program.interact(stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=PATIENCE)


def popen_ended_by(how: Callable[[Any], object]) -> Callable[[Scene], Any]:
    """Do to a program that runs what ends it, and wait for that."""

    def undertake(at: Scene) -> Any:
        with at.client.popen(["sleep", "600"]) as program:
            at.begin()
            how(program)
            return program.wait()

    return undertake


def popen_poll(at: Scene) -> Any:
    with at.client.popen(["sleep", "600"]) as program:
        at.begin()
        code = program.poll()
        program.kill()
        return code


def popen_wait(at: Scene) -> Any:
    with at.client.popen(["sleep", "0.3"]) as program:
        at.begin()
        return program.wait()


def popen_read(at: Scene) -> Any:
    with at.client.popen(["seq", "100000"]) as program:
        at.begin()
        assert program.stdout is not None
        return program.stdout.read()


def popen_read_line(at: Scene) -> Any:
    with at.client.popen("sleep 0.2; seq 10", shell=True) as program:
        at.begin()
        assert program.stdout is not None
        return program.stdout.readline()


def popen_write(at: Scene) -> Any:
    with at.client.popen(["wc", "-c"], stdin=PIPE) as program:
        at.begin()
        assert program.stdin is not None
        program.stdin.write(bytes(3 * MIB))
        program.stdin.close()
        return program.communicate()


def shell_close(at: Scene) -> Any:
    terminal = at.client.shell("sleep 600")
    at.begin()
    return terminal.close()


def shell_interact(at: Scene) -> Any:
    with Path(os.devnull).open("r+b") as nothing, at.client.shell(["cat"]) as terminal:
        at.begin()
        nowhere = nothing.fileno()
        return terminal.interact(stdin=nowhere, stdout=nowhere, timeout=SHORT)


def shell_read(at: Scene) -> Any:
    with at.client.shell("sleep 0.2; seq 10") as terminal:
        at.begin()
        return terminal.read()


def shell_resize(at: Scene) -> Any:
    with at.client.shell(["cat"]) as terminal:
        at.begin()
        return terminal.resize(100, 30)


def shell_wait(at: Scene) -> Any:
    with at.client.shell("sleep 0.3") as terminal:
        at.begin()
        return terminal.wait()


def shell_write(at: Scene) -> Any:
    with at.client.shell(["cat"]) as terminal:
        at.begin()
        return terminal.write(b"line\n" * 100)


def follow_close(at: Scene) -> Any:
    follower = at.files.follow(at.file)
    at.begin()
    return follower.close()


def follow_poll(at: Scene) -> Any:
    with at.files.follow(at.file, lines=3) as follower:
        at.begin()
        return follower.poll()


def follow_read(at: Scene) -> Any:
    with at.files.follow(at.file, lines=3) as follower:
        at.begin()
        return follower.read()


def file_close(at: Scene) -> Any:
    file = at.client.open(at.file)
    at.begin()
    return file.close()


def file_flush(at: Scene) -> Any:
    with at.client.open(at.new(), "w") as file:
        file.write(b"data")
        at.begin()
        return file.flush()


def file_read_all(at: Scene) -> Any:
    with at.client.open(at.file) as file:
        at.begin()
        return file.readall()


def file_read(at: Scene) -> Any:
    with at.client.open(at.file) as file:
        at.begin()
        return file.read(1000)


def file_seek(at: Scene) -> Any:
    with at.client.open(at.file) as file:
        at.begin()
        return file.seek(-10, os.SEEK_END)


def file_tell(at: Scene) -> Any:
    with at.client.open(at.file) as file:
        at.begin()
        return file.tell()


def file_write(at: Scene) -> Any:
    with at.client.open(at.new(), "w") as file:
        at.begin()
        return file.write(b"data")


PREPARED: dict[str, Operation] = {
    "Follower.close": follow_close,
    "Follower.poll": follow_poll,
    "Follower.read": follow_read,
    "GuestFile.close": file_close,
    "GuestFile.flush": file_flush,
    "GuestFile.readall": file_read_all,
    "GuestFile.readinto": file_read,
    "GuestFile.seek": file_seek,
    "GuestFile.tell": file_tell,
    "GuestFile.write": file_write,
    "Popen.communicate": popen_communicate,
    "Popen.interact": popen_interact,
    "Popen.kill": popen_ended_by(lambda program: program.kill()),
    "Popen.poll": popen_poll,
    "Popen.send_signal": popen_ended_by(lambda program: program.send_signal(2)),
    "Popen.terminate": popen_ended_by(lambda program: program.terminate()),
    "Popen.wait": popen_wait,
    "ProgramInput.write": popen_write,
    "ProgramOutput.read": popen_read,
    "ProgramOutput.readline": popen_read_line,
    "Shell.close": shell_close,
    "Shell.interact": shell_interact,
    "Shell.read": shell_read,
    "Shell.resize": shell_resize,
    "Shell.wait": shell_wait,
    "Shell.write": shell_write,
}
