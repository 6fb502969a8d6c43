"""What a freeze freezes, in which order, and why not the rest. Used by `freeze`, before it begins.

Decided by three: the platform knows what can be frozen, and what rests on what (`Survey`); the
configuration and the request include and exclude, by patterns.
"""

from qga.errors import CommandError, GuestOSError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .system.asked import Freezer
    from .system.mounts import Mount, Survey

_ATTRIBUTES = {"type": "kind", "device": "source"}


class Pattern:
    """Mounts by where they are, or by their type or device.

    `/mnt/*`, `type:xfs`, `device:/dev/mapper/*`: `*` is any text, `?` any character.

    Raises:
        ValueError: it is none.
    """

    __slots__ = ("_attribute", "_glob", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        kind, colon, rest = text.partition(":")
        if text.startswith(("/", "*")):
            self._attribute, self._glob = "path", text
        elif colon and rest and kind in _ATTRIBUTES:
            self._attribute, self._glob = _ATTRIBUTES[kind], rest
        else:
            raise ValueError(f"'{text}' is no mount point, type:TYPE or device:DEVICE")

    @property
    def is_path(self) -> bool:
        """Whether it stands for one mount point, and for nothing else."""
        return self._attribute == "path" and not set("*?") & set(self._glob)

    def matches(self, mount: "Mount") -> bool:
        """Whether *mount* is one of these."""
        return _matches(self._glob, getattr(mount, self._attribute))


def patterns(texts: "Iterable[str]") -> "list[Pattern]":
    """Those in a request.

    Raises:
        CommandError: one is none.
    """
    try:
        return [Pattern(text) for text in texts]
    except ValueError as error:
        raise CommandError(str(error)) from None


def _matches(glob: str, text: str) -> bool:
    at = star = 0
    after_star = -1  # where in the glob, once there was a star, matching begins anew
    position = 0
    while position < len(text):
        if at < len(glob) and glob[at] == "*":
            at += 1
            after_star, star = at, position
        elif at < len(glob) and glob[at] in ("?", text[position]):
            at += 1
            position += 1
        elif after_star >= 0:
            star += 1
            at, position = after_star, star
        else:
            return False
    return not glob[at:].strip("*")


class Wanted:
    """What a request asks for.

    Args:
        paths: only those at these mount points, letter by letter; what is none is ignored.
        include: only what one of these matches.
        exclude: not what one of these matches.
    """

    __slots__ = ("exclude", "include", "paths")

    def __init__(
        self,
        paths: "Collection[str] | None" = None,
        include: "list[Pattern] | None" = None,
        exclude: "Collection[Pattern]" = (),
    ) -> None:
        self.paths = None if paths is None else frozenset(paths)
        self.include = include
        self.exclude = exclude


class Plan:
    """What is to be frozen.

    Attributes:
        mounts: in the order in which to freeze.
        notes: of each of them, what else is to be known; empty for most.
        others: what is not to be frozen, and why.
    """

    __slots__ = ("mounts", "notes", "others")

    def __init__(
        self, mounts: "list[Mount]", notes: "list[str]", others: "list[tuple[Mount, str]]"
    ) -> None:
        self.mounts = mounts
        self.notes = notes
        self.others = others


def survey(freezer: "Freezer") -> "Survey":
    """What is mounted.

    Raises:
        CommandError: the mount table cannot be read.
    """
    try:
        return freezer.survey()
    except OSError as error:
        raise GuestOSError(
            f"failed to read the mount table: {error.strerror}", error.errno
        ) from None


def make(survey: "Survey", wanted: Wanted, configured: Wanted) -> Plan:
    """The plan for what is *wanted*, as far as the configuration has it.

    Raises:
        CommandError: what is wanted by name cannot be frozen.
    """
    chosen = []
    others = list(survey.others)
    for position, mount in enumerate(survey.mounts):
        reason = _left_out(mount, wanted, "") or _left_out(mount, configured, " by configuration")
        if reason:
            others.append((mount, reason))
        else:
            chosen.append(position)
    if wanted.include is not None:
        _check_named(wanted.include, [survey.mounts[position] for position in chosen], others)
    order = _order(survey, chosen)
    return Plan(
        [survey.mounts[position] for position in order],
        [survey.notes.get(position, "") for position in order],
        others,
    )


def _left_out(mount: "Mount", wanted: Wanted, by: str) -> str:
    """Why *mount* is not wanted; empty if it is."""
    if wanted.paths is not None and mount.path not in wanted.paths:
        return "not asked for"
    if wanted.include is not None and not any(p.matches(mount) for p in wanted.include):
        return f"not included{by}" if by else "not asked for"
    for pattern in wanted.exclude:
        if pattern.matches(mount):
            return f"excluded{by}: {pattern.text}"
    return ""


def _check_named(
    named: "list[Pattern]", chosen: "list[Mount]", others: "list[tuple[Mount, str]]"
) -> None:
    for pattern in named:
        if pattern.is_path and not any(pattern.matches(mount) for mount in chosen):
            reasons = [reason for mount, reason in others if pattern.matches(mount)]
            reason = reasons[-1] if reasons else "nothing is mounted there"
            raise CommandError(f"cannot freeze {pattern.text}: {reason}")


def _order(survey: "Survey", chosen: "list[int]") -> "list[int]":
    """Those mounted last first, but each before what it rests on.

    Were the one with the file of a loop device frozen before the file system in that file, the
    latter's last writes would wait for ever.
    """
    above: dict[int, list[int]] = {position: [] for position in chosen}
    for upper in reversed(chosen):
        for lower in _all_below(survey, upper):
            if lower in above:
                above[lower].append(upper)
    order: list[int] = []
    begun: set[int] = set()

    def add(position: int) -> None:
        if position in begun:
            return
        begun.add(position)
        for upper in above[position]:
            add(upper)
        order.append(position)

    for position in reversed(chosen):
        add(position)
    return order


def _all_below(survey: "Survey", position: int) -> "set[int]":
    """What it rests on, and what that does, also by way of what is not to be frozen."""
    found: set[int] = set()
    ahead = [position]
    while ahead:
        new = survey.below[ahead.pop()] - found
        found |= new
        ahead += new
    found.discard(position)
    return found
