"""Users of the guest: who is logged in, their passwords and SSH keys."""

from .model import Command, Struct


class User(Struct):
    """A user who is logged in.

    Members:
        user: the user's name
        domain: the domain of the account (Windows)
        login-time: when, in seconds since 1970-01-01 00:00 UTC; of several logins the earliest
    """

    NAME = "GuestUser"
    SINCE = "2.10"

    user: str
    login_time: float
    domain: str | None = None


class GetUsers(Command[list[User]]):
    """List the users who are logged in.

    Returns: each user once
    """

    NAME = "guest-get-users"
    SINCE = "2.10"


class SetUserPassword(Command[None]):
    """Set the password of a user of the guest.

    Members:
        username: whose password
        password: the new one, in base64
        crypted: whether it is encrypted already, as crypt() does it
    """

    NAME = "guest-set-user-password"
    SINCE = "2.3"

    username: str
    password: bytes
    crypted: bool


class AuthorizedKeys(Struct):
    """The public keys that may log in as a user.

    Members:
        keys: in OpenSSH's format, as in authorized_keys
    """

    NAME = "GuestAuthorizedKeys"
    SINCE = "5.2"

    keys: list[str]


class SshGetAuthorizedKeys(Command[AuthorizedKeys]):
    """List the public keys in a user's .ssh/authorized_keys.

    Members:
        username: the user

    Returns: `GuestAuthorizedKeys`
    """

    NAME = "guest-ssh-get-authorized-keys"
    SINCE = "5.2"

    username: str


class SshAddAuthorizedKeys(Command[None]):
    """Add public keys to a user's .ssh/authorized_keys, which is created if it is not there.

    Members:
        username: the user
        keys: in OpenSSH's format; those that are there already are not added again
        reset: whether to drop all keys that are there first
    """

    NAME = "guest-ssh-add-authorized-keys"
    SINCE = "5.2"

    username: str
    keys: list[str]
    reset: bool | None = None


class SshRemoveAuthorizedKeys(Command[None]):
    """Remove public keys from a user's .ssh/authorized_keys.

    Members:
        username: the user
        keys: the keys; one that is not there is no error
    """

    NAME = "guest-ssh-remove-authorized-keys"
    SINCE = "5.2"

    username: str
    keys: list[str]
