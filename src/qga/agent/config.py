"""The agent's settings: built-in defaults, then the configuration file, then the command line.

The file is a key file with a group `[general]`, with upstream's keys; `compat` and those that begin
with `fsfreeze-`, but for `fsfreeze-hook`, are ours, and so are groups `[hook:NAME]`.
"""

import os

from qga.protocol import UPSTREAM_VERSION
from qga.protocol.model import version

from .keyfile import KeyFileError, escape, read_groups, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .hookfiles import Manner
    from .plan import Wanted

CONFIG_PATH = "/etc/qemu/qemu-ga.conf"
HOOK_PATH = "/etc/qemu/fsfreeze-hook"
VIRTIO_PATH = "/dev/virtio-ports/org.qemu.guest_agent.0"
ISA_PATH = "/dev/ttyS0"
METHODS = ("virtio-serial", "isa-serial", "unix-listen", "vsock-listen")

_DEFAULT_PATHS = {"virtio-serial": VIRTIO_PATH, "isa-serial": ISA_PATH}
_TEXTS = ("method", "path", "logfile", "pidfile", "fsfreeze-hook", "fsfreeze-hook-dir", "statedir")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_FLAGS = ("daemon", "verbose", "retry-path")
_LISTS = {"block-rpcs": "blocked", "allow-rpcs": "allowed"}
_SECONDS = ("fsfreeze-timeout", "fsfreeze-mount-timeout")
_PATTERNS = ("fsfreeze-include", "fsfreeze-exclude")
_KNOWN = (*_TEXTS, *_FLAGS, *_LISTS, *_SECONDS, *_PATTERNS, "compat")
_OLDEST = (0, 15)

# The names on the command line of the keys that are called otherwise in the file.
_KEYS = {"daemonize": "daemon"}

# What block-rpcs was called before 7.1. In the file it replaces block-rpcs.
_OLD_BLOCK = "blacklist"


class ConfigError(Exception):
    """A setting cannot be used."""


