"""The users of a Linux guest: their passwords, by chpasswd, and their SSH keys."""

import pwd

from .sshkeys import LinuxSshKeyFile


class LinuxAccounts:
    """See `qga.agent.system.asked.Accounts`."""

    def key_file(self, user: str) -> "LinuxSshKeyFile | None":
        """The authorized_keys of the user of that name; None if there is no such user."""
        try:
            entry = pwd.getpwnam(user)
        except (KeyError, ValueError):  # ValueError: a NUL in the name
            return None
        return LinuxSshKeyFile(entry.pw_dir, entry.pw_uid, entry.pw_gid)

    def password_command(self, *, crypted: bool) -> list[str]:
        """The program that reads lines of `user:password`, and its arguments."""
        return ["chpasswd", "-e"] if crypted else ["chpasswd"]
