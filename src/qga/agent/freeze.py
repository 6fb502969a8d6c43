"""Freezing and thawing, and knowing which it is. Called by `commands/fsfreeze` and `app`.

While frozen, a marker file in the state directory says so to the next agent, if this one should be
killed; its lines are a token and the mount points. A `Guardian` thaws at the deadline. The agent
itself then touches no file system: it logs to memory, and the policy allows only commands that
need none.
"""

import errno
import os

from qga.errors import CommandError, GuestOSError

from .guardian import NOT_NEEDED, THAWED, Guardian, thaw_fully

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .log import Log
    from .policy import Policy
    from .system.asked import Freezer

# How much of the marker is read back; beyond, mount points are not remembered.
_MARKER_SIZE = 1 << 20

# How long the guardian's thaw may take before it counts as failed.
_GRACE = 2.0

# A guardian that was killed is replaced so often, and given so much time at least.
_RESTARTS = 5
_SOONEST = 1.0


class Freeze:
    """The freeze state of the guest.

    Args:
        freezer: the platform.
        policy: told when only safe commands may run.
        log: kept in memory while frozen.
        marker: path of the marker file.
        timeout: seconds after which the guardian thaws.
    """

    def __init__(
        self, freezer: "Freezer", policy: "Policy", log: "Log", marker: str, timeout: float
    ) -> None:
        self._freezer = freezer
        self._policy = policy
        self._log = log
        self._marker = marker
        self._timeout = timeout
        self._held: list[tuple[str, int]] = []  # mount points and their descriptors, table order
        self._guardian: Guardian | None = None
        # Mount points that the last thaw left frozen, or that were frozen by an agent before this
        # one and cannot be opened now.
        self._stuck: list[str] = []
        self._when_thawed: list[Callable[[], None]] = []
        self._token = b""
        self._restarts = 0
        # For the guardian, when it has thawed and the agent is no more.
        self.when_orphaned: Callable[[], None] | None = None
        self._failed = False
        self.on_change: Callable[[bool], None] = lambda _: None
        """Called with True before anything freezes, and with False when all is thawed."""

    @property
    def frozen(self) -> bool:
        """Whether file systems are frozen."""
        return self._policy.frozen

    @property
    def failed(self) -> bool:
        """Whether something is left frozen that should have been thawed."""
        overdue = self._guardian is not None and self._guardian.left() < -_GRACE
        return self._failed or overdue

    def freeze(self, paths: "Collection[str] | None" = None) -> int:
        """Freeze all local file systems, those mounted last first; return how many.

        All or nothing: a failure thaws what was frozen before it.

        Args:
            paths: only those at these mount points; others in it are ignored.

        Raises:
            CommandError: it failed; nothing is frozen.
        """
        self.check()
        self._held = self._open_all(paths)
        if not self._held:
            return 0
        try:
            self._arm()
        except OSError as error:
            self._end()
            raise GuestOSError(
                f"failed to prepare for freezing: {error.strerror}", error.errno
            ) from None
        frozen = 0
        for path, fd in reversed(self._held):
            try:
                frozen += self._freezer.freeze(fd)
            except OSError as error:
                self._undo()
                raise GuestOSError(
                    f"failed to freeze {path}: {error.strerror}", error.errno
                ) from None
        if not frozen:
            self._end()  # without a thaw: others may have frozen what is frozen
        elif self._guardian is not None and self._guardian.ended() is not None:
            # It has thawed what was frozen by then; what was frozen later nobody else would thaw.
            self._undo()
            raise GuestOSError(f"failed to freeze within {self._timeout:g} s", errno.ETIMEDOUT)
        return frozen

    def check(self) -> None:
        """Raise CommandError while something is under way that must not be in a frozen guest.

        On one channel requests wait for each other, but those of other clients do not. Freezing
        would wait in the kernel for a file system that is being trimmed, for minutes, and the agent
        with it; a guest that falls asleep frozen, nobody thaws.
        """
        name = self._policy.in_the_way()
        if name is not None:
            raise CommandError(f"{name} is still under way: freeze when it has ended")

    def _open_all(self, paths: "Collection[str] | None") -> "list[tuple[str, int]]":
        try:
            mounts = self._freezer.mounts()
        except OSError as error:
            raise GuestOSError(
                f"failed to read the mount table: {error.strerror}", error.errno
            ) from None
        wanted = None if paths is None else set(paths)
        held: list[tuple[str, int]] = []
        for mount in mounts:
            if wanted is not None and mount.path not in wanted:
                continue
            try:
                held.append((mount.path, self._freezer.open(mount)))
            except OSError as error:
                if error.errno == errno.ESTALE:  # mounted over; skipped, as upstream does
                    self._log.warning(f"not frozen: {mount.path}: {error.strerror}")
                    continue
                for _, fd in held:
                    os.close(fd)
                raise GuestOSError(
                    f"failed to open {mount.path}: {error.strerror}", error.errno
                ) from None
        return held

    def _arm(self) -> None:
        """Mark the guest as frozen, and start the guardian; before anything is frozen."""
        token = os.urandom(8).hex().encode()
        fd = os.open(self._marker, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            paths = [os.fsencode(path).replace(b"\n", b"\\n") for path, _ in self._held]
            os.write(fd, b"\n".join([token, *paths, b""])[:_MARKER_SIZE])
        finally:
            os.close(fd)
        self._log.info("freezing file systems")
        self._log.hold()
        self._token = token
        self._restarts = 0
        self._start_guardian(token, self._timeout)
        self._policy.frozen = True
        self.on_change(True)

    def _start_guardian(self, token: bytes, seconds: float) -> None:
        fds = [fd for _, fd in self._held]
        self._guardian = Guardian(
            self._freezer, fds, self._marker, token, seconds, when_orphaned=self.when_orphaned
        )

    def _undo(self) -> None:
        """Thaw what a freeze that did not succeed has frozen."""
        try:
            self.thaw()
        except CommandError as error:
            self._log.error(f"after a failed freeze: {error}")

    def thaw(self) -> int:
        """Thaw everything, whoever has frozen it; return how many file systems were frozen.

        Raises:
            CommandError: something is left frozen; the message names each mount point. The guest
                counts as frozen still, and thawing may be repeated.
        """
        thawed = 0
        failures: list[str] = []
        codes: list[int] = []
        for path, fd, own in self._candidates(failures, codes):
            try:
                undone = False
                while self._freezer.thaw(fd):
                    undone = True
                thawed += undone
            except OSError as error:
                failures.append(f"{path}: {error.strerror}")
                codes.append(error.errno or 0)
            finally:
                if not own:
                    os.close(fd)
        self._failed = bool(failures)
        if failures:
            text = "failed to thaw " + "; ".join(failures)
            self._log.error(text)
            raise GuestOSError(text, codes[0])
        self._end()
        return thawed

    def _candidates(self, failures: list[str], codes: list[int]) -> "list[tuple[str, int, bool]]":
        """What to thaw, in table order, with whether the descriptor is one that is held."""
        held = {path for path, _ in self._held}
        found = [(path, fd, True) for path, fd in self._held]
        stuck = set(self._stuck)
        try:
            mounts = self._freezer.mounts()
        except OSError:
            mounts = []  # what is held can be thawed all the same
        for mount in mounts:
            if mount.path in held:
                continue
            try:
                found.append((mount.path, self._freezer.open(mount), False))
                stuck.discard(mount.path)
            except OSError as error:
                # What this guest is not known to have frozen is no concern.
                if mount.path in stuck:
                    stuck.discard(mount.path)
                    failures.append(f"{mount.path}: {error.strerror}")
                    codes.append(error.errno or 0)
        for path in sorted(stuck):
            failures.append(f"{path}: no longer mounted")
            codes.append(0)
        return found

    def _end(self) -> None:
        """Everything is thawed: back to normal."""
        was_frozen = self._policy.frozen
        self._stuck = []
        self._policy.frozen = False
        try:
            os.unlink(self._marker)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._log.error(f"cannot remove {self._marker}: {error.strerror}")
        if self._guardian is not None:
            self._guardian.dismiss()
            self._guardian = None
        self._let_go()
        waiting, self._when_thawed = self._when_thawed, []
        for callback in waiting:
            try:
                callback()
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                self._log.error(f"after the thaw: {where}{error.strerror}")
        self._log.release()
        if was_frozen:
            self.on_change(False)
            self._log.info("thawed file systems")

    def when_thawed(self, callback: "Callable[[], None]") -> None:
        """Call *callback* now, or as soon as file systems may be written to again."""
        if self.frozen:
            self._when_thawed.append(callback)
        else:
            callback()

    def _let_go(self) -> None:
        for _, fd in self._held:
            os.close(fd)
        self._held = []

    def resume(self) -> bool:
        """At start-up: take over the freeze of an agent that was killed; False if there is none."""
        try:
            token, *paths = self._read_marker().split(b"\n")
            message = "started in a frozen guest"
        except FileNotFoundError:
            return False
        except OSError as error:
            # It may be there. A thaw will tell.
            token, paths = b"", []
            message = f"taken for frozen: cannot read {self._marker}: {error.strerror}"
        self._policy.frozen = True
        # Even stderr may be a file on a frozen file system.
        self._log.hold()
        self._log.error(message)
        wanted = {os.fsdecode(path.replace(b"\\n", b"\n")) for path in paths if path}
        # Upstream's marker is empty: any mount may be what it has frozen.
        any_mount = not wanted
        for mount in self._freezer.mounts():
            if any_mount or mount.path in wanted:
                try:
                    self._held.append((mount.path, self._freezer.open(mount)))
                    wanted.discard(mount.path)
                except OSError:
                    pass
        self._stuck = sorted(wanted)
        self._token = token.strip()
        self._start_guardian(self._token, self._timeout)
        self.on_change(True)
        return True

    def _read_marker(self) -> bytes:
        fd = os.open(self._marker, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, _MARKER_SIZE)
        finally:
            os.close(fd)

    def thaw_at_end(self) -> None:
        """The agent ends: thaw what it has frozen; what cannot be is left to the guardian."""
        self._undo()

    def on_child_ended(self) -> bool:
        """A child process has ended; if it was the guardian, see what it did.

        True when that has ended the freeze.
        """
        guardian = self._guardian
        code = None if guardian is None else guardian.ended()
        if guardian is None or code is None:
            return False
        self._guardian = None
        if code not in (THAWED, NOT_NEEDED):
            self._log.error("the guardian of the freeze was killed; starting another")
            self._restart_guardian(guardian.left())
            return False
        # What was frozen while the guardian was at work it may have passed by.
        if code == THAWED and not all(thaw_fully(self._freezer, fd) for _, fd in self._held):
            self._log.error("the deadline of the freeze has passed, and thawing failed")
            self._restart_guardian(0)
            return False
        self._failed = False
        self._end()
        if code == THAWED:
            self._log.error(f"thawed after {self._timeout:g} s, because nobody else did")
        return True

    def _restart_guardian(self, seconds: float) -> None:
        self._restarts += 1
        if self._restarts > _RESTARTS:
            self._failed = True  # something kills them one after the other
            return
        try:
            self._start_guardian(self._token, max(seconds, _SOONEST))
        except OSError as error:
            self._failed = True
            self._log.error(f"cannot start a guardian: {error.strerror}")
