"""The users of a Linux guest: their passwords, by chpasswd, and their SSH keys."""

import pwd

from .keyfile import LinuxKeyFile


class LinuxAccounts:
    """See `qga.agent.system.Accounts`."""

    def key_file(self, user: str) -> "LinuxKeyFile | None":
        """The authorized_keys of the user of that name; None if there is no such user."""
        try:
            entry = pwd.getpwnam(user)
        except (KeyError, ValueError):  # ValueError: a NUL in the name
            return None
        return LinuxKeyFile(entry.pw_dir, entry.pw_uid, entry.pw_gid)

    def password_command(self, *, crypted: bool) -> list[str]:
        """The program that reads lines of `user:password`, and its arguments."""
        return ["chpasswd", "-e"] if crypted else ["chpasswd"]
