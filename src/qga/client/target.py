"""What the user calls an agent and a file of its guest: targets and guest paths.

This is the one place that knows the rules:

    target      SCHEME:..., as `schemes` lists them
                NAME, without a colon or slash: from a file of targets (`targetsfile`), or else
                that of a domain or a socket of this machine (`lookup`)
                a path that begins with `/`, `./` or `../`, or that of a socket: unix:PATH
    guest file  TARGET:PATH
                what follows the last `:/` is the path, with its slash
                NAME:PATH
                what follows the colon is the path, and begins with a slash
                :PATH
                everything after the colon is the path; the target is in QGA_TARGET

So in `unix:/run/vm.sock:/etc/hosts` the path is `/etc/hosts`. A path that itself holds `:/` can be
told in the last two forms only, one that does not begin with a slash in the last. A path as the
target of a guest file has to be written with `unix:`: `./x:/y` is a local file.
"""

from __future__ import annotations

import os

from qga.errors import (
    AgentBusy,
    AgentNotResponding,
    AgentTimeout,
    InvalidTarget,
    NoChannel,
    TransportError,
)

from .deadline import TIMEOUT
from .schemes import grammar, scheme_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .aiotransports import AsyncRequestTransport, AsyncTransport
    from .deadline import Deadline
    from .lookup import NamedWay
    from .transports import RequestTransport, Transport, Way

VARIABLE = "QGA_TARGET"


class Target:
    """One agent, and how to reach it.

        >>> target = qga.Target("vsock:42:9000")
        >>> str(target)
        'vsock:42:9000'
        >>> qga.Target("/run/vm1/qga.sock").full
        'unix:/run/vm1/qga.sock'

    Args:
        text: the target as the user writes it.
        full: what it stands for, if that is known.

    Attributes:
        text: the same.
        timeout: what the targets file says that calls may take, in seconds; None if it does not.
        where: the targets file that has this name, and the key; empty if none has.

    Raises:
        InvalidTarget: *text* is not a target, or the targets file is wrong; the text of the error
            says why.
    """

    def __init__(self, text: str, *, full: str | None = None) -> None:
        self.text = text
        self.timeout: float | None = None
        self._named: NamedWay | None = None
        settings: Mapping[str, Any] = {}
        self.where = ""
        if full is None:
            full = f"unix:{text}" if _is_path(text) else text
            if _is_name(text):
                from . import targetsfile

                entry = targetsfile.find(text)
                if entry is None:
                    from . import lookup

                    self._way: Way
                    self._way = self._named = lookup.NamedWay(text)
                    return
                full, self.timeout = entry.target, entry.timeout
                settings, self.where = entry.settings, entry.where
        self._full = full
        try:
            self._way = _parse(full, settings)
        except InvalidTarget as error:
            if self.where:
                raise InvalidTarget(f"{self.where}: {error}") from None
            raise

    @property
    def full(self) -> str:
        """The same, or what that name or path stands for. Which domain or socket a name is that no
        file has shows when the channel has been opened, or after `find`.

            >>> qga.Target("./vm.sock").full
            'unix:./vm.sock'
        """
        return self._full if self._named is None else self._named.full

    def find(self) -> None:
        """Find out what a name is, if that is not known yet; it may take some seconds.

            >>> qga.Target("vsock:42:9000").find()

        Raises:
            InvalidTarget: nothing has that name.
        """
        if self._named is not None:
            self._named.find()

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Target({self.text!r})"

    def open(self, deadline: Deadline) -> Transport | RequestTransport:
        """Open the channel.

            >>> from qga.client import Deadline
            >>> with agent.serve() as text:
            ...     qga.Target(text).open(Deadline(5)).close()

        Raises:
            NoChannel: it cannot be opened.
            AgentNotResponding: not until the deadline; an AgentBusy if others are before us.
        """
        try:
            return self._way.open(deadline)
        except (TransportError, AgentTimeout) as error:
            raise self._explained(error) from error

    async def aopen(self, deadline: Deadline) -> AsyncTransport | AsyncRequestTransport:
        """Open the channel in the running event loop. Errors are those of `open`.

        >>> from qga.client import Deadline
        >>> with agent.serve() as text:
        ...     (await qga.Target(text).aopen(Deadline(5))).close()
        """
        try:
            return await self._way.aopen(deadline)
        except (TransportError, AgentTimeout) as error:
            raise self._explained(error) from error

    def _explained(self, error: TransportError | AgentTimeout) -> NoChannel | AgentNotResponding:
        what = (
            self.text
            if self.full in {self.text, f"unix:{self.text}"}
            else f"{self.text} ({self.full})"
        )
        text = f"cannot open {what}: {error.text}"
        if isinstance(error, TransportError):
            from . import hints

            failure = NoChannel(text)
            failure.hint = hints.opening(self.full, error.__cause__) or error.hint
            failure.off, failure.asleep = hints.down(self.full, error)
            return failure
        # A unix socket that is there and takes no connection has its queue full of others.
        return AgentBusy(text) if self.full.startswith("unix:") else AgentNotResponding(text)