class Config:
    """The settings in effect. None stands for what is not set."""

    def __init__(self) -> None:
        self.daemon = False
        self.method = "virtio-serial"
        self.path: str | None = None
        self.logfile: str | None = None
        self.pidfile = "/var/run/qemu-ga.pid"
        self.fsfreeze_hook: str | None = None
        self.fsfreeze_hook_dir: str | None = None
        self.hooks: dict[str, Manner] = {}
        self.statedir = "/var/run"
        self.verbose = False
        self.retry_path = False
        self.blocked: list[str] = []
        self.allowed: list[str] = []
        self.fsfreeze_timeout = 600.0
        self.fsfreeze_mount_timeout = 120.0
        self.fsfreeze_include: list[str] = []
        self.fsfreeze_exclude: list[str] = []
        self.reported_version = UPSTREAM_VERSION
        self.compat = version(UPSTREAM_VERSION)
        self.warnings: list[str] = []

    def read_file(self, path: str) -> None:
        """Take the settings in the configuration file *path*.

        Raises:
            ConfigError: it cannot be read or understood.
            FileNotFoundError: it is not there.
        """
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        try:
            groups = read_groups(data)
        except KeyFileError as error:
            raise ConfigError(f"{path}, {error}") from None
        found = groups.get("general", {})
        if _OLD_BLOCK in found:
            number, value = found.pop(_OLD_BLOCK)
            found["block-rpcs"] = number, value
            self.warnings.append(
                f"{path}, line {number}: {_OLD_BLOCK}, the old name of block-rpcs, replaces it"
            )
        for key, (number, value) in found.items():
            try:
                if key in _FLAGS:
                    self.set(key, value.rstrip().decode("utf-8", "backslashreplace"))
                elif key in _KNOWN:
                    self.set(key, unescape(value))
            except (KeyFileError, ConfigError) as error:
                raise ConfigError(f"{path}, line {number}: {error}") from None
        self._read_hooks(path, groups)

    def _read_hooks(self, path: str, groups: "dict[str, dict[str, tuple[int, bytes]]]") -> None:
        for group, found in groups.items():
            prefix, _, name = group.partition(":")
            if prefix != "hook" or not name:
                continue
            from .hookfiles import Manner

            manner = self.hooks.setdefault(name, Manner())
            for key, (number, value) in found.items():
                try:
                    manner.set(key, unescape(value).strip())
                except (KeyFileError, ValueError) as error:
                    raise ConfigError(f"{path}, line {number}: {error}") from None

    def check_hooks(self) -> None:
        """Warn of hooks that are not run, when all settings are read."""
        if self.fsfreeze_hook and self.fsfreeze_hook_dir:
            from .hookfiles import HookFiles

            if HookFiles(self).program is None:
                self.warnings.append(
                    f"fsfreeze-hook {self.fsfreeze_hook} is not run: it would run the programs in "
                    f"{self.fsfreeze_hook_dir} a second time, which the agent runs by itself"
                )
        if self.hooks and not self.fsfreeze_hook_dir:
            self.warnings.append("groups [hook:NAME] have no effect without fsfreeze-hook-dir")

    def read_options(self, options: "Iterable[tuple[str, str]]") -> None:
        """Take the settings among the *options* of the command line.

        Raises:
            ConfigError: one cannot be used.
        """
        for name, value in options:
            key = _KEYS.get(name, name)
            if key in _FLAGS:
                self.set(key, "true")
            elif key == "fsfreeze-hook":
                self.set(key, value or HOOK_PATH)
            else:
                self.set(key, value)

    def set(self, key: str, value: str) -> None:
        """Set *key*, by its name in the file; unknown ones are ignored, as upstream does.

        Raises:
            ConfigError: *value* is not one for it.
        """
        if key in _TEXTS:
            setattr(self, key.replace("-", "_"), value)
        elif key in _FLAGS:
            if value not in _BOOLEANS:
                raise ConfigError(f"{key} is true or false, not '{value}'")
            setattr(self, key.replace("-", "_"), _BOOLEANS[value])
        elif key in _LISTS:
            # An empty value is no list; a list without a name in it allows nothing, though.
            names = [name.strip() for name in value.split(",")] if value else []
            # As upstream's dump has them.
            getattr(self, _LISTS[key]).extend(reversed(names))
        elif key in _SECONDS:
            setattr(self, key.replace("-", "_"), _seconds(key, value.strip()))
        elif key in _PATTERNS:
            setattr(self, key.replace("-", "_"), _patterns(key, value))
        elif key == "compat":
            self._set_compat(value.strip())

    def _set_compat(self, value: str) -> None:
        try:
            compat = version(value)
        except ValueError:
            raise ConfigError(f"compat is a version such as 7.2, not '{value}'") from None
        if not _OLDEST <= compat <= version(UPSTREAM_VERSION):
            raise ConfigError(f"compat is a version from 0.15 to {UPSTREAM_VERSION}, not {value}")
        self.compat = compat
        self.reported_version = value

    def freezable(self) -> "Wanted":
        """Which file systems may be frozen."""
        from .plan import Wanted, patterns

        include = patterns(self.fsfreeze_include) or None
        return Wanted(include=include, exclude=patterns(self.fsfreeze_exclude))

    def channel_path(self) -> str:
        """The device or address of the channel.

        Raises:
            ConfigError: there is no default for this method, and no path is set.
        """
        path = _DEFAULT_PATHS.get(self.method) if self.path is None else self.path
        if path is None:
            raise ConfigError(
                f"must specify a path for this channel: {self.method or 'the method'} needs -p"
            )
        return path

    def channel_method(self) -> str:
        """The kind of the channel.

        Raises:
            ConfigError: there is none of that name.
        """
        if self.method not in METHODS:
            raise ConfigError(f"unknown method '{self.method}': it is one of {', '.join(METHODS)}")
        return self.method

    def make_absolute(self) -> None:
        """Make the paths of files independent of the working directory."""
        hooks = ("fsfreeze_hook", "fsfreeze_hook_dir")
        for name in ("logfile", "pidfile", "statedir", "path", *hooks):
            value = getattr(self, name)
            if value and not (name == "path" and self.method == "vsock-listen"):
                setattr(self, name, os.path.abspath(value))

    def dump(self) -> str:
        """The settings as a configuration file, in upstream's order, ours at the end.

        Raises:
            ConfigError: the channel has no path.
        """
        settings = {
            "daemon": _shown(self.daemon),
            "method": self.method,
            "path": self.channel_path(),
            "logfile": self.logfile,
            "pidfile": self.pidfile,
            "fsfreeze-hook": self.fsfreeze_hook,
            "statedir": self.statedir,
            "verbose": _shown(self.verbose),
            "retry-path": _shown(self.retry_path),
            "block-rpcs": ",".join(self.blocked),
            "allow-rpcs": ",".join(self.allowed),
            "fsfreeze-hook-dir": self.fsfreeze_hook_dir,
            "fsfreeze-timeout": f"{self.fsfreeze_timeout:g}",
            "fsfreeze-mount-timeout": f"{self.fsfreeze_mount_timeout:g}",
            "fsfreeze-include": ",".join(self.fsfreeze_include) or None,
            "fsfreeze-exclude": ",".join(self.fsfreeze_exclude) or None,
            "compat": self.reported_version,
        }
        lines = [f"{key}={escape(v)}" for key, v in settings.items() if v is not None]
        for name, manner in self.hooks.items():
            lines += ["", f"[hook:{name}]", *manner.lines()]
        return "\n".join(["[general]", *lines, ""])


def _shown(flag: bool) -> str:  # noqa: FBT001
    return "true" if flag else "false"


def _patterns(key: str, value: str) -> list[str]:
    from .plan import Pattern

    texts = [text.strip() for text in value.split(",")] if value.strip() else []
    try:
        for text in texts:
            Pattern(text)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None
    return texts


def _seconds(key: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0
    # Not (0 < nan) either; and nobody is to wait for ever.
    if not 0 < seconds <= 86400:
        raise ConfigError(f"{key} is a number of seconds up to 86400, not '{value}'")
    return seconds
