"""Which fsfreeze hooks there are, and how each is to be run. Used by `config`, `hook`, `hookplan`.

There may be the program `fsfreeze-hook`, by upstream's contract: it refuses a freeze by failing,
and then is not told of the thaw. And there may be a directory of programs, `fsfreeze-hook-dir`,
which is ours, with groups `[hook:NAME]` in the configuration.
"""

import errno
import os

from qga.errors import CommandError, GuestOSError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .config import Config

# The directory beside `fsfreeze-hook` that upstream's script, and ours, runs the programs of.
_BESIDE = "fsfreeze-hook.d"

# What editors and package managers leave behind, and what is not meant to be run as it is; that
# script leaves it out, too.
_LEFT_BEHIND = ("~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".sample")

_TIMEOUT = 120.0
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Manner:
    """How one hook of the directory is to be run.

    Attributes:
        timeout: seconds that a run may take.
        order: those of a lower one are run earlier; of the same, by name.
        required: whether its failure is one of the freeze.
    """

    __slots__ = ("order", "required", "timeout")

    def __init__(self) -> None:
        self.timeout = _TIMEOUT
        self.order = 0
        self.required = False

    def set(self, key: str, value: str) -> None:
        """Set *key* as the configuration file has it; what is not known is ignored.

        Raises:
            ValueError: *value* is not one for it.
        """
        if key == "timeout":
            self.timeout = _seconds(value)
        elif key == "order":
            try:
                self.order = int(value)
            except ValueError:
                raise ValueError(f"order is a whole number, not '{value}'") from None
        elif key == "required":
            if value not in _BOOLEANS:
                raise ValueError(f"required is true or false, not '{value}'")
            self.required = _BOOLEANS[value]

    def lines(self) -> list[str]:
        """As the configuration file has it."""
        required = "true" if self.required else "false"
        return [f"timeout={self.timeout:g}", f"order={self.order}", f"required={required}"]


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 86400:  # nor is (0 < nan)
        raise ValueError(f"timeout is a number of seconds up to 86400, not '{value}'")
    return seconds


class HookFile:
    """A hook.

    Attributes:
        path: the program.
        name: what hosts know it by.
        required: whether its failure is one of the freeze.
        timeout: seconds that a run may take.
        alone: whether it is `fsfreeze-hook`, and upstream's contract counts.
    """

    __slots__ = ("alone", "name", "path", "required", "timeout")

    def __init__(self, path: str, *, required: bool, timeout: float, alone: bool = False) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.required = required
        self.timeout = timeout
        self.alone = alone


class HookFiles:
    """The hooks of a configuration.

    Args:
        config: it.
    """

    def __init__(self, config: "Config") -> None:
        self.limit = config.fsfreeze_timeout
        """Seconds that all hooks together may take before a freeze."""
        self.program = config.fsfreeze_hook or None
        """The path of `fsfreeze-hook`, if it is to be run."""
        self._directory = config.fsfreeze_hook_dir or None
        self._manners = config.hooks
        if self.program is not None and self._directory is not None:
            beside = os.path.join(os.path.dirname(self.program), _BESIDE)
            if os.path.realpath(beside) == os.path.realpath(self._directory):
                self.program = None  # it would run them a second time

    def __bool__(self) -> bool:
        return self.program is not None or self._directory is not None

    def all(self) -> list[HookFile]:
        """Those to be run before a freeze, in their order.

        Raises:
            CommandError: one that is required is not there, or the directory cannot be read.
        """
        found = [] if self.program is None else [self.of(self.program)]
        if self._directory is not None:
            names = self._in(self._directory)
            for name in self._manners:
                if self.manner(name).required and name not in names:
                    raise CommandError(
                        f"the fsfreeze hook {name} is required, and is no program in "
                        f"{self._directory}"
                    )
            found += self._sorted(names)
        return found

    def named(self) -> list[HookFile]:
        """The same, with those that have a group in the configuration and are no programs there.

        Raises:
            CommandError: the directory cannot be read.
        """
        found = [] if self.program is None else [self.of(self.program)]
        if self._directory is not None:
            found += self._sorted({*self._in(self._directory), *self._manners})
        return found

    def manner(self, name: str) -> Manner:
        """How the one called *name* in the directory is to be run."""
        return self._manners.get(name) or Manner()

    def _in(self, directory: str) -> list[str]:
        """The names of the programs in *directory*."""
        try:
            entries = os.listdir(directory)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise GuestOSError(
                    f"failed to read the fsfreeze hooks in {directory}: {error.strerror}",
                    error.errno,
                ) from None
            entries = []
        return [name for name in entries if _is_hook(directory, name)]

    def _sorted(self, names: "Iterable[str]") -> list[HookFile]:
        directory = self._directory or ""
        order = sorted(names, key=lambda name: (self.manner(name).order, os.fsencode(name)))
        return [self.of(os.path.join(directory, name)) for name in order]

    def of(self, path: str) -> HookFile:
        """The hook *path*; also one that is no longer there."""
        if path == self.program:
            return HookFile(path, required=True, timeout=self.limit, alone=True)
        manner = self.manner(os.path.basename(path))
        return HookFile(path, required=manner.required, timeout=manner.timeout)


def _is_hook(directory: str, name: str) -> bool:
    if name.startswith(".") or name.endswith(_LEFT_BEHIND) or ".dpkg-" in name:
        return False
    path = os.path.join(directory, name)
    return os.path.isfile(path) and os.access(path, os.X_OK)
