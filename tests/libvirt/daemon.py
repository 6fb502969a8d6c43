"""A libvirt daemon of the tests' own, for one user, with all that it reads and writes in private.

Used by `domain` and `conftest`. It runs without rights: as the user of the tests or, where that is
root, as nobody, because root's libvirtd is always the machine's. It needs no other daemon and no
D-Bus, and starts guests without KVM only, as their XML says.

Nothing stays behind when the tests are killed: a domain lives as long as the virsh that created it
(`Daemon.create`), and that one ends when its input does; the daemon ends when it has no domain and
no client any more.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.support.need import need_program

INSTALL = (
    "apt-get install --no-install-recommends libvirt-daemon libvirt-daemon-driver-qemu"
    " libvirt-clients"
)
URI = "qemu:///session"
NOBODY = 65534
PATIENCE = 120.0
# The daemon's log names every request to an agent, and nothing else that is no warning.
SETTINGS = """\
log_level = 3
log_filters = "1:qemu.qemu_agent"
log_outputs = "1:file:{log}"
"""
# Without it a second daemon, virtlogd, would write the console's file.
QEMU_SETTINGS = 'stdio_handler = "file"\n'
REQUEST = re.compile(r"Send command '(\{.*\})' for write")


class Answer(NamedTuple):
    """How a virsh ended, and the names of the commands that libvirt sent to the agent for it."""

    code: int
    out: str
    err: str
    asked: tuple[str, ...] = ()


class Daemon:
    """A running libvirtd. A context manager; leaving it ends the daemon and its domains."""

    def __init__(self) -> None:
        program = need_program("libvirtd", INSTALL)
        self.virsh_program = need_program("virsh", INSTALL)
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        # A short name: libvirt puts sockets deep below it.
        self.directory = Path(tempfile.mkdtemp(prefix="qga-lv-"))
        self._at_end = ExitStack()
        self._at_end.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self._log = self.directory / "log"
        self._create_directories()
        with (self.directory / "libvirtd.out").open("wb") as output:
            self._process = subprocess.Popen(
                [program, "--timeout", "60"], stdout=output, stderr=output, **self._common()
            )
        self._at_end.callback(self._process.wait)
        self._at_end.callback(self._process.terminate)
        try:
            self._wait_started()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._at_end.close()

    def virsh(self, *command: str, timeout: float = PATIENCE) -> Answer:
        """Run one virsh command; its output is without blanks at line ends."""
        start = self._log.stat().st_size
        done = subprocess.run(
            [self.virsh_program, "-c", URI, *command],
            capture_output=True,
            text=True,
            errors="surrogateescape",  # a reply of the agent may hold any byte
            timeout=timeout,
            check=False,
            **self._common(),
        )
        out, err = (
            "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
            for text in (done.stdout, done.stderr)
        )
        return Answer(done.returncode, out, err, self._requests(start))

    def start_virsh(self, *command: str, **options: Any) -> "subprocess.Popen[str]":
        """Start a virsh that the caller ends."""
        return subprocess.Popen(
            [self.virsh_program, "-c", URI, *command],
            text=True,
            **options,
            **self._common(),
        )

    def create(self, description: Path, errors: Path) -> "subprocess.Popen[str]":
        """Have a domain created that lives as long as the virsh that is returned.

        Args:
            description: the domain's XML.
            errors: the file that is to get what virsh complains about.
        """
        with errors.open("w") as complaints:
            owner = self.start_virsh(
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints
            )
        assert owner.stdin is not None
        owner.stdin.write(f"create --autodestroy {description}\n")
        owner.stdin.flush()
        return owner

    def give(self, path: Path) -> Path:
        """Let the daemon and its guests have a file that the tests made."""
        if self._user:
            os.chown(path, NOBODY, NOBODY)
        return path

    def _common(self) -> dict[str, Any]:
        return {"env": self._environment(), "cwd": self.directory, "umask": 0o077, **self._user}

    def _environment(self) -> dict[str, str]:
        places = {
            name: str(self.directory / place)
            for name, place in (
                ("HOME", "home"),
                ("XDG_RUNTIME_DIR", "run"),
                ("XDG_CONFIG_HOME", "config"),
                ("XDG_CACHE_HOME", "cache"),
                ("XDG_DATA_HOME", "data"),
                ("TMPDIR", "tmp"),
            )
        }
        return {
            **places,
            "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            # No client may start a daemon that the tests do not know.
            "LIBVIRT_AUTOSTART": "0",
        }

    def _create_directories(self) -> None:
        settings = self.directory / "config/libvirt"
        for name in ("home", "run", "config", "cache", "data", "tmp"):
            (self.directory / name).mkdir(mode=0o700)
        settings.mkdir(mode=0o700)
        self._log.touch()
        (settings / "libvirtd.conf").write_text(SETTINGS.format(log=self._log))
        (settings / "qemu.conf").write_text(QEMU_SETTINGS)
        for path in (self.directory, *self.directory.rglob("*")):
            self.give(path)

    def _wait_started(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.virsh("version").code:
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.directory / "libvirtd.out").read_text()
                raise RuntimeError(f"libvirtd does not answer: {said}")
            time.sleep(0.05)

    def _requests(self, start: int) -> tuple[str, ...]:
        """The commands in the log from byte *start* on; libvirt's own synchronisation aside."""
        with self._log.open("rb") as log:
            log.seek(start)
            text = log.read().decode(errors="replace")
        names = (re.search(r'"execute": ?"([^"]+)"', r) for r in REQUEST.findall(text))
        return tuple(name[1] for name in names if name is not None)
