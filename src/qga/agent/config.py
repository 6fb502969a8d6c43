"""The agent's settings: built-in defaults, then the configuration file, then the command line.

The file is a key file with a group `[general]`, with upstream's keys; `compat` and
`fsfreeze-timeout` are ours.
"""

import os

from qga.protocol import UPSTREAM_VERSION
from qga.protocol.model import version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG_PATH = "/etc/qemu/qemu-ga.conf"
VIRTIO_PATH = "/dev/virtio-ports/org.qemu.guest_agent.0"
ISA_PATH = "/dev/ttyS0"
METHODS = ("virtio-serial", "isa-serial", "unix-listen", "vsock-listen")

_DEFAULT_PATHS = {"virtio-serial": VIRTIO_PATH, "isa-serial": ISA_PATH}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_OLDEST = (0, 15)

# The names on the command line of the keys that are called otherwise in the file.
_KEYS = {"daemonize": "daemon"}


class ConfigError(Exception):
    """A setting cannot be used."""


class Config:
    """The settings in effect."""

    def __init__(self) -> None:
        self.daemon = False
        self.method = "virtio-serial"
        self.path = ""
        self.logfile = ""
        self.pidfile = "/var/run/qemu-ga.pid"
        self.statedir = "/var/run"
        self.verbose = False
        self.retry_path = False
        self.blocked: list[str] = []
        self.allowed: list[str] = []
        self.fsfreeze_timeout = 600.0
        self.reported_version = UPSTREAM_VERSION
        self.compat = version(UPSTREAM_VERSION)

    def read_file(self, path: str) -> None:
        """Take the settings in the configuration file *path*.

        Raises:
            ConfigError: it cannot be read or understood.
            FileNotFoundError: it is not there.
        """
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from error
        general = False
        for number, raw in enumerate(text.split("\n"), 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("[") and line.endswith("]"):
                general = line == "[general]"
                continue
            key, equals, value = line.partition("=")
            if not equals:
                raise ConfigError(f"{path}, line {number}: neither [group] nor key=value: {line}")
            if general:
                try:
                    self.set(key.strip(), value.strip())
                except ConfigError as error:
                    raise ConfigError(f"{path}, line {number}: {error}") from None

    def read_options(self, options: "Iterable[tuple[str, str]]") -> None:
        """Take the settings among the *options* of the command line.

        Raises:
            ConfigError: one cannot be used.
        """
        for name, value in options:
            self.set(_KEYS.get(name, name), value or "true" if name in _FLAGS else value)

    def set(self, key: str, value: str) -> None:
        """Set *key*, by its name in the file; unknown ones are ignored, as upstream does.

        Raises:
            ConfigError: *value* is not one for it.
        """
        if key in ("method", "path", "logfile", "pidfile", "statedir"):
            setattr(self, key, value)
        elif key in ("daemon", "verbose", "retry-path"):
            if value not in _BOOLEANS:
                raise ConfigError(f"{key} is true or false, not '{value}'")
            setattr(self, key.replace("-", "_"), _BOOLEANS[value])
        elif key in ("block-rpcs", "allow-rpcs"):
            names = self.blocked if key == "block-rpcs" else self.allowed
            names += [name.strip() for name in value.split(",") if name.strip()]
        elif key == "fsfreeze-timeout":
            self.fsfreeze_timeout = _seconds(value)
        elif key == "compat":
            self._set_compat(value)

    def _set_compat(self, value: str) -> None:
        try:
            compat = version(value)
        except ValueError:
            raise ConfigError(f"compat is a version such as 7.2, not '{value}'") from None
        if not _OLDEST <= compat <= version(UPSTREAM_VERSION):
            raise ConfigError(f"compat is a version from 0.15 to {UPSTREAM_VERSION}, not {value}")
        self.compat = compat
        self.reported_version = value

    def channel_path(self) -> str:
        """The device or address of the channel.

        Raises:
            ConfigError: there is no such method, or it needs a path.
        """
        if self.method not in METHODS:
            raise ConfigError(f"unknown method '{self.method}': it is one of {', '.join(METHODS)}")
        path = self.path or _DEFAULT_PATHS.get(self.method)
        if path is None:
            raise ConfigError(f"must specify a path for this channel: {self.method} needs -p")
        return path

    def make_absolute(self) -> None:
        """Make the paths of files independent of the working directory."""
        for name in ("logfile", "pidfile", "statedir", "path"):
            value = getattr(self, name)
            if value and not (name == "path" and self.method == "vsock-listen"):
                setattr(self, name, os.path.abspath(value))

    def dump(self) -> str:
        """The settings as a configuration file."""
        settings = {
            "daemon": _shown(self.daemon),
            "method": self.method,
            "path": self.path or _DEFAULT_PATHS.get(self.method, ""),
            "logfile": self.logfile,
            "pidfile": self.pidfile,
            "statedir": self.statedir,
            "verbose": _shown(self.verbose),
            "retry-path": _shown(self.retry_path),
            "block-rpcs": ",".join(self.blocked),
            "allow-rpcs": ",".join(self.allowed),
            "fsfreeze-timeout": f"{self.fsfreeze_timeout:g}",
            "compat": self.reported_version,
        }
        always = ("block-rpcs", "allow-rpcs")
        lines = [f"{key}={value}" for key, value in settings.items() if value or key in always]
        return "\n".join(["[general]", *lines, ""])


_FLAGS = ("daemonize", "verbose", "retry-path")


def _shown(flag: bool) -> str:  # noqa: FBT001
    return "true" if flag else "false"


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0
    # Not (0 < nan) either; and nobody is to wait for ever.
    if not 0 < seconds <= 86400:
        raise ConfigError(f"fsfreeze-timeout is a number of seconds up to 86400, not '{value}'")
    return seconds