def settled(target: str | Target | None, timeout: float | None) -> tuple[Target, float]:
    """The target that is meant, and the timeout: as told, or the target's own, or the usual.

    Raises:
        InvalidTarget: there is none.
    """
    if target is None:
        target = from_environment()
    elif isinstance(target, str):
        target = Target(target)
    if timeout is None:
        timeout = TIMEOUT if target.timeout is None else target.timeout
    return target, timeout


def from_environment() -> Target:
    """The target in QGA_TARGET.

    Raises:
        InvalidTarget: it is not set, or is no target.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise InvalidTarget(f"no target: give one (a name, {grammar()}) or set {VARIABLE}")
    try:
        return Target(text)
    except InvalidTarget as error:
        raise InvalidTarget(f"{VARIABLE}: {error}") from None


def names_target(text: str) -> bool:
    """Whether *text* is meant as a target: it begins as one does, or is a name that there is, or
    the path of a socket.
    """
    if _is_name(text):
        try:
            Target(text).find()
        except InvalidTarget:
            from . import targetsfile

            # What a file has wrong is told where it is used.
            return targetsfile.find(text) is not None
        return True
    return scheme_of(text) is not None or _is_socket(text)


def names_guest_file(text: str) -> bool:
    """Whether *text* is meant as a file of a guest, not of this machine.

    A local file of such a name needs `./` in front.
    """
    name, colon, path = text.partition(":")
    if colon and (not name or (_is_name(name) and path.startswith("/"))):
        return True
    return scheme_of(text) is not None


def split_path(text: str) -> tuple[Target, str]:
    """The target and the guest path in *text*, by the rules above.

    Raises:
        InvalidTarget: one of them is missing or wrong.
    """
    if text.startswith(":"):
        if text == ":":
            raise InvalidTarget("no path after the colon")
        return from_environment(), text[1:]
    if not names_guest_file(text):
        path = text.rpartition(":/")[0]
        example = text if path and _is_socket(path) else "/run/vm.sock:/etc/hostname"
        raise InvalidTarget(
            f"{text!r} is not TARGET:PATH, as in unix:{example} (or :PATH when {VARIABLE} is set)"
        )
    if scheme_of(text) is None:
        name, _, path = text.partition(":")
        return Target(name), path
    target, separator, path = text.rpartition(":/")
    if not separator or ":" not in target:
        raise InvalidTarget(f"{text!r} has no guest path: add one, as in {text}:/etc/hostname")
    return Target(target), "/" + path


def _is_name(text: str) -> bool:
    """Whether *text* can be the name of a target: neither a target itself nor a path."""
    return bool(text) and ":" not in text and "/" not in text


def _is_path(text: str) -> bool:
    """Whether *text* can only be a path, or is that of a socket."""
    return text.startswith(("/", "./", "../")) or (
        "/" in text and scheme_of(text) is None and _is_socket(text)
    )


def _is_socket(text: str) -> bool:
    import stat

    try:
        return stat.S_ISSOCK(os.stat(text).st_mode)  # noqa: PTH116 - pathlib takes time to load
    except (OSError, ValueError):
        return False


def _parse(text: str, settings: Mapping[str, Any]) -> Way:
    scheme = scheme_of(text)
    if scheme is None:
        hint = "; there is no socket of that path" if "/" in text else ""
        raise InvalidTarget(f"{text!r} is not a target: use {grammar()}{hint}")
    rest = text.partition(":")[2]
    if not rest:
        raise InvalidTarget(f"{text!r} lacks what follows the colon: use {scheme.form}")
    if "\0" in rest:
        raise InvalidTarget(f"{text!r} holds a NUL character")
    return scheme.parse(text, rest, settings)
