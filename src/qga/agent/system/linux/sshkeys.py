"""A user's .ssh/authorized_keys, read and written by root in a home where the user may set traps.

Whatever is below the home is reached by descriptors of folders and never through a symbolic link,
and has to belong to the user or to root; so the user cannot have root read or write elsewhere. How
the home itself is reached is the administrator's business: links may lead there.
"""

import errno
import os
import stat

from qga.errors import CommandError, GuestOSError

_FOLDER = ".ssh"
_NAME = "authorized_keys"

# What the agent is ready to hold in memory; some hundred thousand keys.
_MOST = 32 << 20

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAKE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LinuxSshKeyFile:
    """See `qga.agent.system.asked.SshKeyFile`.

    Args:
        home: the user's home.
        uid: the user's number.
        gid: that of the user's group.
    """

    def __init__(self, home: str, uid: int, gid: int) -> None:
        self._home = home
        self._uid = uid
        self._gid = gid
        self._folder = os.path.join(home, _FOLDER)
        self.path = os.path.join(self._folder, _NAME)

    def read(self) -> "bytes | None":
        """What is in it; None if there is no such file."""
        try:
            folder = self._open_folder(self._open_home())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from None
        try:
            fd = os.open(_NAME, _OPEN_FILE, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _refused(self.path, "is a symbolic link") from None
            raise self._failed("read", error) from None
        finally:
            os.close(folder)
        try:
            self._check_file(os.fstat(fd))
            with os.fdopen(fd, "rb", closefd=False) as file:
                return file.read(_MOST)
        except OSError as error:
            raise self._failed("read", error) from None
        finally:
            os.close(fd)

    def _check_file(self, info: os.stat_result) -> None:
        if not stat.S_ISREG(info.st_mode):
            raise _refused(self.path, "is not a file")
        # A file of root's that only root may read would be given to the user. sshd, which reads as
        # the user, could not read it either.
        readable = info.st_uid == 0 and info.st_mode & stat.S_IROTH
        if info.st_uid != self._uid and not readable:
            raise _refused(self.path, f"belongs to another user ({info.st_uid})")
        if info.st_size >= _MOST:
            raise _refused(self.path, f"is too large: {info.st_size} bytes")

    def replace(self, content: bytes) -> None:
        """Have it hold *content*, from one moment to the next; it is made if it is not there."""
        folder = self._make_folder()
        # Nothing else has this name; and if it has, this fails.
        name = f".{_NAME}.{os.urandom(8).hex()}"
        try:
            fd = os.open(name, _MAKE_FILE, 0o600, dir_fd=folder)
            try:
                self._fill(fd, content)
                os.rename(name, _NAME, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                self._remove(name, folder)
                raise
            finally:
                os.close(fd)
        except OSError as error:
            raise self._failed("write to", error) from None
        finally:
            os.close(folder)

    def _fill(self, fd: int, content: bytes) -> None:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(content)
        os.fchown(fd, self._uid, self._gid)
        os.fchmod(fd, 0o600)
        # Or after a loss of power an empty file might be there, and nobody could log in.
        os.fsync(fd)

    def _remove(self, name: str, folder: int) -> None:
        try:
            os.unlink(name, dir_fd=folder)
        except OSError:
            pass  # the user was faster, or the disk is in trouble: the first error tells more

    def _open_home(self) -> int:
        return os.open(self._home, _OPEN_FOLDER)

    def _open_folder(self, home: int) -> int:
        """The .ssh of *home*, which is closed."""
        try:
            folder = os.open(_FOLDER, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=home)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise _refused(self._folder, "is a symbolic link, or no folder") from None
        finally:
            os.close(home)
        owner = os.fstat(folder).st_uid
        if owner not in (self._uid, 0):
            os.close(folder)
            raise _refused(self._folder, f"belongs to another user ({owner})")
        return folder

    def _make_folder(self) -> int:
        """The .ssh of the home, made if it is not there."""
        try:
            home = self._open_home()
            try:
                os.mkdir(_FOLDER, 0o700, dir_fd=home)
                made = True
            except FileExistsError:
                made = False
            except OSError:
                os.close(home)
                raise
        except OSError as error:
            raise GuestOSError(
                f"failed to create directory '{self._folder}': {error.strerror}", error.errno
            ) from None
        try:
            folder = self._open_folder(home)
        except OSError as error:
            raise self._failed("write to", error) from None
        if made:
            try:
                self._hand_over(folder)
            except BaseException:
                os.close(folder)
                raise
        return folder

    def _hand_over(self, folder: int) -> None:
        """Give the new *folder* to the user."""
        # One with something in it is not the one that was made: somebody has just exchanged it.
        if os.listdir(folder):
            raise _refused(self._folder, "was exchanged while it was made")
        try:
            os.fchown(folder, self._uid, self._gid)
            os.fchmod(folder, 0o700)
        except OSError as error:
            raise GuestOSError(
                f"failed to set ownership of directory '{self._folder}': {error.strerror}",
                error.errno,
            ) from None

    def _failed(self, what: str, error: OSError) -> GuestOSError:
        return GuestOSError(f"failed to {what} '{self.path}': {error.strerror}", error.errno)


def _refused(path: str, why: str) -> CommandError:
    return CommandError(
        f"'{path}' {why}; it is left alone, since the user may have put it there to gain access "
        "to other files"
    )
